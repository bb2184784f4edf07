//! Ages of what may go.

use jiff::Timestamp;

use super::{Id, Problem};

/// A candidate's link, as it is now.
#[derive(Debug)]
pub enum LinkAge {
    /// It holds the digest that it should, last written at this time.
    Written(Timestamp),
    /// Its directory is there without a link, untouched since this time.
    Empty(Timestamp),
    /// Gone meanwhile.
    Gone,
    /// It cannot be trusted, so it stays.
    Doubt(Box<Problem>),
}

/// Bytes of the blocks that the system tells allocated space in, whatever the file system's own are.
pub const BLOCK_BYTES: u64 = 512;

/// What deciding on a blob needs to know.
#[derive(Clone, Copy, Debug)]
pub struct BlobAge {
    /// The blob.
    pub blob: Id,
    /// The newest of its data's mtime and ctime and its directory's mtime: the registry commits a
    /// blob by a rename, which keeps the upload's mtime.
    pub newest: Timestamp,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// What the file system sets aside for it, in bytes: this is what comes back.
    pub allocated_bytes: u64,
}
