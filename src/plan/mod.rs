//! From verdicts to what is to be taken away: pure, no clock, no disk.

mod blobs;
mod revisions;

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

pub use blobs::{Blobs, blobs};
pub use revisions::{Candidate, Revisions, revisions, unreachable};

use crate::model::{Digest, Expected, Inventory, Place, Repository, TagState};
use crate::policy::Verdict;

/// The age from which on a thing that nothing references may go.
#[derive(Clone, Copy, Debug)]
pub struct Grace {
    /// The age.
    pub age: SignedDuration,
    /// The storage's time.
    pub now: Timestamp,
}

impl Grace {
    /// When something last touched at a time may go. A time to come counts as now.
    pub fn due(&self, touched: Timestamp) -> Timestamp {
        touched.min(self.now).saturating_add(self.age).unwrap_or(Timestamp::MAX)
    }

    /// Whether something last touched at a time may go now.
    pub fn is_over(&self, touched: Timestamp) -> bool {
        self.due(touched) <= self.now
    }
}

/// The tags to take away, sorted, each with the link that was decided on.
pub fn tags(inventory: &Inventory, verdicts: &[Vec<Verdict>]) -> Vec<Expected> {
    let mut expected = Vec::new();
    for (repository, verdicts) in inventory.repositories.iter().zip(verdicts) {
        for (tag, verdict) in repository.tags.iter().zip(verdicts) {
            if let (false, TagState::Linked { digest, pushed_at }) = (verdict.keep, &tag.state) {
                expected.push(Expected {
                    place: Place::Tag(repository.name.clone(), tag.name.clone()),
                    link: Some((digest.clone(), *pushed_at)),
                });
            }
        }
    }
    expected.sort_unstable_by(|a, b| a.place.cmp(&b.place));
    expected
}

/// The inventory as it is once some places are empty.
#[must_use]
pub fn without(mut inventory: Inventory, gone: &[Expected]) -> Inventory {
    let gone: HashSet<&Place> = gone.iter().map(|expected| &expected.place).collect();
    if gone.is_empty() {
        return inventory;
    }
    for repository in &mut inventory.repositories {
        let Repository { name, tags, revisions, layers, .. } = repository;
        tags.retain(|tag| !gone.contains(&Place::Tag(name.clone(), tag.name.clone())));
        revisions.retain(|revision| !gone.contains(&Place::Revision(name.clone(), revision.clone())));
        layers.retain(|layer| !gone.contains(&Place::Layer(name.clone(), layer.clone())));
    }
    inventory
}

/// Repositories without a tag, and without a revision but those that are `going`: with their layer
/// links, they are candidates for removal.
pub fn empty_repositories<'a>(inventory: &'a Inventory, going: &[&Expected]) -> Vec<&'a Repository> {
    let going: HashSet<&Place> = going.iter().map(|expected| &expected.place).collect();
    let stays = |repository: &Repository, revision: &Digest| {
        !going.contains(&Place::Revision(repository.name.clone(), revision.clone()))
    };
    let empty = |repository: &&Repository| {
        repository.tags.is_empty()
            && !repository.in_doubt
            && !repository.revisions.iter().any(|revision| stays(repository, revision))
    };
    inventory.repositories.iter().filter(empty).collect()
}

#[cfg(test)]
mod tests;
