//! Link files: a digest in a small file, whose mtime tells when it was last written.

use std::io;

use jiff::Timestamp;

use super::io::{Dir, Io};
use super::layout;
use crate::model::Digest;

/// What is wrong with a link of zero bytes.
pub(super) const EMPTY: &str = "the link is empty";

/// What a link file said.
#[derive(Debug)]
pub(super) enum Link {
    /// A digest, and when the link was last written.
    To(Digest, Timestamp),
    /// There is no such file.
    Missing,
    /// It is empty or holds no digest. The registry 2.8 and 3.0 truncate a link before they write
    /// it (`driver.go`, `PutContent`), so this may be a write in progress.
    Bad(String),
    /// It could not be read.
    Unreadable(io::Error),
}

/// Reads a link: one open, one read.
pub(super) fn read(io: &Io, dir: &Dir, path: &str) -> Link {
    match io.read(dir, path, layout::LINK_MAX_BYTES) {
        Ok(content) if content.bytes.is_empty() => Link::Bad(EMPTY.into()),
        Ok(content) => match String::from_utf8_lossy(&content.bytes).parse() {
            Ok(digest) => Link::To(digest, content.attributes.modified),
            Err(error) => Link::Bad(error.to_string()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Link::Missing,
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Link::Bad(error.to_string()),
        Err(error) => Link::Unreadable(error),
    }
}
