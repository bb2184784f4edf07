//! From verdicts to what is to be taken away: pure, no clock, no disk.

mod blobs;
mod guard;
mod known;
mod losses;
mod revisions;
mod unread;

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

pub use blobs::{Blobs, Due};
pub use guard::{Share, TINY, TooMuch, confirm};
pub use known::{blobs_share, known, tags_share};
pub use losses::{Missed, Remains, losses};
pub use revisions::{Candidate, Revisions, expected, images_served, named_by, revisions, unreachable};
pub use unread::judge_unread;

use crate::model::{Digest, Expected, Inventory, Place, Repository, Revision, TagState};
use crate::policy::{Reason, Verdict};

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
                    link: Some((inventory.digest(*digest), *pushed_at)),
                });
            }
        }
    }
    expected.sort_unstable_by(|a, b| a.place.cmp(&b.place));
    expected
}

/// The companion tags that go because their image does, sorted, each with that image.
pub fn companions(inventory: &Inventory, verdicts: &[Vec<Verdict>]) -> Vec<(Place, Digest)> {
    let mut companions = Vec::new();
    for (repository, verdicts) in inventory.repositories.iter().zip(verdicts) {
        for (tag, verdict) in repository.tags.iter().zip(verdicts) {
            let image = verdict.reasons.iter().find_map(|reason| match reason {
                Reason::ImageGone { image } => Some(image),
                _ => None,
            });
            if let Some(image) = image {
                let place = Place::Tag(repository.name.clone(), tag.name.clone());
                companions.push((place, (**image).clone()));
            }
        }
    }
    companions.sort_unstable();
    companions
}

/// The inventory as it is once some places, sorted, are empty.
#[must_use]
pub fn without(mut inventory: Inventory, gone: &[Expected]) -> Inventory {
    let same_repository = |a: &Expected, b: &Expected| a.place.repository() == b.place.repository();
    for gone in gone.chunk_by(same_repository) {
        let Some(at) = inventory.position(gone[0].place.repository()) else { continue };
        let (mut tags, mut revisions, mut layers) = (HashSet::new(), HashSet::new(), HashSet::new());
        for expected in gone {
            match &expected.place {
                Place::Tag(_, tag) => _ = tags.insert(tag),
                Place::Revision(_, digest) => revisions.extend(inventory.digests.id(digest)),
                Place::Layer(_, digest) => layers.extend(inventory.digests.id(digest)),
            }
        }
        let repository = &mut inventory.repositories[at];
        repository.tags.retain(|tag| !tags.contains(&tag.name));
        repository.tags.shrink_to_fit();
        repository.revisions.retain(|revision| !revisions.contains(revision));
        repository.layers.retain(|layer| !layers.contains(layer));
    }
    inventory
}

/// The inventory as it is without some revisions.
#[must_use]
pub fn without_revisions(mut inventory: Inventory, gone: impl IntoIterator<Item = Revision>) -> Inventory {
    let gone: HashSet<Revision> = gone.into_iter().collect();
    for (at, repository) in (0..).zip(&mut inventory.repositories) {
        repository
            .revisions
            .retain(|manifest| !gone.contains(&Revision { repository: at, manifest: *manifest }));
    }
    inventory
}

/// The inventory with the manifests that taken tags named held for undo.
#[must_use]
pub fn held_for_undo(mut inventory: Inventory, tags: &[Expected]) -> Inventory {
    for (Revision { repository, manifest }, _) in named_by(&inventory, tags) {
        inventory.repositories[repository as usize].undoable.push(manifest);
    }
    inventory
}

/// The inventory without what some tags held for undo, which are back in their places.
#[must_use]
pub fn not_held_for_undo(mut inventory: Inventory, tags: &[Expected]) -> Inventory {
    for (Revision { repository, manifest }, _) in named_by(&inventory, tags) {
        let undoable = &mut inventory.repositories[repository as usize].undoable;
        if let Some(at) = undoable.iter().rposition(|it| *it == manifest) {
            undoable.remove(at);
        }
    }
    inventory
}

/// Repositories without a tag, removed or not, and without a revision but those that are `going`: with their layer
/// links, they are candidates for removal.
pub fn empty_repositories(
    inventory: &Inventory,
    going: impl IntoIterator<Item = Revision>,
) -> Vec<&Repository> {
    let going: HashSet<Revision> = going.into_iter().collect();
    let stays = |at: u32, repository: &Repository| {
        let mut revisions = repository.revisions.iter();
        revisions.any(|manifest| !going.contains(&Revision { repository: at, manifest: *manifest }))
    };
    let empty = |(at, repository): &(u32, &Repository)| {
        repository.tags.is_empty()
            && repository.undoable.is_empty()
            && !repository.in_doubt
            && !stays(*at, repository)
    };
    (0..).zip(&inventory.repositories).filter(empty).map(|(_, repository)| repository).collect()
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
