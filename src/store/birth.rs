//! Directories that had no store in them when they were looked at.

use std::path::Path;

use super::{OpenError, Store};
use crate::store::io::Io;

/// The directory that had no store in it when the janitor last looked.
///
/// A store that is there later is new, and nothing in it older than the janitor. That holds only for the very
/// same directory: a storage that is mounted over it is another one.
#[derive(Clone, Copy, Debug, Default)]
pub struct SeenEmpty(Option<((u32, u32), u64)>);

impl SeenEmpty {
    /// Remembers a directory if the reason why it could not be opened is that it has no store in it.
    pub fn look(&mut self, data_dir: &Path, error: &OpenError) {
        if matches!(error, OpenError::NoStore { .. }) {
            let io = Io::watched(None);
            let attributes = io.open_root(data_dir).and_then(|dir| io.stat_open(&dir));
            self.0 = attributes.ok().map(|it| (it.device, it.inode));
        }
    }

    /// Whether a store is in that directory.
    pub fn has_become(&self, store: &Store) -> bool {
        let of = |(device, inode)| {
            store.io.stat_open(&store.data).is_ok_and(|it| (it.device, it.inode) == (device, inode))
        };
        self.0.is_some_and(of)
    }

    /// Forgets the directory: its store has a memory of its own now.
    pub fn forget(&mut self) {
        self.0 = None;
    }
}
