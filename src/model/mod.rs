//! Plain values: no file system, no clock, no log.

mod digest;
mod inventory;
mod manifest;
mod name;
mod problem;

pub use digest::{Algorithm, Digest, DigestError};
pub use inventory::{Inventory, Repository, Tag, TagState};
pub use manifest::{Descriptor, Manifest, ManifestError};
pub use name::{NameError, RepoName, TagName};
pub use problem::{Code, Problem, Severity};
