//! Pushes that have not ended, and when each began.

use std::io;

use jiff::Timestamp;

use super::{Dir, Kind, Surveyor, join, layout};
use crate::model::{RepoName, Upload};

/// A time in text takes about 20 bytes.
const START_MAX_BYTES: u64 = 64;

impl Surveyor<'_> {
    pub(super) fn uploads(&self, repository: &RepoName, dir: &Dir) -> Vec<Upload> {
        let Some((dir, entries)) = self.list(dir, layout::UPLOADS, Some(repository)) else {
            return Vec::new();
        };
        let mut uploads = Vec::new();
        for entry in &entries {
            if self.stop.check().is_err() {
                break;
            }
            if entry.kind == Kind::Dir {
                uploads.extend(self.upload(repository, &dir, &entry.name));
            } else {
                self.odd(&dir, entry, Some(repository), "a file where uploads are");
            }
        }
        uploads
    }

    fn upload(&self, repository: &RepoName, uploads: &Dir, id: &str) -> Option<Upload> {
        let (dir, entries) = self.list(uploads, id, Some(repository))?;
        let looked = || {
            let mut touched = self.store.io.stat_open(&dir)?.modified;
            let mut started = None;
            for entry in &entries {
                match self.store.io.stat(&dir, &entry.name) {
                    Ok(attributes) => touched = touched.max(attributes.modified),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
                if entry.name == layout::STARTED_AT && entry.kind == Kind::File {
                    match self.store.io.read(&dir, &entry.name, START_MAX_BYTES) {
                        Ok(content) => started = time(&content.bytes),
                        Err(error)
                            if matches!(
                                error.kind(),
                                io::ErrorKind::NotFound | io::ErrorKind::FileTooLarge
                            ) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            Ok(Upload { id: id.to_owned(), started, touched })
        };
        match looked() {
            Ok(upload) => Some(upload),
            Err(error) => {
                self.tell_unreadable(join(uploads, id), Some(repository), &error);
                None
            }
        }
    }
}

fn time(bytes: &[u8]) -> Option<Timestamp> {
    std::str::from_utf8(bytes).ok()?.trim().parse().ok()
}
