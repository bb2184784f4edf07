//! Directories of the store that go and come as a whole.

use jiff::Timestamp;

use super::{Digest, HiddenFile, RepoName, TagName};

/// A directory that may be moved as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// A tag of a repository.
    Tag(RepoName, TagName),
    /// A revision of a repository.
    Revision(RepoName, Digest),
    /// A layer link of a repository.
    Layer(RepoName, Digest),
}

impl Place {
    /// The repository it belongs to.
    pub const fn repository(&self) -> &RepoName {
        match self {
            Self::Tag(name, _) | Self::Revision(name, _) | Self::Layer(name, _) => name,
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tag(repository, tag) => write!(f, "{repository}:{tag}"),
            Self::Revision(repository, digest) => write!(f, "{repository}@{digest}"),
            Self::Layer(repository, digest) => write!(f, "layer link {digest} of {repository}"),
        }
    }
}

/// What is to be taken away, and what it must look like in that moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// What and where.
    pub place: Place,
    /// What its link says, and when the link was written; `None` for a directory without a link.
    pub link: Option<(Digest, Timestamp)>,
}

/// Where a finding is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spot {
    /// The link in a place.
    Link(Place),
    /// The data of a blob.
    Blob(Digest),
    /// The directory of a repository's layer links.
    Layers(RepoName),
    /// An upload, by the name of its directory.
    Upload(RepoName, String),
    /// Something that the janitor has hidden from the registry.
    Hidden(HiddenFile),
    /// Something else, below the registry's root directory.
    Path(String),
}
