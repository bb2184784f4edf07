//! One sweep's part of the trash: taking things away, looking at them again, putting them back, condemning the rest.

use std::io;

use rustix::io::Errno;

use super::io::Dir;
use super::links::{self, Link};
use super::removed::is_absent;
use super::seats::again;
use super::{Store, StoreLock, layout, mutate};
use crate::model::{Expected, Place, Problem};
use crate::stop::{Interrupted, Stop};

/// What came of taking one thing away.
#[derive(Debug)]
pub enum Taken {
    /// It is in the trash.
    Moved,
    /// It is not what was decided on, and was left or put back.
    Changed(String),
    /// It was gone already.
    Gone,
    /// It could not be moved, and is in its place.
    Failed(String),
    /// Another process has a file in it open; it is in its place.
    InUse(String),
    /// It is in the trash and should not be, and could not be put back.
    Stuck(String),
}

/// What came of putting one thing back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Back {
    /// It is back in its place.
    Done,
    /// Newer content is in its place, and stays there.
    Superseded,
    /// Somebody has removed the directory that it was in, so it has no place any more.
    Removed,
}

/// One sweep's part of the trash.
#[derive(Debug)]
pub struct Batch<'a> {
    pub(super) store: &'a Store,
    pub(super) lock: &'a StoreLock,
    id: String,
    /// Where tags go: where they are to be held for undo, they leave it by another way than the rest.
    pub(super) tags_id: String,
}

impl Store {
    /// Begins a batch; nothing is made in the store before something is taken.
    pub fn batch<'a>(&'a self, lock: &'a StoreLock, sweep: &str) -> Batch<'a> {
        Batch { store: self, lock, id: sweep.to_owned(), tags_id: sweep.to_owned() }
    }

    /// Begins a batch whose tags are to be held for undo.
    pub fn batch_with_undo<'a>(&'a self, lock: &'a StoreLock, sweep: &str) -> Batch<'a> {
        Batch { id: format!("{sweep}-rest"), ..self.batch(lock, sweep) }
    }
}

impl Batch<'_> {
    /// Takes things away, each by one rename, checked just before and again in the trash.
    ///
    /// `expected` is sorted by place. The answers come in the same order.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for; the next sweep puts back what is in the trash then.
    pub fn take(&self, expected: &[Expected], stop: &Stop) -> Result<Vec<Taken>, Interrupted> {
        let open = |Expected { place, .. }: &Expected| {
            let from = self.store.io.open_dir(&self.store.root, &layout::parent(place))?;
            let to = self.pending_parent(place);
            self.store.make_room_and_dirs(self.lock, &to)?;
            Ok::<_, io::Error>((from, self.store.io.open_dir(&self.lock.dir, &to)?))
        };
        self.store.each_beside(expected, open, |opened, expected| {
            stop.check()?;
            Ok(match opened {
                Ok((from, to)) => self.take_one(from, to, expected),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Taken::Gone,
                Err(error) => Taken::Failed(error.to_string()),
            })
        })
    }

    fn take_one(&self, from: &Dir, to: &Dir, expected: &Expected) -> Taken {
        let io = &self.store.io;
        let name = layout::file_name(&expected.place);
        match self.check(from, expected) {
            Checked::AsExpected => {}
            Checked::Gone => return Taken::Gone,
            Checked::Differs(why) => return Taken::Changed(why),
            Checked::Unreadable(why) => return Taken::Failed(why),
        }
        if let Err(error) = mutate::rename_dir(io, from, &name, to, &name) {
            // Over a network the answer may be lost, or the question asked twice: only where it is not in the trash was
            // nothing moved.
            match io.stat(to, &name) {
                Ok(_) => {}
                Err(absent) if absent.kind() == io::ErrorKind::NotFound => {
                    return match error.kind() {
                        io::ErrorKind::NotFound => Taken::Gone,
                        io::ErrorKind::ResourceBusy => Taken::InUse(error.to_string()),
                        _ => Taken::Failed(error.to_string()),
                    };
                }
                Err(unknown) => {
                    return Taken::Stuck(format!("{error}; whether it was moved is unknown: {unknown}"));
                }
            }
        }
        let (why, is_unreadable) = match self.check(to, expected) {
            Checked::AsExpected => return Taken::Moved,
            Checked::Gone => ("its link went away in that moment".to_owned(), false),
            Checked::Differs(why) => (why, false),
            Checked::Unreadable(why) => (why, true),
        };
        match put_back_one(self.store, to, from, &name) {
            Ok(true) if is_unreadable => Taken::Failed(format!("{why}; it was put back")),
            Ok(true) => Taken::Changed(format!("{why}; it was put back")),
            Ok(false) => Taken::Changed(format!("{why}; newer content took its place")),
            Err(error) => Taken::Stuck(format!(
                "{why}; putting it back failed and is tried again by the next sweep: {error}"
            )),
        }
    }

    /// Looks again at what is in the trash. `true` where it still is what was taken; an error where it
    /// cannot be told.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for.
    pub fn recheck(&self, expected: &[Expected], stop: &Stop) -> Result<Vec<io::Result<bool>>, Interrupted> {
        let open = |it: &Expected| self.store.io.open_dir(&self.lock.dir, &self.pending_parent(&it.place));
        self.store.each_beside(expected, open, |dir, expected| {
            stop.check()?;
            Ok(match dir {
                Ok(dir) => match self.check(dir, expected) {
                    Checked::AsExpected => Ok(true),
                    Checked::Gone | Checked::Differs(_) => Ok(false),
                    Checked::Unreadable(why) => Err(io::Error::other(why)),
                },
                Err(error) => Err(again(error)),
            })
        })
    }

    /// Puts things back where they belong. `places` is sorted.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for; what is still in the trash is put back by the next
    /// sweep.
    pub fn put_back(&self, places: &[Place], stop: &Stop) -> Result<Vec<io::Result<Back>>, Interrupted> {
        let open = |place: &Place| {
            let parent = layout::parent(place);
            let from = self.store.io.open_dir(&self.lock.dir, &self.pending_parent(place))?;
            let to = match self.store.io.open_dir(&self.store.root, &parent) {
                Err(error) if is_absent(&error) && self.store.is_surely_removed(&parent) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.store.make_room_and_dirs_in(self.lock, &self.store.root, &parent)?;
                    self.store.io.open_dir(&self.store.root, &parent)?
                }
                opened => opened?,
            };
            Ok::<_, io::Error>(Some((from, to)))
        };
        self.store.each_beside(places, open, |opened, place| {
            stop.check()?;
            Ok(match opened {
                Ok(Some((from, to))) => {
                    let back = put_back_one(self.store, from, to, &layout::file_name(place));
                    back.map(|is_back| if is_back { Back::Done } else { Back::Superseded })
                }
                Ok(None) => Ok(Back::Removed),
                Err(error) => Err(again(error)),
            })
        })
    }

    /// The second look was taken: from here on, what is left in the batch is only deleted.
    ///
    /// # Errors
    /// Whatever the system says; then everything stays pending.
    pub fn condemn(&self) -> io::Result<()> {
        self.condemn_one(&self.id)
    }

    /// The same for the part that the tags were in, of which none is left.
    ///
    /// # Errors
    /// As [`Batch::condemn`].
    pub fn condemn_tags(&self) -> io::Result<()> {
        self.condemn_one(&self.tags_id)
    }

    fn condemn_one(&self, id: &str) -> io::Result<()> {
        let io = &self.store.io;
        match io.stat(&self.lock.dir, &format!("{}/{id}", layout::PENDING)) {
            // What is believed to be gone and is not would come back without its blobs.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return if self.is_listed(id)? { Err(error) } else { Ok(()) };
            }
            stat => stat?,
        };
        self.store.make_room_and_dirs(self.lock, layout::CONDEMNED)?;
        let from = io.open_dir(&self.lock.dir, layout::PENDING)?;
        let to = io.open_dir(&self.lock.dir, layout::CONDEMNED)?;
        mutate::rename_dir(io, &from, id, &to, id)
    }

    /// Whether a listing has a batch that was not found by its name.
    fn is_listed(&self, id: &str) -> io::Result<bool> {
        let io = &self.store.io;
        match io.open_dir(&self.lock.dir, layout::PENDING).and_then(|pending| io.list(&pending)) {
            Ok(entries) => Ok(entries.iter().any(|entry| entry.name == id)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes what was condemned.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for; the next sweep goes on.
    pub fn delete(self, stop: &Stop) -> Result<Vec<Problem>, Interrupted> {
        let mut problems = Vec::new();
        self.store.delete_condemned(self.lock, &mut problems, stop)?;
        Ok(problems)
    }

    pub(super) fn pending(&self) -> String {
        format!("{}/{}", layout::PENDING, self.id)
    }

    /// The directory of the trash that holds a place.
    fn pending_parent(&self, place: &Place) -> String {
        let id = if matches!(place, Place::Tag(..)) { &self.tags_id } else { &self.id };
        format!("{}/{id}/{}", layout::PENDING, layout::parent(place))
    }

    fn check(&self, dir: &Dir, expected: &Expected) -> Checked {
        match (links::read(&self.store.io, dir, &layout::link(&expected.place)), &expected.link) {
            (Link::To(digest, written), Some((wanted, at))) if digest == *wanted && written == *at => {
                Checked::AsExpected
            }
            (Link::To(..), _) => Checked::Differs("it was pushed again meanwhile".into()),
            (Link::Missing, None) => Checked::AsExpected,
            (Link::Missing, Some(_)) => Checked::Gone,
            (Link::Bad(_), _) => Checked::Differs("it is being written".into()),
            (Link::Unreadable(error), _) => Checked::Unreadable(format!("its link cannot be read: {error}")),
        }
    }
}

enum Checked {
    AsExpected,
    Gone,
    Differs(String),
    Unreadable(String),
}

pub(super) fn put_back_one(store: &Store, from: &Dir, to: &Dir, name: &str) -> io::Result<bool> {
    match mutate::rename_dir(&store.io, from, name, to, name) {
        Ok(()) => Ok(true),
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
            _ => Err(error),
        },
    }
}
