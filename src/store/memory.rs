//! What the last sweep left, remembered for the next one to compare with.

use std::io;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Store, StoreLock, layout, mutate};
use crate::model::{Counts, Digest, Known};

/// A memory of a million tags in 100,000 repositories is a tenth of this.
const MAX_BYTES: u64 = 256 << 20;

/// What a sweep left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// The sweep's name.
    pub sweep: String,
    /// When this was remembered, by the storage's clock.
    pub at: Timestamp,
    /// What was there.
    pub left: Counts,
    /// Blobs among them that nothing kept needed any more: what went, or was removed, has been told of.
    #[serde(default)]
    pub held_blobs: usize,
    /// Settings, repositories and tags; `None` when an earlier version of the janitor wrote this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<Known>,
}

/// As it stands in the file: with a digest, since half a number is a number as well.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    last_sweep: Memory,
    digest: String,
}

impl Memory {
    fn seal(&self) -> serde_json::Result<String> {
        Ok(Digest::of(&serde_json::to_vec(self)?).to_string())
    }
}

impl Store {
    /// What the last sweep left; `None` when there was none.
    ///
    /// # Errors
    /// When there is a memory that cannot be read or understood.
    pub fn remembered(&self) -> io::Result<Option<Memory>> {
        let content = match self.io.open_dir(&self.data, layout::JANITOR) {
            Ok(dir) => self.io.read(&dir, layout::MEMORY, MAX_BYTES),
            Err(error) => Err(error),
        };
        let content = match content {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let sealed: Sealed = serde_json::from_slice(&content.bytes)?;
        if sealed.last_sweep.seal()? != sealed.digest {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its digest is not that of its content"));
        }
        Ok(Some(sealed.last_sweep))
    }

    /// Remembers what is left, for the next sweep. Where that cannot be written, the old memory goes too:
    /// none is better than one that knows nothing of what this sweep removed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remember(&self, lock: &StoreLock, memory: &Memory) -> io::Result<()> {
        let sealed = Sealed { last_sweep: memory.clone(), digest: memory.seal()? };
        let written = serde_json::to_vec(&sealed)
            .map_err(io::Error::from)
            .and_then(|text| mutate::write_whole(&self.io, &lock.dir, layout::MEMORY, &text));
        if written.is_err() {
            mutate::give_up(&self.io, &lock.dir, layout::MEMORY).ok();
        }
        written
    }

    /// Forgets what the last sweep left, so that the next one looks for hidden files everywhere.
    ///
    /// # Errors
    /// When it cannot be deleted; then it is still there.
    pub fn forget(&self, lock: &StoreLock) -> io::Result<()> {
        mutate::give_up(&self.io, &lock.dir, layout::MEMORY)
    }
}
