//! Listings of open directories.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex, PoisonError};

use fuser::INodeNo;

/// An open directory: its entries as they were when it was last read from its start.
pub(super) struct Listing {
    directory: OwnedFd,
    node: INodeNo,
    names: Mutex<Arc<[Box<OsStr>]>>,
}

impl Listing {
    pub(super) fn of(directory: OwnedFd, node: INodeNo) -> Self {
        Self { directory, node, names: Mutex::new(Arc::default()) }
    }

    pub(super) const fn directory(&self) -> &OwnedFd {
        &self.directory
    }

    /// What the kernel knows the directory by.
    pub(super) const fn node(&self) -> INodeNo {
        self.node
    }

    /// The names, read anew or as they were.
    pub(super) fn names(&self, anew: bool) -> io::Result<Arc<[Box<OsStr>]>> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if anew {
            let mut directory = rustix::fs::Dir::read_from(&self.directory)?;
            let mut read: Vec<Box<OsStr>> = Vec::new();
            while let Some(entry) = directory.read() {
                read.push(OsStr::from_bytes(entry?.file_name().to_bytes()).into());
            }
            *names = read.into();
        }
        Ok(Arc::clone(&names))
    }
}
