//! A limit of bytes in a second, shared by all who read.

#![expect(clippy::disallowed_methods, reason = "waiting is on the monotonic clock")]

use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::stop::{Interrupted, Stop};

/// A limit, or none.
#[derive(Debug)]
pub(super) struct Rate {
    bytes_per_second: Option<NonZeroU64>,
    /// When what was read so far may have been read.
    due: Mutex<Option<Instant>>,
}

impl Rate {
    pub(super) const fn new(bytes_per_second: Option<NonZeroU64>) -> Self {
        Self { bytes_per_second, due: Mutex::new(None) }
    }

    /// Waits as long as reading so much may take.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for.
    pub(super) fn wait(&self, bytes: u64, stop: &Stop) -> Result<(), Interrupted> {
        let Some(limit) = self.bytes_per_second else { return stop.check() };
        let now = Instant::now();
        let due = {
            let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
            let next = due.unwrap_or(now).max(now) + takes(bytes, limit);
            *due = Some(next);
            next
        };
        stop.wait(due.saturating_duration_since(now))
    }
}

fn takes(bytes: u64, limit: NonZeroU64) -> Duration {
    let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(limit.get());
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_takes_as_long_as_its_bytes_allow() {
        let limit = |bytes| NonZeroU64::new(bytes).unwrap();
        assert_eq!(takes(1 << 20, limit(1 << 20)), Duration::from_secs(1));
        assert_eq!(takes(1 << 20, limit(50 << 20)), Duration::from_millis(20));
        assert_eq!(takes(0, limit(1)), Duration::ZERO);
        assert_eq!(takes(u64::MAX, limit(u64::MAX)), Duration::from_secs(1));
    }

    #[test]
    fn a_wait_ends_when_a_stop_is_asked_for() {
        let (rate, stop) = (Rate::new(NonZeroU64::new(1)), Stop::default());
        stop.request(15);
        assert_eq!(rate.wait(1 << 40, &stop), Err(Interrupted { signal: 15 }));
        assert_eq!(Rate::new(None).wait(1, &stop), Err(Interrupted { signal: 15 }));
    }
}
