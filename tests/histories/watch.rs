//! The storage's clock, its room, and the end of its power, as the janitor sees them.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use registry_janitor::store::{Op, Watch};
use rustix::process::{Signal, getpid, kill_process};

/// What happens at the change of a number, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The power goes: a file that was to be written is there and empty, and nothing happens after it.
    PowerCut,
    /// The janitor's own process is killed.
    Kill,
}

/// How many files or directories find room in the janitor's reserve.
const ROOM_IN_RESERVE: usize = 200;

/// Stamps the janitor's probe of the clock, and ends at a change.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    root: PathBuf,
    now: SystemTime,
    end: Option<(End, usize)>,
    changes: Arc<AtomicUsize>,
    room: Option<Arc<AtomicUsize>>,
}

impl Storage {
    /// It is `now` there.
    pub(crate) fn new(root: &Path, now: SystemTime, end: Option<(End, usize)>) -> Self {
        Self { root: root.into(), now, end, changes: Arc::default(), room: None }
    }

    /// It has room for so many files and directories.
    pub(crate) fn with_room(self, room: &Arc<AtomicUsize>) -> Self {
        Self { room: Some(Arc::clone(room)), ..self }
    }

    /// Whether the power has gone.
    pub(crate) fn crashed(&self) -> bool {
        self.end.is_some_and(|(_, at)| self.changes.load(Ordering::SeqCst) > at)
    }

    /// What is there already needs none, nor does a file without content.
    fn take_room(&self, op: Op, path: &Path) -> io::Result<()> {
        let Some(room) = &self.room else { return Ok(()) };
        match op {
            Op::MakeDir | Op::Write if !path.ends_with("janitor/probe") && !self.root.join(path).exists() => {
                room.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |room| room.checked_sub(1))
                    .map(drop)
                    .map_err(|_| io::ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        }
    }
}

impl Watch for Storage {
    fn before(&self, op: Op, path: &Path) -> io::Result<()> {
        let was_on = !self.crashed();
        if mutates(op) {
            self.changes.fetch_add(1, Ordering::SeqCst);
        }
        if !self.crashed() {
            return self.take_room(op, path);
        }
        if self.end.is_some_and(|(end, _)| end == End::Kill) {
            kill_process(getpid(), Signal::KILL).unwrap();
        }
        // There may be no directory for it, or it may be there.
        if was_on && op == Op::Write {
            File::create_new(self.root.join(path)).ok();
        }
        Err(io::Error::other("the power is gone"))
    }

    fn after(&self, op: Op, path: &Path) {
        if op == Op::Write && path.ends_with("janitor/probe") {
            File::open(self.root.join(path)).and_then(|probe| probe.set_modified(self.now)).unwrap();
        }
        if let (Op::Remove, Some(room)) = (op, &self.room) {
            let given_up = if path.ends_with("janitor/reserve") { ROOM_IN_RESERVE } else { 1 };
            room.fetch_add(given_up, Ordering::SeqCst);
        }
    }
}

/// Whether an operation changes the store.
pub(crate) fn mutates(op: Op) -> bool {
    matches!(op, Op::MakeDir | Op::Rename | Op::Remove | Op::Write)
}
