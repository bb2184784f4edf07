//! Reading manifests, each checked against its own digest.

use std::io;
use std::time::Duration;

use super::Store;
use super::layout;
use crate::model::{Code, Digest, Document, ManifestError, Problem, Severity};
use crate::stop::{Interrupted, Stop};

/// What the bytes behind a digest turned out to be.
#[derive(Debug)]
pub(super) enum ManifestRead {
    /// A manifest.
    Manifest(Document),
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
    /// Reads manifests, in their order: one open and one read each.
    ///
    /// The registry 2.8 and 3.0 write a manifest's bytes in place, so what does not match its digest
    /// is read once more after `patience` before it is called damaged.
    pub(super) fn read_manifests(
        &self,
        wanted: &[Digest],
        must_be_manifests: bool,
        patience: Duration,
        stop: &Stop,
    ) -> Result<Vec<ManifestRead>, Interrupted> {
        let read = |digest: &Digest| {
            stop.check()?;
            Ok(self.read_manifest(digest, must_be_manifests))
        };
        let mut reads = self.each(wanted, read)?;
        if reads.iter().any(|read| matches!(read, ManifestRead::Doubt(_))) {
            stop.wait(patience)?;
            for (digest, read) in wanted.iter().zip(&mut reads) {
                if matches!(read, ManifestRead::Doubt(_)) {
                    stop.check()?;
                    *read = self.read_manifest(digest, must_be_manifests);
                }
            }
        }
        Ok(reads)
    }

    fn read_manifest(&self, digest: &Digest, must_be_manifest: bool) -> ManifestRead {
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
        let bytes = match self.io.read(&self.root, &path, layout::MANIFEST_MAX_BYTES) {
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
            Ok(manifest) => ManifestRead::Manifest(manifest),
            Err(ManifestError::Json(_) | ManifestError::Shape) if !must_be_manifest => ManifestRead::Plain,
            Err(error) => doubt(
                Code::BadManifest,
                error.to_string(),
                "delete the tags that name it, if nobody needs it; what it references is unknown",
            ),
        }
    }
}
