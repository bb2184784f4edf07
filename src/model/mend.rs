//! What can be mended without guessing.

use jiff::Timestamp;

use super::{Digest, HiddenFile, Place, RepoName};

/// A repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mend {
    /// Write a link that can say only this.
    WriteLink(Place, Digest),
    /// Make a repository's `_layers`.
    MakeLayers(RepoName),
    /// Move a blob whose bytes are not its own to the trash, so that the next push brings it anew.
    SetAside(Digest),
    /// Bring back what is hidden from the registry although no list of a sweep tells of it; where the registry has another
    /// one that is whole, remove it.
    ShowHidden(HiddenFile),
    /// Remove a temporary file, by its path below the registry's root directory, unless it was written to
    /// since then.
    RemoveTemporary(String, Timestamp),
    /// Remove an upload, unless it was written to since then.
    RemoveUpload(RepoName, String, Timestamp),
}

impl std::fmt::Display for Mend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::WriteLink(place @ Place::Tag(..), digest) => {
                write!(f, "point {place} to {digest}, the newest manifest of its past")
            }
            Self::WriteLink(place, _) => write!(f, "write the link of {place}"),
            Self::MakeLayers(repository) => write!(f, "make _layers of {repository}"),
            Self::SetAside(digest) => {
                write!(f, "move blob {digest} to the trash, so that the next push brings it anew")
            }
            Self::ShowHidden(HiddenFile::Blob(digest)) => {
                write!(
                    f,
                    "bring back the hidden blob {digest}, or remove it where a whole one is in its place"
                )
            }
            Self::ShowHidden(HiddenFile::Link(repository, digest)) => write!(
                f,
                "bring back the hidden layer link {digest} of {repository}, or remove it where another is in its place"
            ),
            Self::RemoveTemporary(path, _) => write!(f, "remove {path}"),
            Self::RemoveUpload(repository, id, _) => write!(f, "remove upload {id} of {repository}"),
        }
    }
}
