//! What the next sweep would reclaim if no tag went, decided as an audit does, and the size of every blob.

use std::collections::HashSet;

use jiff::Timestamp;

use crate::config::Config;
use crate::gc::mark::{self, Fate};
use crate::gc::native;
use crate::model::{FirstSeen, Id, Inventory, LinkAge, Measure, Place, Problem, Revision, Thing};
use crate::plan::{self, Blobs, Candidate, Grace, Revisions};
use crate::stop::{Interrupted, Length, Stop};
use crate::store::{PART, Store, WRITE_IN_PROGRESS};
use crate::sweep::alias_doubts;

/// What the next sweep would reclaim.
pub(super) struct Next {
    /// The size of each blob, by [`Id::slot`].
    pub(super) bytes: Vec<u64>,
    /// Of the blobs that may go now.
    pub(super) reclaimable_bytes: u64,
    /// When the last of what is held for its age may go.
    pub(super) held_until: Option<Timestamp>,
    /// Whether a doubt keeps everything.
    pub(super) in_doubt: bool,
    /// Removed tags that have outlived their window.
    pub(super) expired_tags: usize,
    /// Bytes of the blobs that a sweep has hidden from the registry, and not deleted yet.
    pub(super) hidden_bytes: u64,
}

/// What it takes to look.
pub(super) struct Sight<'a> {
    pub(super) store: &'a Store,
    pub(super) config: &'a Config,
    pub(super) stop: &'a Stop,
    pub(super) now: Timestamp,
    pub(super) first_seen: FirstSeen,
    pub(super) measure: Measure,
    pub(super) findings: Vec<Problem>,
}

impl Sight<'_> {
    /// Decides, and measures. The inventory comes back without removed tags whose window is over and without
    /// revisions that the registry's own delete has left empty: a sweep does not count them either.
    pub(super) fn next_sweep(&mut self, mut inventory: Inventory) -> Result<(Inventory, Next), Interrupted> {
        let (grace, is_on) = (self.grace(), self.config.delete_untagged);
        let (first_seen, now) = (&mut self.first_seen, self.now);
        let link_ages = |places: Vec<Place>| {
            let ages = self.store.link_ages(places.iter().cloned(), self.stop)?;
            Ok(places.iter().zip(ages).map(|(place, age)| age.counted(place, first_seen, now)).collect())
        };
        inventory = plan::judge_unread(inventory, link_ages, |from| is_on && grace.is_over(from))?;
        let expired_tags = self.expire(&mut inventory);
        let revisions = self.revisions(&inventory)?;
        let mut in_doubt = inventory.in_doubt() || !revisions.doubts.is_empty();
        self.findings.extend(revisions.doubts);
        let inventory = plan::without_revisions(inventory, revisions.empty);

        // Who holds what is told as it is now, so what would go is taken out for the marks only.
        let now: Vec<Vec<Id>> = inventory.repositories.iter().map(|it| it.revisions.clone()).collect();
        let going = revisions.remove.iter().map(|(revision, _)| *revision);
        let mut inventory = plan::without_revisions(inventory, going);
        if !in_doubt {
            let doubts = alias_doubts(self.store, &mut inventory, self.stop)?;
            in_doubt = !doubts.is_empty();
            self.findings.extend(doubts);
        }
        let marks = mark::blobs(&inventory);
        for (repository, revisions) in inventory.repositories.iter_mut().zip(now) {
            repository.revisions = revisions;
        }
        // While something is in doubt, nothing goes, and no age matters.
        let is_garbage = |blob: &Id| !in_doubt && marks.fate(*blob) == Fate::Garbage;
        let (garbage, rest): (Vec<Id>, Vec<Id>) = inventory.blobs.iter().copied().partition(is_garbage);
        let mut bytes = vec![0; inventory.digests.slots()];
        let (blobs, mut without_data) = self.by_age(&inventory, &garbage, &mut bytes)?;
        self.begin("measuring blobs", rest.len());
        for part in rest.chunks(PART) {
            let sizes = self.store.blob_sizes(&inventory.digests, part, self.measure, self.stop)?;
            self.findings.extend(sizes.problems);
            without_data.extend(sizes.without_data);
            for (blob, size) in sizes.known {
                put(&mut bytes, blob, size);
            }
        }
        let hidden = self.store.hidden_sizes(&inventory.digests, &without_data, self.measure, self.stop)?;
        self.findings.extend(hidden.problems);
        let hidden_bytes = sum(hidden.known.iter().map(|(_, size)| *size));
        let due = blobs.due.iter().filter_map(|due| bytes.get(due.blob.slot()?));
        let reclaimable_bytes = sum(due.copied());
        let held_until = revisions.held_until.max(blobs.held_until);
        Ok((inventory, Next { bytes, reclaimable_bytes, held_until, in_doubt, expired_tags, hidden_bytes }))
    }

    /// Takes out the removed tags whose window is over: a sweep throws them away first.
    fn expire(&mut self, inventory: &mut Inventory) -> usize {
        let window = Grace { age: self.config.undo_window, now: self.now };
        let mut is_over: HashSet<String> = HashSet::new();
        for sweep in &inventory.undo.sweeps {
            let from = self.first_seen.counts_from(Thing::Removed(&sweep.id), sweep.removed_at, self.now);
            is_over.extend(window.is_over(from).then(|| sweep.id.clone()));
        }
        inventory.let_go_of_undoable(|sweep| is_over.contains(&sweep.id)).tags.len()
    }

    /// Decides on the manifests that no tag reaches.
    fn revisions(&mut self, inventory: &Inventory) -> Result<Revisions, Interrupted> {
        if !self.config.delete_untagged || inventory.in_doubt() {
            return Ok(Revisions::default());
        }
        let candidates = plan::unreachable(inventory, &[]);
        if candidates.is_empty() {
            return Ok(Revisions::default());
        }
        let doubts = self.doubtful_links(inventory, &candidates)?;
        if !doubts.is_empty() {
            return Ok(Revisions { doubts, ..Revisions::default() });
        }
        let places = || candidates.iter().map(|candidate| inventory.place(candidate.revision));
        let mut ages = self.store.link_ages(places(), self.stop)?;
        if ages.iter().any(|age| matches!(age, LinkAge::Doubt(_))) {
            self.stop.wait(WRITE_IN_PROGRESS)?;
            ages = self.store.link_ages(places(), self.stop)?;
        }
        let counted = |(place, age): (_, LinkAge)| age.counted(&place, &mut self.first_seen, self.now);
        let ages = places().zip(ages).map(counted).collect();
        Ok(plan::revisions(inventory, &candidates, ages, false, self.grace()))
    }

    /// Looks at the links of the revisions that stay, as a sweep does before any of them goes. One that is
    /// missing matters where a tag names it; elsewhere, the registry's own delete leaves such.
    fn doubtful_links(
        &self,
        inventory: &Inventory,
        candidates: &[Candidate],
    ) -> Result<Vec<Problem>, Interrupted> {
        let but: HashSet<Revision> = candidates.iter().map(|candidate| candidate.revision).collect();
        let (mut named, mut others) = (Vec::new(), Vec::new());
        for (at, repository) in (0..).zip(&inventory.repositories) {
            let tagged: HashSet<Id> = repository.tagged().collect();
            for manifest in &repository.revisions {
                let revision = Revision { repository: at, manifest: *manifest };
                if tagged.contains(manifest) {
                    named.push(revision);
                } else if !but.contains(&revision) {
                    others.push(revision);
                }
            }
        }
        let places = |of: Vec<Revision>| of.into_iter().map(|revision| inventory.place(revision));
        let mut doubts = self.store.bad_links(places(named), true, self.stop)?;
        doubts.extend(self.store.bad_links(places(others), false, self.stop)?);
        Ok(doubts)
    }

    /// Decides on the blobs that nothing references, sorted by number, and takes down their sizes. Says, too, which of
    /// them have no data.
    fn by_age(
        &mut self,
        inventory: &Inventory,
        garbage: &[Id],
        bytes: &mut [u64],
    ) -> Result<(Blobs, Vec<Id>), Interrupted> {
        let (mut plan, mut without_data) = (Blobs::default(), Vec::new());
        self.begin("looking at the ages of blobs", garbage.len());
        for part in garbage.chunks(PART) {
            let mut ages = self.store.blob_ages(&inventory.digests, part, self.stop)?;
            for age in &mut ages.blobs {
                put(bytes, age.blob, self.measure.of(age.size_bytes, age.allocated_bytes));
                *age = age.counted(|| inventory.digests.get(age.blob), &mut self.first_seen, self.now);
            }
            plan.by_age(&ages.blobs, self.grace());
            without_data.extend(ages.hollow.into_iter().map(|(blob, _)| blob));
            self.findings.extend(ages.problems);
        }
        let (grace, mut young) = (self.grace(), Vec::new());
        let links = native::links_to(inventory, garbage);
        let links = links.map(|(at, layer)| ((at, layer), inventory.layer_link(at, layer)));
        let (now, first_seen) = (self.now, &mut self.first_seen);
        let problems = self.store.link_times(links, self.stop, |(at, layer), written| {
            let counts_from = |written| inventory.layer_counts_from(at, layer, written, first_seen, now);
            let blob = inventory.repositories[at as usize].resolve(layer);
            young.extend(written.map(counts_from).filter(|at| !grace.is_over(*at)).map(|at| (blob, at)));
        })?;
        self.findings.extend(problems);
        plan.by_links(young, grace);
        Ok((plan, without_data))
    }

    fn begin(&self, stage: &'static str, steps: usize) {
        self.stop.begin(stage, Length::Steps(steps as u64));
    }

    const fn grace(&self) -> Grace {
        Grace { age: self.config.grace, now: self.now }
    }
}

fn put(bytes: &mut [u64], blob: Id, size: u64) {
    if let Some(known) = blob.slot().and_then(|slot| bytes.get_mut(slot)) {
        *known = size;
    }
}

fn sum(sizes: impl Iterator<Item = u64>) -> u64 {
    sizes.fold(0, u64::saturating_add)
}
