//! Things that lie beside each other: the directory above them is opened once for all of them.

use std::io;

use super::{Dir, PART, Store, layout};
use crate::model::{HiddenFile, Place};
use crate::stop::Interrupted;

/// How many directories are open together; a process may have 1024 files open where nobody set another limit.
const DIRS_AT_ONCE: usize = 256;

/// Something in a directory of the registry's tree.
pub(super) trait Seated: Sync {
    /// The directory above it, below the registry's tree.
    fn parent(&self) -> String;

    /// Whether two are in the same directory, told without making its path.
    fn is_beside(&self, other: &Self) -> bool;
}

impl Seated for Place {
    fn parent(&self) -> String {
        layout::parent(self)
    }

    fn is_beside(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tag(a, _), Self::Tag(b, _)) => a == b,
            (Self::Revision(a, one), Self::Revision(b, two)) | (Self::Layer(a, one), Self::Layer(b, two)) => {
                a == b && one.algorithm() == two.algorithm()
            }
            _ => false,
        }
    }
}

impl Seated for HiddenFile {
    fn parent(&self) -> String {
        match self {
            Self::Blob(digest) => format!("{}/{}", layout::BLOBS, layout::shard_and_hex(digest).0),
            Self::Link(repository, digest) => {
                layout::parent(&Place::Layer(repository.clone(), digest.clone()))
            }
        }
    }

    fn is_beside(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Blob(a), Self::Blob(b)) => {
                a.algorithm() == b.algorithm() && a.bytes().first() == b.bytes().first()
            }
            (Self::Link(a, one), Self::Link(b, two)) => a == b && one.algorithm() == two.algorithm(),
            _ => false,
        }
    }
}

impl Store {
    /// Runs something on each thing, a part of them at a time; those beside each other should follow each other.
    pub(super) fn by_parent<S: Seated, T: Send>(
        &self,
        things: impl IntoIterator<Item = S>,
        act: impl Fn(Result<&Dir, &io::Error>, &S) -> Result<T, Interrupted> + Sync,
    ) -> Result<Vec<T>, Interrupted> {
        let things = things.into_iter();
        let mut done = Vec::with_capacity(things.size_hint().0);
        self.parts_by_parent(things, act, |mut part| done.append(&mut part))?;
        Ok(done)
    }

    /// The same, with what came of each part handed on at once: there may be a million things.
    pub(super) fn parts_by_parent<S: Seated, T: Send>(
        &self,
        things: impl IntoIterator<Item = S>,
        act: impl Fn(Result<&Dir, &io::Error>, &S) -> Result<T, Interrupted> + Sync,
        mut done: impl FnMut(Vec<T>),
    ) -> Result<(), Interrupted> {
        let mut things = things.into_iter();
        loop {
            let part: Vec<S> = things.by_ref().take(PART).collect();
            if part.is_empty() {
                return Ok(());
            }
            done(self.part_by_parent(&part, &act)?);
        }
    }

    fn part_by_parent<S: Seated, T: Send>(
        &self,
        things: &[S],
        act: &(impl Fn(Result<&Dir, &io::Error>, &S) -> Result<T, Interrupted> + Sync),
    ) -> Result<Vec<T>, Interrupted> {
        let groups: Vec<&[S]> = things.chunk_by(S::is_beside).collect();
        let mut done = Vec::with_capacity(things.len());
        for groups in groups.chunks(DIRS_AT_ONCE) {
            let dirs = self.each(groups, |group| Ok(self.io.find_dir(&self.root, &group[0].parent())))?;
            let beside = groups.iter().zip(&dirs);
            let seated: Vec<(&io::Result<Dir>, &S)> =
                beside.flat_map(|(group, dir)| group.iter().map(move |thing| (dir, thing))).collect();
            done.append(&mut self.each(&seated, |(dir, thing)| act(dir.as_ref(), thing))?);
        }
        Ok(done)
    }
}
