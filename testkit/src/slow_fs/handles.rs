//! Files and directories that callers have open.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use fuser::FileHandle;
use rustix::io::Errno;

/// Open things of one kind, by the number that the kernel calls them by.
pub(super) struct Handles<T> {
    open: Mutex<(u64, HashMap<u64, Arc<T>>)>,
}

impl<T> Handles<T> {
    pub(super) fn new() -> Self {
        Self { open: Mutex::new((0, HashMap::new())) }
    }

    pub(super) fn add(&self, opened: T) -> FileHandle {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.0 += 1;
        let number = open.0;
        open.1.insert(number, Arc::new(opened));
        FileHandle(number)
    }

    pub(super) fn get(&self, handle: FileHandle) -> io::Result<Arc<T>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.1.get(&handle.0).map(Arc::clone).ok_or_else(|| Errno::BADF.into())
    }

    /// One that is as wanted. All of them are looked at.
    pub(super) fn find(&self, is_wanted: impl Fn(&T) -> bool) -> Option<Arc<T>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.1.values().find(|opened| is_wanted(opened)).map(Arc::clone)
    }

    pub(super) fn close(&self, handle: FileHandle) {
        let closed = self.open.lock().unwrap_or_else(PoisonError::into_inner).1.remove(&handle.0);
        // Outside of the lock, since closing may take its time.
        drop(closed);
    }
}
