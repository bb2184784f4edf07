//! The stock collector: `registry garbage-collect`, run only where it can be trusted.
//!
//! It takes every revision for a root and knows no age. It is never given `--delete-untagged`: on
//! registry 2.x that deletes the children of tagged indexes, and on every version it ignores
//! referrers. Its output is drained as it comes (10,000 manifests print 8 MB, and a full pipe would
//! stop it for ever), its exit code is checked, and it has a time limit.

use std::collections::{BTreeSet, VecDeque};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Access, access};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::model::{Digest, excerpt, finding_text};
use crate::stop::{Interrupted, Stop};
use crate::store::StoreLock;

/// How often a running collector is looked after.
const POLL: Duration = Duration::from_millis(50);
/// How long a collector that was told to stop may take.
const STOP_GRACE: Duration = Duration::from_secs(1);
/// How many of its last lines are quoted when it fails.
const QUOTED_LINES: usize = 5;

/// A collector, ready to run.
#[derive(Clone, Debug)]
pub struct Collector {
    /// The registry's binary.
    pub binary: PathBuf,
    /// The registry's configuration.
    pub config: PathBuf,
    /// The time limit for one run.
    pub timeout: Duration,
}

/// What the collector said that it deletes, or would delete.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Proposal {
    /// Blobs.
    pub blobs: BTreeSet<Digest>,
    /// Manifests; never any, as the janitor removes these itself.
    pub manifests: BTreeSet<String>,
}

/// Why a run came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A stop was asked for; the collector was ended and waited for.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// It could not be started or waited for.
    #[error("{} could not be run: {source}", .binary.display())]
    Spawn {
        /// The binary.
        binary: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It ended with an error.
    #[error("the collector ended with {status}{}", quoted(.last_lines))]
    Failed {
        /// In words: an exit code or a signal.
        status: String,
        /// The last lines of its output.
        last_lines: Vec<String>,
    },
    /// It was ended at the time limit.
    #[error("the collector ran into the time limit of {} and was ended", humantime::format_duration(*.limit))]
    TimedOut {
        /// The limit.
        limit: Duration,
    },
}

fn quoted(lines: &[String]) -> String {
    if lines.is_empty() { String::new() } else { format!("; it said last: {}", lines.join(" | ")) }
}

impl Collector {
    /// Finds an executable binary by its path, or by its name in a search path.
    pub fn find(binary: &Path, search: &[PathBuf]) -> Option<PathBuf> {
        let is_program = |path: &PathBuf| path.is_file() && access(path, Access::EXEC_OK).is_ok();
        if binary.components().count() > 1 {
            return Some(binary.to_owned()).filter(is_program);
        }
        search.iter().map(|dir| dir.join(binary)).find(is_program)
    }

    /// Asks what a run would delete; changes nothing.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn propose(&self, lock: &StoreLock, stop: &Stop) -> Result<Proposal, RunError> {
        self.spawn_and_follow(&["garbage-collect", "--dry-run"], lock, stop)
    }

    /// Deletes. Says what it deleted.
    ///
    /// # Errors
    /// [`RunError`]; it may have deleted some by then.
    pub fn collect(&self, lock: &StoreLock, stop: &Stop) -> Result<Proposal, RunError> {
        self.spawn_and_follow(&["garbage-collect"], lock, stop)
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that starts a process")]
    fn spawn_and_follow(
        &self,
        arguments: &[&str],
        lock: &StoreLock,
        stop: &Stop,
    ) -> Result<Proposal, RunError> {
        stop.check()?;
        let failed = |source| RunError::Spawn { binary: self.binary.clone(), source };
        let mut child = Command::new(&self.binary)
            .args(arguments)
            .arg(&self.config)
            // A group of its own, so that whatever it starts is ended with it.
            .process_group(0)
            // The store's lock, which it does not read: should this process be killed, no other janitor
            // begins while the collector still runs.
            .stdin(lock.share().map_err(failed)?)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        stop.child_runs(Some(Pid::from_child(&child)));
        let (out, outputs) = mpsc::channel();
        // Not scoped: something that the collector started may keep a pipe open when it has ended.
        for pipe in [child.stdout.take().map(Pipe::Out), child.stderr.take().map(Pipe::Err)] {
            let out = out.clone();
            thread::spawn(move || {
                let output = match pipe {
                    Some(Pipe::Out(pipe)) => Output::drain(pipe),
                    Some(Pipe::Err(pipe)) => Output::drain(pipe),
                    None => Output::default(),
                };
                // Nobody listens any more when it took too long.
                out.send(output).ok();
            });
        }
        let ended = self.follow(&mut child, stop);
        stop.child_runs(None);
        let status = ended?;
        let mut proposal = Proposal::default();
        let mut last_lines = Vec::new();
        for _ in 0..2 {
            let Ok(output) = outputs.recv_timeout(STOP_GRACE) else {
                return Err(RunError::Failed {
                    status: "its output still open".into(),
                    last_lines: vec!["something that it started has not ended".into()],
                });
            };
            proposal.blobs.extend(output.proposal.blobs);
            proposal.manifests.extend(output.proposal.manifests);
            last_lines.extend(output.last_lines);
        }
        if status.success() {
            return Ok(proposal);
        }
        let status = match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => status.to_string(),
        };
        Err(RunError::Failed { status, last_lines })
    }

    fn follow(&self, child: &mut Child, stop: &Stop) -> Result<ExitStatus, RunError> {
        let failed = |source| RunError::Spawn { binary: self.binary.clone(), source };
        #[expect(clippy::disallowed_methods, reason = "a time limit, on the monotonic clock")]
        let started = Instant::now();
        while started.elapsed() < self.timeout {
            if let Some(status) = child.try_wait().map_err(failed)? {
                return Ok(status);
            }
            if let Err(interrupted) = stop.wait(POLL) {
                end(child).map_err(failed)?;
                return Err(interrupted.into());
            }
        }
        end(child).map_err(failed)?;
        Err(RunError::TimedOut { limit: self.timeout })
    }
}

/// Ends a child politely, then at once, and waits for it either way.
fn end(child: &mut Child) -> std::io::Result<()> {
    // The child was not waited for yet, so its id is its own even if it has just ended.
    let group = Pid::from_child(child);
    let _ = kill_process_group(group, Signal::TERM);
    for _ in 0..STOP_GRACE.as_millis().div_ceil(POLL.as_millis()) {
        if child.try_wait()?.is_some() {
            return Ok(());
        }
        thread::sleep(POLL);
    }
    let _ = kill_process_group(group, Signal::KILL);
    child.wait().map(drop)
}

enum Pipe {
    Out(ChildStdout),
    Err(ChildStderr),
}

#[derive(Default)]
struct Output {
    proposal: Proposal,
    last_lines: VecDeque<String>,
}

impl Output {
    fn drain(from: impl Read) -> Self {
        let mut output = Self::default();
        for line in BufReader::new(from).split(b'\n') {
            // A pipe that cannot be read any more has ended for us.
            let Ok(line) = line else { break };
            output.take(String::from_utf8_lossy(&line).trim_end());
        }
        output
    }

    fn take(&mut self, line: &str) {
        tracing::debug!(target: "collector", "{}", finding_text(line));
        if let Some(blob) = line.strip_prefix("blob eligible for deletion: ") {
            match blob.trim().parse() {
                Ok(digest) => drop(self.proposal.blobs.insert(digest)),
                // Not knowing what it means to delete is as bad as its deleting too much.
                Err(_) => drop(self.proposal.manifests.insert(blob.trim().to_owned())),
            }
        } else if let Some(manifest) = line.strip_prefix("manifest eligible for deletion: ") {
            self.proposal.manifests.insert(manifest.trim().to_owned());
        }
        if !line.is_empty() {
            if self.last_lines.len() == QUOTED_LINES {
                self.last_lines.pop_front();
            }
            self.last_lines.push_back(excerpt(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_collector_would_delete_is_read_from_its_output() {
        let digest = Digest::of(b"x");
        let text = format!(
            "team/app\nteam/app: marking manifest {digest} \n\n3 blobs marked, 1 blobs and 0 manifests eligible for deletion\nblob eligible for deletion: {digest}\n"
        );
        let output = Output::drain(text.as_bytes());
        assert_eq!(output.proposal.blobs, BTreeSet::from([digest]));
        assert!(output.proposal.manifests.is_empty());
        let odd =
            Output::drain("manifest eligible for deletion: x\nblob eligible for deletion: y\n".as_bytes());
        assert_eq!(odd.proposal.manifests.len(), 2);
    }
}
