//! What the kernel knows by number, each held by an open file, so that renames on the way to it do not matter.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fuser::INodeNo;
use rustix::io::Errno;

/// The table of them.
pub(super) struct Nodes {
    root: Arc<OwnedFd>,
    known: Mutex<HashMap<u64, Node>>,
}

struct Node {
    file: Arc<OwnedFd>,
    /// How many times the kernel was told of it; it forgets as many.
    times: u64,
}

impl Nodes {
    pub(super) fn new(root: OwnedFd) -> Self {
        Self { root: Arc::new(root), known: Mutex::default() }
    }

    /// The open file that stands for a number. It is open for its path only.
    pub(super) fn get(&self, number: INodeNo) -> io::Result<Arc<OwnedFd>> {
        if number == INodeNo::ROOT {
            return Ok(Arc::clone(&self.root));
        }
        self.known().get(&number.0).map(|node| Arc::clone(&node.file)).ok_or_else(|| Errno::STALE.into())
    }

    /// The kernel is told of this once more.
    pub(super) fn tell(&self, number: INodeNo, file: OwnedFd) {
        self.known().entry(number.0).or_insert_with(|| Node { file: Arc::new(file), times: 0 }).times += 1;
    }

    /// The kernel has forgotten what it was told so many times.
    pub(super) fn forget(&self, number: INodeNo, times: u64) {
        let mut known = self.known();
        let Some(node) = known.get_mut(&number.0) else { return };
        node.times = node.times.saturating_sub(times);
        if node.times == 0 {
            known.remove(&number.0);
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<u64, Node>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
