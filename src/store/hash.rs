//! Digests of files as they lie in the store, read bit by bit.

use std::io::{self, Read as _};

use sha2::{Digest as _, Sha256};

use super::Store;
use super::io::Dir;
use crate::model::Digest;

/// How much is held at a time.
const PART_BYTES: usize = 1 << 20;

impl Store {
    /// The digest of a file. `read` is told of each part that was read, and may stop it.
    pub(super) fn hash_file(
        &self,
        dir: &Dir,
        path: &str,
        mut read: impl FnMut(u64) -> io::Result<()>,
    ) -> io::Result<Digest> {
        let mut file = self.io.open_file(dir, path)?;
        let mut hasher = Sha256::new();
        let mut part = vec![0; PART_BYTES];
        loop {
            match file.read(&mut part) {
                Ok(0) => return Ok(Digest::Sha256(hasher.finalize().into())),
                Ok(length) => {
                    hasher.update(&part[..length]);
                    read(length as u64)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
