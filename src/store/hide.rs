//! Hiding blobs and layer links from the registry, until a second look permits deleting them.
//!
//! A blob is its `data`, a layer link its `link`, each alone in its directory. The registry goes by these names,
//! so one rename to another name in the same directory takes the thing away, as atomically as a rename into the
//! trash would. It is made here and not there because the kernel makes one rename at a time of all those of a
//! file system that lead from one directory to another, and because a server of CIFS refuses to rename a
//! directory in which a registry has a file open. Deleting takes two operations: the file, then its directory.
//!
//! What is hidden is listed beforehand in the sweep's part of the trash (`store/journal.rs`), so that after a
//! crash the next sweep brings it back, or goes on deleting where that had begun. Should the list be lost, a
//! sweep shows what it misses, and a sweep that finds no trace of an earlier one looks for hidden files everywhere.
//!
//! Never over something newer: where the registry has written a file anew, the hidden one is given up. A blob's
//! content is its name, so nothing is lost with it, unless the new one is cut short and the hidden one is not: then that
//! takes its place.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, PoisonError};

use super::io::{Dir, Kind};
use super::removed::is_absent;
use super::seats::{Seated as _, again};
use super::told::Told;
use super::{Store, StoreLock, layout, mutate, reserve};
use crate::model::{Digests, Hidden, HiddenFile, Problem, Stamp};
use crate::stop::{Interrupted, Stop};

/// How many files a list has on it.
const LISTED: usize = 4096;

/// What came of doing something to files.
#[derive(Debug, Default)]
pub struct Done {
    /// For each file, in the order of [`Hidden::files`], whether it was done.
    pub done: Vec<bool>,
    /// What went wrong.
    pub problems: Vec<Problem>,
}

/// What came of hiding files.
#[derive(Debug, Default)]
pub struct Hid {
    /// Those that are hidden.
    pub hidden: Done,
    /// Whether there was no room for the lists of all of them.
    pub is_full: bool,
}

impl Done {
    /// How many files it was done to.
    pub fn count(&self) -> usize {
        self.done.iter().filter(|done| **done).count()
    }
}

impl Store {
    /// Hides files. Those that are not there are not hidden.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for; the next sweep brings back what is hidden then.
    pub fn hide(
        &self,
        lock: &StoreLock,
        batch: &str,
        digests: &Digests,
        files: &Hidden,
        stop: &Stop,
    ) -> Result<Hid, Interrupted> {
        let mut hidden = Done::default();
        let mut is_full = false;
        // Whatever the lists take, there is room to condemn what they hide.
        if let Err(error) = self.make_room_and_dirs(lock, layout::CONDEMNED) {
            hidden.problems.push(Problem::of_failed_step(layout::CONDEMNED.to_owned(), &error));
        }
        let mut all = files.files(digests);
        for number in 1.. {
            let part: Vec<HiddenFile> = all.by_ref().take(LISTED).collect();
            if part.is_empty() {
                break;
            }
            if let Err(error) = self.write_journal(lock, batch, number, &part) {
                // Nothing is hidden without a list.
                is_full = reserve::is_full(&error);
                hidden.problems.push(Problem::of_failed_step(layout::journal(number), &error));
                break;
            }
            let Done { mut done, mut problems } =
                self.at_each(part, false, stop, |dir, name, file| self.hide_one(dir, name, file))?;
            hidden.done.append(&mut done);
            hidden.problems.append(&mut problems);
        }
        hidden.done.resize(files.len(), false);
        Ok(Hid { hidden, is_full })
    }

    /// Hides files without a list, where there is no room for one. After a crash, only a sweep that finds no trace of an
    /// earlier one brings them back, so [`Store::forget`] comes first.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for.
    pub fn hide_unlisted(
        &self,
        _lock: &StoreLock,
        digests: &Digests,
        files: &Hidden,
        stop: &Stop,
    ) -> Result<Done, Interrupted> {
        self.at_each(files.files(digests), false, stop, |dir, name, file| self.hide_one(dir, name, file))
    }

    fn hide_one(&self, dir: &Dir, name: &str, file: &str) -> io::Result<bool> {
        let unseen = unseen(name, file);
        let Err(error) = mutate::rename_file(&self.io, dir, &seen(name, file), &unseen) else {
            return Ok(true);
        };
        // Over a network the answer may be lost, or the question asked twice. What may be hidden is looked after like what
        // is: nothing is deleted but what is hidden.
        match self.io.stat(dir, &unseen) {
            Err(absent) if is_absent(&absent) => is_there(Err(error)),
            Ok(_) | Err(_) => Ok(true),
        }
    }

    /// Brings hidden files back. Of one that is not hidden, or that the registry has written anew meanwhile,
    /// nothing is brought back, and nothing is wrong.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for; the next sweep brings back the rest.
    pub fn show(
        &self,
        lock: &StoreLock,
        files: impl IntoIterator<Item = HiddenFile>,
        stop: &Stop,
    ) -> Result<Done, Interrupted> {
        self.show_by(lock, files, false, stop)
    }

    /// The same for files that no list tells of: how long ago they were hidden is unknown, so what the registry has in
    /// their place is read and hashed before the hidden copy is given up.
    ///
    /// # Errors
    /// As [`Store::show`].
    pub fn show_unlisted(
        &self,
        lock: &StoreLock,
        files: impl IntoIterator<Item = HiddenFile>,
        stop: &Stop,
    ) -> Result<Done, Interrupted> {
        self.show_by(lock, files, true, stop)
    }

    fn show_by(
        &self,
        _lock: &StoreLock,
        files: impl IntoIterator<Item = HiddenFile>,
        reads_all: bool,
        stop: &Stop,
    ) -> Result<Done, Interrupted> {
        self.at_each(files, false, stop, |dir, name, file| {
            let (seen, unseen) = (seen(name, file), unseen(name, file));
            let shown = is_there(mutate::rename_file_to_free_name(&self.io, dir, &unseen, &seen))?;
            if !shown
                && file == layout::DATA
                && self.is_better(dir, name, [&seen, &unseen], reads_all, stop)?
            {
                return mutate::rename_file(&self.io, dir, &unseen, &seen).map(|()| true);
            }
            if !shown {
                is_there(mutate::give_up(&self.io, dir, &unseen).map(|()| true))?;
            }
            Ok(shown)
        })
    }

    /// Whether a hidden blob is whole, and what was written beside it is not: a registry 2.8 leaves a manifest cut short
    /// when its disk is full. Unless all are to be read, they are read only where they differ in length.
    pub(super) fn is_better(
        &self,
        dir: &Dir,
        hex: &str,
        [seen, unseen]: [&str; 2],
        reads_all: bool,
        stop: &Stop,
    ) -> io::Result<bool> {
        let length = |path| match self.io.stat(dir, path) {
            Ok(file) => Ok(Some(file.size_bytes)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        };
        let (Some(new), Some(old)) = (length(seen)?, length(unseen)?) else { return Ok(false) };
        let hash = |path| self.hash_file(dir, path, |_| stop.check().map_err(io::Error::other));
        Ok((reads_all || new != old) && hash(seen)?.hex() != hex && hash(unseen)?.hex() == hex)
    }

    /// Which of these files are hidden: one stat each.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for.
    pub fn hidden_among(
        &self,
        files: impl IntoIterator<Item = HiddenFile>,
        stop: &Stop,
    ) -> Result<(Vec<HiddenFile>, Vec<Problem>), Interrupted> {
        let is_hidden = |dir: &Dir, name: &str, file: &str| {
            is_there(self.io.stat(dir, &unseen(name, file)).map(|it| it.kind == Kind::File))
        };
        let mut found = Vec::new();
        let problems = self.with_each_file(files, false, stop, is_hidden, |file, is_hidden| {
            found.extend((is_hidden == Some(true)).then_some(file));
        })?;
        Ok((found, problems))
    }

    /// The second look was taken: deletes what a batch hides. From here on, none of it comes back.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for; the next sweep goes on. Inside, whatever the system says to
    /// condemning it; then all of it stays hidden, and comes back with the next sweep.
    pub fn delete_batch(
        &self,
        lock: &StoreLock,
        batch: &str,
        digests: &Digests,
        files: &Hidden,
        stop: &Stop,
    ) -> Result<io::Result<Done>, Interrupted> {
        let condemned = self
            .make_room_and_dirs(lock, layout::CONDEMNED)
            .and_then(|()| self.rename_batch(lock, layout::PENDING, layout::CONDEMNED, batch));
        if let Err(error) = condemned {
            return Ok(Err(error));
        }
        let mut deleted = self.delete_hidden(lock, files.files(digests), stop)?;
        if deleted.problems.is_empty() {
            let path = format!("{}/{batch}", layout::CONDEMNED);
            let emptied = self.remove_tree(&lock.dir, &path, stop);
            deleted.problems.extend(emptied.err().map(|error| Problem::of_failed_step(path, &error)));
        }
        Ok(Ok(deleted))
    }

    /// Everything that a batch hid is seen again: gives up the batch.
    ///
    /// # Errors
    /// Whatever the system says; then the next sweep looks after it.
    pub fn give_up_batch(&self, lock: &StoreLock, batch: &str) -> io::Result<()> {
        let path = format!("{}/{batch}", layout::PENDING);
        self.remove_tree(&lock.dir, &path, &Stop::default())
    }

    /// Deletes hidden files, and the directories that this leaves empty: done is what the registry does not have anew,
    /// also where something else lies in its directory.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for; the next sweep goes on.
    pub fn delete_hidden(
        &self,
        _lock: &StoreLock,
        files: impl IntoIterator<Item = HiddenFile>,
        stop: &Stop,
    ) -> Result<Done, Interrupted> {
        self.at_each(files, true, stop, |dir, name, file| {
            let deleted = mutate::give_up(&self.io, dir, &unseen(name, file))
                .and_then(|()| mutate::remove_empty_dir(&self.io, dir, name));
            Ok(is_there(deleted)? || !self.is_seen(dir, name, file)?)
        })
    }

    fn is_seen(&self, dir: &Dir, name: &str, file: &str) -> io::Result<bool> {
        is_there(self.io.stat(dir, &seen(name, file)).map(|_| true))
    }

    /// Which of the hidden layer links were written to since they were decided on, or cannot be looked at: a
    /// registry 2.8 that had one open may have written to it. One stat each.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for.
    pub fn written_while_hidden(
        &self,
        digests: &Digests,
        hidden: &Hidden,
        stop: &Stop,
    ) -> Result<Done, Interrupted> {
        let written = |dir: &Dir, name: &str, file: &str| match self.io.stat(dir, &unseen(name, file)) {
            Ok(link) => Ok(Some(Stamp::from(link.modified))),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        };
        let mut of_before = hidden.links.iter().map(|link| link.written);
        let mut done = Vec::with_capacity(hidden.links.len());
        let problems =
            self.at_files(hidden.files(digests).take(hidden.links.len()), None, stop, written, |written| {
                let before = of_before.next().flatten();
                done.push(written.is_none_or(|now| now.is_some() && now != before));
            })?;
        Ok(Done { done, problems })
    }

    fn at_each(
        &self,
        files: impl IntoIterator<Item = HiddenFile>,
        otherwise: bool,
        stop: &Stop,
        act: impl Fn(&Dir, &str, &str) -> io::Result<bool> + Sync,
    ) -> Result<Done, Interrupted> {
        let mut done = Vec::new();
        let problems = self.at_files(files, otherwise, stop, act, |of_it| done.push(of_it == Some(true)))?;
        Ok(Done { done, problems })
    }

    /// Does something to each file, named by its directory and its own name in the open directory above, and hands on
    /// what came of it; none where it went wrong. Where somebody has removed the directory above, there is nothing to do,
    /// and `otherwise` came of it.
    fn at_files<T: Clone + Send + Sync>(
        &self,
        files: impl IntoIterator<Item = HiddenFile>,
        otherwise: T,
        stop: &Stop,
        act: impl Fn(&Dir, &str, &str) -> io::Result<T> + Sync,
        mut done: impl FnMut(Option<T>),
    ) -> Result<Vec<Problem>, Interrupted> {
        self.with_each_file(files, otherwise, stop, act, |_, of_it| done(of_it))
    }

    /// The same, handed on with the file.
    fn with_each_file<T: Clone + Send + Sync>(
        &self,
        files: impl IntoIterator<Item = HiddenFile>,
        otherwise: T,
        stop: &Stop,
        act: impl Fn(&Dir, &str, &str) -> io::Result<T> + Sync,
        mut done: impl FnMut(HiddenFile, Option<T>),
    ) -> Result<Vec<Problem>, Interrupted> {
        // By the directory above: there may be many files that were in it.
        let removed: Mutex<HashMap<String, bool>> = Mutex::default();
        let is_removed = |file: &HiddenFile| {
            let mut removed = removed.lock().unwrap_or_else(PoisonError::into_inner);
            *removed.entry(file.parent()).or_insert_with_key(|parent| self.is_removed(parent))
        };
        let act = |dir: Result<&Dir, &io::Error>, file: &HiddenFile| {
            stop.check()?;
            let (name, kind) = match file {
                HiddenFile::Blob(digest) => (digest.hex(), layout::DATA),
                HiddenFile::Link(_, digest) => (digest.hex(), layout::LINK),
            };
            let done = match dir {
                Ok(dir) => act(dir, &name, kind),
                Err(error) if is_absent(error) && is_removed(file) => Ok(otherwise.clone()),
                Err(error) => Err(again(error)),
            };
            Ok(done.map_err(|error| {
                let path = layout::told(&format!("{}/{name}/{kind}", file.parent()));
                Box::new(Problem::of_failed_step(path, &error))
            }))
        };
        let mut problems = Told::default();
        self.each_by_parent(files, act, |file, of_it| {
            done(file, of_it.map_err(|problem: Box<Problem>| problems.push(*problem)).ok());
        })?;
        Ok(problems.into_problems())
    }
}

/// Where the registry sees a file, below the directory above its own.
fn seen(directory: &str, file: &str) -> String {
    format!("{directory}/{file}")
}

/// Where the file is while it is hidden.
fn unseen(directory: &str, file: &str) -> String {
    format!("{directory}/{}", layout::hidden(file))
}

/// What went away by itself is not there, and nothing is wrong. Nor is it where something else has taken the place of its
/// directory.
fn is_there(done: io::Result<bool>) -> io::Result<bool> {
    match done {
        Err(error) if is_absent(&error) => Ok(false),
        done => done,
    }
}
