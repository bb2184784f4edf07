//! A watch made of two closures, and the kinds of operation.

use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use registry_janitor::store::{Op, Watch};

type Before = dyn Fn(Op, &str) -> io::Result<()> + Send + Sync;
type After = dyn Fn(Op, &str) + Send + Sync;

/// Runs a closure before each operation, and another after it.
pub(crate) struct Hooks {
    before: Box<Before>,
    after: Box<After>,
}

impl Hooks {
    /// Acts before each operation; an error takes its place.
    pub(crate) fn before(
        before: impl Fn(Op, &str) -> io::Result<()> + Send + Sync + 'static,
    ) -> Box<dyn Watch> {
        Box::new(Self { before: Box::new(before), after: Box::new(|_, _| {}) })
    }

    /// Acts after each operation that succeeded.
    pub(crate) fn after(after: impl Fn(Op, &str) + Send + Sync + 'static) -> Box<dyn Watch> {
        Box::new(Self { before: Box::new(|_, _| Ok(())), after: Box::new(after) })
    }
}

impl Watch for Hooks {
    fn before(&self, op: Op, path: &Path) -> io::Result<()> {
        (self.before)(op, &path.display().to_string())
    }

    fn after(&self, op: Op, path: &Path) {
        (self.after)(op, &path.display().to_string());
    }
}

/// Whether an operation changes the store.
pub(crate) fn mutates(op: Op) -> bool {
    matches!(op, Op::MakeDir | Op::Rename | Op::Remove | Op::Write)
}

/// Every operation so far, in order.
#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<Vec<(Op, String)>>);

impl Log {
    pub(crate) fn add(&self, op: Op, path: &str) {
        self.0.lock().unwrap().push((op, path.to_owned()));
    }

    pub(crate) fn all(&self) -> Vec<(Op, String)> {
        self.0.lock().unwrap().clone()
    }

    /// How many operations of one kind there were.
    pub(crate) fn count(&self, kind: Op) -> usize {
        self.all().iter().filter(|(op, _)| *op == kind).count()
    }
}

/// True once.
#[derive(Debug, Default)]
pub(crate) struct Once(AtomicBool);

impl Once {
    pub(crate) fn first(&self) -> bool {
        !self.0.swap(true, Ordering::SeqCst)
    }

    pub(crate) fn has_been(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
