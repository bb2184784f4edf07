//! Sizes of blobs, as the file system has them: one stat each, and one more for those without data.

use std::io;

use super::scan::unreadable;
use super::{Store, layout};
use crate::model::{Digests, Id, Measure, Problem};
use crate::stop::{Interrupted, Stop};

/// Sizes of blobs.
#[derive(Debug, Default)]
pub struct BlobSizes {
    /// Of those that have data, in bytes.
    pub known: Vec<(Id, u64)>,
    /// Those whose directory has no data, or is gone.
    pub without_data: Vec<Id>,
    /// What could not be looked at.
    pub problems: Vec<Problem>,
}

impl Store {
    /// Bytes of blobs.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for.
    pub fn blob_sizes(
        &self,
        digests: &Digests,
        blobs: &[Id],
        measure: Measure,
        stop: &Stop,
    ) -> Result<BlobSizes, Interrupted> {
        self.sizes(layout::DATA, digests, blobs, measure, stop)
    }

    /// Bytes of blobs that are hidden until a sweep deletes them, or brings them back.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for.
    pub fn hidden_sizes(
        &self,
        digests: &Digests,
        blobs: &[Id],
        measure: Measure,
        stop: &Stop,
    ) -> Result<BlobSizes, Interrupted> {
        self.sizes(&layout::hidden(layout::DATA), digests, blobs, measure, stop)
    }

    fn sizes(
        &self,
        file: &str,
        digests: &Digests,
        blobs: &[Id],
        measure: Measure,
        stop: &Stop,
    ) -> Result<BlobSizes, Interrupted> {
        let size = |blob: &Id| {
            stop.check()?;
            let path = format!("{}/{}/{file}", layout::BLOBS, layout::blob_dir(&digests.get(*blob)));
            Ok(match self.io.stat(&self.root, &path) {
                Ok(found) => Ok(Some(measure.of(found.size_bytes, found.allocated_bytes))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(unreadable(path.as_ref(), None, &error)),
            })
        };
        let mut sizes = BlobSizes::default();
        for (blob, size) in blobs.iter().zip(self.each(blobs, size)?) {
            match size {
                Ok(Some(size)) => sizes.known.push((*blob, size)),
                Ok(None) => sizes.without_data.push(*blob),
                Err(problem) => sizes.problems.push(problem),
            }
        }
        Ok(sizes)
    }
}
