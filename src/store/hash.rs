//! Digests of files as they lie in the store, read bit by bit.

use std::io::{self, Read as _};

use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::io::Dir;
use super::{Store, layout};
use crate::model::{Algorithm, Digest};
use crate::stop::Interrupted;

/// How much is held at a time.
const PART_BYTES: usize = 1 << 20;

/// What the bytes of a blob are.
#[derive(Debug)]
pub enum Hash {
    /// Its own.
    Right,
    /// Another's.
    Wrong,
    /// It is gone.
    Gone,
    /// They could not be read.
    Unreadable(io::Error),
}

impl Store {
    /// Reads blobs, as many at the same time as there are jobs. `read` is told of each part that was read, and
    /// waits where that was too fast.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for.
    pub fn hash_blobs(
        &self,
        blobs: &[Digest],
        read: impl Fn(u64) -> Result<(), Interrupted> + Sync,
    ) -> Result<Vec<Hash>, Interrupted> {
        let hash = |digest: &Digest| {
            let path = format!("{}/{}/data", layout::BLOBS, layout::blob_dir(digest));
            let mut interrupted = Ok(());
            let hashed = self.hash_file(&self.root, &path, |length| {
                interrupted = read(length);
                interrupted.map_err(io::Error::other)
            });
            interrupted?;
            Ok(match hashed {
                Ok(found) if found == *digest => Hash::Right,
                Ok(_) => Hash::Wrong,
                Err(error) if error.kind() == io::ErrorKind::NotFound => Hash::Gone,
                Err(error) => Hash::Unreadable(error),
            })
        };
        self.each(blobs, hash)
    }

    /// The digest of a file. `read` is told of each part that was read, and may stop it.
    pub(super) fn hash_file(
        &self,
        dir: &Dir,
        path: &str,
        read: impl FnMut(u64) -> io::Result<()>,
    ) -> io::Result<Digest> {
        let mut hasher = Sha256::new();
        self.read_parts(dir, path, |part| hasher.update(part), read)?;
        Ok(Digest::Sha256(hasher.finalize().into()))
    }

    /// The digest of a file under sha256 and under another algorithm, as [`Store::hash_file`].
    pub(super) fn compute_digest(
        &self,
        dir: &Dir,
        path: &str,
        algorithm: Algorithm,
        read: impl FnMut(u64) -> io::Result<()>,
    ) -> io::Result<(Digest, Digest)> {
        let (mut own, mut sha384, mut sha512) = (Sha256::new(), Sha384::new(), Sha512::new());
        let update = |part: &[u8]| {
            own.update(part);
            match algorithm {
                Algorithm::Sha256 => {}
                Algorithm::Sha384 => sha384.update(part),
                Algorithm::Sha512 => sha512.update(part),
            }
        };
        self.read_parts(dir, path, update, read)?;
        let own = Digest::Sha256(own.finalize().into());
        let other = match algorithm {
            Algorithm::Sha256 => own.clone(),
            Algorithm::Sha384 => Digest::Sha384(Box::new(sha384.finalize().into())),
            Algorithm::Sha512 => Digest::Sha512(Box::new(sha512.finalize().into())),
        };
        Ok((own, other))
    }

    fn read_parts(
        &self,
        dir: &Dir,
        path: &str,
        mut take: impl FnMut(&[u8]),
        mut read: impl FnMut(u64) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut file = self.io.open_file(dir, path)?;
        let mut part = vec![0; PART_BYTES];
        loop {
            match file.read(&mut part) {
                Ok(0) => return Ok(()),
                Ok(length) => {
                    take(&part[..length]);
                    read(length as u64)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
