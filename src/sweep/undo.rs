//! What a sweep holds for undo, and what it no longer holds.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::Sweep;
use crate::check;
use crate::model::{Digest, Expected, Inventory, Place, Revision, Thing, UndoSweep, UndoTrash};
use crate::plan::{self, Grace};
use crate::report::UndoReport;
use crate::stop::Interrupted;
use crate::store::StoreLock;

/// By tag, what an index lists and its repository does not have.
pub(super) type Lacked = HashMap<Place, Vec<Digest>>;

impl Sweep<'_> {
    pub(super) fn holds_for_undo(&self) -> bool {
        self.config.undo_window > SignedDuration::ZERO
    }

    /// The window in which a removed tag can be brought back.
    pub(super) fn undo_window(&self) -> Grace {
        Grace { age: self.config.undo_window, now: self.clock.now() }
    }

    /// Takes what has outlived the window out of an inventory: it holds nothing any more.
    pub(super) fn expired(&mut self, inventory: &mut Inventory) -> UndoTrash {
        let window = self.undo_window();
        let removed_at = self.removed_at(inventory);
        let removed_at = |sweep: &UndoSweep| removed_at.get(&sweep.id).copied().unwrap_or(sweep.removed_at);
        let over = inventory.let_go_of_undoable(|sweep| window.is_over(removed_at(sweep)));
        if !over.sweeps.is_empty() && self.config.dry_run {
            tracing::info!("would throw away {} removed tags whose UNDO_WINDOW is over", over.tags.len());
        }
        let due = inventory.undo.sweeps.iter().map(|sweep| window.due(removed_at(sweep)));
        self.undo_due = due.collect();
        self.undo_expired = over.tags.len();
        over
    }

    /// The times from which the undo window of sweeps counts that seem to have removed tags at a time to come.
    fn removed_at(&mut self, inventory: &Inventory) -> HashMap<String, Timestamp> {
        let mut counted = HashMap::new();
        for sweep in &inventory.undo.sweeps {
            let from = self.counts_from(Thing::Removed(&sweep.id), sweep.removed_at);
            if from != sweep.removed_at {
                counted.insert(sweep.id.clone(), from);
            }
        }
        counted
    }

    /// Throws away what has outlived the window. What cannot be thrown away goes on to hold what it
    /// holds.
    pub(super) fn throw_away(
        &mut self,
        lock: &StoreLock,
        inventory: &mut Inventory,
        mut over: UndoTrash,
    ) -> Result<(), Interrupted> {
        if over.sweeps.is_empty() {
            return Ok(());
        }
        let mut stays = Vec::new();
        for sweep in &over.sweeps {
            self.stop.check()?;
            if let Err(error) = self.store.condemn_undo(lock, sweep) {
                self.failed(format!("janitor/trash/undo/{}", sweep.id), &error);
                stays.push(sweep.id.clone());
            }
        }
        let mut kept = over.split_off(|sweep| stays.contains(&sweep.id));
        inventory.undo.sweeps.append(&mut kept.sweeps);
        inventory.undo.tags.append(&mut kept.tags);
        inventory.hold_undoable();
        self.undo_expired = over.tags.len();
        let problems = self.store.delete_condemned_now(lock, self.stop)?;
        self.findings.extend(problems);
        tracing::info!("threw away {} removed tags whose UNDO_WINDOW is over", over.tags.len());
        Ok(())
    }

    /// What tags named that go now and cannot be brought back.
    pub(super) fn named(&self, inventory: &Inventory, tags: &[Expected]) -> Vec<(Revision, Timestamp)> {
        if self.holds_for_undo() { Vec::new() } else { plan::named_by(inventory, tags) }
    }

    pub(super) fn held_for_undo(&self, inventory: Inventory, tags: &[Expected]) -> Inventory {
        if self.holds_for_undo() { plan::held_for_undo(inventory, tags) } else { inventory }
    }

    /// What tags that go lack already, so that they can be brought back as they were. While anything is in
    /// doubt, what seems to be missing may be there.
    pub(super) fn lacked(&self, inventory: &Inventory, tags: &[Expected]) -> Lacked {
        if !self.holds_for_undo() || self.in_doubt(inventory) {
            return Lacked::new();
        }
        let lacked = |it: &Expected| {
            let repository = &inventory.repositories[inventory.position(it.place.repository())?];
            let manifest = inventory.digests.id(&it.link.as_ref()?.0)?;
            let absent = check::absent_children(inventory, repository, manifest);
            let absent: Vec<Digest> = absent.into_iter().map(|id| inventory.digest(id)).collect();
            (!absent.is_empty()).then(|| (it.place.clone(), absent))
        };
        tags.iter().filter_map(lacked).collect()
    }

    /// What is held for undo, once all that goes has gone.
    pub(super) fn undo_report(&self, held: (usize, u64)) -> Option<UndoReport> {
        let (tags, bytes) = held;
        (self.holds_for_undo() || tags > 0 || self.undo_expired > 0).then(|| UndoReport {
            tags,
            bytes,
            tags_expired: self.undo_expired,
            first_due: self.undo_due.iter().min().copied().filter(|_| tags > 0),
            last_due: self.undo_due.iter().max().copied().filter(|_| tags > 0),
        })
    }
}
