//! Since when doubt has kept the store from being collected, written down so that a restart does not forget it.
//!
//! The file is in a directory that every sweep lists anyway, so a sweep of a store without doubt pays nothing to know that
//! there is none. Whoever deletes it only makes the time begin again.

use std::io;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Store, StoreLock, layout, mutate};

/// The record is smaller.
const MAX_BYTES: u64 = 1024;

#[derive(Serialize, Deserialize)]
struct Record {
    in_doubt_since: Timestamp,
}

impl Store {
    /// Since when sweeps have not collected because of doubt; none where that is not known.
    pub fn in_doubt_since(&self, lock: &StoreLock) -> Option<Timestamp> {
        let path = format!("{}/{}", layout::CONDEMNED, layout::DOUBT);
        let content = self.io.read(&lock.dir, &path, MAX_BYTES).ok()?;
        serde_json::from_slice::<Record>(&content.bytes).ok().map(|record| record.in_doubt_since)
    }

    /// Writes down since when doubt has kept the store from being collected.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remember_doubt(&self, lock: &StoreLock, since: Timestamp) -> io::Result<()> {
        let record = serde_json::to_vec(&Record { in_doubt_since: since })?;
        self.make_room_and_dirs(lock, layout::CONDEMNED)?;
        let dir = self.io.open_dir(&lock.dir, layout::CONDEMNED)?;
        self.write_with_room(lock, &dir, layout::DOUBT, &record)
    }

    /// Forgets it: a sweep was not in doubt.
    ///
    /// # Errors
    /// When it cannot be deleted.
    pub fn forget_doubt(&self, lock: &StoreLock) -> io::Result<()> {
        mutate::give_up(&self.io, &lock.dir, &format!("{}/{}", layout::CONDEMNED, layout::DOUBT))
    }
}
