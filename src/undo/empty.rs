//! Throwing away what could be brought back.

use std::collections::HashSet;

use super::UndoError;
use crate::config::Config;
use crate::model::{Inventory, Problem};
use crate::report::trash::EmptyReport;
use crate::stop::{Interrupted, Stop};
use crate::store::Store;
use crate::sweep::{SweepError, take_lock};

/// The removed tags of a store.
#[derive(Debug)]
pub struct Trash {
    store: Store,
    held: Inventory,
}

impl Trash {
    /// Looks at what is there. No lock is held while somebody is asked.
    ///
    /// # Errors
    /// [`UndoError`].
    pub fn open(config: &Config, stop: &Stop) -> Result<Self, UndoError> {
        let store = Store::open(&config.data_dir, config.jobs, None)?;
        let held = look(&store, stop)?;
        Ok(Self { store, held })
    }

    /// How many removed tags there are.
    pub fn tags(&self) -> usize {
        self.held.undo.tags.len()
    }

    /// Throws them away. Their manifests and blobs go with the next sweep. In a dry run, only says so.
    ///
    /// # Errors
    /// [`UndoError`].
    pub fn empty(self, config: &Config, stop: &Stop) -> Result<EmptyReport, UndoError> {
        if config.dry_run {
            return Ok(EmptyReport::new(true, self.tags(), Vec::new()));
        }
        let lock = take_lock(&self.store, config.lock_wait, stop).map_err(SweepError::from)?;
        // Only what was there when it was asked for: a sweep may have removed more since.
        let asked: HashSet<&str> = self.held.undo.sweeps.iter().map(|sweep| sweep.id.as_str()).collect();
        let mut now = look(&self.store, stop)?.undo.split_off(|sweep| asked.contains(sweep.id.as_str()));
        let mut problems = Vec::new();
        let mut stays = HashSet::new();
        for sweep in &now.sweeps {
            stop.check()?;
            if let Err(error) = self.store.condemn_undo(&lock, sweep) {
                problems.push(Problem::of_failed_step(format!("janitor/trash/undo/{}", sweep.id), &error));
                stays.insert(sweep.id.clone());
            }
        }
        now.tags.retain(|tag| !stays.contains(&tag.sweep.id));
        problems.extend(self.store.delete_condemned_now(&lock, stop)?);
        Ok(EmptyReport::new(false, now.tags.len(), problems))
    }
}

/// What cannot be read is thrown away, too, so it does not matter here.
fn look(store: &Store, stop: &Stop) -> Result<Inventory, Interrupted> {
    let mut held = Inventory::default();
    store.look_at_undo(&mut held, stop)?;
    Ok(held)
}
