//! Moving removed tags into the undo trash, and out of it again.
//!
//! Every move is one rename, and the paths say what each thing is:
//!
//! ```text
//! pending/<sweep>  ->  undo/<sweep>  ->  condemned/<sweep>      what a sweep removed, all at once
//!                      undo/<sweep>/<place>  ->  the place      a tag that is brought back
//! ```

use std::io;

use jiff::Timestamp;

use super::undo::{RemovedAt, RemovedTag};
use super::{Batch, Store, StoreLock, layout, mutate};
use crate::model::{Place, Problem, UndoSweep, Undoable};
use crate::stop::{Interrupted, Stop};

impl Batch<'_> {
    /// The second look was taken: from here on, the tags that are left in the batch can be brought
    /// back by hand only. What cannot be written about them is told, and is missed by nobody but people.
    ///
    /// # Errors
    /// Whatever the system says; then the tags stay pending.
    pub fn hold_tags(&self, removed_at: Timestamp, tags: &[RemovedTag]) -> io::Result<Vec<Problem>> {
        let Self { store, lock, tags_id, .. } = self;
        let path = format!("{}/{tags_id}", layout::PENDING);
        let problems = store.write_records(lock, &path, removed_at, tags);
        store.make_room_and_dirs(lock, layout::UNDO)?;
        store.rename_batch(lock, layout::PENDING, layout::UNDO, tags_id)?;
        Ok(problems)
    }
}

impl Store {
    /// What a sweep removed can no longer be brought back, and is deleted by
    /// [`Store::delete_condemned_now`].
    ///
    /// # Errors
    /// Whatever the system says; then it stays where it is.
    pub fn condemn_undo(&self, lock: &StoreLock, sweep: &UndoSweep) -> io::Result<()> {
        self.make_room_and_dirs(lock, layout::CONDEMNED)?;
        self.rename_batch(lock, layout::UNDO, layout::CONDEMNED, &sweep.id)
    }

    /// Deletes everything that was condemned.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for; the next sweep goes on.
    pub fn delete_condemned_now(&self, lock: &StoreLock, stop: &Stop) -> Result<Vec<Problem>, Interrupted> {
        let mut problems = Vec::new();
        self.delete_condemned(lock, &mut problems, stop)?;
        Ok(problems)
    }

    /// Brings a removed tag back to its place, as if it had just been pushed: `false` when there is a
    /// tag in its place, which stays.
    ///
    /// # Errors
    /// Whatever the system says; the tag is in the trash or in its place then.
    pub fn bring_back(&self, lock: &StoreLock, removed: &Undoable, now: Timestamp) -> io::Result<bool> {
        let place = Place::Tag(removed.repository.clone(), removed.tag.clone());
        let parent = layout::parent(&place);
        let from = self.io.open_dir(&lock.dir, &format!("{}/{}/{parent}", layout::UNDO, removed.sweep.id))?;
        let to = match self.io.open_dir(&self.root, &parent) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make_room_and_dirs_in(lock, &self.root, &parent)?;
                self.io.open_dir(&self.root, &parent)?
            }
            opened => opened?,
        };
        // First its time: a tag that is back with its old one would go again.
        let link = layout::link(&place);
        let (above, link) = link.rsplit_once('/').unwrap_or((".", &link));
        mutate::set_modified(&self.io, &self.io.open_dir(&from, above)?, link, now)?;
        let name = layout::file_name(&place);
        super::batch::put_back_one(self, &from, &to, &name)
    }

    /// Moves a tag out of the way of another one. Until [`Store::hold_overwritten`] it may come back, and
    /// does so after a crash, unless the other one is in its place by then.
    ///
    /// # Errors
    /// Whatever the system says; then it stays in its place.
    pub fn set_tag_aside(
        &self,
        lock: &StoreLock,
        id: &str,
        place: &Place,
        removed_at: Timestamp,
        tag: RemovedTag,
    ) -> io::Result<Vec<Problem>> {
        let path = format!("{}/{id}", layout::PENDING);
        let parent = layout::parent(place);
        self.make_room_and_dirs(lock, &format!("{path}/{parent}"))?;
        let problems = self.write_records(lock, &path, removed_at, &[tag]);
        let from = self.io.open_dir(&self.root, &parent)?;
        let to = self.io.open_dir(&lock.dir, &format!("{path}/{parent}"))?;
        let name = layout::file_name(place);
        mutate::rename_dir(&self.io, &from, &name, &to, &name)?;
        Ok(problems)
    }

    /// The other one is in its place: what was set aside is held for undo.
    ///
    /// # Errors
    /// Whatever the system says; then the next sweep does it.
    pub fn hold_overwritten(&self, lock: &StoreLock, id: &str) -> io::Result<()> {
        self.make_room_and_dirs(lock, layout::UNDO)?;
        self.rename_batch(lock, layout::PENDING, layout::UNDO, id)
    }

    /// The other one is not in its place: what was set aside goes back.
    ///
    /// # Errors
    /// Whatever the system says; then the next sweep does it.
    pub fn put_set_aside_back(&self, lock: &StoreLock, id: &str, place: &Place) -> io::Result<()> {
        let batch = self.batch(lock, id);
        for back in batch.put_back(std::slice::from_ref(place), &Stop::default()).unwrap_or_default() {
            back?;
        }
        batch.condemn()
    }

    fn write_records(
        &self,
        lock: &StoreLock,
        path: &str,
        removed_at: Timestamp,
        tags: &[RemovedTag],
    ) -> Vec<Problem> {
        let written = || {
            let dir = self.io.open_dir(&lock.dir, path)?;
            let records = [
                (layout::REMOVED, serde_json::to_vec(&RemovedAt { removed_at })?),
                (layout::REASONS, serde_json::to_vec(tags)?),
            ];
            for (name, text) in records {
                self.write_with_room(lock, &dir, name, &text)?;
            }
            Ok::<_, io::Error>(())
        };
        let failed = |error| Problem::of_failed_step(format!("{}/{path}", layout::JANITOR), &error);
        written().err().map(failed).into_iter().collect()
    }

    pub(super) fn rename_batch(&self, lock: &StoreLock, from: &str, to: &str, id: &str) -> io::Result<()> {
        let from = self.io.open_dir(&lock.dir, from)?;
        let to = self.io.open_dir(&lock.dir, to)?;
        mutate::rename_dir(&self.io, &from, id, &to, id)
    }
}
