//! The wait, the second look that permits deleting, and what it puts back.

use std::collections::HashSet;
use std::io;

use super::Sweep;
use crate::apply;
use crate::model::{Digest, Expected, Inventory, Place, RepoName, Repository, Tag, TagState};
use crate::stop::{Interrupted, Length};
use crate::store::{Batch, RemovedTag};

/// What came of the second look.
pub(super) struct Settled {
    /// Put back, or replaced by newer content.
    pub(super) rescued: HashSet<Place>,
    /// Whether the tags are held for undo, or on their way out; otherwise they stay pending, and may come
    /// back.
    pub(super) are_tags_gone: bool,
    /// The same of everything else.
    pub(super) is_emptied: bool,
}

impl Sweep<'_> {
    /// Waits, looks a second time, puts back what is needed again, and deletes the rest of the trash.
    /// What is told of `removed` tags holds those for undo instead.
    pub(super) fn settle(
        &mut self,
        batch: Batch<'_>,
        taken: &[Expected],
        companions: &[(Place, Digest)],
        is_stuck: bool,
        inventory: &mut Inventory,
        removed: Option<&[RemovedTag]>,
    ) -> Result<Settled, Interrupted> {
        let mut rescued = HashSet::new();
        if taken.is_empty() && !is_stuck {
            return Ok(Settled { rescued, are_tags_gone: true, is_emptied: true });
        }
        self.wait_to_settle()?;
        // A registry 2.8 that had a link open may have written into it after the rename.
        let is_companion = |place: &Place| companions.binary_search_by(|(it, _)| it.cmp(place)).is_ok();
        let (mut changed, mut others) = (Vec::new(), Vec::new());
        for (expected, is_same) in taken.iter().zip(batch.recheck(taken, self.stop)?) {
            match is_same {
                Ok(true) if matches!(expected.place, Place::Tag(..)) && !is_companion(&expected.place) => {}
                Ok(true) => others.push(expected),
                Ok(false) => changed.push(expected.place.clone()),
                Err(error) => {
                    self.failed(expected.place.to_string(), &error);
                    changed.push(expected.place.clone());
                }
            }
        }
        let mut all_back = self.rescue(&batch, &changed, &mut rescued)?;

        let mut names: Vec<RepoName> = others
            .iter()
            .map(|other| &other.place)
            .chain(&changed)
            .map(|place| place.repository().clone())
            .collect();
        names.sort_unstable();
        names.dedup();
        let look = self.store.look_again(&names, inventory, self.stop)?;
        let back = apply::needed_back(&others, companions, &look, inventory);
        all_back &= self.rescue(&batch, &back, &mut rescued)?;
        inventory.problems.extend(look.problems);
        replace(inventory, look.repositories, &names);
        let back: HashSet<Place> = back.into_iter().collect();
        for expected in others.into_iter().filter(|other| back.contains(&other.place)) {
            give_back(inventory, expected.clone());
        }
        let (mut are_tags_gone, mut is_emptied) = (false, false);
        // What could not be put back stays pending, and the next sweep tries again.
        if all_back && !is_stuck {
            let is_left = |it: &&Expected| matches!(it.place, Place::Tag(..)) && !rescued.contains(&it.place);
            let tags_left = taken.iter().filter(is_left).count();
            let held = removed.map_or(Ok(()), |removed| self.hold(&batch, tags_left, removed));
            are_tags_gone = removed.is_some() && held.is_ok();
            match held.and_then(|()| batch.condemn()) {
                Ok(()) => {
                    let problems = batch.delete(self.stop)?;
                    self.findings.extend(problems);
                    are_tags_gone = true;
                    is_emptied = true;
                }
                Err(error) => self.failed("janitor/trash".into(), &error),
            }
        }
        self.trash_in_doubt |= !is_emptied;
        Ok(Settled { rescued, are_tags_gone, is_emptied })
    }

    /// Waits until what was under way has left a trace.
    pub(super) fn wait_to_settle(&self) -> Result<(), Interrupted> {
        if !self.config.settle.is_zero() {
            let wait = humantime::format_duration(self.config.settle);
            tracing::info!(
                "waiting {wait} for pushes under way, before the second look that permits deleting"
            );
            self.stop.begin("waiting for pushes under way", Length::Seconds(self.config.settle.as_secs()));
            self.stop.wait(self.config.settle)?;
        }
        Ok(())
    }

    /// Holds the tags that are left in a batch for undo.
    fn hold(&mut self, batch: &Batch<'_>, tags_left: usize, removed: &[RemovedTag]) -> io::Result<()> {
        if tags_left == 0 {
            return batch.condemn_tags();
        }
        let removed_at = self.clock.now();
        self.findings.extend(batch.hold_tags(removed_at, removed)?);
        self.undo_due.push(self.undo_window().due(removed_at));
        Ok(())
    }

    fn rescue(
        &mut self,
        batch: &Batch<'_>,
        back: &[Place],
        rescued: &mut HashSet<Place>,
    ) -> Result<bool, Interrupted> {
        let rescue = apply::rescue(batch, back, self.stop)?;
        let all_back = rescue.rescued.len() == back.len();
        rescued.extend(rescue.rescued);
        self.findings.extend(rescue.problems);
        Ok(all_back)
    }
}

/// Puts what a later look found in place of what an earlier one did; positions stay the same.
pub(super) fn replace(inventory: &mut Inventory, looked: Vec<Repository>, names: &[RepoName]) {
    for name in names {
        if let Some(at) = inventory.position(name) {
            let repository = &mut inventory.repositories[at];
            repository.tags.clear();
            repository.revisions.clear();
            repository.layers.clear();
        }
    }
    for repository in looked {
        if let Some(at) = inventory.position(&repository.name) {
            // The later look was at what is in place.
            let undoable = std::mem::take(&mut inventory.repositories[at].undoable);
            inventory.repositories[at] = Repository { undoable, ..repository };
        }
    }
}

/// Takes up again what was put back after the later look.
fn give_back(inventory: &mut Inventory, expected: Expected) {
    let Some(at) = inventory.position(expected.place.repository()) else { return };
    let digests = &mut inventory.digests;
    let repository = &mut inventory.repositories[at];
    let (list, digest) = match expected.place {
        Place::Revision(_, digest) => (&mut repository.revisions, digest),
        Place::Layer(_, digest) => (&mut repository.layers, digest),
        Place::Tag(_, name) => {
            if let (Some((digest, pushed_at)), Err(at)) =
                (expected.link, repository.tags.binary_search_by(|tag| tag.name.cmp(&name)))
            {
                let state = TagState::Linked { digest: digests.intern(&digest), pushed_at };
                repository.tags.insert(at, Tag { name, state });
            }
            return;
        }
    };
    let id = digests.intern(&digest);
    if let Err(position) = list.binary_search(&id) {
        list.insert(position, id);
    }
}
