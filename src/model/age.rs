//! Ages of what may go.

use jiff::Timestamp;

use super::{Digest, FirstSeen, Id, Place, Problem, Thing, is_ahead};

/// A candidate's link, as it is now.
#[derive(Debug)]
pub enum LinkAge {
    /// It holds the digest that it should, last written at this time.
    Written(Timestamp),
    /// It holds the digest that it should, and its time is ahead of the clock.
    Ahead {
        /// Its time.
        written: Timestamp,
        /// When a sweep first saw it, from which its age counts.
        first_seen: Timestamp,
    },
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
    /// These times on their own.
    pub times: [Timestamp; 3],
    /// Its length in bytes.
    pub size_bytes: u64,
    /// What the file system sets aside for it, in bytes: this is what comes back.
    pub allocated_bytes: u64,
}

impl LinkAge {
    /// The same, with the age of a link that is dated ahead of the clock counted from when it was first seen.
    #[must_use]
    pub fn counted(self, place: &Place, first_seen: &mut FirstSeen, now: Timestamp) -> Self {
        match self {
            Self::Written(written) if is_ahead(written, now) => {
                let first_seen = counts_from(place, written, first_seen, now);
                Self::Ahead { written, first_seen }
            }
            Self::Empty(touched) => Self::Empty(counts_from(place, touched, first_seen, now)),
            other => other,
        }
    }
}

impl BlobAge {
    /// The same, with a time that is ahead of the clock counted from when it was first seen.
    #[must_use]
    pub fn counted(
        self,
        digest: impl FnOnce() -> Digest,
        first_seen: &mut FirstSeen,
        now: Timestamp,
    ) -> Self {
        if !is_ahead(self.newest, now) {
            return self;
        }
        let from = first_seen.counts_from(Thing::Blob(&digest()), self.newest, now);
        let believable = self.times.into_iter().filter(|at| !is_ahead(*at, now)).max();
        Self { newest: believable.map_or(from, |at| at.max(from)), ..self }
    }
}

fn counts_from(place: &Place, dated: Timestamp, first_seen: &mut FirstSeen, now: Timestamp) -> Timestamp {
    match place {
        Place::Revision(repository, digest) => {
            first_seen.counts_from(Thing::Revision(repository, digest), dated, now)
        }
        Place::Layer(repository, digest) => {
            first_seen.counts_from(Thing::Layer(repository, digest), dated, now)
        }
        // Whether a tag goes depends on its rank; its age matters to nobody.
        Place::Tag(..) => dated,
    }
}
