//! Removing a whole tree of the trash.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::io::{Dir, Kind};
use super::{Store, mutate};
use crate::stop::Stop;

/// A directory that goes once all that is in it has gone.
struct Node {
    name: String,
    above: Option<Arc<Self>>,
    /// How many of its entries are still there.
    left: AtomicUsize,
}

impl Node {
    fn new(name: String, above: Option<Arc<Self>>) -> Arc<Self> {
        Arc::new(Self { name, above, left: AtomicUsize::new(0) })
    }

    fn path(&self) -> String {
        self.above
            .as_ref()
            .map_or_else(|| self.name.clone(), |above| format!("{}/{}", above.path(), self.name))
    }
}

impl Store {
    /// Removes a tree below the janitor's directory, as many of its entries at a time as the store has jobs. What is left
    /// when a stop is asked for is for the next sweep.
    ///
    /// # Errors
    /// The first thing that the system said; the rest is removed all the same.
    pub(super) fn remove_tree(&self, trash: &Dir, path: &str, stop: &Stop) -> io::Result<()> {
        let removal = Removal { store: self, trash, stop, error: Mutex::new(None) };
        let root = Node::new(path.to_owned(), None);
        self.pool.scope(|scope| removal.clear(scope, &root));
        removal.error.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }
}

struct Removal<'a> {
    store: &'a Store,
    trash: &'a Dir,
    stop: &'a Stop,
    error: Mutex<Option<io::Error>>,
}

impl Removal<'_> {
    /// Removes what is in a directory. None is held open meanwhile: a process may have few files open, and a tree many
    /// branches.
    fn clear<'s>(&'s self, scope: &rayon::Scope<'s>, node: &Arc<Node>) {
        let Some(entries) = self.entries(&node.path()) else { return };
        if entries.is_empty() {
            return self.remove_empty(node);
        }
        node.left.store(entries.len(), Ordering::Release);
        for entry in entries {
            if self.stop.check().is_err() {
                return;
            }
            let above = Arc::clone(node);
            scope.spawn(move |scope| match entry.kind {
                Kind::Dir => self.clear(scope, &Node::new(entry.name, Some(above))),
                Kind::File | Kind::Other => {
                    let path = format!("{}/{}", above.path(), entry.name);
                    match mutate::give_up(&self.store.io, self.trash, &path) {
                        Ok(()) => self.is_gone(&above),
                        Err(error) => self.failed(error),
                    }
                }
            });
        }
    }

    fn entries(&self, path: &str) -> Option<Vec<super::Entry>> {
        let io = &self.store.io;
        match io.open_dir(self.trash, path).and_then(|dir| io.list(&dir)) {
            Ok(entries) => Some(entries),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Vec::new()),
            Err(error) => {
                self.failed(error);
                None
            }
        }
    }

    fn remove_empty(&self, node: &Node) {
        match mutate::remove_empty_dir(&self.store.io, self.trash, &node.path()) {
            Ok(_) => node.above.iter().for_each(|above| self.is_gone(above)),
            Err(error) => self.failed(error),
        }
    }

    /// An entry of a directory is gone: so is the directory, with the last of them.
    fn is_gone(&self, above: &Node) {
        if above.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.remove_empty(above);
        }
    }

    fn failed(&self, error: io::Error) {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}
