//! Plain values: no file system, no clock, no log.

mod age;
mod digest;
mod inventory;
mod manifest;
mod name;
mod place;
mod problem;
mod scratch;

pub use age::{BlobAge, LinkAge};
pub use digest::{Algorithm, Digest, DigestError};
pub use inventory::{Inventory, Repository, Tag, TagState};
pub use manifest::{Descriptor, Manifest, ManifestError};
pub use name::{NameError, RepoName, TagName};
pub use place::{Expected, Place};
pub use problem::{Code, Problem, Severity};
pub use scratch::{Canary, Scratch};
