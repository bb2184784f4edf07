//! The collector's part of a sweep: whether it may run, its run, what came back.

use super::Sweep;
use super::engine::Engine;
use super::guard::STRAY;
use super::reclaim::{Reclaim, sum};
use crate::gc::stock::Collector;
use crate::model::{Id, Inventory, Repository, Severity};
use crate::plan::{Blobs, Due, Share, TooMuch};
use crate::report::{CollectionReport, CollectionStatus};
use crate::stop::Interrupted;
use crate::store::StoreLock;

/// What became of the collection, and why.
pub(super) type Told = (CollectionStatus, String);

/// What came of it.
pub(super) struct Collected {
    pub(super) report: CollectionReport,
    /// Whether the registry's collector was let loose, so that the inventory is no longer what is there.
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
        if let Some(told) = self.objection(inventory, reclaim) {
            return self.settle_up(inventory, reclaim, &[], told);
        }
        let due: Vec<Id> = reclaim.plan.due.iter().map(|due| due.blob).collect();
        let (blobs, links) = (reclaim.plan.due.len(), reclaim.links.len());
        let detail = if matches!(self.engine, Engine::Native) {
            format!("would delete {blobs} blobs and {links} layer links")
        } else {
            format!("registry garbage-collect would run for {blobs} blobs")
        };
        self.settle_up(inventory, reclaim, &due, (CollectionStatus::WouldRun, detail))
    }

    /// Runs the collector if it may, and measures what came back.
    pub(super) fn collect(
        &mut self,
        lock: &StoreLock,
        inventory: &mut Inventory,
        reclaim: &mut Reclaim,
    ) -> Result<Collected, Interrupted> {
        let mut objection = self.objection(inventory, reclaim);
        if objection.is_none() {
            objection = self.probe(lock, inventory)?;
        }
        if let Some(told) = objection {
            return Ok(self.settle_up(inventory, reclaim, &[], told));
        }
        if let Engine::Stock(collector) = &self.engine {
            let collector = collector.clone();
            return self.collect_by_the_registry(lock, &collector, inventory, reclaim);
        }
        let run = self.collect_natively(lock, inventory, reclaim)?;
        let mut collected = self.settle_up(inventory, reclaim, &run.gone, run.told);
        collected.report.layer_links_removed = run.links_removed;
        collected.report.blobs_rescued = run.blobs_rescued;
        Ok(collected)
    }

    fn collect_by_the_registry(
        &mut self,
        lock: &StoreLock,
        collector: &Collector,
        inventory: &mut Inventory,
        reclaim: &Reclaim,
    ) -> Result<Collected, Interrupted> {
        self.wait_for_quiet(inventory)?;
        let bare = |it: &&Repository| it.layers.is_empty() && !it.revisions.is_empty();
        for repository in inventory.repositories.iter().filter(bare) {
            if let Err(error) = self.store.ensure_layers(lock, &repository.name) {
                self.failed(repository.name.to_string(), &error);
            }
        }
        let told = self.run_with_pins(lock, collector, inventory, reclaim)?;
        let ran = matches!(told.0, CollectionStatus::Done | CollectionStatus::Failed);
        let (blobs, problems) = self.store.list_blobs(&mut inventory.digests, self.stop)?;
        if problems.iter().any(|problem| problem.severity >= Severity::Doubt) {
            // Half a listing would tell of bytes that did not come back.
            self.findings.extend(problems);
            return Ok(Collected { ran, ..self.settle_up(inventory, reclaim, &[], told) });
        }
        let gone: Vec<Id> =
            inventory.blobs.iter().copied().filter(|blob| blobs.binary_search(blob).is_err()).collect();
        let collected = Collected { ran, ..self.settle_up(inventory, reclaim, &gone, told) };
        inventory.blobs = blobs;
        Ok(collected)
    }

    /// What speaks against collecting, if it is only that there is nothing to collect.
    fn objection(&self, inventory: &Inventory, reclaim: &Reclaim) -> Option<Told> {
        let Blobs { due, held, .. } = &reclaim.plan;
        if let Some(told) = self.engine.refusal() {
            return Some(told);
        }
        if let Some(lost) = self.went_away() {
            let why = format!(
                "not run: {}; see that the storage is mounted whole, and run the next sweep when it is",
                lost.cause()
            );
            return Some((CollectionStatus::Refused, why));
        }
        if reclaim.in_doubt {
            let why = "not run: something in the store is in doubt, and what it would need is unknown; see the findings";
            return Some((CollectionStatus::PutOff, why.into()));
        }
        if inventory.repositories.is_empty() && !inventory.blobs.is_empty() {
            let why = "not run: there are blobs but no repository, so all of them would go; an unreadable or half-mounted storage looks like this";
            return Some((CollectionStatus::Refused, why.into()));
        }
        if let Some(too_much) = self.strays(inventory, reclaim) {
            let why = format!("not run: {}; {}", too_much.cause(), TooMuch::remedy(&too_much.flag()));
            return Some((CollectionStatus::Refused, why));
        }
        match (due.is_empty() && reclaim.links.is_empty(), held.len()) {
            (true, 0) => Some((CollectionStatus::NothingToDo, "not run: there is nothing to reclaim".into())),
            (true, young) => Some((
                CollectionStatus::PutOff,
                format!("not run: the {young} blobs that nothing references are younger than GC_GRACE"),
            )),
            (false, _) => None,
        }
    }

    /// Whether too much of what this sweep keeps went away since it began, as from a storage that is unmounted
    /// meanwhile.
    fn went_away(&self) -> Option<TooMuch> {
        let lost = Share {
            what: "blobs that kept tags needed when the sweep began",
            going: self.meanwhile.needs_lost(),
            all: self.meanwhile.needs,
        };
        TooMuch::among([lost], self.config.guards.max_remove_percent)
    }

    /// Whether too much is due that no manifest accounts for. What this sweep took away was guarded; the
    /// rest was counted before, and has grown since, as a storage that goes away meanwhile would make it. Where
    /// sweeps go on as before, what went out of use is not asked about, only what went away.
    pub(super) fn strays(&self, inventory: &Inventory, reclaim: &Reclaim) -> Option<TooMuch> {
        if let Some(lost) = self.went_away() {
            return Some(lost);
        }
        let going = reclaim.stray.saturating_sub(self.told_blobs);
        let stray = Share { what: STRAY, going, all: inventory.blobs.len() };
        TooMuch::among(
            [stray].into_iter().filter(|_| !self.collects_as_before),
            self.config.guards.max_remove_percent,
        )
    }

    /// Counts what is gone, sorted by number, and what is left.
    fn settle_up(
        &self,
        inventory: &Inventory,
        reclaim: &Reclaim,
        gone: &[Id],
        (status, detail): Told,
    ) -> Collected {
        let gone_bytes = sum(gone.iter().map(|blob| inventory.sizes.of(*blob)));
        let due = reclaim.plan.due.iter().filter(|due| gone.binary_search(&due.blob).is_ok());
        let (count, bytes) = reclaim.not_kept;
        Collected {
            ran: false,
            report: CollectionReport {
                engine: self.engine.name(),
                status,
                detail,
                layer_links_removed: 0,
                blobs_rescued: 0,
            },
            blobs_removed: gone.len(),
            blobs_held: count.saturating_sub(gone.len()),
            bytes_freed: gone_bytes,
            bytes_freed_on_disk: sum(due.map(Due::allocated_bytes)),
            bytes_after: reclaim.bytes_before.saturating_sub(gone_bytes),
            bytes_held: bytes.saturating_sub(gone_bytes),
        }
    }
}
