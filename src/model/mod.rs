//! Plain values: no file system, no clock, no log.

mod age;
mod counts;
mod digest;
mod digests;
mod document;
mod escape;
mod first_seen;
mod hidden;
mod inventory;
mod known;
mod manifest;
mod manifests;
mod measure;
mod mend;
mod name;
mod place;
mod problem;
mod proofs;
mod scratch;
mod sizes;
mod survey;
mod undo;

pub use age::{BLOCK_BYTES, BlobAge, LinkAge};
pub use counts::Counts;
pub use digest::{Algorithm, Digest, DigestError};
pub use digests::{Digests, Id, Selection};
pub use document::{Descriptor, Document, MEANING, ManifestError, Standing};
pub use escape::{Escaped, excerpt, finding_text, is_special};
pub use first_seen::{FirstSeen, MOST_REMEMBERED, Seen, SeenThings, TOLERANCE, Thing, is_ahead};
pub use hidden::{Hidden, HiddenFile, HiddenLink, Stamp};
pub use inventory::{Inventory, News, Remembered, Repository, Revision, Tag, TagState, Unread};
pub use known::{Known, KnownRepository, KnownTag, Rules};
pub use manifest::{Manifest, Reference};
pub use manifests::{Content, Manifests};
pub use measure::Measure;
pub use mend::Mend;
pub use name::{NameError, RepoName, SHORT_DOS_NAME, SHORT_DOS_NAME_REMEDY, TagName, is_short_dos_name};
pub use place::{Expected, Place, Spot};
pub(crate) use problem::not_too_long;
pub use problem::{Code, IN_USE, Problem, Severity};
pub use proofs::Proofs;
pub use scratch::{Canary, Scratch};
pub use sizes::Sizes;
pub use survey::{
    BlobState, HiddenCopy, LinkState, MOST_CLAIMS, ManifestState, OddKind, Oddity, Survey, Surveyed,
    SurveyedTag, Upload,
};
pub use undo::{UndoSweep, UndoTrash, Undoable};
