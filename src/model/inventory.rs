//! What one look at the store found.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{Digest, Manifest, Problem, RepoName, Severity, TagName};

/// What one look at the store found, each list sorted.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// The repositories, by name.
    pub repositories: Vec<Repository>,
    /// Every manifest that could be read, hashed and parsed. A digest that is listed as a revision
    /// and missing here is either absent from the store or the subject of a problem.
    pub manifests: HashMap<Digest, Manifest>,
    /// Every blob directory, by digest.
    pub blobs: Vec<Digest>,
    /// Everything that was not as expected.
    pub problems: Vec<Problem>,
}

/// One repository as the store has it, lists sorted.
#[derive(Clone, Debug)]
pub struct Repository {
    /// Its name.
    pub name: RepoName,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// The directories below `_manifests/revisions`.
    pub revisions: Vec<Digest>,
    /// The directories below `_layers`.
    pub layers: Vec<Digest>,
    /// Layer links under another algorithm than the blob is stored under: what they are named after,
    /// and the blob. A push of a sha512 layer makes these.
    pub aliases: Vec<(Digest, Digest)>,
    /// Whether a root of this repository is in doubt; then it loses none of its tags.
    pub in_doubt: bool,
}

/// A tag and what its link said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Its name.
    pub name: TagName,
    /// What was read from `current/link`.
    pub state: TagState,
}

/// What a tag's link said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagState {
    /// The link was read.
    Linked {
        /// The manifest that the tag names.
        digest: Digest,
        /// The link's mtime: when the tag was last pushed.
        pushed_at: Timestamp,
    },
    /// The link is missing, unreadable, or holds no digest.
    Doubtful,
}

impl Tag {
    /// The manifest that the tag names, when its link could be read.
    pub const fn digest(&self) -> Option<&Digest> {
        match &self.state {
            TagState::Linked { digest, .. } => Some(digest),
            TagState::Doubtful => None,
        }
    }
}

impl Inventory {
    /// Whether any root of the store is in doubt; then no manifest and no blob is removed.
    pub fn in_doubt(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Doubt)
            || self.repositories.iter().any(|repository| repository.in_doubt)
    }

    /// The position of a repository.
    pub fn position(&self, name: &RepoName) -> Option<usize> {
        self.repositories.binary_search_by(|repository| repository.name.cmp(name)).ok()
    }

    /// Whether the store has a directory for this blob.
    pub fn has_blob(&self, digest: &Digest) -> bool {
        self.blobs.binary_search(digest).is_ok()
    }
}
