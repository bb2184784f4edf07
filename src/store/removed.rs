//! Whether somebody removed a directory by hand, or the storage merely does not show it.
//!
//! What recovery was about to do in a directory that somebody has removed is done with: there is nothing left to bring
//! back or to delete. But "not found" alone is no proof of that. Storage that is not mounted, or only half there, looks
//! the same. So the directory above has to be there, and its listing has to lack the name.

use std::io;

use rustix::io::Errno;

use super::io::Kind;
use super::{Store, layout};

/// What is there in place of a directory that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Above {
    /// A directory that holds other things, but not this one.
    HoldsOthers,
    /// A directory that holds nothing at all.
    IsEmpty,
}

impl Store {
    /// Whether a directory below the registry's tree was removed. An empty directory above it counts as removed as well,
    /// unless it is one that holds all repositories or all blobs.
    pub(super) fn is_removed(&self, path: &str) -> bool {
        self.missing_below(path).is_some()
    }

    /// The same, where a mistake could not be made good: nothing but a listing of other things proves it.
    pub(super) fn is_surely_removed(&self, path: &str) -> bool {
        self.missing_below(path) == Some(Above::HoldsOthers)
    }

    /// What is above a directory that is not there. None where it is there, or where nobody can tell.
    fn missing_below(&self, path: &str) -> Option<Above> {
        let (mut above, mut name) = path.rsplit_once('/')?;
        loop {
            match self.io.open_dir(&self.root, above) {
                Ok(dir) => {
                    let entries = self.io.list(&dir).ok()?;
                    if entries.iter().any(|entry| entry.name == name && entry.kind == Kind::Dir) {
                        return None;
                    }
                    if !entries.is_empty() {
                        return Some(Above::HoldsOthers);
                    }
                    let holds_all = above == layout::REPOSITORIES || above.starts_with(layout::BLOBS);
                    return (!holds_all).then_some(Above::IsEmpty);
                }
                Err(error) if is_absent(&error) => (above, name) = above.rsplit_once('/')?,
                Err(_) => return None,
            }
        }
    }
}

/// Whether nothing of the janitor's or the registry's can be at a path: it is not there, or it leads through something
/// that is no directory. Symbolic links are not followed.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        || Errno::from_io_error(error) == Some(Errno::LOOP)
}
