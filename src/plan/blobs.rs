//! Which blobs go: those that nothing references, unless they or a link to them are young.

use std::collections::HashMap;

use jiff::Timestamp;

use super::Grace;
use crate::model::{BLOCK_BYTES, BlobAge, Id};

/// A blob that may go now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The blob.
    pub blob: Id,
    /// What the file system sets aside for it, in the blocks that it is told in: this is what comes back. There may be
    /// a million of these, and a blob of 2 TiB is told as a little less.
    blocks: u32,
}

impl Due {
    /// What the file system sets aside for it, in bytes.
    pub fn allocated_bytes(&self) -> u64 {
        u64::from(self.blocks) * BLOCK_BYTES
    }
}

impl From<&BlobAge> for Due {
    fn from(age: &BlobAge) -> Self {
        let blocks = u32::try_from(age.allocated_bytes / BLOCK_BYTES).unwrap_or(u32::MAX);
        Self { blob: age.blob, blocks }
    }
}

/// What becomes of the blobs that nothing references.
#[derive(Debug, Default)]
pub struct Blobs {
    /// May go now, in the order in which their ages were told: a sweep tells them sorted by number, and looks them up so.
    pub due: Vec<Due>,
    /// Kept for their age, or for that of a layer link to them.
    pub held: Vec<Id>,
    /// When the last of those may go.
    pub held_until: Option<Timestamp>,
}

impl Blobs {
    /// Decides on blobs that nothing references, by their own ages.
    pub fn by_age(&mut self, ages: &[BlobAge], grace: Grace) {
        for age in ages {
            if grace.is_over(age.newest) {
                self.due.push(age.into());
            } else {
                self.held_until = self.held_until.max(Some(grace.due(age.newest)));
                self.held.push(age.blob);
            }
        }
    }

    /// Holds those that a young layer link leads to; `links` tell when each was last written.
    pub fn by_links(&mut self, links: impl IntoIterator<Item = (Id, Timestamp)>, grace: Grace) {
        let mut young: HashMap<Id, Timestamp> = HashMap::new();
        for (blob, written) in links.into_iter().filter(|(_, written)| !grace.is_over(*written)) {
            let newest = young.entry(blob).or_insert(written);
            *newest = (*newest).max(written);
        }
        let linked = |blob: &Id| young.get(blob).map(|written| grace.due(*written));
        for blob in self.held.iter().chain(self.due.iter().map(|due| &due.blob)) {
            self.held_until = self.held_until.max(linked(blob));
        }
        self.held.extend(self.due.extract_if(.., |due| linked(&due.blob).is_some()).map(|due| due.blob));
    }
}
