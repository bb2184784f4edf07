//! Things that lie beside each other: the directory above them is opened once for all of them.

use std::io;

use super::{Dir, PART, Store, layout};
use crate::model::{Expected, HiddenFile, Place};
use crate::stop::Interrupted;

/// In how many directories at once something is done; a process may have 1024 files open where nobody set another limit.
const DIRS_AT_ONCE: usize = 128;

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

impl Seated for Expected {
    fn parent(&self) -> String {
        self.place.parent()
    }

    fn is_beside(&self, other: &Self) -> bool {
        self.place.is_beside(&other.place)
    }
}

impl<T: Sync> Seated for (T, Place) {
    fn parent(&self) -> String {
        self.1.parent()
    }

    fn is_beside(&self, other: &Self) -> bool {
        self.1.is_beside(&other.1)
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
        self.each_by_parent(things, act, |_, of_it| done.push(of_it))?;
        Ok(done)
    }

    /// The same, with what came of each thing handed on part by part: there may be a million of them.
    pub(super) fn each_by_parent<S: Seated, T: Send>(
        &self,
        things: impl IntoIterator<Item = S>,
        act: impl Fn(Result<&Dir, &io::Error>, &S) -> Result<T, Interrupted> + Sync,
        mut done: impl FnMut(S, T),
    ) -> Result<(), Interrupted> {
        let mut things = things.into_iter();
        loop {
            let part: Vec<S> = things.by_ref().take(PART).collect();
            if part.is_empty() {
                return Ok(());
            }
            let find = |thing: &S| self.io.find_dir(&self.root, &thing.parent());
            let of_each = self.each_beside(&part, find, |dir, thing| act(dir.as_ref(), thing))?;
            part.into_iter().zip(of_each).for_each(|(thing, of_it)| done(thing, of_it));
        }
    }

    /// Runs something on each thing, with what was opened for it and for those beside it.
    pub(super) fn each_beside<S: Seated, D: Send + Sync, T: Send>(
        &self,
        things: &[S],
        open: impl Fn(&S) -> D + Sync,
        act: impl Fn(&D, &S) -> Result<T, Interrupted> + Sync,
    ) -> Result<Vec<T>, Interrupted> {
        let groups: Vec<&[S]> = things.chunk_by(S::is_beside).collect();
        let mut done = Vec::with_capacity(things.len());
        for groups in groups.chunks(DIRS_AT_ONCE) {
            let opened = self.each(groups, |group| Ok(open(&group[0])))?;
            let beside = groups.iter().zip(&opened);
            let seated: Vec<(&D, &S)> =
                beside.flat_map(|(group, opened)| group.iter().map(move |thing| (opened, thing))).collect();
            done.append(&mut self.each(&seated, |(opened, thing)| act(opened, thing))?);
        }
        Ok(done)
    }
}

/// An error again, for each of those beside each other.
pub(super) fn again(error: &io::Error) -> io::Error {
    error
        .raw_os_error()
        .map_or_else(|| io::Error::new(error.kind(), error.to_string()), io::Error::from_raw_os_error)
}
