//! The memory's part of a sweep: what the last one left, and what this one does.

use std::io;

use super::Sweep;
use crate::model::{Code, Counts, Problem, Severity};
use crate::plan;
use crate::store::{Memory, StoreLock, is_full};

/// The switch that confirms.
pub(super) const ACCEPT_LOSSES: &str = "--accept-losses";
const PATH: &str = "janitor/last-sweep.json";
const UNKNOWN: &str = "what the last sweep left is not known";

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
    /// What speaks against the store: that most of it is gone since the last sweep, or that nobody can know.
    pub(super) fn losses(&mut self, is: Counts) -> Option<Loss> {
        let accepts_losses = self.config.guards.accept_losses;
        match self.store.remembered() {
            Ok(memory) => {
                self.told_blobs = memory.as_ref().map_or(0, |memory| memory.held_blobs);
                self.memory = memory;
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
        let memory = self.memory.as_ref()?;
        // What nothing needed may have been collected by somebody else.
        let blobs = memory.left.blobs.saturating_sub(memory.held_blobs);
        let left = plan::losses(&Counts { blobs, ..memory.left }, &is)?;
        if accepts_losses {
            return None;
        }
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

    /// Writes down what is left, or will be whatever happens, unless that is known already.
    pub(super) fn remember(&mut self, lock: &StoreLock, left: Counts, held_blobs: usize) {
        let is_known = |memory: &Memory| memory.left == left && memory.held_blobs == held_blobs;
        if self.memory.as_ref().is_some_and(is_known) {
            return;
        }
        let memory = Memory { sweep: self.id.clone(), at: self.clock.now(), left, held_blobs };
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
