//! The guards' part of a sweep: whether what it would do is plausible, asked before anything goes.

use jiff::Timestamp;

use super::Sweep;
use super::memory::{ACCEPT_LOSSES, Loss, Waiting};
use crate::check;
use crate::gc::mark::{self, Fate};
use crate::model::{Code, Counts, Id, Inventory, Known, Problem, Revision, Rules, Severity, UndoTrash};
use crate::plan::{self, Remains, Share, TINY, TooMuch};
use crate::policy::{Reason, Verdict};
use crate::stop::Interrupted;

/// How many incomplete tags a finding names beside the first.
const NAMED: usize = 10;
/// What no removed tag accounts for.
pub(super) const STRAY: &str = "blobs (besides those of tags that it removes, or that were removed before)";

/// What the store has lost since the last sweep.
pub(super) struct Losses {
    /// That it has lost most of what it had, or that nobody can know.
    most_of_it: Option<Loss>,
    /// The share of blobs that tags no longer need, if the last sweep collected by the same settings.
    needed: Option<Share>,
    /// The repositories that are waited for.
    waiting: Waiting,
    /// What makes the inventory doubtful because of them.
    doubts: Vec<Problem>,
}

impl Sweep<'_> {
    /// Compares the store with what the last sweep left. Where repositories are missed, the inventory is in doubt from
    /// here on. This comes before any decision, because a missing repository may have the images that companions
    /// elsewhere serve.
    pub(super) fn look_for_losses(&mut self, inventory: &mut Inventory) -> Losses {
        let is = Counts::of(inventory);
        let unknown = self.recall();
        let rules = self.rules();
        let hollow: Vec<Revision> = self.hollow.old.iter().chain(&self.hollow.young).copied().collect();
        let remains = self.known_before().map(|it| Remains::of(&it.repositories, inventory, &hollow));
        let mut needed = remains.as_ref().and_then(|it| plan::blobs_share(self.known_before(), &rules, it));
        if let (Some(needed), true) = (&mut needed, self.config.guards.accept_losses) {
            // What the missing tags needed is the loss that was accepted, and not a second question.
            needed.going = 0;
        }
        self.collects_as_before = needed.is_some();
        let losses = unknown.or_else(|| self.losses(is, remains.as_ref()));
        let (waiting, doubts) =
            remains.as_ref().map(|remains| self.missed(inventory, remains)).unwrap_or_default();
        inventory.problems.extend(doubts.iter().cloned());
        Losses { most_of_it: losses, needed, waiting, doubts }
    }

    /// Everything that speaks against the sweep as a whole.
    pub(super) fn guard(
        &mut self,
        inventory: &mut Inventory,
        verdicts: &[Vec<Verdict>],
        losses: Losses,
        expired: &UndoTrash,
    ) -> Result<Vec<Problem>, Interrupted> {
        let Losses { most_of_it: losses, needed, waiting, doubts } = losses;
        self.know(inventory, verdicts, &waiting);

        let most = self.config.guards.max_remove_percent;
        let tags = plan::tags_share(self.known_before(), &self.rules(), inventory, verdicts);
        let blobs = self.blobs_share(inventory, needed, expired, most)?;
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
        let refusals: Vec<Problem> = losses.into_iter().chain(too_much).collect();
        if !refusals.is_empty() {
            // A refused sweep reports nothing else of what it has seen.
            self.findings.extend(doubts);
        }
        Ok(refusals)
    }

    /// Prepares what this sweep will remember of what it leaves, should it not be refused.
    fn know(&mut self, inventory: &Inventory, verdicts: &[Vec<Verdict>], waiting: &[(usize, Timestamp)]) {
        let before = self.known_before();
        let repositories = before.map(|before| before.repositories.as_slice());
        self.known = Known {
            rules: self.rules(),
            blobs_judged: before.is_some_and(|it| it.blobs_judged) || !self.in_doubt(inventory),
            repositories: plan::known(inventory, verdicts, repositories, waiting),
        };
    }

    /// The settings that decide what this sweep removes.
    pub(super) const fn rules(&self) -> Rules {
        Rules {
            keep_last: self.config.policy.keep_last,
            trust_equal_push_times: self.config.policy.trust_equal_push_times,
            delete_untagged: self.config.delete_untagged,
            collects: self.config.collection.is_some(),
        }
    }

    /// The share of blobs that the limit is held against: all that go and that no removed tag accounts for, or only
    /// those that tags needed at the last sweep if it went by the same settings.
    fn blobs_share(
        &mut self,
        inventory: &mut Inventory,
        needed: Option<Share>,
        expired: &UndoTrash,
        most: u8,
    ) -> Result<Share, Interrupted> {
        if self.in_doubt(inventory) {
            // None goes.
            return Ok(Share { what: STRAY, going: 0, all: 0 });
        }
        if let Some(needed) = needed {
            return Ok(needed);
        }
        let going = self.untagged_blobs(inventory, expired, most)?;
        Ok(Share { what: STRAY, going, all: inventory.blobs.len() })
    }

    /// How many blobs would go that no tag holds now, besides those that are told of already: those of removed tags
    /// are told by the tags. Their ages are looked at only where there are too many of them.
    fn untagged_blobs(
        &mut self,
        inventory: &mut Inventory,
        expired: &UndoTrash,
        most: u8,
    ) -> Result<usize, Interrupted> {
        let all = inventory.blobs.len();
        if all < TINY || most == 100 {
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
        // What is still held for undo is told of, too, and stands in for nothing that goes.
        let undoable = inventory.blobs.iter().filter(|blob| marks.fate(**blob) == Fate::Undoable).count();
        let told = self.told_blobs.saturating_sub(undoable);
        if !(Share { what: "blobs", going: untagged.len(), all }).exceeds(most) {
            return Ok(untagged.len().saturating_sub(told));
        }
        Ok(self.by_age(inventory, &untagged, false)?.blobs.due.len().saturating_sub(told))
    }

    /// Reports repositories that lose no tag because tags that are to be kept lack something.
    pub(super) fn tell_of_incomplete(&mut self, inventory: &Inventory, verdicts: &[Vec<Verdict>]) {
        for (repository, verdicts) in inventory.repositories.iter().zip(verdicts) {
            let is_held = |verdict: &Verdict| matches!(verdict.reasons[..], [Reason::KeptIncomplete { .. }]);
            let held = verdicts.iter().filter(|verdict| is_held(verdict)).count();
            if held == 0 {
                continue;
            }
            let tags = repository.tags.iter().zip(verdicts).filter(|(_, verdict)| !is_held(verdict));
            let mut incomplete = tags.filter_map(|(tag, verdict)| {
                let is_image = matches!(
                    verdict.reasons[..],
                    [Reason::Newest { .. }
                        | Reason::EqualPushTime { .. }
                        | Reason::TimeAhead
                        | Reason::FirstSeen { .. }]
                );
                Some((tag, check::lacks_parts(inventory, repository, tag, is_image)?))
            });
            let Some((first, detail)) = incomplete.next() else { continue };
            let others: Vec<&str> = incomplete.map(|(tag, _)| tag.name.as_str()).collect();
            let name = &repository.name;
            let (more, each) = match others.len() {
                0 => (String::new(), "it"),
                n if n <= NAMED => (format!("; {} cannot be, either", others.join(", ")), "each of them"),
                n => {
                    let some = others[..NAMED].join(", ");
                    (format!("; {some} and {} more cannot be, either", n - NAMED), "each of them")
                }
            };
            let digest = first.digest().map(|id| inventory.digest(id).to_string()).unwrap_or_default();
            self.findings.push(Problem {
                severity: Severity::Error,
                code: Code::KeptIncomplete,
                repository: Some(name.clone()),
                path: format!("{name}:{}", first.name),
                cause: format!(
                    "this tag is to be kept and cannot be pulled completely: {detail}{more}; so {held} older tags of {name}, which may be the last complete ones, are kept as well"
                ),
                remedy: format!(
                    "push {each} again, or delete {each} (for this one: DELETE /v2/{name}/manifests/{digest}, or its directory in _manifests/tags); the next sweep goes on. janitor check lists what is missing"
                ),
            });
        }
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
                    remedy: format!(
                        "delete by hand what is not needed, wait until newer pushes take their place, or let names decide; for that, {}",
                        plan::confirm("--trust-equal-push-times")
                    ),
                });
            }
        }
    }
}
