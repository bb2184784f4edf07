//! Names of all blobs: a listing for each shard, nothing opened or stat'ed below it.

use std::io;
use std::sync::{Mutex, PoisonError};

use super::Store;
use super::io::{Dir, Kind};
use super::layout;
use super::scan::{odd, unreadable};
use crate::model::{Algorithm, Code, Digest, Digests, Id, Problem, Severity};
use crate::stop::{Interrupted, Length, Stop};

impl Store {
    /// Every blob, sorted by number, with what was not as expected.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for.
    pub fn list_blobs(
        &self,
        digests: &mut Digests,
        stop: &Stop,
    ) -> Result<(Vec<Id>, Vec<Problem>), Interrupted> {
        self.list_blobs_into(&Mutex::new(digests), self.shards_ahead(), stop)
    }

    /// The directory of the shards, opened before it is to be listed; none where that did not work out.
    pub(super) fn shards_ahead(&self) -> Option<Dir> {
        self.io.open_dir(&self.root, &shards()).ok()
    }

    pub(super) fn list_blobs_into(
        &self,
        digests: &Mutex<&mut Digests>,
        ahead: Option<Dir>,
        stop: &Stop,
    ) -> Result<(Vec<Id>, Vec<Problem>), Interrupted> {
        let mut problems = Vec::new();
        let top = shards();
        let (dir, shards) = match self.io.open_and_list(&self.root, &top, ahead) {
            Ok(listed) => listed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((Vec::new(), problems));
            }
            Err(error) => {
                problems.push(unreadable(top.as_ref(), None, &error));
                return Ok((Vec::new(), problems));
            }
        };
        stop.begin("listing blobs", Length::Steps(shards.len() as u64));
        let shard = |entry: &super::Entry| -> Result<(Vec<Id>, Vec<Problem>), Interrupted> {
            stop.check()?;
            let mut found = Vec::new();
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
                return Ok((found, problems));
            }
            // A shard of a large store has thousands of names, and many are listed at a time: they are not kept as text.
            let blob = |name: &str, kind: Kind| match Digest::from_parts(Algorithm::Sha256, name) {
                Ok(digest) if kind == Kind::Dir && name.starts_with(&entry.name) => Ok(digest),
                _ => Err(Box::new(odd(
                    weight(kind),
                    Code::OddName,
                    None,
                    &path.join(name),
                    "not the directory of a blob of this shard",
                ))),
            };
            match self.io.open_dir(&dir, &entry.name).and_then(|shard| self.io.list_as(&shard, blob)) {
                Ok(blobs) => {
                    found.reserve(blobs.len());
                    let mut digests = digests.lock().unwrap_or_else(PoisonError::into_inner);
                    for blob in blobs {
                        match blob {
                            Ok(digest) => found.push(digests.intern(&digest)),
                            Err(problem) => problems.push(*problem),
                        }
                    }
                }
                Err(error) => problems.push(unreadable(&path, None, &error)),
            }
            Ok((found, problems))
        };
        let shards = self.each(&shards, shard)?;
        let mut blobs = Vec::with_capacity(shards.iter().map(|(found, _)| found.len()).sum());
        for (found, odd) in shards {
            blobs.extend(found);
            problems.extend(odd);
        }
        blobs.sort_unstable();
        Ok((blobs, problems))
    }
}

fn shards() -> String {
    format!("{}/{}", layout::BLOBS, Algorithm::Sha256.as_str())
}

/// A manifest may be behind a symbolic link, and what it needs is unknown then.
const fn weight(kind: Kind) -> Severity {
    match kind {
        Kind::Other => Severity::Doubt,
        Kind::Dir | Kind::File => Severity::Warning,
    }
}
