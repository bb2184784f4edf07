//! What a store holds and what a sweep leaves of it, on plain values and without the janitor's code.

use std::collections::{BTreeMap, BTreeSet};

use janitor_testkit::Digest;
use serde_json::Value;

use crate::operation::MINUTE;
use crate::settings::{Engine, Settings};

/// Milliseconds on the storage's clock.
pub(crate) type Time = i64;

/// What a manifest says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Document {
    pub(crate) is_index: bool,
    pub(crate) children: Vec<Digest>,
    pub(crate) blobs: Vec<Digest>,
    pub(crate) subject: Option<Digest>,
}

impl Document {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let value: Value = serde_json::from_slice(bytes).unwrap();
        let digest = |descriptor: &Value| descriptor["digest"].as_str().map(Digest::parse);
        let list = |key: &str| value[key].as_array().into_iter().flatten().filter_map(digest);
        Self {
            is_index: value.get("manifests").is_some(),
            children: list("manifests").collect(),
            blobs: list("layers").chain(digest(&value["config"])).collect(),
            subject: digest(&value["subject"]),
        }
    }
}

/// One repository; each thing with the time at which it was last written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Repository {
    pub(crate) tags: BTreeMap<String, (Digest, Time)>,
    pub(crate) revisions: BTreeMap<Digest, Time>,
    pub(crate) layers: BTreeMap<Digest, Time>,
    /// Revisions that the registry deleted: their directories stay, and could be filled again.
    pub(crate) deleted: BTreeMap<Digest, Time>,
}

/// What the janitor remembers: read from its files, as a crash may come before or after they are written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remembered {
    /// By thing, the time that it had, and when it was first seen with that time.
    pub(crate) first_seen: BTreeMap<String, (Time, Time)>,
    /// When the last sweep that saw everything began to look.
    pub(crate) last_look: Option<Time>,
    /// The manifests that it knew.
    pub(crate) known: BTreeSet<Digest>,
}

/// A store.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) now: Time,
    pub(crate) repositories: BTreeMap<String, Repository>,
    pub(crate) blobs: BTreeMap<Digest, Time>,
    /// The older of a blob's two times.
    pub(crate) older: BTreeMap<Digest, Time>,
    /// What the janitor remembers about times that cannot be true.
    pub(crate) remembered: Remembered,
    /// Every manifest that ever was; one is in the store while its blob is.
    pub(crate) documents: BTreeMap<Digest, Document>,
}

impl Model {
    /// Whether a tag pulls whole.
    pub(crate) fn is_whole(&self, repository: &str, tag: &str) -> bool {
        let repository = &self.repositories[repository];
        let mut open = vec![&repository.tags[tag].0];
        while let Some(digest) = open.pop() {
            let Some(document) = self.document(digest) else { return false };
            let has = |blob: &Digest| self.blobs.contains_key(blob) && repository.layers.contains_key(blob);
            if !repository.revisions.contains_key(digest) || !document.blobs.iter().all(has) {
                return false;
            }
            open.extend(&document.children);
        }
        true
    }

    /// Becomes what a sweep leaves, but for the layer links of repositories that it removes.
    pub(crate) fn sweep(&mut self, settings: &Settings) {
        let names: Vec<String> = self.repositories.keys().cloned().collect();
        for name in &names {
            let mut repository = self.repositories[name].clone();
            repository
                .deleted
                .retain(|digest, at| !self.is_old(self.age_of("revision", name, digest, *at), settings));
            self.repositories.insert(name.clone(), repository);
            let kept = self.kept_tags(name, settings);
            let repository = &self.repositories[name];
            let mut swept = repository.clone();
            swept.tags.retain(|tag, _| kept.contains(tag));
            if settings.untagged_go {
                let removed = repository.tags.iter().filter(|(tag, _)| !kept.contains(*tag));
                let removed: Vec<&Digest> = removed.map(|(_, (digest, _))| digest).collect();
                let tagged = || swept.tags.values().map(|(digest, _)| digest);
                // What an artifact serves stays as long as its tag, and so does what the tag is.
                let subjects = tagged().filter_map(|digest| self.document(digest)?.subject.as_ref());
                let reached = self.closure(repository, tagged().chain(subjects));
                let untagged_now = self.closure(repository, removed);
                let unreachable = || repository.revisions.iter().filter(|(it, _)| !reached.contains(*it));
                // The registry's collector would take the young blobs of a young manifest.
                let goes_at_once =
                    |digest| settings.engine != Engine::Registry && untagged_now.contains(digest);
                let young = unreachable()
                    .filter(|(it, written)| {
                        !goes_at_once(*it)
                            && !self.is_old(self.age_of("revision", name, it, **written), settings)
                    })
                    .map(|(digest, _)| digest);
                // What a push is about to fill again may need what leads from it.
                let held = self.closure(repository, young.chain(repository.deleted.keys()));
                swept.revisions.retain(|digest, _| reached.contains(digest) || held.contains(digest));
            }
            self.repositories.insert(name.clone(), swept);
        }
        if settings.engine != Engine::Off {
            let needed = self.needed_blobs();
            let linked = |digest: &Digest| {
                let links = self.repositories.iter().filter_map(|(name, it)| {
                    Some(self.age_of("layer", name, digest, *it.layers.get(digest)?))
                });
                links.max()
            };
            let goes = |digest: &Digest, written: Time| {
                let written = self.age_of_blob(digest, written);
                let touched = linked(digest).map_or(written, |linked| linked.max(written));
                !needed.contains(digest) && self.is_old(touched, settings)
            };
            let gone: Vec<Digest> =
                self.blobs.iter().filter(|(it, at)| goes(it, **at)).map(|(it, _)| it.clone()).collect();
            self.blobs.retain(|digest, _| !gone.contains(digest));
            if settings.engine == Engine::Native {
                self.unlink(&gone, settings);
            }
        }
    }

    /// The links to blobs that go go with them, and so do old ones that lead nowhere and that nobody misses.
    fn unlink(&mut self, gone: &[Digest], settings: &Settings) {
        let mut repositories = std::mem::take(&mut self.repositories);
        for (name, repository) in &mut repositories {
            let needed = self.needed_in(repository);
            repository.layers.retain(|digest, written| {
                let dangles = !self.blobs.contains_key(digest) && !needed.contains(digest);
                !(gone.contains(digest)
                    || dangles && self.is_old(self.age_of("layer", name, digest, *written), settings))
            });
        }
        self.repositories = repositories;
    }

    /// Every blob that a tag or a revision needs.
    pub(crate) fn needed_blobs(&self) -> BTreeSet<Digest> {
        self.repositories.values().flat_map(|repository| self.needed_in(repository)).collect()
    }

    /// Every blob that a tag or a revision of a repository needs.
    pub(crate) fn needed_in(&self, repository: &Repository) -> BTreeSet<Digest> {
        let mut needed = BTreeSet::new();
        let tagged = repository.tags.values().map(|(digest, _)| digest);
        let roots = tagged.chain(repository.revisions.keys()).chain(repository.deleted.keys());
        for digest in self.closure(repository, roots) {
            needed.extend(self.document(&digest).into_iter().flat_map(|it| it.blobs.clone()));
            needed.insert(digest);
        }
        needed
    }

    /// The revisions that a repository's tags reach.
    pub(crate) fn reached(&self, repository: &Repository) -> BTreeSet<Digest> {
        self.closure(repository, repository.tags.values().map(|(digest, _)| digest))
    }

    fn document(&self, digest: &Digest) -> Option<&Document> {
        self.documents.get(digest).filter(|_| self.blobs.contains_key(digest))
    }

    /// The time from which the age of a thing of a repository counts.
    fn age_of(&self, kind: &str, repository: &str, digest: &Digest, dated: Time) -> Time {
        self.counts_from(&format!("{kind} {repository} {}", digest.as_str()), dated)
    }

    fn age_of_blob(&self, digest: &Digest, dated: Time) -> Time {
        let from = self.counts_from(&format!("blob {}", digest.as_str()), dated);
        let older = self.older.get(digest).filter(|_| self.is_ahead(dated));
        older.filter(|older| !self.is_ahead(**older)).map_or(from, |older| from.max(*older))
    }

    fn counts_from(&self, key: &str, dated: Time) -> Time {
        if self.is_ahead(dated) { self.first_seen(key, dated).unwrap_or(self.now) } else { dated }
    }

    fn first_seen(&self, key: &str, dated: Time) -> Option<Time> {
        let seen = self.remembered.first_seen.get(key).filter(|(with, _)| *with == dated);
        seen.map(|(_, first_seen)| (*first_seen).min(self.now))
    }

    fn is_ahead(&self, dated: Time) -> bool {
        dated > self.now + 5 * MINUTE
    }

    /// Whether the last sweep would have seen a push at this time.
    fn is_behind(&self, digest: &Digest, pushed: Time) -> bool {
        let look = self.remembered.last_look.filter(|look| !self.is_ahead(*look));
        look.is_some_and(|look| pushed < look - 5 * MINUTE) && !self.remembered.known.contains(digest)
    }

    fn is_old(&self, written: Time, settings: &Settings) -> bool {
        written.min(self.now) + settings.grace_ms <= self.now
    }

    /// What the roots lead to: children of indexes, and what refers to any of it.
    fn closure<'a>(
        &self,
        repository: &Repository,
        roots: impl IntoIterator<Item = &'a Digest>,
    ) -> BTreeSet<Digest> {
        let mut reached = BTreeSet::new();
        let mut open: Vec<Digest> = roots.into_iter().cloned().collect();
        let here = || {
            let tagged = repository.tags.values().map(|(digest, _)| digest);
            tagged.chain(repository.revisions.keys()).chain(repository.deleted.keys())
        };
        while let Some(digest) = open.pop() {
            if reached.contains(&digest) {
                continue;
            }
            open.extend(self.document(&digest).into_iter().flat_map(|it| it.children.clone()));
            let refers =
                |it: &&Digest| self.document(it).is_some_and(|it| it.subject.as_ref() == Some(&digest));
            open.extend(here().filter(refers).cloned());
            reached.insert(digest);
        }
        reached
    }

    /// The newest N by push time, and whatever serves what stays.
    fn kept_tags(&self, name: &str, settings: &Settings) -> BTreeSet<String> {
        let repository = &self.repositories[name];
        let mut companions = BTreeMap::new();
        let mut ranked = Vec::new();
        let (mut ahead, mut late) = (Vec::new(), Vec::new());
        for (tag, (digest, pushed)) in &repository.tags {
            let first_seen = self.first_seen(&format!("tag {name}:{tag} {}", digest.as_str()), *pushed);
            let is_odd = first_seen.is_some() || self.is_ahead(*pushed) || self.is_behind(digest, *pushed);
            let first_seen = first_seen.unwrap_or(self.now);
            let counts_from = if is_odd { first_seen } else { (*pushed).min(self.now) };
            match self.serves(repository, tag, digest) {
                Some(subject) => drop(companions.insert(tag, (subject, digest, counts_from))),
                None if self.is_ahead(*pushed) => ahead.push((tag, digest)),
                None if is_odd => late.push((first_seen, *pushed, natural(tag), tag, digest)),
                None => ranked.push((counts_from, natural(tag), tag, digest)),
            }
        }
        ranked.sort();
        ranked.reverse();
        late.sort();
        late.reverse();
        let has_place = |nth: usize, first_seen: Time| {
            let newer = ranked.iter().filter(|(pushed, ..)| *pushed > first_seen).count();
            newer + nth < settings.keep
        };
        let (stay, go): (Vec<_>, Vec<_>) =
            late.iter().enumerate().partition(|(nth, (first_seen, ..))| has_place(*nth, *first_seen));
        let beyond = ranked.split_off(settings.keep.min(ranked.len()));
        let mut kept: BTreeSet<String> = ranked.iter().map(|(_, _, tag, _)| (*tag).clone()).collect();
        let mut roots: Vec<&Digest> = ranked.iter().map(|(_, _, _, digest)| *digest).collect();
        let odd =
            ahead.into_iter().chain(stay.into_iter().map(|(_, (_, _, _, tag, digest))| (*tag, *digest)));
        for (tag, digest) in odd {
            kept.insert(tag.clone());
            roots.push(digest);
        }
        if !settings.untagged_go {
            roots.extend(repository.revisions.keys().chain(repository.deleted.keys()));
        }
        let mut stays = self.closure(repository, roots);
        let beyond = beyond.iter().map(|(_, _, _, digest)| *digest);
        let goes = self.closure(repository, beyond.chain(go.into_iter().map(|(_, (.., digest))| *digest)));
        loop {
            let next = companions.iter().find(|(_, (subject, _, pushed))| {
                let is_young = self.now - pushed < settings.grace_ms;
                stays.contains(subject) || (is_young && !goes.contains(subject))
            });
            let Some((tag, (_, digest, _))) = next else { return kept };
            stays.extend(self.closure(repository, [*digest]));
            let tag = (*tag).clone();
            companions.remove(&tag);
            kept.insert(tag);
        }
    }

    /// The image that a tag only serves, by its name or because of what it names.
    fn serves(&self, repository: &Repository, tag: &str, digest: &Digest) -> Option<Digest> {
        let document = self.document(digest)?;
        if let Some(rest) = tag.strip_prefix("sha256-") {
            let (hex, kind) = rest.split_at_checked(64)?;
            let image = Digest::parse(&format!("sha256:{hex}"));
            let refers = |child: &Digest| {
                self.document(child).is_some_and(|child| child.subject.as_ref() == Some(&image))
            };
            if !kind.is_empty() || document.is_index && document.children.iter().any(refers) {
                return Some(image);
            }
        }
        let subject = document.subject.clone()?;
        let is_here = repository.revisions.contains_key(&subject)
            || repository.deleted.contains_key(&subject)
            || repository.tags.values().any(|(tagged, _)| *tagged == subject);
        is_here.then_some(subject)
    }
}

/// `v10` comes after `v9`.
fn natural(tag: &str) -> (&str, u64) {
    let word = tag.trim_end_matches(|it: char| it.is_ascii_digit());
    (word, tag[word.len()..].parse().unwrap_or(0))
}
