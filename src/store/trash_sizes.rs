//! What lies in the trash, but for removed tags that can be brought back, which are links to what is elsewhere.

use std::io;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::io::Kind;
use super::scan::unreadable;
use super::{Store, layout};
use crate::model::{Measure, Problem};
use crate::stop::{Interrupted, Stop};

/// Bytes of the files in the trash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrashSizes {
    /// Taken away by a sweep that is under way, or was interrupted.
    pub pending: u64,
    /// Being deleted.
    pub condemned: u64,
    /// Moved aside by repairs.
    pub mended: u64,
}

impl Store {
    /// Adds up what lies in the trash. Where there is none, that is three operations. What goes meanwhile does not
    /// count.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for.
    pub fn trash_sizes(
        &self,
        measure: Measure,
        stop: &Stop,
    ) -> Result<(TrashSizes, Vec<Problem>), Interrupted> {
        let problems = Mutex::new(Vec::new());
        let below = |path: &str| {
            let path = format!("{}/{path}", layout::JANITOR);
            self.pool.install(|| self.bytes_below(&path, measure, stop, &problems))
        };
        let sizes = TrashSizes {
            pending: below(layout::PENDING)?,
            condemned: below(layout::CONDEMNED)?,
            mended: below(layout::MENDED)?,
        };
        Ok((sizes, problems.into_inner().unwrap_or_else(PoisonError::into_inner)))
    }

    fn bytes_below(
        &self,
        path: &str,
        measure: Measure,
        stop: &Stop,
        problems: &Mutex<Vec<Problem>>,
    ) -> Result<u64, Interrupted> {
        stop.check()?;
        let unless_gone = |path: &str, error: io::Error| {
            if error.kind() != io::ErrorKind::NotFound {
                let problem = unreadable(path.as_ref(), None, &error);
                problems.lock().unwrap_or_else(PoisonError::into_inner).push(problem);
            }
        };
        let listed = self.io.open_dir(&self.data, path).and_then(|dir| {
            let entries = self.io.list(&dir)?;
            Ok((dir, entries))
        });
        let (dir, entries) = match listed {
            Ok(listed) => listed,
            Err(error) => {
                unless_gone(path, error);
                return Ok(0);
            }
        };
        let bytes = |entry: &super::Entry| {
            let inner = format!("{path}/{}", entry.name);
            if entry.kind == Kind::Dir {
                return self.bytes_below(&inner, measure, stop, problems);
            }
            Ok(match self.io.stat(&dir, &entry.name) {
                Ok(file) => measure.of(file.size_bytes, file.allocated_bytes),
                Err(error) => {
                    unless_gone(&inner, error);
                    0
                }
            })
        };
        let bytes: Vec<u64> = entries.par_iter().map(bytes).collect::<Result<_, Interrupted>>()?;
        Ok(bytes.into_iter().fold(0, u64::saturating_add))
    }
}
