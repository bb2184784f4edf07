//! Which manifests go: those that no tag reaches, unless they are young.

use std::collections::HashSet;

use jiff::Timestamp;

use super::Grace;
use crate::gc::mark::Graph;
use crate::model::{Digest, Expected, Inventory, LinkAge, Place, Problem, RepoName, Tag};

/// A revision that no tag reaches.
#[derive(Debug)]
pub struct Candidate {
    /// Where it is.
    pub place: Place,
    /// Whether only tags that this sweep removed had reached it.
    pub tag_removed: bool,
}

/// What becomes of the candidates.
#[derive(Debug, Default)]
pub struct Revisions {
    /// To be taken away, sorted.
    pub remove: Vec<Expected>,
    /// Directories without a link, left by the registry's own delete.
    pub empty: Vec<Expected>,
    /// Kept for their age, or because a young index needs them.
    pub held: Vec<Place>,
    /// When the last of those held for its age may go.
    pub held_until: Option<Timestamp>,
    /// Links that cannot be trusted. While there is one, nothing is removed.
    pub doubts: Vec<Problem>,
}

/// The revisions that no tag reaches and no tagged artifact serves, sorted by place.
///
/// `removed` are the tags that this sweep took away, no longer in the inventory.
pub fn unreachable(inventory: &Inventory, removed: &[Expected]) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for repository in &inventory.repositories {
        let graph = Graph::of(repository, &inventory.manifests);
        let tagged = || repository.tags.iter().filter_map(Tag::digest);
        // An artifact's tag that is kept for its age would else count as an image in the next sweep,
        // and take the place of another.
        let subjects = tagged().filter_map(|digest| inventory.manifests.get(digest)?.subject.as_ref());
        let kept = graph.closure(tagged().chain(subjects));
        let from = removed.partition_point(|expected| expected.place.repository() < &repository.name);
        let own =
            removed[from..].iter().take_while(|expected| *expected.place.repository() == repository.name);
        let own = graph.closure(own.filter_map(|expected| Some(&expected.link.as_ref()?.0)));
        candidates.extend(repository.revisions.iter().filter(|revision| !kept.contains(revision)).map(
            |revision| Candidate {
                place: Place::Revision(repository.name.clone(), revision.clone()),
                tag_removed: own.contains(revision),
            },
        ));
    }
    candidates
}

/// Decides on the candidates, in the order in which they and their `ages` come.
///
/// Whatever stays for its age keeps what it references: a young index may just have been pushed by
/// digest, and its tag be on its way. With `tag_removed_needs_no_age`, what only removed tags had
/// reached goes whatever its age.
pub fn revisions(
    inventory: &Inventory,
    candidates: &[Candidate],
    ages: Vec<LinkAge>,
    tag_removed_needs_no_age: bool,
    grace: Grace,
) -> Revisions {
    let mut plan = Revisions::default();
    let mut old: Vec<(&Candidate, &Digest, Timestamp)> = Vec::new();
    let mut young: HashSet<(&RepoName, &Digest)> = HashSet::new();
    for (candidate, age) in candidates.iter().zip(ages) {
        let Place::Revision(name, digest) = &candidate.place else {
            continue;
        };
        let exempt = tag_removed_needs_no_age && candidate.tag_removed;
        match age {
            LinkAge::Written(at) if exempt || grace.is_over(at) => old.push((candidate, digest, at)),
            LinkAge::Written(at) => {
                young.insert((name, digest));
                plan.held.push(candidate.place.clone());
                plan.held_until = plan.held_until.max(Some(grace.due(at)));
            }
            LinkAge::Empty(at) if grace.is_over(at) => {
                plan.empty.push(Expected { place: candidate.place.clone(), link: None });
            }
            // A push may be about to fill it.
            LinkAge::Empty(_) => drop(young.insert((name, digest))),
            LinkAge::Gone => {}
            LinkAge::Doubt(problem) => plan.doubts.push(*problem),
        }
    }
    if !plan.doubts.is_empty() {
        plan.empty.clear();
        plan.held.extend(old.into_iter().map(|(candidate, ..)| candidate.place.clone()));
        return plan;
    }
    for repository in &inventory.repositories {
        let mine = |candidate: &Candidate| *candidate.place.repository() == repository.name;
        let start = old.partition_point(|(candidate, ..)| *candidate.place.repository() < repository.name);
        let mine = old[start..].iter().take_while(|(candidate, ..)| mine(candidate));
        let graph = Graph::of(repository, &inventory.manifests);
        let roots = repository.revisions.iter().filter(|digest| young.contains(&(&repository.name, *digest)));
        let needed = graph.closure(roots);
        for (candidate, digest, at) in mine {
            if needed.contains(digest) {
                plan.held.push(candidate.place.clone());
            } else {
                let link = Some(((*digest).clone(), *at));
                plan.remove.push(Expected { place: candidate.place.clone(), link });
            }
        }
    }
    plan
}
