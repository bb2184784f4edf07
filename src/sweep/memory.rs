//! The memory's part of a sweep: what the last one left, and what this one does.

use std::io;

use jiff::Timestamp;

use super::Sweep;
use crate::model::{Code, Counts, Inventory, Known, KnownRepository, Problem, Severity};
use crate::plan::{self, Missed, Remains};
use crate::stop::Interrupted;
use crate::store::{Memory, StoreLock, is_full, path_of_repository};

/// The switch that confirms.
pub(super) const ACCEPT_LOSSES: &str = "--accept-losses";
const PATH: &str = "janitor/last-sweep.json";
/// So many repositories that are missed have a finding of their own.
const MISSED_TOLD: usize = 100;
const UNKNOWN: &str = "what the last sweep left is not known";

/// Repositories that are waited for, by their position in what the last sweep remembered, and since when.
pub(super) type Waiting = Vec<(usize, Timestamp)>;

/// What speaks against a store.
pub(super) struct Loss {
    /// With what to do about it, but not how to confirm that nothing is to be done.
    problem: Problem,
    /// When that may be confirmed.
    confirmed_where: &'static str,
}

impl Loss {
    /// What is told where this alone refuses the sweep.
    pub(super) fn alone(self) -> Problem {
        let Self { mut problem, confirmed_where } = self;
        problem.remedy = format!("{}; {confirmed_where}, {}", problem.remedy, plan::confirm(ACCEPT_LOSSES));
        problem
    }

    /// What is told where something else refuses the sweep as well, and says how to confirm both.
    pub(super) fn beside_another(self) -> Problem {
        self.problem
    }
}

impl Sweep<'_> {
    /// Reads what the last sweep remembered. Returns what speaks against the store if that cannot be read.
    pub(super) fn recall(&mut self) -> Option<Loss> {
        let accepts_losses = self.config.guards.accept_losses;
        match self.store.remembered() {
            Ok(memory) => {
                self.told_blobs = memory.as_ref().map_or(0, |memory| memory.held_blobs);
                self.memory = memory.or_else(|| self.is_new.then(|| self.memory_of_nothing()));
            }
            Err(error) if is_damaged(&error) => self.findings.push(unknown(
                Severity::Note,
                format!("{UNKNOWN} ({error}), so what is lost since cannot be seen"),
                "nothing; this sweep writes it anew",
            )),
            Err(error) if accepts_losses => self.findings.push(unknown(
                Severity::Error,
                format!("{UNKNOWN} ({error}), and what is lost since was accepted unseen"),
                "check the storage and its permissions; this sweep writes it anew",
            )),
            // Where the storage fails to give one file, it may fail to show half of the others.
            Err(error) => {
                return Some(Loss {
                    problem: unknown(
                        Severity::Error,
                        format!("{UNKNOWN} ({error}), so what the storage no longer shows cannot be seen"),
                        "check the storage and its permissions; the janitor must run as the registry's user",
                    ),
                    confirmed_where: "if the store is known to be whole",
                });
            }
        }
        None
    }

    /// What a sweep would have remembered before there was a store.
    fn memory_of_nothing(&self) -> Memory {
        let known = Known { rules: self.rules(), blobs_judged: true, repositories: Vec::new() };
        let left = Counts { repositories: 0, tags: 0, blobs: 0 };
        Memory { sweep: self.id.clone(), at: self.started_at, left, held_blobs: 0, known: Some(known) }
    }

    /// What the last sweep remembered of repositories and tags; `None` when that is not known.
    pub(super) fn known_before(&self) -> Option<&Known> {
        self.memory.as_ref()?.known.as_ref()
    }

    /// Whether the store has lost most of what the last sweep left.
    pub(super) fn losses(&self, is: Counts, remains: Option<&Remains>) -> Option<Loss> {
        let memory = self.memory.as_ref().filter(|_| !self.config.guards.accept_losses)?;
        // What nothing needed may have been collected by somebody else.
        let blobs = memory.left.blobs.saturating_sub(memory.held_blobs);
        let left = plan::losses(&Counts { blobs, ..memory.left }, &is, remains)?;
        Some(Loss {
            problem: Problem {
                severity: Severity::Warning,
                code: Code::StoreShrank,
                repository: None,
                path: PATH.into(),
                cause: format!(
                    "since {:.0}, when sweep {} wrote down what it left, the store has lost most of it: {left} are still there",
                    memory.at, memory.sweep
                ),
                remedy: "see that the storage is mounted whole".into(),
            },
            confirmed_where: "if they were deleted by somebody who meant to",
        })
    }

    /// Reports the repositories whose tags are gone. Returns those that are still waited for, and a doubt about each
    /// of them: while there is any, nothing that only they may need is removed.
    pub(super) fn missed(&mut self, inventory: &Inventory, remains: &Remains) -> (Waiting, Vec<Problem>) {
        let known = self.known_before().map_or(&[][..], |known| &known.repositories);
        let mut missed = Missed::of(known, &remains.missed, self.clock.now());
        if inventory.in_doubt() {
            // They may be there and not be seen.
            missed.waited_for.append(&mut missed.given_up);
            missed.waited_for.sort_unstable();
        }
        let tell = |(at, since): (usize, Timestamp), severity, cause: &str, remedy: String| {
            let gone = remains.missed.iter().find(|(missed, _)| *missed == at).map_or(0, |(_, gone)| *gone);
            let known = &known[at];
            let what =
                if inventory.position(&known.name).is_some() { "" } else { "the repository is gone: " };
            Problem {
                severity,
                code: Code::TagsMissing,
                repository: Some(known.name.clone()),
                path: path_of_repository(&known.name),
                cause: format!(
                    "{what}{gone} of {} tags are missing since {since:.0}, and {cause}",
                    known.tags.len()
                ),
                remedy,
            }
        };
        let mut told = Vec::new();
        if self.config.guards.accept_losses {
            missed.given_up.clear();
            let accepted = missed.waited_for.drain(..);
            told.extend(accepted.map(|it| tell(it, Severity::Note, "that was accepted", "nothing".into())));
        }
        told.extend(missed.given_up.drain(..).map(|it| {
            let cause = "the janitor has waited 7 days for them: their blobs may be removed from now on";
            tell(it, Severity::Warning, cause, "push the images again if they are needed".into())
        }));
        let mut doubts: Vec<Problem> = Vec::new();
        for (at, since) in missed.waited_for.iter().take(MISSED_TOLD) {
            let cause = "the janitor did not remove them. A storage that is mounted or restored in part looks like this, so no manifest and no blob is removed";
            let remedy = format!(
                "mount or restore the storage whole; if somebody deleted them on purpose, {}, or wait until {:.0}",
                plan::confirm(ACCEPT_LOSSES),
                Missed::until(*since)
            );
            doubts.push(tell((*at, *since), Severity::Doubt, cause, remedy));
        }
        if let Some(others) = missed.waited_for.get(MISSED_TOLD..).filter(|others| !others.is_empty()) {
            let names: Vec<&str> = others.iter().map(|(at, _)| known[*at].name.as_str()).collect();
            doubts.push(Problem {
                severity: Severity::Doubt,
                code: Code::TagsMissing,
                repository: None,
                path: "docker/registry/v2/repositories".into(),
                cause: format!("tags of {} more repositories are missing: {}", names.len(), names.join(", ")),
                remedy: "as for the others".into(),
            });
        }
        self.findings.append(&mut told);
        (missed.waited_for, doubts)
    }

    /// Notices what went away since this sweep first looked. Returns whether the tags of a repository did: then no
    /// blob goes, and the next sweep decides.
    pub(super) fn notice_what_went_away(&mut self, inventory: &Inventory) -> Result<bool, Interrupted> {
        let kept = self.known.repositories.iter().filter(|it| it.missed_since.is_none());
        let kept: Vec<KnownRepository> = kept.cloned().collect();
        self.meanwhile = Remains::of(&kept, inventory, &[]);
        if self.meanwhile.missed.is_empty() {
            return Ok(false);
        }
        // They may have been deleted over the registry's API.
        let hollow = self.hollow_revisions(inventory)?;
        self.meanwhile = Remains::of(&kept, inventory, &hollow);
        let missed = self.meanwhile.missed.iter().take(MISSED_TOLD);
        self.findings.extend(missed.map(|(at, gone)| Problem {
            severity: Severity::Warning,
            code: Code::TagsMissing,
            repository: Some(kept[*at].name.clone()),
            path: path_of_repository(&kept[*at].name),
            cause: format!(
                "{gone} of {} tags went away while the sweep ran, so this sweep removes no blob",
                kept[*at].tags.len()
            ),
            remedy: "nothing, if somebody deleted them; the next sweep looks again".into(),
        }));
        Ok(!self.meanwhile.missed.is_empty())
    }

    /// Writes down what is left, or will be whatever happens, unless that is known already.
    pub(super) fn remember(&mut self, lock: &StoreLock, left: Counts, held_blobs: usize) {
        // What no guard has judged is not explained by having been there.
        let held_blobs = if self.known.blobs_judged { held_blobs } else { self.told_blobs };
        let is_known = |memory: &Memory| {
            memory.left == left
                && memory.held_blobs == held_blobs
                && memory.known.as_ref() == Some(&self.known)
        };
        if self.hides_unlisted || self.memory.as_ref().is_some_and(is_known) {
            return;
        }
        let known = Some(self.known.clone());
        let memory = Memory { sweep: self.id.clone(), at: self.clock.now(), left, held_blobs, known };
        match self.store.remember(lock, &memory) {
            Ok(()) => self.memory = Some(memory),
            Err(error) => {
                self.memory = None;
                let mut problem = Problem::of_failed_step(PATH.into(), &error);
                if is_full(&error) {
                    // A sweep makes room, and then there is a memory again.
                    problem.severity = Severity::Warning;
                }
                self.findings.push(problem);
            }
        }
    }
}

fn unknown(severity: Severity, cause: String, remedy: &str) -> Problem {
    let (path, remedy) = (PATH.into(), remedy.into());
    Problem { severity, code: Code::NoMemory, repository: None, path, cause, remedy }
}

/// Whether it is the content that is bad, and not the storage.
fn is_damaged(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, InvalidData, InvalidInput, UnexpectedEof};
    matches!(error.kind(), FileTooLarge | InvalidData | InvalidInput | UnexpectedEof)
}
