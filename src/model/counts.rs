//! How much there is in a store.

use serde::{Deserialize, Serialize};

use super::Inventory;

/// How much there is in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Repositories.
    pub repositories: usize,
    /// Tags of all of them.
    pub tags: usize,
    /// Blobs.
    pub blobs: usize,
}

impl Counts {
    /// What an inventory has.
    pub fn of(inventory: &Inventory) -> Self {
        Self {
            repositories: inventory.repositories.len(),
            tags: inventory.repositories.iter().map(|repository| repository.tags.len()).sum(),
            blobs: inventory.blobs.len(),
        }
    }

    /// The larger number of each kind.
    #[must_use]
    pub fn or_more(self, other: Self) -> Self {
        Self {
            repositories: self.repositories.max(other.repositories),
            tags: self.tags.max(other.tags),
            blobs: self.blobs.max(other.blobs),
        }
    }
}
