//! The collector's part of a sweep: whether it may run, its run, what came back.

use std::collections::HashSet;

use super::Sweep;
use super::engine::Engine;
use super::guard::STRAY;
use super::reclaim::{Reclaim, sum};
use crate::gc::stock::Collector;
use crate::model::{Id, Inventory, Severity};
use crate::plan::{Blobs, Share, TooMuch};
use crate::report::{CollectionReport, CollectionStatus};
use crate::stop::Interrupted;
use crate::store::StoreLock;

/// What came of it.
pub(super) struct Collected {
    pub(super) report: CollectionReport,
    /// Whether the collector was let loose.
    pub(super) ran: bool,
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
                let due = reclaim.plan.due.iter().map(|due| due.blob).collect();
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
                if let Some(told) = self.probe(lock, inventory)? {
                    return Ok(Self::settle_up(inventory, reclaim, &HashSet::new(), told));
                }
                self.wait_for_quiet(inventory)?;
                for repository in inventory
                    .repositories
                    .iter()
                    .filter(|it| it.layers.is_empty() && !it.revisions.is_empty())
                {
                    if let Err(error) = self.store.ensure_layers(lock, &repository.name) {
                        self.failed(repository.name.to_string(), &error);
                    }
                }
                self.run_with_pins(lock, &collector, inventory, reclaim)?
            }
            Err(told) => return Ok(Self::settle_up(inventory, reclaim, &HashSet::new(), told)),
        };
        let (blobs, problems) = self.store.list_blobs(&mut inventory.digests, self.stop)?;
        if problems.iter().any(|problem| problem.severity >= Severity::Doubt) {
            // Half a listing would tell of bytes that did not come back.
            self.findings.extend(problems);
            return Ok(Self::settle_up(inventory, reclaim, &HashSet::new(), told));
        }
        let gone =
            inventory.blobs.iter().copied().filter(|blob| blobs.binary_search(blob).is_err()).collect();
        let collected = Self::settle_up(inventory, reclaim, &gone, told);
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
        if let Some(too_much) = self.strays(inventory, reclaim) {
            let why = format!("not run: {}; {}", too_much.cause(), TooMuch::remedy(&too_much.flag()));
            return Err((CollectionStatus::Refused, why));
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

    /// Whether too much is due that no manifest accounts for. What this sweep took away was guarded; the
    /// rest was counted before, and has grown since, as a storage that goes away meanwhile would make it.
    pub(super) fn strays(&self, inventory: &Inventory, reclaim: &Reclaim) -> Option<TooMuch> {
        let going = reclaim.stray.saturating_sub(self.told_blobs);
        let stray = Share { what: STRAY, going, all: inventory.blobs.len() };
        TooMuch::among([stray], self.config.guards.max_remove_percent)
    }

    /// Counts what is gone and what is left.
    fn settle_up(
        inventory: &Inventory,
        reclaim: &Reclaim,
        gone: &HashSet<Id>,
        (status, detail): (CollectionStatus, String),
    ) -> Collected {
        let gone_bytes = sum(gone.iter().map(|blob| inventory.sizes.of(*blob)));
        let due = reclaim.plan.due.iter().filter(|due| gone.contains(&due.blob));
        let (count, bytes) = reclaim.not_kept(inventory);
        Collected {
            ran: matches!(status, CollectionStatus::Done | CollectionStatus::Failed),
            report: CollectionReport { engine: "registry", status, detail },
            blobs_removed: gone.len(),
            blobs_held: count.saturating_sub(gone.len()),
            bytes_freed: gone_bytes,
            bytes_freed_on_disk: sum(due.map(|blob| blob.allocated_bytes)),
            bytes_after: reclaim.bytes_before.saturating_sub(gone_bytes),
            bytes_held: bytes.saturating_sub(gone_bytes),
        }
    }
}
