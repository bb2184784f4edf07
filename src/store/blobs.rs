//! Names of all blobs: a listing for each shard, nothing opened or stat'ed below it.

use std::io;

use rayon::prelude::*;

use super::Store;
use super::io::Kind;
use super::layout;
use super::scan::{odd, unreadable};
use crate::model::{Algorithm, Code, Digest, Problem, Severity};
use crate::stop::{Interrupted, Stop};

impl Store {
    /// Every blob's digest, sorted, with what was not as expected.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for.
    pub fn list_blobs(&self, stop: &Stop) -> Result<(Vec<Digest>, Vec<Problem>), Interrupted> {
        let mut problems = Vec::new();
        let top = format!("{}/{}", layout::BLOBS, Algorithm::Sha256.as_str());
        let shards = self.io.open_dir(&self.root, &top).and_then(|dir| {
            let entries = self.io.list(&dir)?;
            Ok((dir, entries))
        });
        let (dir, shards) = match shards {
            Ok(listed) => listed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((Vec::new(), problems));
            }
            Err(error) => {
                problems.push(unreadable(top.as_ref(), None, &error));
                return Ok((Vec::new(), problems));
            }
        };
        let shard = |entry: &super::Entry| -> Result<(Vec<Digest>, Vec<Problem>), Interrupted> {
            stop.check()?;
            let mut digests = Vec::new();
            let mut problems = Vec::new();
            let path = dir.path().join(&entry.name);
            if entry.kind != Kind::Dir {
                problems.push(odd(
                    weight(entry.kind),
                    Code::OddKind,
                    None,
                    &path,
                    "not a directory of blobs",
                ));
                return Ok((digests, problems));
            }
            match self.io.open_dir(&dir, &entry.name).and_then(|shard| self.io.list(&shard)) {
                Ok(blobs) => {
                    digests.reserve(blobs.len());
                    for blob in blobs {
                        match Digest::from_parts(Algorithm::Sha256, &blob.name) {
                            Ok(digest) if blob.kind == Kind::Dir && blob.name.starts_with(&entry.name) => {
                                digests.push(digest);
                            }
                            _ => problems.push(odd(
                                weight(blob.kind),
                                Code::OddName,
                                None,
                                &path.join(&blob.name),
                                "not the directory of a blob of this shard",
                            )),
                        }
                    }
                }
                Err(error) => problems.push(unreadable(&path, None, &error)),
            }
            Ok((digests, problems))
        };
        let shards: Vec<_> =
            self.pool.install(|| shards.par_iter().map(shard).collect::<Result<_, Interrupted>>())?;
        let mut blobs = Vec::with_capacity(shards.iter().map(|(digests, _)| digests.len()).sum());
        for (digests, odd) in shards {
            blobs.extend(digests);
            problems.extend(odd);
        }
        blobs.sort_unstable();
        Ok((blobs, problems))
    }
}

/// A manifest may be behind a symbolic link, and what it needs is unknown then.
const fn weight(kind: Kind) -> Severity {
    match kind {
        Kind::Other => Severity::Doubt,
        Kind::Dir | Kind::File => Severity::Warning,
    }
}
