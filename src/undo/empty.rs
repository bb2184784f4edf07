//! Throwing away what could be brought back.

use super::UndoError;
use crate::config::Config;
use crate::model::{Inventory, Problem};
use crate::report::trash::EmptyReport;
use crate::stop::Stop;
use crate::store::{Store, StoreLock};
use crate::sweep::take_lock;

/// The removed tags of a store that no other janitor works on meanwhile.
#[derive(Debug)]
pub struct Trash {
    store: Store,
    lock: Option<StoreLock>,
    held: Inventory,
}

impl Trash {
    /// Looks at what is there. In a dry run, no lock is taken and nothing can be thrown away.
    ///
    /// # Errors
    /// [`UndoError`].
    pub fn open(config: &Config, stop: &Stop) -> Result<Self, UndoError> {
        let store = Store::open(&config.data_dir, config.jobs, None)?;
        let lock = if config.dry_run { None } else { Some(take_lock(&store, config.lock_wait, stop)?) };
        let mut held = Inventory::default();
        // What cannot be read is thrown away, too.
        store.look_at_undo(&mut held, stop)?;
        Ok(Self { store, lock, held })
    }

    /// How many removed tags there are.
    pub fn tags(&self) -> usize {
        self.held.undo.tags.len()
    }

    /// Of how many sweeps.
    pub fn sweeps(&self) -> usize {
        self.held.undo.sweeps.len()
    }

    /// Throws them away. Their manifests and blobs go with the next sweep. In a dry run, only says so.
    ///
    /// # Errors
    /// [`UndoError`].
    pub fn empty(self, stop: &Stop) -> Result<EmptyReport, UndoError> {
        let mut tags = self.tags();
        let Some(lock) = &self.lock else { return Ok(EmptyReport::new(true, tags, Vec::new())) };
        let mut problems = Vec::new();
        for sweep in &self.held.undo.sweeps {
            stop.check()?;
            if let Err(error) = self.store.condemn_undo(lock, sweep) {
                tags -= self.held.undo.tags.iter().filter(|tag| tag.sweep.id == sweep.id).count();
                problems.push(Problem::of_failed_step(format!("janitor/trash/undo/{}", sweep.id), &error));
            }
        }
        problems.extend(self.store.delete_condemned_now(lock, stop)?);
        Ok(EmptyReport::new(false, tags, problems))
    }
}
