//! What is reachable from what: pure, and per repository.
//!
//! Whatever a manifest may hold is followed, also a manifest that it names as a layer; what a pull needs of that is for
//! `check/` to say.
//!
//! The closure is per repository because a manifest may be complete in one and sparse in another;
//! the stock collector of registry 3.x marks across repositories and loses layers that way.

mod aliases;

use std::collections::{HashMap, HashSet};

pub use aliases::{AliasDoubt, AliasReference, Aliases, Why};

use crate::model::{Id, Inventory, Manifest, Manifests, Repository, Revision};

/// What leads to what in one repository: an index to its children, any manifest to those that it names as layers, an
/// image to its referrers.
#[derive(Debug)]
pub struct Graph<'a> {
    manifests: &'a Manifests,
    /// Sorted.
    revisions: &'a [Id],
    /// What the repository has in the trash.
    elsewhere: HashSet<Id>,
    referrers: HashMap<Id, Vec<Id>>,
    /// The repository's layer links of other algorithms: an index may list a manifest by such a digest.
    aliases: Vec<(Id, Id)>,
}

impl<'a> Graph<'a> {
    /// The graph of a repository's roots and revisions.
    pub fn of(repository: &'a Repository, manifests: &'a Manifests) -> Self {
        let (elsewhere, referrers) = (HashSet::new(), HashMap::new());
        let (revisions, aliases) = (&repository.revisions, repository.aliases.clone());
        let mut graph = Self { manifests, revisions, elsewhere, referrers, aliases };
        for manifest in repository.roots().chain(repository.revisions.iter().copied()) {
            graph.refer(manifest);
        }
        graph
    }

    /// Adds a manifest that the repository has elsewhere, such as in the trash.
    pub fn add(&mut self, manifest: Id) {
        self.elsewhere.insert(manifest);
        self.refer(manifest);
    }

    fn refer(&mut self, manifest: Id) {
        if let Some(subject) = self.manifests.get(&manifest).and_then(Manifest::subject) {
            self.referrers.entry(subject).or_default().push(manifest);
        }
    }

    /// Everything reachable from the roots, the roots included.
    pub fn closure(&self, roots: impl IntoIterator<Item = Id>) -> HashSet<Id> {
        let mut reached = HashSet::new();
        self.extend(&mut reached, roots);
        reached
    }

    /// Adds what is reachable from further roots; says what was not reached before.
    pub fn extend(&self, reached: &mut HashSet<Id>, roots: impl IntoIterator<Item = Id>) -> Vec<Id> {
        self.walk(reached, roots, |manifest, open| {
            open.extend(manifest.leads_to(self.revisions));
            if !self.elsewhere.is_empty() {
                let blobs = manifest.blobs().map(|reference| reference.blob);
                open.extend(blobs.filter(|blob| self.elsewhere.contains(blob)));
            }
        })
    }

    /// What pulls of the roots and of their referrers fetch: no more of what is reachable than the registry itself reads.
    pub fn needed(&self, roots: impl IntoIterator<Item = Id>) -> HashSet<Id> {
        let mut reached = HashSet::new();
        self.walk(&mut reached, roots, |manifest, open| open.extend(manifest.needed_children()));
        reached
    }

    fn walk(
        &self,
        reached: &mut HashSet<Id>,
        roots: impl IntoIterator<Item = Id>,
        follow: impl Fn(Manifest<'a>, &mut Vec<Id>),
    ) -> Vec<Id> {
        let mut added = Vec::new();
        let mut open: Vec<Id> = roots.into_iter().collect();
        while let Some(manifest) = open.pop() {
            if !reached.insert(manifest) {
                continue;
            }
            added.push(manifest);
            if let Some(manifest) = self.manifests.get(&manifest) {
                follow(manifest, &mut open);
            }
            if manifest.slot().is_none()
                && let Ok(at) = self.aliases.binary_search_by_key(&manifest, |(alias, _)| *alias)
            {
                open.push(self.aliases[at].1);
            }
            open.extend(self.referrers.get(&manifest).into_iter().flatten());
        }
        added
    }
}

/// What becomes of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Nothing references it.
    Garbage,
    /// Only removed images that can be brought back reference it.
    Undoable,
    /// Manifests that are kept for their age reference it.
    Held,
    /// A kept image references it.
    Kept,
}

/// Who would lose a blob: the repository whose going images alone held it, if it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// No going image.
    Nobody,
    /// The going images of the repository at this position of the inventory.
    One(u32),
    /// Going images of several repositories.
    Several,
}

/// What becomes of every blob.
#[derive(Debug)]
pub struct Marks {
    /// By [`Id::slot`].
    fates: Vec<Fate>,
}

impl Marks {
    /// What becomes of a blob.
    pub fn fate(&self, blob: Id) -> Fate {
        blob.slot().and_then(|slot| self.fates.get(slot)).copied().unwrap_or(Fate::Garbage)
    }
}

/// By position, the revisions of repositories whose subject is not there and that another repository reaches: signatures
/// and the like may have a repository of their own. They are roots of their repositories.
///
/// Others reach it from their tags, and with `undoable` also from removed tags that can be brought back.
pub fn referrers_elsewhere(inventory: &Inventory, undoable: bool) -> HashMap<usize, Vec<Id>> {
    let mut waiting: HashMap<Id, Vec<(usize, Id)>> = HashMap::new();
    for (at, repository) in inventory.repositories.iter().enumerate() {
        let mut named: Option<HashSet<Id>> = None;
        for revision in &repository.revisions {
            let subject = inventory.manifests.get(revision).and_then(Manifest::subject);
            let is_away = |subject: &Id| {
                repository.revisions.binary_search(subject).is_err()
                    && !named.get_or_insert_with(|| repository.roots().collect()).contains(subject)
            };
            if let Some(subject) = subject.filter(is_away) {
                waiting.entry(subject).or_default().push((at, *revision));
            }
        }
    }
    let mut found: HashMap<usize, Vec<Id>> = HashMap::new();
    if waiting.is_empty() {
        return found;
    }
    let reached =
        |at: usize, roots: &mut dyn Iterator<Item = Id>, waiting: &HashMap<Id, Vec<(usize, Id)>>| {
            let graph = Graph::of(&inventory.repositories[at], &inventory.manifests);
            let subjects = graph.closure(roots).into_iter().filter(|id| waiting.contains_key(id));
            subjects.map(|subject| (at, subject)).collect::<Vec<_>>()
        };
    let mut subjects = Vec::new();
    for (at, repository) in inventory.repositories.iter().enumerate() {
        let removed = repository.undoable.iter().copied().filter(|_| undoable);
        subjects.extend(reached(at, &mut repository.tagged().chain(removed), &waiting));
    }
    // What is found may have referrers in a third repository.
    while !subjects.is_empty() {
        let mut new: HashMap<usize, Vec<Id>> = HashMap::new();
        for (from, subject) in subjects.drain(..) {
            for (at, referrer) in waiting
                .get_mut(&subject)
                .into_iter()
                .flat_map(|all| all.extract_if(.., |(at, _)| *at != from))
            {
                new.entry(at).or_default().push(referrer);
            }
        }
        for (at, referrers) in new {
            subjects.extend(reached(at, &mut referrers.iter().copied(), &waiting));
            found.entry(at).or_default().extend(referrers);
        }
    }
    found
}

/// Marks every blob, from every tag, removed or not, and every revision in place: the stock collector takes every
/// revision for a root, and whatever it keeps is kept here too.
pub fn blobs(inventory: &Inventory) -> Marks {
    let aliases = Aliases::of(inventory);
    let mut fates = vec![Fate::Garbage; inventory.digests.slots()];
    let kept_elsewhere = referrers_elsewhere(inventory, false);
    let any_undoable = inventory.repositories.iter().any(|repository| !repository.undoable.is_empty());
    let held_elsewhere = if any_undoable { referrers_elsewhere(inventory, true) } else { HashMap::new() };
    for (at, repository) in inventory.repositories.iter().enumerate() {
        let graph = Graph::of(repository, &inventory.manifests);
        let kept = kept_elsewhere.get(&at).into_iter().flatten().copied();
        let held = held_elsewhere.get(&at).into_iter().flatten().copied();
        let reached = graph.closure(repository.tagged().chain(kept));
        let undoable = graph.closure(repository.undoable.iter().copied().chain(held));
        let is_root = |revision: &Id| !reached.contains(revision) && !undoable.contains(revision);
        let held = graph.closure(repository.revisions.iter().copied().filter(is_root));
        for (manifests, fate) in [(undoable, Fate::Undoable), (held, Fate::Held), (reached, Fate::Kept)] {
            for manifest in manifests {
                for slot in references(inventory, manifest).flat_map(|it| aliases.slots(it)) {
                    fates[slot] = fates[slot].max(fate);
                }
            }
        }
    }
    Marks { fates }
}

/// Whose going images hold each blob.
#[derive(Debug)]
pub struct Holders {
    /// By [`Id::slot`], the repository, [`NOBODY`] or [`SEVERAL`].
    holders: Vec<u32>,
}

const NOBODY: u32 = u32::MAX;
const SEVERAL: u32 = u32::MAX - 1;

impl Holders {
    /// Who holds a blob.
    pub fn of(&self, blob: Id) -> Holder {
        match blob.slot().and_then(|slot| self.holders.get(slot)).copied().unwrap_or(NOBODY) {
            NOBODY => Holder::Nobody,
            SEVERAL => Holder::Several,
            repository => Holder::One(repository),
        }
    }
}

/// Finds out whose going images hold each blob.
///
/// `going` are manifests that are no longer in the inventory, or will not be.
pub fn holders(inventory: &Inventory, going: &[Revision]) -> Holders {
    let aliases = Aliases::of(inventory);
    let mut holders = vec![NOBODY; inventory.digests.slots()];
    for Revision { repository, manifest } in going {
        for slot in references(inventory, *manifest).flat_map(|it| aliases.slots(it)) {
            let holder = &mut holders[slot];
            *holder = if [NOBODY, *repository].contains(holder) { *repository } else { SEVERAL };
        }
    }
    Holders { holders }
}

/// For each removed tag that is held for undo, the bytes of the blobs that nothing else holds.
pub fn held_alone(inventory: &Inventory, marks: &Marks) -> Vec<u64> {
    let aliases = Aliases::of(inventory);
    let tags = &inventory.undo.tags;
    // No holder yet, one, or several.
    let mut holders: Vec<Option<Option<usize>>> = vec![None; inventory.digests.slots()];
    let mut first = 0;
    for of_one in tags.chunk_by(|a, b| a.repository == b.repository) {
        if let Some(at) = inventory.position(&of_one[0].repository) {
            let graph = Graph::of(&inventory.repositories[at], &inventory.manifests);
            for (tag, number) in of_one.iter().zip(first..) {
                for manifest in graph.closure([tag.manifest]) {
                    for slot in references(inventory, manifest).flat_map(|it| aliases.slots(it)) {
                        let holder = holders[slot].get_or_insert(Some(number));
                        *holder = holder.filter(|it| *it == number);
                    }
                }
            }
        }
        first += of_one.len();
    }
    let mut alone = vec![0_u64; tags.len()];
    for blob in inventory.blobs.iter().filter(|blob| marks.fate(**blob) == Fate::Undoable) {
        if let Some(Some(Some(number))) = blob.slot().map(|slot| holders[slot]) {
            alone[number] = alone[number].saturating_add(inventory.sizes.of(*blob));
        }
    }
    alone
}

/// A manifest's own blob and every blob that it names. Its children are followed by the closure.
fn references(inventory: &Inventory, manifest: Id) -> impl Iterator<Item = Id> {
    let blobs = inventory.manifests.get(&manifest).into_iter().flat_map(Manifest::blobs);
    std::iter::once(manifest).chain(blobs.map(|reference| reference.blob))
}

#[cfg(test)]
mod tests;
