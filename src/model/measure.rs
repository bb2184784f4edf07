//! What is meant by the size of a file.

use serde::Serialize;

/// What is meant by the size of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// What the file system sets aside for it: this is what comes back.
    #[default]
    Allocated,
    /// Its length.
    Apparent,
}

impl Measure {
    /// The one of both that is meant.
    pub const fn of(self, size_bytes: u64, allocated_bytes: u64) -> u64 {
        match self {
            Self::Allocated => allocated_bytes,
            Self::Apparent => size_bytes,
        }
    }
}
