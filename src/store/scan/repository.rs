//! One repository: its tags, revisions and layer links.

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

use rayon::prelude::*;

use super::{Listed, Scanner, odd, unreadable};
use crate::model::{Algorithm, Code, Digest, Id, RepoName, Repository, Severity, Tag, TagName, TagState};
use crate::store::io::{Dir, Kind};
use crate::store::layout;
use crate::store::links::{self, Link};

/// How many repositories have directories open ahead of their listing; four each.
const AHEAD_AT_ONCE: usize = 32;

/// Directories of digests that are open already.
#[derive(Default)]
struct Ahead {
    all: Option<Dir>,
    /// The one for the algorithm that nearly all of them have.
    sha256: Option<Dir>,
}

impl Scanner<'_> {
    pub(super) fn repository_by_name(&self, name: &RepoName) -> Option<Repository> {
        let path = layout::repository(name);
        match self.store.io.open_dir(&self.store.root, &path) {
            Ok(dir) => Some(self.repository(name.clone(), &dir)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.still_there(&path) => None,
            Err(error) => {
                self.report(unreadable(Path::new(&path), Some(name), &error));
                Some(Repository {
                    name: name.clone(),
                    tags: Vec::new(),
                    revisions: Vec::new(),
                    layers: Vec::new(),
                    aliases: Vec::new(),
                    undoable: Vec::new(),
                    in_doubt: true,
                })
            }
        }
    }

    pub(super) fn repository(&self, name: RepoName, dir: &Dir) -> Repository {
        let mut in_doubt = false;
        // A push writes these from the last to the first, so they are listed in this order; to be opened, none of them
        // needs to wait.
        let (tags, [revisions, layers]) =
            rayon::join(|| self.tags(&name, dir, &mut in_doubt), || self.all_ahead(dir));
        let revisions =
            self.digests(&name, dir, layout::REVISIONS, revisions, Severity::Doubt, &mut in_doubt);
        let layers = self.digests(&name, dir, layout::LAYERS, layers, Severity::Warning, &mut in_doubt);
        self.ahead.fetch_sub(1, Ordering::Relaxed);
        let aliases = self.aliases(&name, dir, &layers, &mut in_doubt);
        Repository { name, tags, revisions, layers, aliases, undoable: Vec::new(), in_doubt }
    }

    fn tags(&self, name: &RepoName, dir: &Dir, in_doubt: &mut bool) -> Vec<Tag> {
        let Some((dir, entries)) = self.list(name, dir, layout::TAGS, None, in_doubt) else {
            return Vec::new();
        };
        let mut names: Vec<TagName> = Vec::with_capacity(entries.len());
        for entry in entries {
            match (entry.kind, entry.name.parse()) {
                (Kind::Dir, Ok(tag)) => names.push(tag),
                (Kind::File, _) => self.report(odd(
                    Severity::Note,
                    Code::OddName,
                    Some(name),
                    &dir.path().join(&entry.name),
                    "a file where tags are",
                )),
                (Kind::Dir, Err(error)) => {
                    *in_doubt = true;
                    let cause = error.to_string();
                    self.report(odd(
                        Severity::Doubt,
                        Code::OddName,
                        Some(name),
                        &dir.path().join(&entry.name),
                        &cause,
                    ));
                }
                (Kind::Other, _) => {
                    *in_doubt = true;
                    let path = dir.path().join(&entry.name);
                    self.report(odd(
                        Severity::Doubt,
                        Code::OddKind,
                        Some(name),
                        &path,
                        "neither a directory nor a file",
                    ));
                }
            }
        }
        names
            .into_par_iter()
            .filter(|_| self.stop.check().is_ok())
            .map(|tag| {
                let state = match links::read(&self.store.io, &dir, &layout::current_link(&tag)) {
                    Link::To(digest, pushed_at) => {
                        TagState::Linked { digest: self.intern(&digest), pushed_at }
                    }
                    Link::Missing | Link::Bad(_) | Link::Unreadable(_) => TagState::Doubtful,
                };
                Tag { name: tag, state }
            })
            .collect()
    }

    /// The digests that the directories below `<path>/<alg>` are named after.
    fn digests(
        &self,
        name: &RepoName,
        dir: &Dir,
        path: &str,
        ahead: Ahead,
        weight: Severity,
        in_doubt: &mut bool,
    ) -> Vec<Id> {
        let Some((dir, algorithms)) = self.list(name, dir, path, ahead.all, in_doubt) else {
            return Vec::new();
        };
        let mut sha256 = ahead.sha256;
        let mut digests = Vec::new();
        for entry in algorithms {
            let here = dir.path().join(&entry.name);
            let known = layout::algorithm(&entry.name).filter(|_| entry.kind == Kind::Dir);
            let Some(algorithm) = known else {
                *in_doubt |= weight == Severity::Doubt;
                self.report(odd(
                    weight,
                    Code::OddName,
                    Some(name),
                    &here,
                    "not the directory of a digest algorithm",
                ));
                continue;
            };
            let ahead = if algorithm == Algorithm::Sha256 { sha256.take() } else { None };
            let Some((_, entries)) = self.list(name, &dir, &entry.name, ahead, in_doubt) else {
                continue;
            };
            digests.reserve(entries.len());
            for entry in entries {
                match Digest::from_parts(algorithm, &entry.name) {
                    Ok(digest) if entry.kind == Kind::Dir => digests.push(self.intern(&digest)),
                    _ => {
                        let weight = if entry.kind == Kind::File { Severity::Note } else { weight };
                        *in_doubt |= weight == Severity::Doubt;
                        let path = here.join(&entry.name);
                        self.report(odd(
                            weight,
                            Code::OddName,
                            Some(name),
                            &path,
                            "not the directory of a digest",
                        ));
                    }
                }
            }
        }
        digests.sort_unstable();
        digests
    }

    /// Follows the layer links that are filed under another algorithm than their blob.
    fn aliases(&self, name: &RepoName, dir: &Dir, layers: &[Id], in_doubt: &mut bool) -> Vec<(Id, Id)> {
        let foreign = layers.iter().filter(|layer| layer.slot().is_none());
        let follow = |layer: &Id| {
            let mut path = format!("{}/{}/link", layout::LAYERS, layout::link_dir(&self.digest(*layer)));
            let mut link = links::read(&self.store.io, dir, &path);
            if matches!(link, Link::Missing) {
                // One that the janitor hides still tells which blob a manifest means by this name.
                path = layout::hidden(&path);
                link = links::read(&self.store.io, dir, &path);
            }
            match link {
                Link::To(blob, _) => return Some((*layer, self.intern(&blob))),
                // Whether that matters depends on whether a manifest needs it: see `gc::mark::AliasReference`.
                Link::Missing | Link::Bad(_) => {}
                Link::Unreadable(error) => {
                    *in_doubt = true;
                    self.report(unreadable(&dir.path().join(&path), Some(name), &error));
                }
            }
            None
        };
        foreign.filter_map(follow).collect()
    }

    /// Opens what is to be listed after the tags, unless that is done for many repositories already: these keep the
    /// storage busy, and a process may not have any number of files open.
    fn all_ahead(&self, dir: &Dir) -> [Ahead; 2] {
        let mut all = [Ahead::default(), Ahead::default()];
        if self.ahead.fetch_add(1, Ordering::Relaxed) < AHEAD_AT_ONCE {
            let [revisions, layers] = &mut all;
            rayon::join(
                || *revisions = self.open_ahead(dir, layout::REVISIONS),
                || *layers = self.open_ahead(dir, layout::LAYERS),
            );
        }
        all
    }

    /// Opens what is to be listed later. What does not open is left to that.
    fn open_ahead(&self, dir: &Dir, path: &str) -> Ahead {
        let all = self.store.io.open_dir(dir, path).ok();
        let sha256 =
            all.as_ref().and_then(|all| self.store.io.open_dir(all, Algorithm::Sha256.as_str()).ok());
        Ahead { all, sha256 }
    }

    fn list(
        &self,
        name: &RepoName,
        dir: &Dir,
        path: &str,
        ahead: Option<Dir>,
        in_doubt: &mut bool,
    ) -> Option<Listed> {
        match self.store.io.open_and_list(dir, path, ahead) {
            Ok(listed) => Some(listed),
            // Asked for by name, and a repository may lack any of these; but then no listing has it either.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.is_listed(dir, path) => None,
            Err(error) => {
                *in_doubt = true;
                self.report(unreadable(&dir.path().join(path), Some(name), &error));
                None
            }
        }
    }

    /// Whether a listing has what was not found, or cannot tell.
    fn is_listed(&self, dir: &Dir, path: &str) -> bool {
        let (parent, name) = path.rsplit_once('/').unwrap_or((".", path));
        match self.store.io.open_dir(dir, parent).and_then(|parent| self.store.io.list(&parent)) {
            Ok(entries) => entries.iter().any(|entry| entry.name == name),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                parent != "." && self.is_listed(dir, parent)
            }
            Err(_) => true,
        }
    }
}
