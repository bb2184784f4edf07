//! A little room kept in the store, so that a sweep can make more of it on a disk that is full.
//!
//! Taking things away needs a few directories in the trash, and on many file systems a directory
//! takes a block; so do the lists of what is hidden, and what a registry is asked to take. The reserve is a file that
//! is there for that: it is given up where there is no room for one of them, and made anew by the next sweep that finds
//! some.

use std::io;

use super::io::Dir;
use super::{Store, StoreLock, layout, mutate};

/// Enough for a few hundred directories.
const RESERVE_BYTES: usize = 1 << 20;

/// Whether there is no room: on the disk, or for this user.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl Store {
    /// Makes the reserve where it is missing, or where a power cut left half of it. There may be no room for it, which is no failure.
    pub(super) fn keep_reserve(&self, dir: &Dir) {
        let is_whole = |size_bytes| usize::try_from(size_bytes).is_ok_and(|size| size >= RESERVE_BYTES);
        if self.io.stat(dir, layout::RESERVE).is_ok_and(|reserve| is_whole(reserve.size_bytes)) {
            return;
        }
        if mutate::write_new(&self.io, dir, layout::RESERVE, &vec![0; RESERVE_BYTES]).is_err() {
            // Half a reserve is none, and takes the room that is looked for.
            mutate::give_up(&self.io, dir, layout::RESERVE).ok();
        }
    }

    /// Gives up the reserve, for whoever else needs room. Says whether there was one.
    pub fn give_up_reserve(&self, lock: &StoreLock) -> bool {
        let has_reserve = self.io.stat(&lock.dir, layout::RESERVE).is_ok();
        has_reserve && mutate::give_up(&self.io, &lock.dir, layout::RESERVE).is_ok()
    }

    /// Writes one of the janitor's own files, at the expense of the reserve where the disk is full.
    pub(super) fn write_with_room(
        &self,
        lock: &StoreLock,
        dir: &Dir,
        name: &str,
        content: &[u8],
    ) -> io::Result<()> {
        match mutate::write_whole(&self.io, dir, name, content) {
            Err(error) if is_full(&error) => {
                mutate::give_up(&self.io, &lock.dir, layout::RESERVE)?;
                mutate::write_whole(&self.io, dir, name, content)
            }
            written => written,
        }
    }

    /// Makes directories below the janitor's own, at the expense of the reserve where the disk is
    /// full.
    pub(super) fn make_room_and_dirs(&self, lock: &StoreLock, path: &str) -> io::Result<()> {
        self.make_room_and_dirs_in(lock, &lock.dir, path)
    }

    /// The same below any directory.
    pub(super) fn make_room_and_dirs_in(&self, lock: &StoreLock, dir: &Dir, path: &str) -> io::Result<()> {
        match mutate::make_dirs(&self.io, dir, path) {
            Err(error) if is_full(&error) => {
                mutate::give_up(&self.io, &lock.dir, layout::RESERVE)?;
                mutate::make_dirs(&self.io, dir, path)
            }
            made => made,
        }
    }
}
