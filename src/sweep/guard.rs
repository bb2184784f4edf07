//! The guards' part of a sweep: whether what it would do is plausible, asked before anything goes.

use super::Sweep;
use super::memory::{ACCEPT_LOSSES, Loss};
use crate::gc::mark::{self, Fate};
use crate::model::{Code, Counts, Id, Inventory, Problem, Severity, UndoTrash};
use crate::plan::{Share, TINY, TooMuch};
use crate::policy::{Reason, Verdict};
use crate::stop::Interrupted;

/// What no removed tag accounts for.
pub(super) const STRAY: &str = "blobs (besides those of tags that it removes, or that were removed before)";

impl Sweep<'_> {
    /// Everything that speaks against the sweep as a whole, if it is to remove so many tags.
    pub(super) fn guard(
        &mut self,
        inventory: &mut Inventory,
        tags_going: usize,
        expired: &UndoTrash,
    ) -> Result<Vec<Problem>, Interrupted> {
        let is = Counts::of(inventory);
        let losses = self.losses(is);
        let most = self.config.guards.max_remove_percent;
        let tags = Share { what: "tags", going: tags_going, all: is.tags };
        let blobs = Share {
            what: STRAY,
            going: self.untagged_blobs(inventory, expired, most)?.saturating_sub(self.told_blobs),
            all: is.blobs,
        };
        let too_much = TooMuch::among([tags, blobs], most).map(|too_much| {
            let mut flags = too_much.flag();
            if losses.is_some() {
                // Either flag alone would be refused again.
                flags = format!("{ACCEPT_LOSSES} {flags}");
            }
            Problem {
                severity: Severity::Warning,
                code: Code::TooMuchGoes,
                repository: None,
                path: format!("MAX_REMOVE_PERCENT={most}"),
                cause: too_much.cause(),
                remedy: TooMuch::remedy(&flags),
            }
        });
        let losses = match &too_much {
            Some(_) => losses.map(Loss::beside_another),
            None => losses.map(Loss::alone),
        };
        Ok(losses.into_iter().chain(too_much).collect())
    }

    /// How many blobs would go that no tag holds now: those of removed tags are told by the tags. Their
    /// ages are looked at only where there are too many of them.
    fn untagged_blobs(
        &mut self,
        inventory: &mut Inventory,
        expired: &UndoTrash,
        most: u8,
    ) -> Result<usize, Interrupted> {
        let all = inventory.blobs.len();
        if all < TINY || most == 100 || self.in_doubt(inventory) {
            return Ok(0);
        }
        // What can no longer be brought back was told when its tags went.
        for tag in &expired.tags {
            if let Some(at) = inventory.position(&tag.repository) {
                inventory.repositories[at].undoable.push(tag.manifest);
            }
        }
        let marks = mark::blobs(inventory);
        inventory.hold_undoable();
        let goes = |blob: &Id| match marks.fate(*blob) {
            Fate::Kept | Fate::Undoable => false,
            Fate::Held => self.config.delete_untagged,
            Fate::Garbage => self.config.collection.is_some(),
        };
        let untagged: Vec<Id> = inventory.blobs.iter().copied().filter(goes).collect();
        if !(Share { what: "blobs", going: untagged.len(), all }).exceeds(most) {
            return Ok(untagged.len());
        }
        Ok(self.by_age(inventory, &untagged, false)?.blobs.due.len())
    }

    /// Tells of repositories in which nothing goes by order, since their push times give none.
    pub(super) fn tell_of_equal_times(&mut self, inventory: &Inventory, verdicts: &[Vec<Verdict>]) {
        for (repository, verdicts) in inventory.repositories.iter().zip(verdicts) {
            let equal = |reason: &Reason| matches!(reason, Reason::EqualPushTime { .. });
            let held = verdicts.iter().filter(|verdict| verdict.reasons.iter().any(equal)).count();
            if held > 0 {
                self.findings.push(Problem {
                    severity: Severity::Warning,
                    code: Code::EqualPushTimes,
                    repository: Some(repository.name.clone()),
                    path: repository.name.to_string(),
                    cause: format!(
                        "{held} of its tags stay beside those that are to be kept, since many images were pushed within the same seconds, as in a store that was copied or restored without its times: which is newest is unknown"
                    ),
                    remedy: "delete by hand what is not needed, wait until newer pushes take their place, or have names decide: janitor --run-once --trust-equal-push-times".into(),
                });
            }
        }
    }
}
