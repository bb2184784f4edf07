//! What a check found in the store: every link, upload and blob, whole or not.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use smallvec::SmallVec;

use super::{Digests, HiddenFile, Id, Manifests, Proofs, RepoName, TagName};

/// How many sizes of one blob are kept that manifests claim. Where there are so many, none of them is believed.
pub const MOST_CLAIMS: usize = 64;

/// A store, or some of its repositories, as a check found it.
#[derive(Debug, Default)]
pub struct Survey {
    /// Every digest that it names.
    pub digests: Digests,
    /// The repositories, by name.
    pub repositories: Vec<Surveyed>,
    /// Every manifest that a tag, a revision or an index names.
    pub manifests: HashMap<Id, ManifestState>,
    /// What those reference that are whole.
    pub references: Manifests,
    /// The directories of blobs.
    pub blobs: HashMap<Id, BlobState>,
    /// How large manifests say that a blob is, at most [`MOST_CLAIMS`] of each.
    pub claims: HashMap<Id, SmallVec<[u64; 1]>>,
    /// What the janitor has hidden from the registry, and no list of a sweep tells of.
    pub hidden: Vec<HiddenCopy>,
    /// Blobs of a size that no manifest claims whose bytes are right all the same: they were read.
    pub intact: BTreeSet<Id>,
    /// Digests of blobs under other algorithms than sha256, as far as they are known.
    pub proofs: Proofs,
    /// What does not belong, and what could not be looked at.
    pub oddities: Vec<Oddity>,
    /// Whether only some repositories were looked at; then what others need is unknown.
    pub is_partial: bool,
}

impl Survey {
    /// Whether manifests claim a size for a blob, and none of them the one that it has.
    pub fn is_of_unclaimed_size(&self, blob: Id) -> bool {
        let Some(BlobState::Data(size)) = self.blobs.get(&blob) else { return false };
        let is_known_otherwise = |claims: &SmallVec<[u64; 1]>| {
            !claims.is_empty() && claims.len() < MOST_CLAIMS && !claims.contains(size)
        };
        // A manifest that was read is whole.
        !matches!(self.manifests.get(&blob), Some(ManifestState::Manifest))
            && self.claims.get(&blob).is_some_and(is_known_otherwise)
    }
}

/// A repository, with everything in it.
#[derive(Debug)]
pub struct Surveyed {
    /// Its name.
    pub name: RepoName,
    /// Whether it has `_layers`.
    pub has_layers: bool,
    /// Its tags, by name.
    pub tags: Vec<SurveyedTag>,
    /// The directories below `_manifests/revisions`.
    pub revisions: BTreeMap<Id, LinkState>,
    /// The directories below `_layers`.
    pub layers: BTreeMap<Id, LinkState>,
    /// Its uploads.
    pub uploads: Vec<Upload>,
}

/// A tag, with its past.
#[derive(Debug)]
pub struct SurveyedTag {
    /// Its name.
    pub name: TagName,
    /// What `current/link` says.
    pub current: LinkState,
    /// Its `index`: every manifest it ever named, and when that was last written.
    pub past: Vec<(Id, LinkState, Timestamp)>,
}

/// What a link file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// This digest.
    To(Id),
    /// There is no such file.
    Missing,
    /// Nothing: it has zero bytes.
    Empty,
    /// No digest.
    Garbled(String),
    /// It could not be read.
    Unreadable,
}

/// A push that has not ended.
#[derive(Debug)]
pub struct Upload {
    /// The name of its directory.
    pub id: String,
    /// When it began; `None` when it does not say, and then the registry never purges it.
    pub started: Option<Timestamp>,
    /// When something in it was last written.
    pub touched: Timestamp,
}

/// What the bytes behind a manifest's digest are.
#[derive(Debug)]
pub enum ManifestState {
    /// A manifest, whole.
    Manifest,
    /// A plain blob: an index may list those.
    Blob,
    /// Not there.
    Absent,
    /// Zero bytes.
    Empty,
    /// Bytes of another digest.
    WrongHash {
        /// How many.
        size_bytes: u64,
        /// Whether they are a manifest's beginning.
        is_cut_short: bool,
    },
    /// The right bytes, and no manifest that is known.
    Unknown(String),
    /// It could not be read.
    Unreadable,
}

/// A blob's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobState {
    /// With data of this size.
    Data(u64),
    /// Without data.
    Hollow,
    /// It could not be looked at.
    Unreadable,
}

/// A blob or a layer link that is hidden from the registry although no sweep is to bring it back or to delete it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HiddenCopy {
    /// Which one.
    pub file: HiddenFile,
    /// Whether the registry has another one beside it.
    pub is_beside_another: bool,
}

/// Something that is not as the registry makes it.
#[derive(Debug)]
pub struct Oddity {
    /// Where, below the registry's root directory.
    pub path: String,
    /// The repository it is in.
    pub repository: Option<RepoName>,
    /// What it is.
    pub kind: OddKind,
}

/// What is odd.
#[derive(Debug)]
pub enum OddKind {
    /// It could not be looked at.
    Unreadable(String),
    /// A name that the registry does not make.
    Name(&'static str),
    /// A symbolic link or a device, which is not followed.
    Kind,
    /// A file that a write which never ended left, and when it was written.
    Temporary(Timestamp),
}

impl Surveyed {
    /// The blob that a reference means: itself, or what a layer link of another algorithm leads to.
    pub fn resolve(&self, reference: Id) -> Id {
        match self.layers.get(&reference) {
            Some(LinkState::To(blob)) if reference.slot().is_none() => *blob,
            _ => reference,
        }
    }
}
