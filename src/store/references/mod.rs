//! What manifests reference, written down so that a later sweep reads none of them again.
//!
//! What bytes with a digest reference never changes, so the file is never out of date, and no doubt can come of it: an
//! entry was made from bytes that had that digest, and a checksum over all of the file says that it is as it was written.
//! Whether those bytes are still in the store is another question. The listing of blobs answers it: what is not listed
//! is asked for by its path, as if nothing were known. Whether they are whole is a third one: every blob of a kept image
//! is looked at when it is verified, and one that is not as long as it was is told as broken. What was referenced by it
//! stays referenced, and so stays. Bytes of the same length that rotted are seen by whoever reads them: a pull, and
//! `janitor check`, which does not use this file.
//!
//! Missing, damaged or written by a version that reads manifests differently, it is as if there were none: manifests are read, and a sweep writes it anew.
//! An audit reads it and writes nothing. A crash leaves the old file or the new one.

mod file;
#[cfg(test)]
mod tests;

use std::io;

use jiff::Timestamp;

use super::{Store, StoreLock, layout, mutate};
use crate::model::{Code, Digests, Inventory, Manifests, Problem, Selection, Severity};

pub use file::{ReferencesError, read_references, write_references};

/// A million blobs take 40 MB; more than this is none of ours.
const MAX_BYTES: u64 = 1 << 30;
/// The file is written anew once so many of its entries, one in this many, are of no use any more.
const USELESS: usize = 8;

/// What was written down.
#[derive(Default)]
pub(super) struct Recalled {
    pub(super) digests: Digests,
    pub(super) manifests: Manifests,
    /// How many entries the file has.
    pub(super) held: usize,
    /// When the sweep that wrote it began to look. `None` when it did not see everything.
    pub(super) looked_at: Option<Timestamp>,
    /// Why there is nothing, if there should be something.
    pub(super) problem: Option<Problem>,
}

impl Store {
    /// Reads what earlier sweeps wrote down: one open and one read.
    pub(super) fn recall_references(&self) -> Recalled {
        match self.read_references() {
            Ok((digests, manifests, looked_at)) => {
                Recalled { held: manifests.len(), digests, manifests, looked_at, problem: None }
            }
            Err(ReferencesError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Recalled::default(),
            Err(error) => Recalled { problem: Some(problem(&error)), ..Recalled::default() },
        }
    }

    fn read_references(&self) -> Result<(Digests, Manifests, Option<Timestamp>), ReferencesError> {
        let path = format!("{}/{}", layout::JANITOR, layout::REFERENCES);
        let file = self.io.open_file(&self.data, &path)?;
        let metadata = file.metadata()?;
        let size_bytes = metadata.len();
        if size_bytes > MAX_BYTES {
            return Err(ReferencesError::Damaged("too large"));
        }
        let mut read = None;
        self.io.run(super::Op::Read, self.data.path(), &path, || {
            read = Some(read_references(file, size_bytes));
            Ok(())
        })?;
        let (digests, manifests) = read.unwrap_or(Err(ReferencesError::Damaged("not read")))?;
        let looked_at = metadata.modified().ok().and_then(|at| Timestamp::try_from(at).ok());
        Ok((digests, manifests, looked_at.filter(|at| *at > Timestamp::UNIX_EPOCH)))
    }

    /// Writes down what the manifests reference that are named in the store, unless that is written already, or as
    /// good as.
    ///
    /// The file is dated when the sweep `began` to look: a tag pushed before that with a manifest that is not in it has
    /// a push time that cannot be true. A look that did not see everything (then `began` is `None`, or the inventory is
    /// not complete) says nothing of the kind, so its file is dated 1970.
    ///
    /// # Errors
    /// When it cannot be written; then what was written before is still there.
    pub fn remember_references(
        &self,
        lock: &StoreLock,
        inventory: &Inventory,
        began: Option<Timestamp>,
    ) -> io::Result<()> {
        let named = inventory.named_manifests();
        let remembered = inventory.remembered;
        let read = inventory.manifests.len().saturating_sub(remembered.used);
        let useless = remembered.held.saturating_sub(named.len());
        let looked_at = began.filter(|_| inventory.is_complete());
        // One from an incomplete look says nothing about push times.
        let is_dated = inventory.news.last_look.is_some() || looked_at.is_none() || remembered.held == 0;
        if read == 0 && useless <= remembered.held / USELESS && !remembered.is_damaged && is_dated {
            return Ok(());
        }
        let numbers = Selection::of(&inventory.digests, inventory.manifests.names_of(&named));
        mutate::write_large(&self.io, &lock.dir, layout::REFERENCES, |file| {
            write_references(&mut *file, &inventory.digests, &inventory.manifests, &named, &numbers)?;
            // Where a file cannot be dated, it has the later time at which it was written. Then a push during the sweep
            // may count as pushed when it was first seen, which loses nothing.
            mutate::date(file, looked_at.unwrap_or(Timestamp::UNIX_EPOCH)).ok();
            Ok(())
        })
    }
}

fn problem(error: &ReferencesError) -> Problem {
    let severity = match error {
        ReferencesError::Io(_) => Severity::Error,
        ReferencesError::Version | ReferencesError::Damaged(_) => Severity::Note,
    };
    Problem {
        severity,
        code: Code::NoReferences,
        repository: None,
        path: format!("{}/{}", layout::JANITOR, layout::REFERENCES),
        cause: format!("what manifests reference is not remembered: {error}"),
        remedy: "nothing; every manifest is read, and the next sweep writes it anew".into(),
    }
}
