//! One repository: its tags with their past, its revisions, its layer links.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rayon::prelude::*;

use super::layout::LINK;
use super::{Dir, Entry, Kind, Surveyor, layout};
use crate::model::{Digest, HiddenFile, Id, LinkState, RepoName, Surveyed, SurveyedTag, TagName};

impl Surveyor<'_> {
    pub(super) fn repository(
        &self,
        name: RepoName,
        dir: &Dir,
        has_layers: bool,
        has_manifests: bool,
    ) -> Surveyed {
        let tags = self.tags(&name, dir);
        let drop_times = |links: Vec<(Id, LinkState, Timestamp)>| -> BTreeMap<Id, LinkState> {
            links.into_iter().map(|(id, state, _)| (id, state)).collect()
        };
        let revisions = drop_times(self.links(&name, dir, layout::REVISIONS));
        let layers = drop_times(self.links(&name, dir, layout::LAYERS));
        let uploads = self.uploads(&name, dir);
        if let Some((dir, entries)) = self.list(dir, layout::MANIFESTS, Some(&name)) {
            for entry in entries.iter().filter(|it| it.kind != Kind::Dir || !is_part(&it.name)) {
                self.odd(&dir, entry, Some(&name), "neither tags nor revisions");
            }
        }
        Surveyed { name, has_layers: has_layers || !has_manifests, tags, revisions, layers, uploads }
    }

    fn tags(&self, name: &RepoName, dir: &Dir) -> Vec<SurveyedTag> {
        let Some((dir, entries)) = self.list(dir, layout::TAGS, Some(name)) else {
            return Vec::new();
        };
        let tag = |entry: &Entry| {
            if self.stop.check().is_err() {
                return None;
            }
            if let (Kind::Dir, Ok(tag)) = (entry.kind, entry.name.parse::<TagName>()) {
                return self.tag(name, &dir, tag);
            }
            self.odd(&dir, entry, Some(name), "not a tag's directory");
            None
        };
        entries.par_iter().filter_map(tag).collect()
    }

    fn tag(&self, repository: &RepoName, tags: &Dir, name: TagName) -> Option<SurveyedTag> {
        let (dir, entries) = self.list(tags, name.as_str(), Some(repository))?;
        for entry in &entries {
            if entry.kind != Kind::Dir || !["current", "index"].contains(&entry.name.as_str()) {
                self.odd(&dir, entry, Some(repository), "neither a tag's current nor its index");
            }
        }
        let current = match self.list(&dir, "current", Some(repository)) {
            Some((current, entries)) => self.link_in(&current, &entries, repository).0,
            None => LinkState::Missing,
        };
        let past = self.links(repository, &dir, "index");
        Some(SurveyedTag { name, current, past })
    }

    /// The links below `<path>/<alg>/<hex>`, and when each was written.
    fn links(&self, repository: &RepoName, dir: &Dir, path: &str) -> Vec<(Id, LinkState, Timestamp)> {
        let Some((dir, algorithms)) = self.list(dir, path, Some(repository)) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for entry in &algorithms {
            let algorithm = layout::algorithm(&entry.name).filter(|_| entry.kind == Kind::Dir);
            let Some(algorithm) = algorithm else {
                self.odd(&dir, entry, Some(repository), "not the directory of an algorithm");
                continue;
            };
            let Some((dir, entries)) = self.list(&dir, &entry.name, Some(repository)) else {
                continue;
            };
            let link = |entry: &Entry| {
                if self.stop.check().is_err() {
                    return None;
                }
                if let (Kind::Dir, Ok(digest)) = (entry.kind, Digest::from_parts(algorithm, &entry.name)) {
                    let (dir, entries) = self.list(&dir, &entry.name, Some(repository))?;
                    if path == layout::LAYERS {
                        self.note_hidden(&entries, LINK, || {
                            HiddenFile::Link(repository.clone(), digest.clone())
                        });
                    }
                    let (state, written) = self.link_in(&dir, &entries, repository);
                    return Some((self.intern(&digest), state, written.unwrap_or(Timestamp::UNIX_EPOCH)));
                }
                self.odd(&dir, entry, Some(repository), "not the directory of a digest");
                None
            };
            found.par_extend(entries.par_iter().filter_map(link));
        }
        found
    }

    fn link_in(&self, dir: &Dir, entries: &[Entry], repository: &RepoName) -> (LinkState, Option<Timestamp>) {
        let (mut is_there, mut was_to_be_written) = (false, false);
        for entry in entries.iter().filter(|entry| !layout::is_hidden(&entry.name)) {
            if entry.name == LINK && entry.kind == Kind::File {
                is_there = true;
            } else {
                was_to_be_written |= layout::is_half_repaired_link(&entry.name);
                self.odd(dir, entry, Some(repository), "beside a link");
            }
        }
        match (is_there, was_to_be_written) {
            (true, _) => self.link(dir, LINK, repository),
            // A repair was interrupted between two renames: the damaged link is gone, the new one is not in its place.
            (false, true) => (LinkState::Empty, None),
            (false, false) => (LinkState::Missing, None),
        }
    }
}

fn is_part(name: &str) -> bool {
    ["tags", "revisions"].contains(&name)
}
