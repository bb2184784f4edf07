//! What the kernel knows by number: where each lies, by its name in a directory that is known as well.
//!
//! Nothing is held open for it, so there may be millions, and a path is put together for each request. A rename by way
//! of this file system is followed; after one behind its back a number leads nowhere until its name is looked up
//! again, as with servers that go by paths.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fuser::INodeNo;
use rustix::io::Errno;

/// The table of them.
#[derive(Default)]
pub(super) struct Nodes {
    known: Mutex<HashMap<u64, Known>>,
}

struct Known {
    node: Arc<Node>,
    /// How many times the kernel was told of it; it forgets as many.
    times: u64,
}

/// Keeps the directories on the way to it, which the kernel may forget earlier where a file is still open.
struct Node {
    place: Mutex<Place>,
}

#[derive(Clone)]
struct Place {
    /// None is the root.
    directory: Option<Arc<Node>>,
    name: Box<OsStr>,
}

impl Nodes {
    /// Where it lies, from the root.
    pub(super) fn path(&self, number: INodeNo) -> io::Result<PathBuf> {
        let mut names = Vec::new();
        let mut next = self.node(number)?;
        while let Some(node) = next {
            let place = node.place.lock().unwrap_or_else(PoisonError::into_inner).clone();
            names.push(place.name);
            next = place.directory;
        }
        if names.is_empty() {
            return Ok(".".into());
        }
        Ok(names.iter().rev().map(OsStr::new).collect())
    }

    /// The kernel is told of this once more, by this name.
    pub(super) fn tell(&self, number: INodeNo, directory: INodeNo, name: &OsStr) -> io::Result<()> {
        let place = Place { directory: self.node(directory)?, name: name.into() };
        let mut known = self.known();
        if let Some(known) = known.get_mut(&number.0) {
            known.times += 1;
            known.node.lie_at(place);
        } else {
            let node = Arc::new(Node { place: Mutex::new(place) });
            known.insert(number.0, Known { node, times: 1 });
        }
        Ok(())
    }

    /// What has this number lies elsewhere from now on.
    pub(super) fn moved(&self, number: INodeNo, directory: INodeNo, name: &OsStr) -> io::Result<()> {
        let place = Place { directory: self.node(directory)?, name: name.into() };
        if let Some(known) = self.known().get(&number.0) {
            known.node.lie_at(place);
        }
        Ok(())
    }

    /// The kernel has forgotten what it was told so many times.
    pub(super) fn forget(&self, number: INodeNo, times: u64) {
        let mut all = self.known();
        let Some(known) = all.get_mut(&number.0) else { return };
        known.times = known.times.saturating_sub(times);
        if known.times == 0 {
            all.remove(&number.0);
        }
    }

    /// None for the root.
    fn node(&self, number: INodeNo) -> io::Result<Option<Arc<Node>>> {
        if number == INodeNo::ROOT {
            return Ok(None);
        }
        let known = self.known();
        let node = known.get(&number.0).map(|known| Arc::clone(&known.node));
        Ok(Some(node.ok_or(Errno::STALE)?))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<u64, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Node {
    fn lie_at(&self, place: Place) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }
}
