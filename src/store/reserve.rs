//! A little room kept in the store, so that a sweep can make more of it on a disk that is full.
//!
//! Taking things away needs a few directories in the trash, and on many file systems a directory takes a block; so do the
//! lists of what is hidden, and what a registry is asked to take. Each of them takes an inode as well, and a disk may run
//! out of these first. The reserve is a file that holds blocks, and a directory of empty files that hold inodes. All of it
//! is given up where there is no room for something, and made again by the next sweep that finds some.

use std::io;
use std::sync::atomic::Ordering;

use super::io::Dir;
use super::{Store, StoreLock, layout, mutate};

/// How many inodes are held. A repository that loses something takes about five, and a sweep about ten.
const SPARE_FILES: usize = 64;

/// Enough for a few hundred directories. The file is written after the spare files, and says that they are there: a
/// reserve of an earlier version is smaller, and is made again.
const RESERVE_BYTES: usize = (1 << 20) + 4096;

/// What a person has to free where the janitor has no reserve: enough for its own directory, the lock, and the trash of a
/// few repositories.
pub const FREE_BY_HAND: &str = "free at least 32 files (inodes) and 256 KiB on it by hand, for example by deleting a few of the tags that janitor --dry-run lists, each by removing its directory repositories/NAME/_manifests/tags/TAG; then run the janitor again";

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
        if mutate::make_spare_files(&self.io, dir, layout::SPARE, SPARE_FILES).is_err() {
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
        let has_given_up = has_reserve && mutate::give_up(&self.io, &lock.dir, layout::RESERVE).is_ok();
        let spare = self.io.open_dir(&lock.dir, layout::SPARE).and_then(|dir| {
            let entries = self.io.list(&dir)?;
            Ok((dir, entries))
        });
        let Ok((dir, entries)) = spare else { return has_given_up };
        let given_up = entries.iter().filter(|file| mutate::give_up(&self.io, &dir, &file.name).is_ok());
        given_up.count() > 0 || has_given_up
    }

    /// Whether something had no room even at the expense of the reserve.
    pub fn has_lacked_room(&self) -> bool {
        self.lacked_room.load(Ordering::Relaxed)
    }

    /// Does something that takes room, at the expense of the reserve where the disk is full.
    fn with_room<T>(&self, lock: &StoreLock, act: impl Fn() -> io::Result<T>) -> io::Result<T> {
        let mut done = act();
        if done.as_ref().is_err_and(is_full) && self.give_up_reserve(lock) {
            done = act();
        }
        if done.as_ref().is_err_and(is_full) {
            self.lacked_room.store(true, Ordering::Relaxed);
        }
        done
    }

    /// Writes one of the janitor's own files, at the expense of the reserve where the disk is full.
    pub(super) fn write_with_room(
        &self,
        lock: &StoreLock,
        dir: &Dir,
        name: &str,
        content: &[u8],
    ) -> io::Result<()> {
        self.with_room(lock, || mutate::write_whole(&self.io, dir, name, content))
    }

    /// Makes directories below the janitor's own, at the expense of the reserve where the disk is
    /// full.
    pub(super) fn make_room_and_dirs(&self, lock: &StoreLock, path: &str) -> io::Result<()> {
        self.make_room_and_dirs_in(lock, &lock.dir, path)
    }

    /// The same below any directory.
    pub(super) fn make_room_and_dirs_in(&self, lock: &StoreLock, dir: &Dir, path: &str) -> io::Result<()> {
        self.with_room(lock, || mutate::make_dirs(&self.io, dir, path))
    }
}
