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
        }
        let kept_tags = self.kept_tags(settings);
        let mut before = self.clone();
        for (name, repository) in &mut before.repositories {
            repository.tags.retain(|tag, _| kept_tags[name].contains(tag));
        }
        for name in &names {
            let kept = &kept_tags[name];
            let repository = &self.repositories[name];
            let mut swept = repository.clone();
            swept.tags.retain(|tag, _| kept.contains(tag));
            if settings.untagged_go {
                let removed = repository.tags.iter().filter(|(tag, _)| !kept.contains(*tag));
                let removed: Vec<&(Digest, Time)> = removed.map(|(_, named)| named).collect();
                let tagged = || swept.tags.values().map(|(digest, _)| digest);
                let subjects = self.images_served(&swept);
                let elsewhere = before.referrers_elsewhere(name);
                let reached = self.closure(repository, tagged().chain(&subjects).chain(&elsewhere));
                let unreachable = || repository.revisions.iter().filter(|(it, _)| !reached.contains(*it));
                // The registry's collector would take the young blobs of a young manifest. What was pushed again
                // after the tags that reached it is on its way to another one.
                let goes_at_once = |digest: &Digest| {
                    let written = repository.revisions[digest];
                    let exempts = |(it, pushed): &(Digest, Time)| {
                        written <= (*pushed).min(self.now) && self.closure(repository, [it]).contains(digest)
                    };
                    settings.engine != Engine::Registry && removed.iter().any(|it| exempts(it))
                };
                let young = unreachable()
                    .filter(|(it, written)| {
                        !goes_at_once(it)
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

    /// What artifacts serve, which stays as long as their tags, and so does what the tags are.
    fn images_served(&self, repository: &Repository) -> Vec<Digest> {
        let serves = |(tag, (digest, _)): (&String, &(Digest, Time))| {
            let subject = self.document(digest)?.subject.clone();
            let image = self.serves(tag, digest).filter(|(image, is_named)| {
                *is_named
                    && (repository.revisions.contains_key(image) || repository.deleted.contains_key(image))
            });
            Some(image.map(|(image, _)| image).into_iter().chain(subject))
        };
        repository.tags.iter().filter_map(serves).flatten().collect()
    }

    /// The revisions that a repository's tags reach, the images that these serve, and what refers to what other
    /// repositories' tags reach.
    pub(crate) fn reached(&self, name: &str) -> BTreeSet<Digest> {
        let repository = &self.repositories[name];
        let tagged = repository.tags.values().map(|(digest, _)| digest);
        let (served, elsewhere) = (self.images_served(repository), self.referrers_elsewhere(name));
        self.closure(repository, tagged.chain(&served).chain(&elsewhere))
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

    /// By repository, the newest N by push time, and whatever serves what stays here or in another repository. What
    /// serves an image that nobody keeps is one of the N.
    fn kept_tags(&self, settings: &Settings) -> BTreeMap<String, BTreeSet<String>> {
        let mut nobody: BTreeSet<Digest> = BTreeSet::new();
        loop {
            let mut stays: BTreeMap<&String, BTreeSet<Digest>> = BTreeMap::new();
            let decided = loop {
                let decide = |name: &String| {
                    let others = stays.iter().filter(|(other, _)| **other != name);
                    let elsewhere = others.flat_map(|(_, stays)| stays).collect();
                    self.kept_tags_of(name, &elsewhere, &nobody, settings)
                };
                let decided: BTreeMap<&String, Kept> =
                    self.repositories.keys().map(|name| (name, decide(name))).collect();
                let now = decided.iter().map(|(name, kept)| (*name, kept.stays.clone())).collect();
                if now == stays {
                    break decided;
                }
                stays = now;
            };
            let undecided: BTreeSet<Digest> = decided.values().flat_map(|it| it.undecided.clone()).collect();
            if undecided.is_empty() {
                return decided.into_iter().map(|(name, kept)| (name.clone(), kept.tags)).collect();
            }
            nobody.extend(undecided);
        }
    }

    fn kept_tags_of(
        &self,
        name: &str,
        elsewhere: &BTreeSet<&Digest>,
        nobody: &BTreeSet<Digest>,
        settings: &Settings,
    ) -> Kept {
        let repository = &self.repositories[name];
        let named = || repository.tags.values().map(|(digest, _)| digest);
        let listed = self.closure(repository, named());
        let (mut companions, mut undecided) = (BTreeMap::new(), BTreeSet::new());
        let (mut images, mut orphans) = (Ranks::default(), Ranks::default());
        let (mut ahead, mut images_ahead) = (Vec::new(), Vec::new());
        for (tag, (digest, pushed)) in &repository.tags {
            let first_seen = self.first_seen(&format!("tag {name}:{tag} {}", digest.as_str()), *pushed);
            let is_odd = first_seen.is_some() || self.is_ahead(*pushed) || self.is_behind(digest, *pushed);
            let first_seen = first_seen.unwrap_or(self.now);
            let counts_from = if is_odd { first_seen } else { (*pushed).min(self.now) };
            let is_young = self.now - counts_from < settings.grace_ms;
            let mut is_orphan = false;
            let serves = self.serves(tag, digest).filter(|(subject, is_named)| {
                let is_known = repository.revisions.contains_key(subject)
                    || repository.deleted.contains_key(subject)
                    || listed.contains(subject)
                    || elsewhere.contains(subject);
                if !is_known && !nobody.contains(subject) {
                    undecided.insert(subject.clone());
                }
                is_orphan = !is_known && nobody.contains(subject) && *is_named && !is_young;
                is_known || !nobody.contains(subject) || *is_named && is_young
            });
            let ranks = if is_orphan { &mut orphans } else { &mut images };
            match serves {
                Some((subject, _)) => drop(companions.insert(tag, (subject, digest, is_young))),
                None if self.is_ahead(*pushed) => {
                    ahead.push(tag);
                    images_ahead.extend(Some(tag).filter(|_| !is_orphan));
                }
                None if is_odd => ranks.late.push((first_seen, *pushed, natural(tag), tag)),
                None => ranks.ranked.push((counts_from, natural(tag), tag)),
            }
        }
        // What serves an image that nobody has takes its place from no image.
        let among_all = Ranks::of_all(&images, &orphans).that_stay(settings.keep);
        let mut tags: BTreeSet<&String> = images.that_stay(settings.keep);
        tags.extend(orphans.tags().filter(|tag| among_all.contains(tag)));
        let beyond = images.tags().chain(orphans.tags()).filter(|tag| !tags.contains(tag));
        let beyond: Vec<&Digest> = beyond.map(|tag| &repository.tags[tag].0).collect();
        let images: BTreeSet<&String> = images.tags().chain(images_ahead).collect();
        tags.extend(ahead);
        let mut tags: BTreeSet<String> = tags.into_iter().cloned().collect();
        let mut roots: Vec<&Digest> = tags.iter().map(|tag| &repository.tags[tag].0).collect();
        if !settings.untagged_go {
            roots.extend(repository.revisions.keys().chain(repository.deleted.keys()));
        }
        let mut stays = self.closure(repository, roots);
        let goes = self.closure(repository, beyond);
        loop {
            let next = companions.iter().find(|(_, (subject, _, is_young))| {
                let may_come = *is_young && !goes.contains(subject) && !undecided.contains(subject);
                stays.contains(subject) || elsewhere.contains(subject) || may_come
            });
            let Some((tag, (_, digest, _))) = next else { break };
            stays.extend(self.closure(repository, [*digest]));
            let tag = (*tag).clone();
            companions.remove(&tag);
            tags.insert(tag);
        }
        // The tags that would go may be the last that pull.
        let lacks = |tag: &String| self.lacks(repository, &repository.tags[tag].0, images.contains(tag));
        if tags.len() < repository.tags.len() && tags.iter().any(lacks) {
            tags = repository.tags.keys().cloned().collect();
            stays.extend(self.closure(repository, named()));
        }
        Kept { tags, stays, undecided }
    }

    /// The image that a tag only serves, by its name or because of what it names; and whether the name says so.
    fn serves(&self, tag: &str, digest: &Digest) -> Option<(Digest, bool)> {
        let document = self.document(digest)?;
        if let Some(rest) = tag.strip_prefix("sha256-") {
            let (hex, kind) = rest.split_at_checked(64)?;
            let image = Digest::parse(&format!("sha256:{hex}"));
            let refers = |child: &Digest| {
                self.document(child).is_some_and(|child| child.subject.as_ref() == Some(&image))
            };
            if !kind.is_empty() || document.is_index && document.children.iter().any(refers) {
                return Some((image, true));
            }
        }
        document.subject.clone().map(|subject| (subject, false))
    }

    /// Whether a tag cannot be pulled completely, for more than platforms that are not there at all.
    fn lacks(&self, repository: &Repository, tagged: &Digest, is_image: bool) -> bool {
        let is_there = |digest: &&Digest| {
            let is_revision =
                repository.revisions.contains_key(digest) || repository.deleted.contains_key(digest);
            self.blobs.contains_key(digest) && (is_revision || repository.layers.contains_key(digest))
        };
        let Some(document) = self.document(tagged) else { return false };
        let has = |blob: &Digest| self.blobs.contains_key(blob) && repository.layers.contains_key(blob);
        let there: Vec<&Digest> = document.children.iter().filter(is_there).collect();
        !document.blobs.iter().all(has)
            || is_image && there.is_empty() && !document.children.is_empty()
            || there.into_iter().any(|child| self.lacks(repository, child, is_image))
    }

    /// The referrers of a repository whose subject only others have, and reach from their tags.
    fn referrers_elsewhere(&self, name: &str) -> BTreeSet<Digest> {
        let mut found: BTreeMap<&String, BTreeSet<Digest>> =
            self.repositories.keys().map(|name| (name, BTreeSet::new())).collect();
        loop {
            let reached: BTreeMap<&String, BTreeSet<Digest>> = found
                .iter()
                .map(|(name, found)| {
                    let repository = &self.repositories[*name];
                    let tagged = repository.tags.values().map(|(digest, _)| digest);
                    (*name, self.closure(repository, tagged.chain(found)))
                })
                .collect();
            let next = self.repositories.iter().map(|(name, repository)| {
                let is_here = |it: &Digest| {
                    repository.revisions.contains_key(it)
                        || repository.deleted.contains_key(it)
                        || repository.tags.values().any(|(tagged, _)| tagged == it)
                };
                let is_elsewhere = |subject: &Digest| {
                    let mut others = reached.iter().filter(|(other, _)| **other != name);
                    !is_here(subject) && others.any(|(_, reached)| reached.contains(subject))
                };
                let all = repository.revisions.keys().chain(repository.deleted.keys());
                let subject = |it: &Digest| self.document(it)?.subject.as_ref();
                (name, all.filter(|it| subject(it).is_some_and(is_elsewhere)).cloned().collect())
            });
            let next = next.collect();
            if next == found {
                return found.remove(&name.to_owned()).unwrap_or_default();
            }
            found = next;
        }
    }
}

/// When a tag was first seen, when it was pushed, and its name for the natural order and as it is.
type Late<'a> = (Time, Time, (&'a str, u64), &'a String);

/// Tags that rank.
#[derive(Clone, Default)]
struct Ranks<'a> {
    /// By push time.
    ranked: Vec<(Time, (&'a str, u64), &'a String)>,
    /// By when they were first seen, and then by push time.
    late: Vec<Late<'a>>,
}

impl<'a> Ranks<'a> {
    fn of_all(some: &Self, others: &Self) -> Self {
        let mut all = some.clone();
        all.ranked.extend(&others.ranked);
        all.late.extend(&others.late);
        all
    }

    fn tags(&self) -> impl Iterator<Item = &'a String> {
        let late = self.late.iter().map(|(.., tag)| *tag);
        self.ranked.iter().map(|(.., tag)| *tag).chain(late)
    }

    /// Those that would stay if there were no others.
    fn that_stay(&self, keep: usize) -> BTreeSet<&'a String> {
        let Self { mut ranked, mut late } = self.clone();
        ranked.sort();
        ranked.reverse();
        late.sort();
        late.reverse();
        let has_place = |(nth, (first_seen, ..)): &(usize, &Late<'_>)| {
            let newer = ranked.iter().filter(|(pushed, ..)| pushed > first_seen).count();
            newer + nth < keep
        };
        let late = late.iter().enumerate().filter(has_place).map(|(_, (.., tag))| *tag);
        ranked.iter().take(keep).map(|(.., tag)| *tag).chain(late).collect()
    }
}

/// What is kept of a repository.
struct Kept {
    tags: BTreeSet<String>,
    /// Manifests.
    stays: BTreeSet<Digest>,
    /// Images of companions that are not here, while it is open whether anybody keeps them.
    undecided: BTreeSet<Digest>,
}

/// `v10` comes after `v9`.
fn natural(tag: &str) -> (&str, u64) {
    let word = tag.trim_end_matches(|it: char| it.is_ascii_digit());
    (word, tag[word.len()..].parse().unwrap_or(0))
}
