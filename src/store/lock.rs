//! One janitor at a time: an advisory lock on a file in the store.
//!
//! The kernel releases the lock when its holder dies, however it dies, so there is nothing to break
//! by hand. Who holds it stands in a second file, because some network file systems do not let a
//! locked file be read. The lock guards against other janitors, not against pushes: those are met
//! by rechecking what was decided on.

use std::fs::File;
use std::io;

use jiff::Timestamp;
use rustix::fs::{FlockOperation, Timespec, Timestamps, UTIME_NOW, flock, futimens};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::io::Dir;
use super::reserve::{FREE_BY_HAND, is_full};
use super::{Store, layout, mutate};
use crate::model::{Escaped, excerpt};

/// Who holds the lock.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Holder {
    /// The process id, on its host.
    pub pid: u32,
    /// The host's name; in a container, the container's.
    pub host: String,
    /// Since when, by that host's clock.
    pub since: Timestamp,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} on {} since {:.0}", self.pid, Escaped(excerpt(&self.host)), self.since)
    }
}

/// Why the lock could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another janitor works on this store.
    #[error("another janitor works on this store: {}", .0.as_ref().map_or_else(|| "it has not said who it is".to_owned(), ToString::to_string))]
    Held(Option<Holder>),
    /// There is no room for the lock, and the janitor has no reserve to give up.
    #[error(
        "cannot lock the store at {path}: {source}: the disk is full, and the janitor has no reserve on it yet\nhint: {FREE_BY_HAND}"
    )]
    Full {
        /// Where the lock file is, below the registry's root directory.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The lock could not be tried.
    #[error("cannot lock the store at {path}: {source}")]
    Io {
        /// Where the lock file is, below the registry's root directory.
        path: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Proof that this process is the store's one janitor. Whoever changes the store asks for it.
#[derive(Debug)]
pub struct StoreLock {
    pub(super) dir: Dir,
    file: File,
}

impl StoreLock {
    /// Has the storage stamp the lock's file with its time.
    pub(super) fn touch(&self) -> io::Result<()> {
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        Ok(futimens(&self.file, &Timestamps { last_access: now, last_modification: now })?)
    }

    /// The lock's own open file, for a child process to hold: the lock then lives as long as the
    /// child does, even when this process is killed and the child is not.
    ///
    /// # Errors
    /// When the file cannot be opened a second time.
    pub fn share(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}

/// Whether this is how a file system says that another process has the lock. CIFS answers that permission is denied;
/// the file is open for writing by then, so nothing else can be meant.
fn is_held(error: Errno) -> bool {
    matches!(error, Errno::WOULDBLOCK | Errno::ACCESS)
}

impl Store {
    /// Takes the lock, or says who has it. Does not wait.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn lock(&self, now: Timestamp) -> Result<StoreLock, LockError> {
        let failed = |source| {
            let path = format!("{}/{}", layout::JANITOR, layout::LOCK);
            if is_full(&source) { LockError::Full { path, source } } else { LockError::Io { path, source } }
        };
        mutate::make_dirs(&self.io, &self.data, layout::JANITOR).map_err(failed)?;
        let dir = self.io.open_dir(&self.data, layout::JANITOR).map_err(failed)?;
        let file = mutate::open_lock_file(&self.io, &dir, layout::LOCK).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(error) if is_held(error) => {
                let holder = self.io.read(&dir, layout::HOLDER, 4096).ok();
                return Err(LockError::Held(holder.and_then(|it| serde_json::from_slice(&it.bytes).ok())));
            }
            Err(error) => return Err(failed(error.into())),
        }
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let holder = Holder { pid: std::process::id(), host, since: now };
        let text = serde_json::to_vec(&holder).map_err(|error| failed(error.into()))?;
        // Only for people to read; a full disk must not keep anyone from making room on it.
        if let Err(error) = mutate::write_whole(&self.io, &dir, layout::HOLDER, &text) {
            tracing::warn!("cannot write who holds the lock, {}: {error}", layout::HOLDER);
        }
        self.keep_reserve(&dir);
        Ok(StoreLock { dir, file })
    }
}
