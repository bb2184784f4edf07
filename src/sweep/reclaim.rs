//! What can be reclaimed, decided before a collector runs.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::Sweep;
use super::aliases::alias_doubts;
use super::engine::Engine;
use super::hollow::Hollow;
use crate::gc::mark::{self, Aliases, Fate, Graph, Holder, Marks};
use crate::gc::native;
use crate::model::{HiddenLink, Id, Inventory, LinkAge, Manifest, Revision, Stamp, Standing, Thing};
use crate::plan::Blobs;
use crate::stop::{Interrupted, Length};
use crate::store::PART;

/// What can be reclaimed, decided before the collector runs.
pub(super) struct Reclaim {
    pub(super) marks: Marks,
    pub(super) plan: Blobs,
    /// Layer links that go with the blobs that are due, or that lead nowhere, old enough to go.
    pub(super) links: Vec<HiddenLink>,
    pub(super) in_doubt: bool,
    /// Directories of blobs without data, old enough to go.
    pub(super) hollow: Vec<Id>,
    /// How many of those that are due were held by no manifest that goes or went in this sweep.
    pub(super) stray: usize,
    pub(super) bytes_before: u64,
    /// Blobs, and their bytes, that nothing kept needs.
    pub(super) not_kept: (usize, u64),
    /// Removed tags that are held for undo, and the bytes that nothing else holds.
    pub(super) undo: (usize, u64),
    /// By a repository's position, the bytes that its going images alone held.
    pub(super) held_alone: HashMap<u32, u64>,
}

/// What may go by its age.
#[derive(Default)]
pub(super) struct Aged {
    pub(super) blobs: Blobs,
    /// The layer links to the blobs that are due, where they are to go as well.
    links: Vec<HiddenLink>,
    /// Directories of blobs without data, old enough to go.
    hollow: Vec<Id>,
}

impl Reclaim {
    /// Finds the blobs that nothing references once `going` is gone, and reads their ages.
    pub(super) fn plan(
        sweep: &mut Sweep<'_>,
        inventory: &mut Inventory,
        going: &[Revision],
        in_doubt: bool,
    ) -> Result<Self, Interrupted> {
        if !in_doubt && !sweep.in_doubt(inventory) {
            // A doubt about these holds blobs alone: tags and manifests do not depend on what they mean.
            let doubts = alias_doubts(sweep.store, inventory, sweep.stop)?;
            inventory.problems.extend(doubts);
        }
        let in_doubt = in_doubt || sweep.in_doubt(inventory);
        let marks = mark::blobs(inventory);
        let takes_links = matches!(sweep.engine, Engine::Native);
        let Aged { blobs: plan, mut links, hollow } = if in_doubt {
            Aged::default()
        } else {
            let is_garbage = |blob: &Id| marks.fate(*blob) == Fate::Garbage;
            let garbage: Vec<Id> = inventory.blobs.iter().copied().filter(is_garbage).collect();
            sweep.by_age(inventory, &garbage, takes_links)?
        };
        if takes_links && !in_doubt {
            links.extend(sweep.dangling(inventory)?);
        }
        let bytes_before = sum(inventory.blobs.iter().map(|blob| inventory.sizes.of(*blob)));
        let undoable = inventory.blobs.iter().filter(|blob| marks.fate(**blob) == Fate::Undoable);
        let undo = (
            inventory.repositories.iter().map(|repository| repository.undoable.len()).sum(),
            sum(undoable.map(|blob| inventory.sizes.of(*blob))),
        );
        let mut held_alone: HashMap<u32, u64> = HashMap::new();
        let holders = mark::holders(inventory, going);
        let stray = plan.due.iter().filter(|due| holders.of(due.blob) == Holder::Nobody).count();
        for blob in inventory.blobs.iter().filter(|blob| marks.fate(**blob) == Fate::Garbage) {
            if let Holder::One(repository) = holders.of(*blob) {
                let held = held_alone.entry(repository).or_default();
                *held = held.saturating_add(inventory.sizes.of(*blob));
            }
        }
        let is_hollow = |blob: &Id| hollow.binary_search(blob).is_ok();
        let not_kept =
            inventory.blobs.iter().filter(|blob| marks.fate(**blob) != Fate::Kept && !is_hollow(blob));
        let not_kept = not_kept.fold((0, 0), |(count, bytes), blob| {
            (count + 1, u64::saturating_add(bytes, inventory.sizes.of(*blob)))
        });
        Ok(Self { marks, plan, links, in_doubt, hollow, stray, bytes_before, not_kept, undo, held_alone })
    }

    pub(super) fn held_until(&self) -> Option<Timestamp> {
        self.plan.held_until
    }

    /// The blobs that the stock collector would take although they are to stay, so that they need a
    /// pin: young ones, since it knows no age; those behind a layer link of another algorithm, since
    /// it does not follow it; what a kept manifest that is no revision of its repository names; and what any manifest
    /// names where the registry does not look.
    pub(super) fn to_pin(&self, inventory: &Inventory, hollow: &Hollow) -> Vec<Id> {
        let mut pins: HashSet<Id> = self.plan.held.iter().copied().collect();
        let hollow: HashSet<Revision> = hollow.young.iter().copied().collect();
        let stays = |blob: &Id| inventory.has_blob(*blob) && self.marks.fate(*blob) != Fate::Garbage;
        pins.extend(Aliases::of(inventory).all_blobs().filter(stays));
        for (at, repository) in (0..).zip(&inventory.repositories) {
            let graph = Graph::of(repository, &inventory.manifests);
            let reached = graph.closure(repository.roots().chain(repository.revisions.iter().copied()));
            let needed = reached.into_iter().flat_map(|manifest| {
                let is_lacking = repository.revisions.binary_search(&manifest).is_err()
                    || hollow.contains(&Revision { repository: at, manifest });
                let named = inventory.manifests.get(&manifest).into_iter().flat_map(Manifest::references);
                let unseen = named.filter(move |it| is_lacking || it.standing == Standing::Held);
                is_lacking.then_some(manifest).into_iter().chain(unseen.map(|it| it.blob))
            });
            pins.extend(needed.filter(stays));
        }
        let mut pins: Vec<Id> = pins.into_iter().collect();
        inventory.digests.sort(&mut pins);
        pins
    }
}

impl Sweep<'_> {
    /// Which of some blobs, sorted by number, may go by their age and by that of the layer links to them, and which of
    /// these links go along if the engine `takes_links`.
    pub(super) fn by_age(
        &mut self,
        inventory: &mut Inventory,
        garbage: &[Id],
        takes_links: bool,
    ) -> Result<Aged, Interrupted> {
        let mut may_go = Aged::default();
        may_go.blobs.due.reserve_exact(garbage.len());
        let grace = self.grace();
        self.begin("looking at the ages of blobs", garbage.len());
        for part in garbage.chunks(PART) {
            let mut ages = self.store.blob_ages(&inventory.digests, part, self.stop)?;
            for age in &mut ages.blobs {
                inventory.sizes.measured(age.blob, age.size_bytes);
                *age = age.counted(|| inventory.digests.get(age.blob), &mut self.first_seen, grace.now);
            }
            may_go.blobs.by_age(&ages.blobs, grace);
            let digests = &inventory.digests;
            let old = ages.hollow.into_iter().filter(|(blob, touched)| {
                let thing = &digests.get(*blob);
                grace.is_over(self.first_seen.counts_from(Thing::HollowBlob(thing), *touched, grace.now))
            });
            may_go.hollow.extend(old.map(|(blob, _)| blob));
            self.findings.extend(ages.problems);
        }
        let mut young = Vec::new();
        let mut links = Vec::new();
        if takes_links {
            links.reserve_exact(native::links_to(inventory, garbage).count());
        }
        let blob = |link: &HiddenLink| inventory.repositories[link.repository as usize].resolve(link.layer);
        self.links_by_age(inventory, native::links_to(inventory, garbage), |link, written| {
            young.extend(written.filter(|at| !grace.is_over(*at)).map(|at| (blob(&link), at)));
            if takes_links {
                links.push(link);
            }
        })?;
        may_go.blobs.by_links(young, grace);
        let due = &may_go.blobs.due;
        links.retain(|link| due.binary_search_by_key(&blob(link), |due| due.blob).is_ok());
        may_go.links = links;
        Ok(may_go)
    }

    /// The layer links that lead nowhere, old enough to go.
    fn dangling(&mut self, inventory: &Inventory) -> Result<Vec<HiddenLink>, Interrupted> {
        let grace = self.grace();
        let mut links = Vec::new();
        self.links_by_age(inventory, native::dangling(inventory).into_iter(), |link, written| {
            if written.is_none_or(|at| grace.is_over(at)) {
                links.push(link);
            }
        })?;
        // One without a link, as an interrupted sweep and the registry's own delete leave it, is as old as its
        // directory.
        let place = |link: &HiddenLink| inventory.layer_link(link.repository, link.layer);
        let bare = links.iter().filter(|link| link.written.is_none()).map(place);
        let mut ages = self.store.link_ages(bare, self.stop)?.into_iter();
        links.retain(|link| {
            link.written.is_some() || {
                let age = ages.next().map(|age| self.counted(&place(link), age));
                matches!(age, Some(LinkAge::Empty(at)) if grace.is_over(at))
            }
        });
        // A directory that is not empty could not go, in this sweep and in any other.
        let bare = links.iter().filter(|link| link.written.is_none()).map(place);
        let mut strays = self.store.strays(bare, self.stop)?.into_iter();
        links.retain(|link| {
            let stray = if link.written.is_none() { strays.next().flatten() } else { None };
            let is_free = stray.is_none();
            self.findings.extend(stray);
            is_free
        });
        Ok(links)
    }

    /// Hands on layer links with the times from which their ages count; what cannot be looked at counts as just written.
    fn links_by_age(
        &mut self,
        inventory: &Inventory,
        links: impl Iterator<Item = (u32, Id)>,
        mut take: impl FnMut(HiddenLink, Option<Timestamp>),
    ) -> Result<(), Interrupted> {
        self.stop.begin("looking at the ages of layer links", Length::Unknown);
        let links = links.map(|(at, layer)| ((at, layer), inventory.layer_link(at, layer)));
        let (now, first_seen) = (self.clock.now(), &mut self.first_seen);
        let problems = self.store.link_times(links, self.stop, |(repository, layer), written| {
            let from = written
                .map(|written| inventory.layer_counts_from(repository, layer, written, first_seen, now));
            take(HiddenLink { repository, layer, written: written.map(Stamp::from) }, from);
        })?;
        self.findings.extend(problems);
        Ok(())
    }
}

/// Sizes come from manifests, which anybody may push.
pub(super) fn sum(sizes: impl Iterator<Item = u64>) -> u64 {
    sizes.fold(0, u64::saturating_add)
}
