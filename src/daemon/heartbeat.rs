//! The loop's sign of life: a small local file that says until when it is good.
//!
//! It lies outside the store, since it is written every few seconds. `janitor health` reads it, and
//! so does the container's health check.

#![expect(clippy::disallowed_methods, reason = "a sign of life is about this host's clock")]

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::whole_file;

/// How often a sweep renews it.
const BEAT: Duration = Duration::from_secs(10);
/// How late the loop may be before it counts as dead.
const SLACK: Duration = Duration::from_secs(60);
/// How long a sweep may stand still before the sign is renewed no more: a single file operation
/// on a storage that comes back takes less.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// Writes the sign of life.
#[derive(Debug)]
pub struct Heartbeat {
    path: PathBuf,
    /// What keeps the store from being collected, as the last sweep found it.
    pub(super) doubt: Option<Doubt>,
}

/// What keeps the store from being collected.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Doubt {
    pub(super) since: Timestamp,
    pub(super) unhealthy_from: Timestamp,
    pub(super) reason: String,
    pub(super) hint: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sign {
    good_until: Timestamp,
    doing: Doing,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    doubt: Option<Doubt>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Doing {
    Sweeping,
    Waiting { last_exit_code: u8 },
}

/// Why the loop is not well.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// There is no sign of life to read.
    #[error("no sign of life in {}: {source}; is the loop running, with the same --heartbeat?", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It cannot be understood.
    #[error("{} is not a sign of life: {source}", path.display())]
    Garbled {
        /// Where it is.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// It is too old.
    #[error("the loop has given no sign of life since {0:.0}")]
    Late(Timestamp),
    /// The last sweep failed.
    #[error("the last sweep ended with exit code {0}")]
    Failing(u8),
    /// Doubt has kept the store from being collected for longer than `DOUBT_MAX_AGE`.
    #[error(
        "nothing has been removed from the store since {since:.0} because of doubt: {reason}\nhint: {hint}; janitor check lists everything that is wrong"
    )]
    Doubt {
        /// Since when.
        since: Timestamp,
        /// What is in doubt.
        reason: String,
        /// What a person can do.
        hint: String,
    },
}

impl Heartbeat {
    /// A sign of life in this file.
    pub fn new(path: &Path) -> Self {
        Self { path: path.into(), doubt: None }
    }

    /// Renews the sign while `act` runs, for as long as `steps` grows.
    pub(super) fn while_moving<T>(&self, steps: impl Fn() -> u64 + Send, act: impl FnOnce() -> T) -> T {
        self.beating(BEAT, PATIENCE, steps, act)
    }

    fn beating<T>(
        &self,
        beat: Duration,
        patience: Duration,
        steps: impl Fn() -> u64 + Send,
        act: impl FnOnce() -> T,
    ) -> T {
        let (done, is_done) = mpsc::channel::<()>();
        thread::scope(|scope| {
            scope.spawn(move || {
                let mut seen = (steps(), Instant::now());
                loop {
                    let now = steps();
                    if now != seen.0 {
                        seen = (now, Instant::now());
                    }
                    if seen.1.elapsed() <= patience {
                        self.write(SLACK, Doing::Sweeping);
                    }
                    if is_done.recv_timeout(beat) != Err(mpsc::RecvTimeoutError::Timeout) {
                        break;
                    }
                }
            });
            let result = act();
            drop(done);
            result
        })
    }

    /// Says that nothing is expected for some time.
    pub(super) fn asleep(&self, last_exit_code: u8, wait: Duration) {
        self.write(wait + SLACK, Doing::Waiting { last_exit_code });
    }

    fn write(&self, good_for: Duration, doing: Doing) {
        let good_until = Timestamp::now().saturating_add(good_for).unwrap_or(Timestamp::MAX);
        let written = serde_json::to_vec(&Sign { good_until, doing, doubt: self.doubt.clone() })
            .map_err(std::io::Error::from)
            .and_then(|sign| whole_file::replace(&self.path, &sign));
        if let Err(error) = written {
            tracing::warn!("cannot write the sign of life {}: {error}", self.path.display());
        }
    }

    /// Reads the sign: in words when the loop is well.
    ///
    /// A store that is not there yet, a lock that is held and troubles with single images are no
    /// illness of the loop; a sweep that failed or was refused is, and so is doubt that has kept the store from being
    /// collected for too long.
    ///
    /// # Errors
    /// [`HealthError`].
    pub fn check(&self) -> Result<&'static str, HealthError> {
        let path = || self.path.clone();
        let text =
            std::fs::read(&self.path).map_err(|source| HealthError::Missing { path: path(), source })?;
        let sign: Sign =
            serde_json::from_slice(&text).map_err(|source| HealthError::Garbled { path: path(), source })?;
        if sign.good_until < Timestamp::now() {
            return Err(HealthError::Late(sign.good_until));
        }
        if let Doing::Waiting { last_exit_code: code @ (1 | 2 | 12) } = sign.doing {
            return Err(HealthError::Failing(code));
        }
        if let Some(Doubt { since, reason, hint, .. }) =
            sign.doubt.filter(|doubt| doubt.unhealthy_from <= Timestamp::now())
        {
            return Err(HealthError::Doubt { since, reason, hint });
        }
        match sign.doing {
            Doing::Sweeping => Ok("sweeping"),
            Doing::Waiting { .. } => Ok("waiting for the next sweep"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn a_sweep_that_stands_still_gives_no_sign_until_it_moves_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("heartbeat");
        let tick = Duration::from_millis(10);
        let steps = AtomicU64::new(0);
        // Far longer than any beat; nobody measures how long.
        let in_the_end = |mut holds: Box<dyn FnMut() -> bool + '_>| {
            (0..100).any(|_| {
                thread::sleep(10 * tick);
                holds()
            })
        };
        Heartbeat::new(&path).beating(
            tick,
            2 * tick,
            || steps.load(Ordering::Relaxed),
            || {
                let is_silent = in_the_end(Box::new(|| {
                    std::fs::remove_file(&path).ok();
                    thread::sleep(10 * tick);
                    !path.exists()
                }));
                assert!(is_silent, "it beats without a step");
                let is_back = in_the_end(Box::new(|| {
                    steps.fetch_add(1, Ordering::Relaxed);
                    path.exists()
                }));
                assert!(is_back, "it moves and gives no sign");
            },
        );
    }

    #[test]
    fn the_loop_is_well_while_its_sign_is_fresh_and_its_last_sweep_was_not_refused() {
        let dir = tempfile::tempdir().unwrap();
        let heartbeat = Heartbeat::new(&dir.path().join("heartbeat"));
        assert!(matches!(heartbeat.check(), Err(HealthError::Missing { .. })));
        assert_eq!(heartbeat.while_moving(|| 0, || 7), 7);
        assert_eq!(heartbeat.check().unwrap(), "sweeping");
        for code in [0, 3, 10, 11] {
            heartbeat.asleep(code, Duration::ZERO);
            assert!(heartbeat.check().is_ok(), "{code}");
        }
        heartbeat.asleep(12, Duration::ZERO);
        assert!(matches!(heartbeat.check(), Err(HealthError::Failing(12))));
        let mut heartbeat = heartbeat;
        let doubt = |unhealthy_from| Doubt {
            since: Timestamp::UNIX_EPOCH,
            unhealthy_from,
            reason: "a/path: the link is empty".into(),
            hint: "push it again".into(),
        };
        heartbeat.doubt = Some(doubt(Timestamp::MAX));
        heartbeat.asleep(3, Duration::ZERO);
        assert!(heartbeat.check().is_ok(), "not yet");
        heartbeat.doubt = Some(doubt(Timestamp::UNIX_EPOCH));
        heartbeat.asleep(3, Duration::ZERO);
        let told = heartbeat.check().unwrap_err().to_string();
        let expected = "nothing has been removed from the store since 1970-01-01T00:00:00Z because of doubt: a/path: the link is empty\nhint: push it again; ";
        assert!(told.starts_with(expected), "{told}");
        assert_eq!(heartbeat.while_moving(|| 0, || 7), 7);
        assert!(matches!(heartbeat.check(), Err(HealthError::Doubt { .. })), "also while it sweeps");
        heartbeat.doubt = None;
        heartbeat.asleep(0, Duration::ZERO);
        assert!(heartbeat.check().is_ok());
        std::fs::write(
            dir.path().join("heartbeat"),
            r#"{"good_until":"2001-01-01T00:00:00Z","doing":"sweeping"}"#,
        )
        .unwrap();
        assert!(matches!(heartbeat.check(), Err(HealthError::Late(_))));
        std::fs::write(dir.path().join("heartbeat"), "").unwrap();
        assert!(matches!(heartbeat.check(), Err(HealthError::Garbled { .. })));
    }
}
