//! Reading manifests, each checked against its own digest.

use std::io;
use std::panic::resume_unwind;
use std::sync::PoisonError;
use std::thread::Builder;
use std::time::Duration;

use super::io::Content;
use super::{Store, layout};
use crate::model::{Code, Digest, Document, Problem, Severity};
use crate::stop::{Interrupted, Stop};

/// What the bytes behind a digest turned out to be.
#[derive(Debug)]
pub(super) enum ManifestRead {
    /// A manifest, which was handed on.
    Manifest,
    /// No manifest, by its bytes, but a plain blob: an index may list those.
    Plain,
    /// Too large to be one.
    Large,
    /// Not there.
    Absent,
    /// It cannot be trusted.
    Doubt(Box<Problem>),
}

impl Store {
    /// Reads manifests: one open and one read each, and an open more for a large one. Each manifest is handed on at
    /// once, with its position, so that no more of them are held than are read at the same time.
    ///
    /// The registry 2.8 and 3.0 write a manifest's bytes in place, so what does not match its digest
    /// is read once more after `patience` before it is called damaged.
    pub(super) fn read_manifests(
        &self,
        wanted: &[Digest],
        must_be_manifests: bool,
        patience: Duration,
        stop: &Stop,
        take: impl Fn(usize, &Document) + Sync,
    ) -> Result<Vec<ManifestRead>, Interrupted> {
        let read = |at: &usize| {
            stop.check()?;
            Ok(self.read_manifest(&wanted[*at], must_be_manifests, |document| take(*at, document)))
        };
        let positions: Vec<usize> = (0..wanted.len()).collect();
        let mut reads = self.each(&positions, read)?;
        if reads.iter().any(|read| matches!(read, ManifestRead::Doubt(_))) {
            stop.wait(patience)?;
            for (at, read) in reads.iter_mut().enumerate() {
                if matches!(read, ManifestRead::Doubt(_)) {
                    stop.check()?;
                    let take = |document: &Document| take(at, document);
                    *read = self.read_manifest(&wanted[at], must_be_manifests, take);
                }
            }
        }
        Ok(reads)
    }

    /// Reads what may be a manifest. Its bytes, and what is parsed from them, are to be dropped by the end of `act`:
    /// large ones are read one at a time, whatever the number of jobs, so that a store full of them takes no more
    /// memory than one of them does. Each has a thread of its own, because an allocator may keep what a thread has
    /// freed for that thread: so the next one gets it, instead of one copy staying with each worker.
    pub(super) fn with_manifest_bytes<T: Send>(
        &self,
        path: &str,
        act: impl Fn(io::Result<Content>) -> T + Sync,
    ) -> T {
        match self.io.read(&self.root, path, layout::SMALL_MANIFEST_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                let _turn = self.large_manifests.lock().unwrap_or_else(PoisonError::into_inner);
                let read = || act(self.io.read(&self.root, path, layout::MANIFEST_MAX_BYTES));
                std::thread::scope(|scope| match Builder::new().spawn_scoped(scope, read) {
                    Ok(reader) => reader.join().unwrap_or_else(|panic| resume_unwind(panic)),
                    Err(_) => read(),
                })
            }
            read => act(read),
        }
    }

    fn read_manifest(
        &self,
        digest: &Digest,
        must_be_manifest: bool,
        take: impl Fn(&Document) + Sync,
    ) -> ManifestRead {
        let path = format!("{}/{}/data", layout::BLOBS, layout::blob_dir(digest));
        self.with_manifest_bytes(&path, |read| self.manifest_of(digest, read, must_be_manifest, &take))
    }

    fn manifest_of(
        &self,
        digest: &Digest,
        read: io::Result<Content>,
        must_be_manifest: bool,
        take: impl Fn(&Document) + Sync,
    ) -> ManifestRead {
        let dir = layout::blob_dir(digest);
        let path = format!("{}/{dir}/data", layout::BLOBS);
        let doubt = |code, cause: String, remedy: &str| {
            ManifestRead::Doubt(Box::new(Problem {
                severity: Severity::Doubt,
                code,
                repository: None,
                path: layout::told(&path),
                cause,
                remedy: remedy.into(),
            }))
        };
        let bytes = match read {
            Ok(content) => content.bytes,
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge && !must_be_manifest => {
                return ManifestRead::Large;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return match self.io.stat(&self.root, &format!("{}/{dir}", layout::BLOBS)) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => ManifestRead::Absent,
                    _ => doubt(
                        Code::Unreadable,
                        "the blob's directory is there, its data is not".into(),
                        "push the image again",
                    ),
                };
            }
            Err(error) => {
                return doubt(Code::Unreadable, error.to_string(), "check the storage and its permissions");
            }
        };
        if Digest::of(&bytes) != *digest {
            let cause = format!("its {} bytes have another digest", bytes.len());
            return doubt(
                Code::WrongHash,
                cause,
                "janitor check --repair moves it aside; then push the image again",
            );
        }
        match Document::parse(&bytes) {
            Ok(manifest) => {
                take(&manifest);
                ManifestRead::Manifest
            }
            // What no tag and no revision names, the registry never took as a manifest.
            Err(_) if !must_be_manifest => ManifestRead::Plain,
            Err(error) => doubt(
                Code::BadManifest,
                error.to_string(),
                "what it references is unknown; if nobody needs it, delete the tags that lead to it or delete it over the \
                 registry's API; without them, a sweep removes it once GC_GRACE is over",
            ),
        }
    }
}
