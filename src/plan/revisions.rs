//! Which manifests go: those that no tag reaches, unless they are young.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::Grace;
use crate::gc::mark::{self, Graph};
use crate::model::{Expected, Id, Inventory, LinkAge, Place, Problem, Repository, Revision};
use crate::policy::companion_of;

/// A revision that no tag reaches.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Which.
    pub revision: Revision,
    /// When the newest of the tags was pushed that this sweep removed and that reached it. `None` if none did.
    pub tag_removed: Option<Timestamp>,
}

/// What becomes of the candidates.
#[derive(Debug, Default)]
pub struct Revisions {
    /// To be taken away, sorted by place, and when their links were written.
    pub remove: Vec<(Revision, Timestamp)>,
    /// Directories without a link, left by the registry's own delete; sorted by place.
    pub empty: Vec<Revision>,
    /// Kept for their age, or because a young index needs them.
    pub held: Vec<Revision>,
    /// When the last of those held for its age may go.
    pub held_until: Option<Timestamp>,
    /// Links that cannot be trusted. While there is one, nothing is removed.
    pub doubts: Vec<Problem>,
}

/// The manifests that tags, once taken away, no longer name, and when each tag was pushed.
pub fn named_by(inventory: &Inventory, tags: &[Expected]) -> Vec<(Revision, Timestamp)> {
    let named = |expected: &Expected| {
        let (Place::Tag(name, _), Some((digest, pushed_at))) = (&expected.place, &expected.link) else {
            return None;
        };
        let repository = u32::try_from(inventory.position(name)?).ok()?;
        Some((Revision { repository, manifest: inventory.digests.id(digest)? }, *pushed_at))
    };
    tags.iter().filter_map(named).collect()
}

/// Revisions that are to go as they must be found.
pub fn expected(inventory: &Inventory, remove: &[(Revision, Timestamp)]) -> Vec<Expected> {
    let expected = |(revision, written): &(Revision, Timestamp)| Expected {
        place: inventory.place(*revision),
        link: Some((inventory.digest(revision.manifest), *written)),
    };
    remove.iter().map(expected).collect()
}

/// The revisions that no tag reaches, nor one that can be brought back, and that no tagged artifact serves,
/// sorted by place. What only refers to an image of another repository is reached from there.
///
/// `removed` are what tags named that this sweep took away and that are no longer in the inventory,
/// sorted by repository.
pub fn unreachable(inventory: &Inventory, removed: &[(Revision, Timestamp)]) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    let elsewhere = mark::referrers_elsewhere(inventory, true);
    for (at, repository) in (0_u32..).zip(&inventory.repositories) {
        let graph = Graph::of(repository, &inventory.manifests);
        // Of a companion that stays, be it for its age or because it could not be taken, the image stays as well:
        // the next sweep would else not know that the companion goes with it.
        let is_here = |image: &Id| repository.revisions.binary_search(image).is_ok();
        let subjects =
            images_named(repository, inventory).filter(is_here).chain(subjects(repository, inventory));
        let others = elsewhere.get(&(at as usize)).into_iter().flatten().copied();
        let kept = graph.closure(repository.roots().chain(subjects).chain(others));
        let mut unreached: Vec<Id> =
            repository.revisions.iter().copied().filter(|revision| !kept.contains(revision)).collect();
        if unreached.is_empty() {
            continue;
        }
        inventory.digests.sort(&mut unreached);
        let from = removed.partition_point(|(revision, _)| revision.repository < at);
        let own = removed[from..].iter().take_while(|(revision, _)| revision.repository == at);
        let tag_removed = pushes(&graph, own.map(|(revision, pushed_at)| (revision.manifest, *pushed_at)));
        candidates.extend(unreached.into_iter().map(|manifest| Candidate {
            revision: Revision { repository: at, manifest },
            tag_removed: tag_removed.get(&manifest).copied(),
        }));
    }
    candidates
}

/// The images that a repository's tags serve by their names or by what they name.
pub fn images_served(repository: &Repository, inventory: &Inventory) -> impl Iterator<Item = Id> {
    images_named(repository, inventory).chain(subjects(repository, inventory))
}

/// By their names.
fn images_named(repository: &Repository, inventory: &Inventory) -> impl Iterator<Item = Id> {
    repository.tags.iter().filter_map(|tag| inventory.digests.id(&companion_of(&tag.name)?))
}

/// By what they name; here, removed tags that can be brought back are among them.
fn subjects(repository: &Repository, inventory: &Inventory) -> impl Iterator<Item = Id> {
    repository.roots().filter_map(|it| inventory.manifests.get(&it)?.subject())
}

/// For each manifest that removed tags had reached, when the newest of those tags was pushed. A tag's push
/// says nothing about the age of what only other tags reached.
fn pushes(graph: &Graph<'_>, removed: impl Iterator<Item = (Id, Timestamp)>) -> HashMap<Id, Timestamp> {
    let mut newest_first: Vec<(Id, Timestamp)> = removed.collect();
    newest_first.sort_by_key(|(_, pushed_at)| Reverse(*pushed_at));
    let (mut reached, mut pushes) = (HashSet::new(), HashMap::new());
    for (manifest, pushed_at) in newest_first {
        let added = graph.extend(&mut reached, [manifest]);
        pushes.extend(added.into_iter().map(|manifest| (manifest, pushed_at)));
    }
    pushes
}

/// Decides on the candidates, in the order in which they and their `ages` come.
///
/// Whatever stays for its age keeps what it references: a young index may just have been pushed by
/// digest, and its tag be on its way. With `tag_removed_needs_no_age`, what removed tags had reached goes
/// whatever its age, unless it was pushed again after the newest of them.
pub fn revisions(
    inventory: &Inventory,
    candidates: &[Candidate],
    ages: Vec<LinkAge>,
    tag_removed_needs_no_age: bool,
    grace: Grace,
) -> Revisions {
    let mut plan = Revisions::default();
    let mut old: Vec<(Revision, Timestamp)> = Vec::new();
    let mut young: HashSet<Revision> = HashSet::new();
    for (Candidate { revision, tag_removed }, age) in candidates.iter().copied().zip(ages) {
        // What was pushed again since, by its digest, is on its way to another tag. A push in the future is no
        // time to go by.
        let exempt = |at| {
            tag_removed_needs_no_age && tag_removed.is_some_and(|pushed_at| at <= pushed_at.min(grace.now))
        };
        match age {
            LinkAge::Written(at) if exempt(at) || grace.is_over(at) => old.push((revision, at)),
            LinkAge::Ahead { written, first_seen } if grace.is_over(first_seen) => {
                old.push((revision, written));
            }
            LinkAge::Written(at) | LinkAge::Ahead { first_seen: at, .. } => {
                young.insert(revision);
                plan.held.push(revision);
                plan.held_until = plan.held_until.max(Some(grace.due(at)));
            }
            LinkAge::Empty(at) if grace.is_over(at) => {
                plan.empty.push(revision);
            }
            // A push may be about to fill it.
            LinkAge::Empty(_) => _ = young.insert(revision),
            LinkAge::Gone => {}
            LinkAge::Doubt(problem) => plan.doubts.push(*problem),
        }
    }
    if !plan.doubts.is_empty() {
        plan.empty.clear();
        plan.held.extend(old.into_iter().map(|(revision, _)| revision));
        return plan;
    }
    for of_one in old.chunk_by(|(a, _), (b, _)| a.repository == b.repository) {
        let at = of_one[0].0.repository;
        let repository = &inventory.repositories[at as usize];
        let graph = Graph::of(repository, &inventory.manifests);
        let is_young = |manifest: &Id| young.contains(&Revision { repository: at, manifest: *manifest });
        let needed = graph.closure(repository.revisions.iter().copied().filter(is_young));
        for (revision, written) in of_one {
            if needed.contains(&revision.manifest) {
                plan.held.push(*revision);
            } else {
                plan.remove.push((*revision, *written));
            }
        }
    }
    plan
}
