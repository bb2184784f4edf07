//! What can be reclaimed, decided before the collector runs.

use std::collections::HashSet;

use jiff::Timestamp;

use super::Sweep;
use crate::gc::mark::{self, Fate, Holder, Marks};
use crate::model::{Digest, Expected, Inventory, Place};
use crate::plan::{self, Blobs};
use crate::stop::Interrupted;

/// What can be reclaimed, decided before the collector runs.
pub(super) struct Reclaim {
    pub(super) marks: Marks,
    pub(super) plan: Blobs,
    pub(super) in_doubt: bool,
    pub(super) bytes_before: u64,
}

impl Reclaim {
    /// Finds the blobs that nothing references once `going` is gone, and reads their ages.
    pub(super) fn plan(
        sweep: &mut Sweep<'_>,
        inventory: &Inventory,
        going: &[Expected],
        in_doubt: bool,
    ) -> Result<Self, Interrupted> {
        let going: Vec<(u32, Digest)> = going
            .iter()
            .filter_map(|expected| match &expected.place {
                Place::Revision(name, digest) => {
                    let at = inventory.repositories.binary_search_by(|it| it.name.cmp(name)).ok()?;
                    Some((u32::try_from(at).ok()?, digest.clone()))
                }
                _ => None,
            })
            .collect();
        let in_doubt = in_doubt || inventory.in_doubt();
        let mut marks = mark::blobs(inventory, &going);
        let mut plan = Blobs::default();
        if !in_doubt {
            let garbage: Vec<Digest> = marks.garbage(inventory).map(|(_, digest)| digest.clone()).collect();
            let (ages, problems) = sweep.store.blob_ages(&garbage, sweep.stop)?;
            sweep.findings.extend(problems);
            let is_garbage: HashSet<&Digest> = garbage.iter().collect();
            let links: Vec<Place> = inventory
                .repositories
                .iter()
                .flat_map(|repository| {
                    let layers = repository.layers.iter().filter(|layer| is_garbage.contains(layer));
                    layers.map(|layer| Place::Layer(repository.name.clone(), layer.clone()))
                })
                .collect();
            let (times, problems) = sweep.store.link_times(&links, sweep.stop)?;
            sweep.findings.extend(problems);
            let links: Vec<(Place, Option<Timestamp>)> = links.into_iter().zip(times).collect();
            for age in &ages {
                if let Ok(at) = inventory.blobs.binary_search(&age.digest) {
                    marks.sizes[at] = age.size_bytes;
                }
            }
            plan = plan::blobs(ages, &links, sweep.grace());
        }
        let bytes_before = marks.sizes.iter().sum();
        Ok(Self { marks, plan, in_doubt, bytes_before })
    }

    /// Who alone held how many bytes of what is reclaimed.
    pub(super) fn reclaimable(&self) -> impl Iterator<Item = (Holder, u64)> {
        let fates = self.marks.fates.iter().zip(&self.marks.sizes).zip(&self.marks.holders);
        fates.filter(|((fate, _), _)| **fate == Fate::Garbage).map(|((_, size), holder)| (*holder, *size))
    }

    /// The blobs that kept images need, with their sizes as far as they are known.
    pub(super) fn kept(&self, inventory: &Inventory) -> Vec<(Digest, u64)> {
        let fates = inventory.blobs.iter().zip(&self.marks.sizes).zip(&self.marks.fates);
        fates
            .filter(|(_, fate)| **fate == Fate::Kept)
            .map(|((digest, size), _)| (digest.clone(), *size))
            .collect()
    }

    pub(super) fn held_until(&self) -> Option<Timestamp> {
        self.plan.held_until
    }

    /// Blobs, and their bytes, that nothing kept needs.
    pub(super) fn not_kept(&self) -> (usize, u64) {
        let sizes = self.marks.fates.iter().zip(&self.marks.sizes).filter(|(fate, _)| **fate != Fate::Kept);
        sizes.fold((0, 0), |(count, bytes), (_, size)| (count + 1, bytes + size))
    }
}
