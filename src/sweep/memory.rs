//! The memory's part of a sweep: what the last one left, and what this one does.

use std::io;

use super::Sweep;
use crate::model::{Code, Counts, Problem, Severity};
use crate::plan;
use crate::store::{Memory, StoreLock};

/// The switch that confirms.
pub(super) const ACCEPT_LOSSES: &str = "--accept-losses";
const PATH: &str = "janitor/last-sweep.json";

impl Sweep<'_> {
    /// What speaks against the store: that most of it is gone since the last sweep.
    pub(super) fn losses(&mut self, is: Counts) -> Option<Problem> {
        match self.store.remembered() {
            Ok(memory) => {
                self.told_blobs = memory.as_ref().map_or(0, |memory| memory.held_blobs);
                self.memory = memory;
            }
            Err(error) => self.findings.push(Problem {
                severity: if is_damaged(&error) { Severity::Note } else { Severity::Error },
                code: Code::NoMemory,
                repository: None,
                path: PATH.into(),
                cause: format!(
                    "what the last sweep left is not known ({error}), so what is lost since cannot be seen"
                ),
                remedy: "nothing; this sweep writes it anew".into(),
            }),
        }
        let memory = self.memory.as_ref()?;
        // What nothing needed may have been collected by somebody else.
        let blobs = memory.left.blobs.saturating_sub(memory.held_blobs);
        let left = plan::losses(&Counts { blobs, ..memory.left }, &is)?;
        if self.config.guards.accept_losses {
            return None;
        }
        Some(Problem {
            severity: Severity::Warning,
            code: Code::StoreShrank,
            repository: None,
            path: PATH.into(),
            cause: format!(
                "since {:.0}, when sweep {} wrote down what it left, the store has lost most of it: {left} are still there",
                memory.at, memory.sweep
            ),
            remedy: format!(
                "see that the storage is mounted whole; if they were deleted by somebody who meant to, {}",
                plan::confirm(ACCEPT_LOSSES)
            ),
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
                if error.kind() == io::ErrorKind::StorageFull {
                    // A sweep makes room, and then there is a memory again.
                    problem.severity = Severity::Warning;
                }
                self.findings.push(problem);
            }
        }
    }
}

/// Whether it is the content that is bad, and not the storage.
fn is_damaged(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, InvalidData, InvalidInput, UnexpectedEof};
    matches!(error.kind(), FileTooLarge | InvalidData | InvalidInput | UnexpectedEof)
}
