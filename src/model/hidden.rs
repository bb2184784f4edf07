//! What is hidden from the registry until a second look permits deleting it.

use std::collections::HashMap;
use std::num::NonZero;

use jiff::Timestamp;

use super::{Digest, Digests, Id, Place, RepoName};

/// Blobs and layer links that the registry is not to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hidden {
    /// Layer links, in the order of their repositories.
    pub links: Vec<HiddenLink>,
    /// Blobs, in the order of their digests.
    pub blobs: Vec<Id>,
    /// The repositories that the links are in.
    pub repositories: Vec<RepoName>,
    /// The blobs of links that are filed under another digest of theirs: by the position of the repository, and by that
    /// digest.
    pub aliases: HashMap<(u32, Id), Id>,
}

/// A file that is hidden, or is to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HiddenFile {
    /// The data of a blob.
    Blob(Digest),
    /// A layer link of a repository.
    Link(RepoName, Digest),
}

/// A layer link among what is hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HiddenLink {
    /// The position of its repository in [`Hidden::repositories`].
    pub repository: u32,
    /// What it is filed under: the blob, or another digest of it.
    pub layer: Id,
    /// When it was last written; `None` for a directory without a link.
    pub written: Option<Stamp>,
}

/// A time in 8 bytes, to be told from others: there may be a million of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(NonZero<i64>);

impl From<Timestamp> for Stamp {
    /// To the nanosecond from 1677 to 2262, but for the one in which 1970 began; times before and after are all the same.
    fn from(at: Timestamp) -> Self {
        let bound = if at < Timestamp::UNIX_EPOCH { i64::MIN } else { i64::MAX };
        let nanoseconds = i64::try_from(at.as_nanosecond()).unwrap_or(bound);
        Self(NonZero::new(nanoseconds).unwrap_or(NonZero::<i64>::MIN))
    }
}

impl Hidden {
    /// Whether nothing is hidden.
    pub const fn is_empty(&self) -> bool {
        self.links.is_empty() && self.blobs.is_empty()
    }

    /// How many files are hidden.
    pub const fn len(&self) -> usize {
        self.links.len() + self.blobs.len()
    }

    /// The blob that a link leads to.
    pub fn blob(&self, link: &HiddenLink) -> Id {
        self.aliases.get(&(link.repository, link.layer)).copied().unwrap_or(link.layer)
    }

    /// Where a link is.
    pub fn place(&self, digests: &Digests, link: &HiddenLink) -> Place {
        Place::Layer(self.repositories[link.repository as usize].clone(), digests.get(link.layer))
    }

    /// The files: links first, since a blob that nobody may have is asked for less than a link that leads nowhere.
    pub fn files(&self, digests: &Digests) -> impl Iterator<Item = HiddenFile> {
        let links = self.links.iter().map(|link| {
            let repository = self.repositories[link.repository as usize].clone();
            HiddenFile::Link(repository, digests.get(link.layer))
        });
        links.chain(self.blobs.iter().map(|blob| HiddenFile::Blob(digests.get(*blob))))
    }

    /// Keeps those for which an answer, in the order of [`Hidden::files`], is `true`.
    pub fn retain(&mut self, answers: &[bool]) {
        let mut answers = answers.iter().copied();
        let mut is_kept = || answers.next().unwrap_or(false);
        self.links.retain(|_| is_kept());
        self.blobs.retain(|_| is_kept());
    }

    /// Splits off those for which an answer, in the order of [`Hidden::files`], is `true`.
    #[must_use]
    pub fn split_off(&mut self, answers: &[bool]) -> Self {
        let mut answers = answers.iter().copied();
        let mut is_chosen = || answers.next().unwrap_or(false);
        let links = self.links.extract_if(.., |_| is_chosen()).collect();
        let blobs = self.blobs.extract_if(.., |_| is_chosen()).collect();
        Self { links, blobs, repositories: self.repositories.clone(), aliases: self.aliases.clone() }
    }
}
