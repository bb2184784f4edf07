//! The collector's part of a sweep: whether it may run, its run, what came back.

use std::collections::HashSet;

use super::Sweep;
use super::engine::Engine;
use super::reclaim::Reclaim;
use crate::gc::mark::Fate;
use crate::gc::stock::{Collector, Proposal, RunError};
use crate::model::{Code, Digest, Inventory, Problem, Severity};
use crate::plan::Blobs;
use crate::report::{CollectionReport, CollectionStatus};
use crate::stop::Interrupted;
use crate::store::StoreLock;

/// What came of it.
pub(super) struct Collected {
    pub(super) report: CollectionReport,
    pub(super) blobs_removed: usize,
    pub(super) blobs_held: usize,
    pub(super) bytes_freed: u64,
    pub(super) bytes_freed_on_disk: u64,
    pub(super) bytes_after: u64,
    pub(super) bytes_held: u64,
}

impl Sweep<'_> {
    /// What [`Sweep::collect`] would come to.
    pub(super) fn would_collect(&self, inventory: &Inventory, reclaim: &Reclaim) -> Collected {
        match self.may_collect(inventory, reclaim) {
            Ok(_) => {
                let due = reclaim.plan.due.iter().map(|blob| &blob.digest).collect();
                let count = reclaim.plan.due.len();
                let detail = format!("registry garbage-collect would run for {count} blobs");
                Self::settle_up(inventory, reclaim, &due, (CollectionStatus::WouldRun, detail))
            }
            Err(told) => Self::settle_up(inventory, reclaim, &HashSet::new(), told),
        }
    }

    /// Runs the collector if it may, and measures what came back.
    pub(super) fn collect(
        &mut self,
        lock: &StoreLock,
        inventory: &mut Inventory,
        reclaim: &Reclaim,
    ) -> Result<Collected, Interrupted> {
        let told = match self.may_collect(inventory, reclaim) {
            Ok(collector) => {
                let collector = collector.clone();
                for repository in inventory
                    .repositories
                    .iter()
                    .filter(|it| it.layers.is_empty() && !it.revisions.is_empty())
                {
                    if let Err(error) = self.store.ensure_layers(lock, &repository.name) {
                        self.failed(repository.name.to_string(), &error);
                    }
                }
                self.run_beside_young_blobs(lock, &collector, inventory, reclaim)?
            }
            Err(told) => return Ok(Self::settle_up(inventory, reclaim, &HashSet::new(), told)),
        };
        let (blobs, problems) = self.store.list_blobs(self.stop)?;
        if problems.iter().any(|problem| problem.severity >= Severity::Doubt) {
            // Half a listing would tell of bytes that did not come back.
            self.findings.extend(problems);
            return Ok(Self::settle_up(inventory, reclaim, &HashSet::new(), told));
        }
        let gone = inventory.blobs.iter().filter(|digest| blobs.binary_search(digest).is_err()).collect();
        let collected = Self::settle_up(inventory, reclaim, &gone, told);
        drop(gone);
        inventory.blobs = blobs;
        Ok(collected)
    }

    /// Whether there is something to collect, and nothing against it.
    fn may_collect(
        &self,
        inventory: &Inventory,
        reclaim: &Reclaim,
    ) -> Result<&Collector, (CollectionStatus, String)> {
        let Blobs { due, held, .. } = &reclaim.plan;
        let collector = match &self.engine {
            Engine::Off => {
                return Err((CollectionStatus::Skipped, "not run: it is turned off (RUN_GC=false)".into()));
            }
            Engine::Unusable(why) => return Err((CollectionStatus::Failed, why.clone())),
            Engine::Refused(why) | Engine::Elsewhere(why) => {
                return Err((CollectionStatus::Refused, why.clone()));
            }
            Engine::Stock(collector) => collector,
        };
        if reclaim.in_doubt {
            let why = "not run: something in the store is in doubt, and what it would need is unknown; see the findings";
            return Err((CollectionStatus::PutOff, why.into()));
        }
        if inventory.repositories.is_empty() && !inventory.blobs.is_empty() {
            let why = "not run: there are blobs but no repository, so all of them would go; an unreadable or half-mounted storage looks like this";
            return Err((CollectionStatus::Refused, why.into()));
        }
        match (due.is_empty(), held.len()) {
            (true, 0) => Err((CollectionStatus::NothingToDo, "not run: there is nothing to reclaim".into())),
            (true, young) => Err((
                CollectionStatus::PutOff,
                format!("not run: the {young} blobs that nothing references are younger than GC_GRACE"),
            )),
            (false, _) => Ok(collector),
        }
    }

    /// Runs the collector with a pin on each blob that is too young to go, since it knows no age.
    fn run_beside_young_blobs(
        &mut self,
        lock: &StoreLock,
        collector: &Collector,
        inventory: &Inventory,
        reclaim: &Reclaim,
    ) -> Result<(CollectionStatus, String), Interrupted> {
        let young: Vec<(Digest, u64)> =
            reclaim.plan.held.iter().map(|blob| (blob.digest.clone(), blob.size_bytes)).collect();
        if young.is_empty() {
            return self.run(lock, collector, inventory, reclaim);
        }
        let home = inventory.repositories.iter().find(|repository| !repository.layers.is_empty());
        let Some(home) = home else {
            let why = format!("put off: {} young blobs would go with the others", young.len());
            return Ok((CollectionStatus::PutOff, why));
        };
        let pins = match self.store.pin(lock, &self.id, &home.name, &young) {
            Ok(pins) => pins,
            Err(error) => {
                let why =
                    format!("{} young blobs could not be pinned, so it was not run: {error}", young.len());
                return Ok((CollectionStatus::Failed, why));
            }
        };
        let told = self.run(lock, collector, inventory, reclaim);
        if let Err(error) = self.store.unpin(lock, pins) {
            self.failed(format!("the pins in {}", home.name), &error);
        }
        told
    }

    fn run(
        &mut self,
        lock: &StoreLock,
        collector: &Collector,
        inventory: &Inventory,
        reclaim: &Reclaim,
    ) -> Result<(CollectionStatus, String), Interrupted> {
        let failed = |error: RunError| match error {
            RunError::Interrupted(interrupted) => Err(interrupted),
            error => Ok((CollectionStatus::Failed, format!("{error}; the next sweep tries again"))),
        };
        let proposal = match collector.propose(lock, self.stop) {
            Ok(proposal) => proposal,
            Err(error) => return failed(error),
        };
        if let Some(told) = against(&proposal, inventory, reclaim) {
            return Ok(told);
        }
        let expected = reclaim.plan.due.len();
        match collector.collect(lock, self.stop) {
            Ok(deleted) => {
                if deleted.blobs.len() < expected {
                    self.findings.push(Problem {
                        severity: Severity::Note,
                        code: Code::Collector,
                        repository: None,
                        path: "registry garbage-collect".into(),
                        cause: format!(
                            "it deleted {} of the {expected} blobs that nothing is known to reference",
                            deleted.blobs.len()
                        ),
                        remedy: "nothing, if a push came in between; the next sweep tries again".into(),
                    });
                }
                Ok((
                    CollectionStatus::Done,
                    format!("registry garbage-collect deleted {} blobs", deleted.blobs.len()),
                ))
            }
            Err(error) => failed(error),
        }
    }

    /// Counts what is gone and what is left.
    fn settle_up(
        inventory: &Inventory,
        reclaim: &Reclaim,
        gone: &HashSet<&Digest>,
        (status, detail): (CollectionStatus, String),
    ) -> Collected {
        let sizes = inventory.blobs.iter().zip(&reclaim.marks.sizes);
        let gone_bytes: u64 = sizes.filter(|(digest, _)| gone.contains(digest)).map(|(_, size)| size).sum();
        let due = reclaim.plan.due.iter().filter(|blob| gone.contains(&blob.digest));
        let (count, bytes) = reclaim.not_kept();
        Collected {
            report: CollectionReport { engine: "registry", status, detail },
            blobs_removed: gone.len(),
            blobs_held: count.saturating_sub(gone.len()),
            bytes_freed: gone_bytes,
            bytes_freed_on_disk: due.map(|blob| blob.allocated_bytes).sum(),
            bytes_after: reclaim.bytes_before - gone_bytes,
            bytes_held: bytes.saturating_sub(gone_bytes),
        }
    }
}

/// What speaks against a collector that would delete this. It has faults that delete live blobs
/// (a link that vanishes while it looks, sha512 layers, a repository without `_layers`); whatever
/// they are, it shows in what it proposes.
fn against(
    proposal: &Proposal,
    inventory: &Inventory,
    reclaim: &Reclaim,
) -> Option<(CollectionStatus, String)> {
    if let Some(manifest) = proposal.manifests.first() {
        return Some((
            CollectionStatus::Refused,
            format!("not run: registry garbage-collect would delete {manifest:?}, which it was not asked to"),
        ));
    }
    let due: HashSet<&Digest> = reclaim.plan.due.iter().map(|blob| &blob.digest).collect();
    let beyond: Vec<&Digest> = proposal.blobs.iter().filter(|digest| !due.contains(digest)).collect();
    let live = beyond.iter().find(|digest| {
        inventory.blobs.binary_search(digest).is_ok_and(|at| reclaim.marks.fates[at] != Fate::Garbage)
    });
    if let Some(live) = live {
        return Some((
            CollectionStatus::Refused,
            format!(
                "not run: registry garbage-collect would delete {live}, which an image needs (one of {} such blobs)",
                beyond.len()
            ),
        ));
    }
    (!beyond.is_empty()).then(|| {
        let detail = format!(
            "put off: registry garbage-collect would also delete {} blobs that were just pushed; the next sweep tries again",
            beyond.len()
        );
        (CollectionStatus::PutOff, detail)
    })
}
