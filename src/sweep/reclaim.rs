//! What can be reclaimed, decided before the collector runs.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::Sweep;
use super::hollow::Hollow;
use crate::gc::mark::{self, Fate, Graph, Holder, Marks};
use crate::model::{Id, Inventory, Manifest, Place, RepoName, Revision};
use crate::plan::Blobs;
use crate::stop::Interrupted;
use crate::store::PART;

/// What can be reclaimed, decided before the collector runs.
pub(super) struct Reclaim {
    pub(super) marks: Marks,
    pub(super) plan: Blobs,
    pub(super) in_doubt: bool,
    /// Directories of blobs without data, old enough to go.
    pub(super) hollow: Vec<Id>,
    /// How many of those that are due were held by no manifest that goes or went in this sweep.
    pub(super) stray: usize,
    pub(super) bytes_before: u64,
    /// Removed tags that are held for undo, and the bytes that nothing else holds.
    pub(super) undo: (usize, u64),
    /// By a repository's position, the bytes that its going images alone held.
    pub(super) held_alone: HashMap<u32, u64>,
}

impl Reclaim {
    /// Finds the blobs that nothing references once `going` is gone, and reads their ages.
    pub(super) fn plan(
        sweep: &mut Sweep<'_>,
        inventory: &mut Inventory,
        going: &[Revision],
        in_doubt: bool,
    ) -> Result<Self, Interrupted> {
        let in_doubt = in_doubt || sweep.in_doubt(inventory);
        let marks = mark::blobs(inventory);
        let (mut plan, mut hollow) = (Blobs::default(), Vec::new());
        if !in_doubt {
            let is_garbage = |blob: &Id| marks.fate(*blob) == Fate::Garbage;
            let garbage: Vec<Id> = inventory.blobs.iter().copied().filter(is_garbage).collect();
            (plan, hollow) = sweep.by_age(inventory, &garbage)?;
        }
        let bytes_before = sum(inventory.blobs.iter().map(|blob| inventory.sizes.of(*blob)));
        let undoable = inventory.blobs.iter().filter(|blob| marks.fate(**blob) == Fate::Undoable);
        let undo = (
            inventory.repositories.iter().map(|repository| repository.undoable.len()).sum(),
            sum(undoable.map(|blob| inventory.sizes.of(*blob))),
        );
        let mut held_alone: HashMap<u32, u64> = HashMap::new();
        let holders = mark::holders(inventory, going);
        let held_by_going = |blob: Id| blob.slot().is_some_and(|slot| holders[slot] != Holder::Nobody);
        let stray = plan.due.iter().filter(|due| !held_by_going(due.blob)).count();
        for blob in inventory.blobs.iter().filter(|blob| marks.fate(**blob) == Fate::Garbage) {
            if let Some(Holder::One(repository)) = blob.slot().map(|slot| holders[slot]) {
                let held = held_alone.entry(repository).or_default();
                *held = held.saturating_add(inventory.sizes.of(*blob));
            }
        }
        Ok(Self { marks, plan, in_doubt, hollow, stray, bytes_before, undo, held_alone })
    }

    /// The blobs that kept images need, with their sizes as far as they are known.
    pub(super) fn kept(&self, inventory: &Inventory) -> Vec<(Id, u64)> {
        let kept = inventory.blobs.iter().filter(|blob| self.marks.fate(**blob) == Fate::Kept);
        kept.map(|blob| (*blob, inventory.sizes.of(*blob))).collect()
    }

    pub(super) fn held_until(&self) -> Option<Timestamp> {
        self.plan.held_until
    }

    /// Blobs, and their bytes, that nothing kept needs.
    pub(super) fn not_kept(&self, inventory: &Inventory) -> (usize, u64) {
        let blobs = inventory.blobs.iter().filter(|blob| self.marks.fate(**blob) != Fate::Kept);
        blobs.fold((0, 0), |(count, bytes), blob| {
            (count + 1, u64::saturating_add(bytes, inventory.sizes.of(*blob)))
        })
    }

    /// The blobs that the stock collector would take although they are to stay, so that they need a
    /// pin: young ones, since it knows no age; those behind a layer link of another algorithm, since
    /// it does not follow it; and what a kept manifest that is no revision of its repository needs.
    pub(super) fn to_pin(&self, inventory: &Inventory, hollow: &Hollow) -> Vec<Id> {
        let mut pins: HashSet<Id> = self.plan.held.iter().copied().collect();
        let hollow: HashSet<Revision> = hollow.young.iter().copied().collect();
        for (at, repository) in (0..).zip(&inventory.repositories) {
            let aliased = repository.aliases.iter().map(|(_, blob)| *blob);
            let graph = Graph::of(repository, &inventory.manifests);
            let reached = graph.closure(repository.roots());
            let lacking = reached.into_iter().filter(|manifest| {
                repository.revisions.binary_search(manifest).is_err()
                    || hollow.contains(&Revision { repository: at, manifest: *manifest })
            });
            let needed = lacking.flat_map(|manifest| {
                let blobs = inventory.manifests.get(&manifest).into_iter().flat_map(Manifest::blobs);
                std::iter::once(manifest).chain(blobs.map(|reference| reference.blob))
            });
            let stays = |blob: &Id| inventory.has_blob(*blob) && self.marks.fate(*blob) != Fate::Garbage;
            pins.extend(aliased.chain(needed).filter(stays));
        }
        let mut pins: Vec<Id> = pins.into_iter().collect();
        inventory.digests.sort(&mut pins);
        pins
    }
}

impl Sweep<'_> {
    /// Which of some blobs, sorted by number, may go by their age; and directories without data, old
    /// enough to go.
    pub(super) fn by_age(
        &mut self,
        inventory: &mut Inventory,
        garbage: &[Id],
    ) -> Result<(Blobs, Vec<Id>), Interrupted> {
        let (mut plan, mut hollow) = (Blobs::default(), Vec::new());
        let grace = self.grace();
        for part in garbage.chunks(PART) {
            let ages = self.store.blob_ages(&inventory.digests, part, self.stop)?;
            for age in &ages.blobs {
                inventory.sizes.measured(age.blob, age.size_bytes);
            }
            plan.by_age(&ages.blobs, grace);
            let old = ages.hollow.into_iter().filter(|(_, touched)| grace.is_over(*touched));
            hollow.extend(old.map(|(blob, _)| blob));
            self.findings.extend(ages.problems);
        }
        let mut links = inventory
            .repositories
            .iter()
            .flat_map(|repository| repository.layers.iter().map(|layer| (&repository.name, *layer)))
            .filter(|(_, layer)| garbage.binary_search(layer).is_ok());
        let mut young = Vec::new();
        loop {
            let part: Vec<(&RepoName, Id)> = links.by_ref().take(PART).collect();
            if part.is_empty() {
                break;
            }
            let place =
                |(name, layer): &(&RepoName, Id)| Place::Layer((*name).clone(), inventory.digest(*layer));
            let (times, problems) = self.store.link_times(part.iter().map(place), self.stop)?;
            self.findings.extend(problems);
            let dated = part.iter().zip(times).filter_map(|((_, layer), at)| Some((*layer, at?)));
            young.extend(dated.filter(|(_, written)| !grace.is_over(*written)));
        }
        plan.by_links(young, grace);
        Ok((plan, hollow))
    }
}

/// Sizes come from manifests, which anybody may push.
pub(super) fn sum(sizes: impl Iterator<Item = u64>) -> u64 {
    sizes.fold(0, u64::saturating_add)
}
