//! What can be reclaimed, decided before the collector runs.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::Sweep;
use super::hollow::Hollow;
use crate::gc::mark::{self, Fate, Graph, Holder, Marks};
use crate::model::{Digest, Expected, Inventory, Place, Tag};
use crate::plan::{self, Blobs};
use crate::stop::Interrupted;

/// What can be reclaimed, decided before the collector runs.
pub(super) struct Reclaim {
    pub(super) marks: Marks,
    pub(super) plan: Blobs,
    pub(super) in_doubt: bool,
    /// Directories of blobs without data, old enough to go.
    pub(super) hollow: Vec<Digest>,
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
                    Some((u32::try_from(inventory.position(name)?).ok()?, digest.clone()))
                }
                _ => None,
            })
            .collect();
        let in_doubt = in_doubt || sweep.in_doubt(inventory);
        let mut marks = mark::blobs(inventory, &going);
        let mut plan = Blobs::default();
        let mut hollow = Vec::new();
        if !in_doubt {
            let garbage: Vec<Digest> = marks.garbage(inventory).map(|(_, digest)| digest.clone()).collect();
            let ages = sweep.store.blob_ages(&garbage, sweep.stop)?;
            sweep.findings.extend(ages.problems);
            let grace = sweep.grace();
            let old = ages.hollow.into_iter().filter(|(_, touched)| grace.is_over(*touched));
            hollow.extend(old.map(|(digest, _)| digest));
            let ages = ages.blobs;
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
            for age in &ages {
                if let Ok(at) = inventory.blobs.binary_search(&age.digest) {
                    marks.sizes[at] = age.size_bytes;
                }
            }
            plan = plan::blobs(ages, links.iter().zip(times), grace);
        }
        let bytes_before = sum(marks.sizes.iter().copied());
        Ok(Self { marks, plan, in_doubt, hollow, bytes_before })
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
        sizes.fold((0, 0), |(count, bytes), (_, size)| (count + 1, u64::saturating_add(bytes, *size)))
    }

    /// The blobs that the stock collector would take although they are to stay, so that they need a
    /// pin: young ones, since it knows no age; those behind a layer link of another algorithm, since
    /// it does not follow it; and what a kept manifest that is no revision of its repository needs.
    pub(super) fn to_pin(&self, inventory: &Inventory, hollow: &Hollow) -> Vec<(Digest, u64)> {
        let mut pins: HashMap<Digest, u64> =
            self.plan.held.iter().map(|blob| (blob.digest.clone(), blob.size_bytes)).collect();
        let hollow: HashSet<&Place> = hollow.young.iter().map(|it| &it.place).collect();
        for repository in &inventory.repositories {
            let aliased = repository.aliases.iter().map(|(_, blob)| blob);
            let graph = Graph::of(repository, &inventory.manifests);
            let reached = graph.closure(repository.tags.iter().filter_map(Tag::digest));
            let lacking = reached.into_iter().filter(|it| {
                let place = Place::Revision(repository.name.clone(), (*it).clone());
                repository.revisions.binary_search(it).is_err() || hollow.contains(&place)
            });
            let needed = lacking.flat_map(|digest| {
                let blobs = inventory.manifests.get(digest).into_iter().flat_map(|it| &it.blobs);
                std::iter::once(digest).chain(blobs.map(|blob| &blob.digest))
            });
            for digest in aliased.chain(needed) {
                if let Ok(at) = inventory.blobs.binary_search(digest)
                    && self.marks.fates[at] != Fate::Garbage
                {
                    pins.insert(digest.clone(), self.marks.sizes[at]);
                }
            }
        }
        pins.into_iter().collect()
    }
}

/// Sizes come from manifests, which anybody may push.
pub(super) fn sum(sizes: impl Iterator<Item = u64>) -> u64 {
    sizes.fold(0, u64::saturating_add)
}
