//! What can be seen of the operations on the store: their kinds, how many of each, and a watch at every one.

use std::io;
use std::path::Path;

use serde::Serialize;

/// The kinds of operation, each about one round trip on network storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Opening a directory or a file; the attributes come with the handle.
    Open,
    /// Reading a file.
    Read,
    /// Listing an open directory.
    List,
    /// Asking for attributes by path.
    Stat,
    /// Making a directory.
    MakeDir,
    /// Renaming.
    Rename,
    /// Unlinking a file or an empty directory.
    Remove,
    /// Writing a file.
    Write,
}

/// How many operations of each kind were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the kinds are told at Op")]
pub struct IoCounts {
    pub opens: u64,
    pub reads: u64,
    pub lists: u64,
    pub stats: u64,
    pub make_dirs: u64,
    pub renames: u64,
    pub removes: u64,
    pub writes: u64,
}

impl IoCounts {
    /// All operations together.
    pub const fn total(&self) -> u64 {
        self.opens
            + self.reads
            + self.lists
            + self.stats
            + self.make_dirs
            + self.renames
            + self.removes
            + self.writes
    }
}

/// Sees every operation. Paths are relative to the registry's root directory.
pub trait Watch: Send + Sync {
    /// Before an operation; an error is handed to the caller in place of doing it.
    ///
    /// # Errors
    /// Whatever the operation is to fail with.
    fn before(&self, op: Op, path: &Path) -> io::Result<()> {
        let _ = (op, path);
        Ok(())
    }

    /// After an operation that succeeded.
    fn after(&self, op: Op, path: &Path) {
        let _ = (op, path);
    }
}
