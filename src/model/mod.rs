//! Plain values: no file system, no clock, no log.

mod age;
mod digest;
mod digests;
mod document;
mod inventory;
mod manifest;
mod name;
mod place;
mod problem;
mod scratch;
mod sizes;
mod undo;

pub use age::{BlobAge, LinkAge};
pub use digest::{Algorithm, Digest, DigestError};
pub use digests::{Digests, Id};
pub use document::{Descriptor, Document, ManifestError};
pub use inventory::{Inventory, Repository, Revision, Tag, TagState};
pub use manifest::{Manifest, Reference};
pub use name::{NameError, RepoName, TagName};
pub use place::{Expected, Place};
pub use problem::{Code, Problem, Severity};
pub use scratch::{Canary, Scratch};
pub use sizes::Sizes;
pub use undo::{UndoSweep, UndoTrash, Undoable};
