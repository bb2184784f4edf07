//! The storage's own clock: ages are measured against the time that the storage stamps on files.

#![expect(clippy::disallowed_methods, reason = "one of the places that read the clock")]

use std::io;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

use super::reserve::is_full;
use super::{Store, StoreLock, layout, mutate};

/// Reads the storage's time once and counts on from there on the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct StorageClock {
    stamp: Timestamp,
    taken: Instant,
    skew: SignedDuration,
}

impl StorageClock {
    /// This host's clock, for an audit, which may not write a probe.
    pub fn of_host() -> Self {
        Self { stamp: Timestamp::now(), taken: Instant::now(), skew: SignedDuration::ZERO }
    }

    /// The storage's time now.
    pub fn now(&self) -> Timestamp {
        self.stamp.saturating_add(self.taken.elapsed()).unwrap_or(Timestamp::MAX)
    }

    /// How far this host's clock is ahead of the storage's.
    pub const fn skew(&self) -> SignedDuration {
        self.skew
    }
}

impl Store {
    /// Reads the storage's clock: writes a probe file and asks for its mtime.
    ///
    /// # Errors
    /// When the probe cannot be written or looked at.
    pub fn clock(&self, lock: &StoreLock) -> io::Result<StorageClock> {
        let before = Timestamp::now();
        // Without content, since a full disk must not keep a sweep from making room on it.
        let probe = match mutate::write_new(&self.io, &lock.dir, layout::PROBE, b"") {
            Err(error) if is_full(&error) => {
                lock.touch()?;
                layout::LOCK
            }
            written => written.map(|()| layout::PROBE)?,
        };
        // A CIFS client stamps a file that it has just written with its own time until it asks.
        let stamp = self.io.stat_now(&lock.dir, probe)?.modified;
        // The write may have been slow; a stamp between the two readings is no skew.
        let after = Timestamp::now();
        let skew = if stamp < before {
            before.duration_since(stamp)
        } else if stamp > after {
            after.duration_since(stamp)
        } else {
            SignedDuration::ZERO
        };
        Ok(StorageClock { stamp, taken: Instant::now(), skew })
    }
}
