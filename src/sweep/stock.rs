//! The registry's collector at work: what it is kept from by pins, what it proposes, what it did.

use std::collections::{BTreeSet, HashSet};

use super::Sweep;
use super::collect::Told;
use super::reclaim::Reclaim;
use crate::gc::mark::Fate;
use crate::gc::stock::{Collector, Proposal, RunError};
use crate::model::{Code, Digest, Id, Inventory, Problem, Severity, excerpt};
use crate::report::CollectionStatus;
use crate::stop::Interrupted;
use crate::store::{Pins, StoreLock};

/// How often the collector is asked anew because blobs came in meanwhile.
const ROUNDS: usize = 3;

impl Sweep<'_> {
    /// Runs the collector with a pin on each blob that it would take and that is to stay.
    pub(super) fn run_with_pins(
        &mut self,
        lock: &StoreLock,
        collector: &Collector,
        inventory: &mut Inventory,
        reclaim: &Reclaim,
    ) -> Result<Told, Interrupted> {
        let sized = |blob: Id| (inventory.digest(blob), inventory.sizes.of(blob));
        let to_pin = reclaim.to_pin(inventory, &self.hollow);
        let mut to_pin: Vec<(Digest, u64)> = to_pin.into_iter().map(sized).collect();
        // Blobs that came in since the store was looked at are young, too.
        let (now, problems) = self.store.list_blobs(&mut inventory.digests, self.stop)?;
        self.findings.extend(problems);
        let new = now.into_iter().filter(|blob| !inventory.has_blob(*blob));
        to_pin.extend(new.map(|blob| (inventory.digest(blob), 0)));
        let mut pins = Vec::new();
        let told = self.propose_and_collect(lock, collector, inventory, reclaim, to_pin, &mut pins);
        for pin in pins {
            if let Err(error) = self.store.unpin(lock, pin) {
                self.failed("the pins of young blobs".into(), &error);
            }
        }
        told
    }

    fn propose_and_collect(
        &mut self,
        lock: &StoreLock,
        collector: &Collector,
        inventory: &Inventory,
        reclaim: &Reclaim,
        mut to_pin: Vec<(Digest, u64)>,
        pins: &mut Vec<Pins>,
    ) -> Result<Told, Interrupted> {
        let due: HashSet<Digest> = reclaim.plan.due.iter().map(|due| inventory.digest(due.blob)).collect();
        for round in 1..=ROUNDS {
            if let Some(told) = self.pin(lock, round, inventory, &to_pin, pins) {
                return Ok(told);
            }
            let proposal = match collector.propose(lock, self.stop) {
                Ok(proposal) => proposal,
                Err(error) => return self.run_failed(error, inventory),
            };
            match beyond(&proposal, &due, inventory, reclaim) {
                Err(told) => return Ok(told),
                Ok(new) if new.is_empty() => return self.collect_now(lock, collector, inventory, &due),
                Ok(new) => to_pin = new.into_iter().map(|digest| (digest, 0)).collect(),
            }
        }
        let why =
            "put off: blobs came in faster than the collector could be asked; the next sweep tries again";
        Ok((CollectionStatus::PutOff, why.into()))
    }

    fn pin(
        &self,
        lock: &StoreLock,
        round: usize,
        inventory: &Inventory,
        blobs: &[(Digest, u64)],
        pins: &mut Vec<Pins>,
    ) -> Option<Told> {
        if blobs.is_empty() {
            return None;
        }
        let home = inventory.repositories.iter().filter(|it| !it.layers.is_empty());
        let Some(home) = home.max_by_key(|repository| !repository.tags.is_empty()) else {
            let why = format!("put off: {} blobs that are to stay would go with the others", blobs.len());
            return Some((CollectionStatus::PutOff, why));
        };
        match self.store.pin(lock, &format!("{}-{round}", self.id), &home.name, blobs) {
            Ok(pin) => {
                pins.push(pin);
                None
            }
            Err(error) => Some((
                CollectionStatus::Failed,
                format!(
                    "not run: {} young blobs could not be kept from it ({error}); where the disk is full, they are old enough after GC_GRACE, or a few KiB freed by hand let it run now",
                    blobs.len()
                ),
            )),
        }
    }

    fn collect_now(
        &mut self,
        lock: &StoreLock,
        collector: &Collector,
        inventory: &Inventory,
        due: &HashSet<Digest>,
    ) -> Result<Told, Interrupted> {
        let deleted = match collector.collect(lock, self.stop) {
            Ok(deleted) => deleted.blobs,
            Err(error) => return self.run_failed(error, inventory),
        };
        let too_many: Vec<&Digest> = deleted.iter().filter(|digest| !due.contains(*digest)).collect();
        if let Some(first) = too_many.first() {
            self.tell_of_collector(
                Severity::Error,
                format!(
                    "it deleted {} blobs that it had not proposed, {first} among them: images pushed while it ran may be broken",
                    too_many.len()
                ),
                "push those images again, and let sweeps run in quiet hours",
            );
        }
        let kept_by_it = due.len().saturating_sub(deleted.len() - too_many.len());
        if kept_by_it > 0 {
            self.tell_of_collector(
                Severity::Note,
                format!("it kept {kept_by_it} of the {} blobs that nothing is known to reference", due.len()),
                "nothing, if a push came in between; the next sweep tries again",
            );
        }
        Ok((CollectionStatus::Done, format!("registry garbage-collect deleted {} blobs", deleted.len())))
    }

    fn tell_of_collector(&mut self, severity: Severity, cause: String, remedy: &str) {
        self.findings.push(Problem {
            severity,
            code: Code::Collector,
            repository: None,
            path: "registry garbage-collect".into(),
            cause,
            remedy: remedy.into(),
        });
    }

    /// A collector that fails names no path; a revision link that it cannot read is its usual reason.
    fn run_failed(&mut self, error: RunError, inventory: &Inventory) -> Result<Told, Interrupted> {
        let error = match error {
            RunError::Interrupted(interrupted) => return Err(interrupted),
            error => error.to_string(),
        };
        let doubts = self.doubtful_links(inventory, None)?;
        self.findings.extend(doubts);
        Ok((CollectionStatus::Failed, format!("{error}; the next sweep tries again")))
    }
}

/// What the collector would delete beyond what is due: blobs that came in meanwhile, or that only what
/// is kept for its age needs, which a pin can hold. Anything else speaks against it. It has faults that delete live blobs (a link that vanishes
/// while it looks, a repository without `_layers`); whatever they are, it shows in what it proposes.
fn beyond(
    proposal: &Proposal,
    due: &HashSet<Digest>,
    inventory: &Inventory,
    reclaim: &Reclaim,
) -> Result<BTreeSet<Digest>, Told> {
    if let Some(manifest) = proposal.manifests.first() {
        let why = format!(
            "not run: registry garbage-collect would delete {:?}, which it was not asked to",
            excerpt(manifest)
        );
        return Err((CollectionStatus::Refused, why));
    }
    let beyond: BTreeSet<Digest> =
        proposal.blobs.iter().filter(|digest| !due.contains(digest)).cloned().collect();
    let live = beyond.iter().find(|digest| {
        let known = inventory.digests.id(digest).filter(|blob| inventory.has_blob(*blob));
        known.is_some_and(|blob| reclaim.marks.fate(blob) == Fate::Kept)
    });
    match live {
        None => Ok(beyond),
        Some(live) => Err((
            CollectionStatus::Refused,
            format!(
                "not run: registry garbage-collect would delete {live}, which an image needs (one of {} such blobs)",
                beyond.len()
            ),
        )),
    }
}
