//! How long doubt has kept the store from being collected.

use super::Sweep;
use super::engine::Engine;
use crate::model::Problem;
use crate::store::StoreLock;

impl Sweep<'_> {
    /// The first sweep that collects nothing because of doubt writes down when that was; the next one that is not in
    /// doubt forgets it. Where nothing is to be collected at all, doubt keeps nothing.
    pub(super) fn note_doubt(&mut self, lock: &StoreLock, in_doubt: bool) {
        let done = if in_doubt && !matches!(self.engine, Engine::Off) {
            let known = if self.has_doubt_record { self.store.in_doubt_since(lock) } else { None };
            // A time to come was written by a clock that was wrong.
            let since = known.filter(|since| *since <= self.clock.now());
            self.in_doubt_since = Some(since.unwrap_or(self.started_at));
            if since.is_some() { Ok(()) } else { self.store.remember_doubt(lock, self.started_at) }
        } else if self.has_doubt_record {
            self.store.forget_doubt(lock)
        } else {
            Ok(())
        };
        if let Err(error) = done {
            self.findings.push(Problem::of_failed_step("janitor/trash/condemned/doubt.json".into(), &error));
        }
    }
}
