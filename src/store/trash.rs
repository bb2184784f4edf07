//! The trash: what goes is renamed there first, and deleted only after a second look.
//!
//! A batch is one sweep's. Its paths repeat the store's, so they say what each thing is and where it
//! belongs, whatever happened to the janitor meanwhile:
//!
//! - `pending/<sweep>/…` was taken away and may still come back. After a crash all of it is put
//!   back, and the next sweep decides anew.
//! - `undo/<sweep>/…` passed the second look, and can be brought back by hand. Only tags are there.
//! - `condemned/<sweep>/…` passed the second look. One rename makes the step from the one to the
//!   other, so a half-deleted thing is never mistaken for one to put back.

use std::io;

use super::io::{Entry, Kind};
use super::{Back, Store, StoreLock, layout};
use crate::model::{Code, Place, Problem, Severity};
use crate::stop::{Interrupted, Stop};

/// What an interrupted sweep had left.
#[derive(Debug, Default)]
pub struct Leftovers {
    /// Put back where it belongs.
    pub put_back: Vec<Place>,
    /// How many hidden blobs and layer links are seen again.
    pub shown: usize,
    /// Newer content was in its place; the old was deleted.
    pub superseded: Vec<Place>,
    /// Somebody had removed the directory that it was in; it was deleted.
    pub removed: Vec<Place>,
    /// Whether it was written down since when doubt keeps the store from being collected.
    pub has_doubt_record: bool,
    /// What could not be dealt with.
    pub problems: Vec<Problem>,
}

#[derive(Default)]
struct Found {
    places: Vec<Place>,
    /// Lists of hidden files, below the janitor's directory.
    lists: Vec<String>,
    unknown: Vec<String>,
}

impl Store {
    /// Puts back what an interrupted sweep had taken, and finishes deleting what it had condemned.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for.
    pub fn settle_leftovers(&self, lock: &StoreLock, stop: &Stop) -> Result<Leftovers, Interrupted> {
        let mut left = Leftovers::default();
        for sweep in self.trash_entries(lock, layout::PENDING, &mut left.problems) {
            let batch = self.batch(lock, &sweep);
            let mut found = Found::default();
            if let Err(error) = self.find_places(lock, &batch.pending(), "", &mut found) {
                left.problems.push(failed(&batch.pending(), &error));
                continue;
            }
            let Found { mut places, lists, unknown } = found;
            places.sort_unstable();
            let troubles = left.problems.len();
            left.problems.extend(unknown.into_iter().map(|path| Problem {
                severity: Severity::Doubt,
                code: Code::OddName,
                repository: None,
                path: format!("{}/{}/{path}", layout::JANITOR, batch.pending()),
                cause: "an interrupted sweep left it, and this version does not know where it belongs".into(),
                remedy: "run the version of the janitor that left it, or move it out of the trash".into(),
            }));
            for (place, back) in places.iter().zip(batch.put_back(&places, stop)?) {
                match back {
                    Ok(Back::Done) => left.put_back.push(place.clone()),
                    Ok(Back::Superseded) => left.superseded.push(place.clone()),
                    Ok(Back::Removed) => left.removed.push(place.clone()),
                    Err(error) => left.problems.push(failed(&place.to_string(), &error)),
                }
            }
            left.shown += self.show_listed(lock, &lists, &mut left.problems, stop)?;
            if left.problems.len() == troubles {
                // What a restore overwrote is held for undo, wherever it was cut short.
                let is_overwritten = layout::is_restore(&sweep) && !left.superseded.is_empty();
                let done = if is_overwritten { self.hold_overwritten(lock, &sweep) } else { batch.condemn() };
                left.problems.extend(done.err().map(|error| failed(&sweep, &error)));
            }
        }
        left.has_doubt_record = self.delete_condemned(lock, &mut left.problems, stop)?;
        Ok(left)
    }

    /// Whether an interrupted sweep has left this, and the next sweep puts it back. Changes nothing.
    pub fn is_pending(&self, place: &Place) -> bool {
        let pending = format!("{}/{}", layout::JANITOR, layout::PENDING);
        let Ok(dir) = self.io.open_dir(&self.data, &pending) else { return false };
        let path = |sweep: &str| format!("{sweep}/{}/{}", layout::parent(place), layout::file_name(place));
        let sweeps = self.io.list(&dir).unwrap_or_default();
        sweeps.iter().any(|sweep| self.io.stat(&dir, &path(&sweep.name)).is_ok())
    }

    /// How many interrupted sweeps have left something that the next sweep puts back. Changes nothing.
    pub fn unsettled(&self) -> usize {
        let pending = format!("{}/{}", layout::JANITOR, layout::PENDING);
        let listed = self.io.open_dir(&self.data, &pending).and_then(|dir| self.io.list(&dir));
        listed.map_or(0, |entries| entries.len())
    }

    /// Deletes what was condemned. Says whether there is a record of doubt beside it.
    pub(super) fn delete_condemned(
        &self,
        lock: &StoreLock,
        problems: &mut Vec<Problem>,
        stop: &Stop,
    ) -> Result<bool, Interrupted> {
        let entries = self.trash_list(lock, layout::CONDEMNED, problems);
        let has_doubt_record = entries.iter().any(|it| it.kind == Kind::File && it.name == layout::DOUBT);
        for Entry { name: sweep, .. } in entries.into_iter().filter(|entry| entry.kind == Kind::Dir) {
            stop.check()?;
            let path = format!("{}/{sweep}", layout::CONDEMNED);
            let emptied = self.empty_trash(lock, &path, problems, stop)?;
            problems.extend(emptied.err().map(|error| failed(&path, &error)));
        }
        Ok(has_doubt_record)
    }

    /// Deletes one condemned batch. What it hides goes first, since the lists of that go with it.
    fn empty_trash(
        &self,
        lock: &StoreLock,
        path: &str,
        problems: &mut Vec<Problem>,
        stop: &Stop,
    ) -> Result<io::Result<()>, Interrupted> {
        let entries = match self.io.open_dir(&lock.dir, path).and_then(|dir| self.io.list(&dir)) {
            Ok(entries) => entries,
            Err(error) => return Ok(Err(error)),
        };
        let lists = entries.into_iter().filter(|entry| layout::is_journal(&entry.name));
        let lists: Vec<String> = lists.map(|entry| format!("{path}/{}", entry.name)).collect();
        let troubles = problems.len();
        self.delete_listed(lock, &lists, problems, stop)?;
        if problems.len() > troubles {
            return Ok(Ok(()));
        }
        let emptied = self.remove_tree(&lock.dir, path, stop);
        stop.check()?;
        Ok(emptied)
    }

    fn trash_entries(&self, lock: &StoreLock, path: &str, problems: &mut Vec<Problem>) -> Vec<String> {
        let entries = self.trash_list(lock, path, problems).into_iter();
        entries.filter(|entry| entry.kind == Kind::Dir).map(|entry| entry.name).collect()
    }

    fn trash_list(&self, lock: &StoreLock, path: &str, problems: &mut Vec<Problem>) -> Vec<Entry> {
        let listed = self.io.open_dir(&lock.dir, path).and_then(|dir| self.io.list(&dir));
        match listed {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                problems.push(failed(path, &error));
                Vec::new()
            }
        }
    }

    fn find_places(&self, lock: &StoreLock, base: &str, below: &str, found: &mut Found) -> io::Result<()> {
        let path = if below.is_empty() { base.to_owned() } else { format!("{base}/{below}") };
        let dir = self.io.open_dir(&lock.dir, &path)?;
        for entry in self.io.list(&dir)? {
            let below = if below.is_empty() { entry.name } else { format!("{below}/{}", entry.name) };
            match layout::place(&below) {
                Some(place) => found.places.push(place),
                None if entry.kind == Kind::Dir => self.find_places(lock, base, &below, found)?,
                None if layout::is_record(&below) || layout::is_half_journal(&below) => {}
                None if layout::is_journal(&below) => found.lists.push(format!("{base}/{below}")),
                None => found.unknown.push(below),
            }
        }
        Ok(())
    }
}

fn failed(path: &str, error: &io::Error) -> Problem {
    Problem::of_failed_step(path.to_owned(), error)
}
