//! A request to stop, looked at between actions and never in the middle of one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

/// A long wait is no standstill: it ticks this often.
const TICK: Duration = Duration::from_secs(1);

/// Asked to stop while something was under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("interrupted by signal {signal}")]
pub struct Interrupted {
    /// The signal's number; 2 for SIGINT, 15 for SIGTERM.
    pub signal: i32,
}

/// How long a stage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Not known beforehand.
    Unknown,
    /// So many steps.
    Steps(u64),
    /// So many seconds of waiting.
    Seconds(u64),
}

/// A stage that is under way, and how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Which one of all that were begun.
    pub number: u64,
    /// What is being done, in words.
    pub name: &'static str,
    /// Steps or seconds so far, never more than there are.
    pub done: u64,
    /// How many there are.
    pub length: Length,
}

#[derive(Clone, Copy, Debug)]
struct Begun {
    number: u64,
    name: &'static str,
    length: Length,
    ticks_before: u64,
}

/// Shared between whoever asks (signals), whoever works, and whoever watches.
#[derive(Debug, Default)]
pub struct Stop {
    signal: Mutex<Option<i32>>,
    changed: Condvar,
    ticks: AtomicU64,
    stage: Mutex<Option<Begun>>,
    stages: AtomicU64,
    child: Mutex<Option<Pid>>,
}

impl Stop {
    /// Asks for a stop; the first signal is the one that is remembered.
    pub fn request(&self, signal: i32) {
        self.lock().get_or_insert(signal);
        self.changed.notify_all();
    }

    /// Whether a stop was asked for.
    ///
    /// # Errors
    /// [`Interrupted`] when it was.
    pub fn check(&self) -> Result<(), Interrupted> {
        self.ticks.fetch_add(1, Ordering::Relaxed);
        self.lock().map_or(Ok(()), |signal| Err(Interrupted { signal }))
    }

    /// Waits, on the monotonic clock, but no longer than until a stop is asked for.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop is or was asked for.
    pub fn wait(&self, duration: Duration) -> Result<(), Interrupted> {
        let mut left = duration;
        loop {
            self.check()?;
            let slice = left.min(TICK);
            let waited = self.changed.wait_timeout_while(self.lock(), slice, |signal| signal.is_none());
            drop(waited.unwrap_or_else(PoisonError::into_inner));
            left = left.saturating_sub(slice);
            if left.is_zero() {
                return self.check();
            }
        }
    }

    /// Grows whenever whoever works asks whether to stop, and while it waits: where it stands
    /// still, so does the work.
    pub fn ticks(&self) -> u64 {
        self.ticks.load(Ordering::Relaxed)
    }

    /// A stage begins, in which each step, or each second of a wait, looks once whether to stop.
    pub fn begin(&self, name: &'static str, length: Length) {
        let number = self.stages.fetch_add(1, Ordering::Relaxed) + 1;
        let begun = Begun { number, name, length, ticks_before: self.ticks() };
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = Some(begun);
    }

    /// Nothing is under way that is worth watching.
    pub fn rest(&self) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The stage that is under way.
    pub fn stage(&self) -> Option<Stage> {
        let Begun { number, name, length, ticks_before } =
            (*self.stage.lock().unwrap_or_else(PoisonError::into_inner))?;
        let ticks = self.ticks().saturating_sub(ticks_before);
        let done = match length {
            Length::Unknown => ticks,
            Length::Steps(all) | Length::Seconds(all) => ticks.min(all),
        };
        Some(Stage { number, name, done, length })
    }

    /// Remembers the process group of a child, for as long as the child runs.
    pub fn child_runs(&self, group: Option<Pid>) {
        *self.child.lock().unwrap_or_else(PoisonError::into_inner) = group;
    }

    /// Ends the child at once, for somebody who will not wait for it.
    pub fn kill_child(&self) {
        if let Some(group) = *self.child.lock().unwrap_or_else(PoisonError::into_inner) {
            // It may have ended in this very moment.
            kill_process_group(group, Signal::KILL).ok();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<i32>> {
        self.signal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_as_far_as_its_steps_and_no_further_than_its_end() {
        let stop = Stop::default();
        assert_eq!(stop.stage(), None);
        stop.begin("reading", Length::Steps(2));
        let done = || stop.stage().map(|stage| (stage.number, stage.name, stage.done));
        assert_eq!(done(), Some((1, "reading", 0)));
        for expected in [1, 2, 2] {
            stop.check().unwrap();
            assert_eq!(done(), Some((1, "reading", expected)));
        }
        stop.begin("looking", Length::Unknown);
        stop.check().unwrap();
        assert_eq!(done(), Some((2, "looking", 1)));
        stop.rest();
        assert_eq!(stop.stage(), None);
    }

    #[test]
    fn a_wait_ends_when_a_stop_is_asked_for() {
        let stop = Stop::default();
        assert_eq!(stop.wait(Duration::ZERO), Ok(()));
        let before = stop.ticks();
        assert_eq!(stop.check(), Ok(()));
        assert!(stop.ticks() > before, "a look is a step");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| stop.wait(Duration::from_secs(3600)));
            stop.request(15);
            stop.request(2);
            assert_eq!(waiting.join().unwrap(), Err(Interrupted { signal: 15 }));
        });
        assert_eq!(stop.check(), Err(Interrupted { signal: 15 }));
    }
}
