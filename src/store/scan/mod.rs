//! One look at the store: repositories, tags, revisions, layer links, manifests and blob names.
//!
//! Cost in round trips: a listing for each directory that leads to a repository; six more
//! directories for a repository; one file for a tag and one for a manifest that is not remembered; a
//! listing for each of the 256 blob shards. `_uploads`, layers' and configs' bytes, revision links, layer links and a
//! tag's `index` are not touched. What lists nothing is opened and listed once more, and for what a
//! repository seems to lack, the directory above it is listed. Removed tags that are held for undo cost as
//! those in place do.
//!
//! The order matters beside a live registry: a push writes its blobs before its links, so links are
//! read first and blobs listed afterwards, and whatever a link names is in the listing.

mod again;
mod gather;
mod repository;
mod undo;

use std::io;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rayon::prelude::*;

use super::Store;
use super::io::{Dir, Entry, Kind};
use super::layout;
use super::references::Recalled;
use crate::model::{
    Code, Digest, Digests, Id, Inventory, Manifests, News, Problem, RepoName, Repository, SHORT_DOS_NAME,
    SHORT_DOS_NAME_REMEDY, Severity, Unread, is_short_dos_name,
};
use crate::stop::{Interrupted, Length, Stop};

/// How long a registry may take to fill a link that it has just truncated.
pub const WRITE_IN_PROGRESS: Duration = Duration::from_secs(1);

/// A later look at some repositories.
#[derive(Debug)]
pub struct Look {
    /// The repositories as they are now; one that is gone has no entry.
    pub repositories: Vec<Repository>,
    /// What was not as expected.
    pub problems: Vec<Problem>,
}

impl Store {
    /// Looks at the whole store, reading only manifests that no earlier sweep wrote down. Nothing is changed.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for. What cannot be read is not an error but a
    /// [`Problem`] in the inventory.
    pub fn scan(&self, stop: &Stop) -> Result<Inventory, Interrupted> {
        let (top, recalled) = self.pool.join(|| self.top(), || self.recall_references());
        let Recalled { digests, manifests, held, looked_at, problem } = recalled;
        let mut inventory =
            self.look(top, Inventory { digests, ..Inventory::default() }, &manifests, stop)?;
        inventory.remembered.held = held;
        inventory.remembered.is_damaged = problem.is_some();
        inventory.news = news(&inventory, &manifests, looked_at);
        inventory.problems.extend(problem);
        Ok(inventory)
    }

    /// Looks at the whole store, reading only manifests that an earlier look did not read.
    ///
    /// # Errors
    /// As [`Store::scan`].
    pub fn scan_again(&self, earlier: Inventory, stop: &Stop) -> Result<Inventory, Interrupted> {
        self.look(self.top(), earlier, &Manifests::default(), stop)
    }

    /// The directory of all repositories.
    fn top(&self) -> io::Result<Listed> {
        self.io.open_and_list(&self.root, layout::REPOSITORIES, None)
    }

    fn look(
        &self,
        top: io::Result<Listed>,
        earlier: Inventory,
        known: &Manifests,
        stop: &Stop,
    ) -> Result<Inventory, Interrupted> {
        let Inventory {
            mut digests,
            mut manifests,
            mut remembered,
            news,
            mut sizes,
            proofs,
            repositories,
            blobs,
            ..
        } = earlier;
        // They are about to be found anew, and there may be a great many.
        drop((repositories, blobs));
        let scanner = Scanner::new(self, &mut digests, stop);
        stop.begin("looking at repositories and tags", Length::Unknown);
        let found = Mutex::new(Vec::new());
        let ((), shards) = self.pool.join(
            || rayon::scope(|scope| scanner.walk(scope, layout::REPOSITORIES, top, &found)),
            || self.shards_ahead(),
        );
        stop.check()?;
        let mut repositories = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        scanner.read_doubtful_tags_again(&mut repositories)?;
        repositories.sort_unstable_by(|a, b| a.name.cmp(&b.name));

        let (blobs, problems) = self.list_blobs_into(&scanner.digests, shards, stop)?;
        scanner.report_all(problems);
        let undo = scanner.undo(&mut repositories)?;
        let bare = scanner.bare();
        let present = |blob: Id| blobs.binary_search(&blob).is_ok();
        let (used, unread) =
            scanner.read_manifests(&mut repositories, &mut manifests, &mut sizes, known, present)?;
        remembered.used += used;
        let problems = scanner.into_problems();
        Ok(Inventory {
            digests,
            repositories,
            manifests,
            remembered,
            news,
            blobs,
            sizes,
            proofs,
            bare,
            undo,
            unread,
            problems,
        })
    }

    /// Looks at some repositories of an inventory again, reading only manifests that are new to it.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for.
    pub fn look_again(
        &self,
        names: &[RepoName],
        inventory: &mut Inventory,
        stop: &Stop,
    ) -> Result<Look, Interrupted> {
        let Inventory { digests, manifests, sizes, .. } = inventory;
        let scanner = Scanner::new(self, digests, stop);
        let mut repositories: Vec<Repository> = self
            .pool
            .install(|| names.par_iter().filter_map(|name| scanner.repository_by_name(name)).collect());
        stop.check()?;
        scanner.read_doubtful_tags_again(&mut repositories)?;
        let (_, unread) =
            scanner.read_manifests(&mut repositories, manifests, sizes, &Manifests::default(), |_| true)?;
        // What is old enough to go was taken away before this look.
        for Unread { repository, problem, .. } in unread {
            for of_repository in repositories.iter_mut().filter(|it| it.name == repository) {
                of_repository.in_doubt = true;
            }
            scanner.report(problem);
        }
        Ok(Look { repositories, problems: scanner.into_problems() })
    }
}

/// An open directory, and what is in it.
type Listed = (Dir, Vec<Entry>);

struct Scanner<'a> {
    store: &'a Store,
    stop: &'a Stop,
    digests: Mutex<&'a mut Digests>,
    problems: Mutex<Vec<Problem>>,
    bare: Mutex<Vec<RepoName>>,
    /// Repositories whose directories are open ahead of their listing.
    ahead: AtomicUsize,
}

impl<'a> Scanner<'a> {
    const fn new(store: &'a Store, digests: &'a mut Digests, stop: &'a Stop) -> Self {
        Self {
            store,
            stop,
            digests: Mutex::new(digests),
            problems: Mutex::new(Vec::new()),
            bare: Mutex::new(Vec::new()),
            ahead: AtomicUsize::new(0),
        }
    }

    fn all_digests(&self) -> MutexGuard<'_, &'a mut Digests> {
        self.digests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn intern(&self, digest: &Digest) -> Id {
        self.all_digests().intern(digest)
    }

    fn digest(&self, id: Id) -> Digest {
        self.all_digests().get(id)
    }

    fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner().unwrap_or_else(PoisonError::into_inner);
        problems.sort_by(|a, b| (&a.path, a.code).cmp(&(&b.path, b.code)));
        problems
    }

    /// What was walked through and holds nothing at all, by name.
    fn bare(&self) -> Vec<RepoName> {
        let mut bare = std::mem::take(&mut *self.bare.lock().unwrap_or_else(PoisonError::into_inner));
        bare.sort_unstable();
        bare
    }

    fn report_all(&self, problems: Vec<Problem>) {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).extend(problems);
    }

    fn report(&self, problem: Problem) {
        self.report_all(vec![problem]);
    }

    fn walk<'s>(
        &'s self,
        scope: &rayon::Scope<'s>,
        path: &str,
        listed: io::Result<Listed>,
        found: &'s Mutex<Vec<Repository>>,
    ) {
        let name = path.strip_prefix(layout::REPOSITORIES).unwrap_or_default().trim_start_matches('/');
        let (dir, entries) = match listed {
            Ok(listed) => listed,
            // A repository may go at any time. The directory of them all was there when the store was
            // opened; without it, something has happened to the storage.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    && path != layout::REPOSITORIES
                    && !self.still_there(path) =>
            {
                return;
            }
            Err(error) => return self.report(unreadable(Path::new(path), None, &error)),
        };
        // An interrupted removal of an empty repository leaves such a thing.
        if entries.is_empty()
            && let Ok(name) = name.parse()
        {
            self.bare.lock().unwrap_or_else(PoisonError::into_inner).push(name);
        }
        let is_dir = |wanted| entries.iter().any(|entry| entry.name == wanted && entry.kind == Kind::Dir);
        if is_dir(layout::MANIFESTS) || is_dir(layout::LAYERS) {
            match name.parse::<RepoName>() {
                Ok(name) => {
                    let repository = self.repository(name, &dir);
                    found.lock().unwrap_or_else(PoisonError::into_inner).push(repository);
                }
                Err(error) => {
                    let cause = format!("it looks like a repository, but it is {error}");
                    let remedy = "move it out of the store if the registry did not make it";
                    let (cause, remedy) = with_short_name(Path::new(path), &cause, remedy);
                    self.report(Problem {
                        severity: Severity::Doubt,
                        code: Code::OddName,
                        repository: None,
                        path: path.to_owned(),
                        cause,
                        remedy,
                    });
                }
            }
        }
        drop(dir);
        for entry in entries {
            let child = format!("{path}/{}", entry.name);
            match entry.kind {
                Kind::Dir if entry.name.starts_with('_') => {}
                // Opened by this name, it would seem to be gone.
                Kind::Dir if entry.name.contains(char::REPLACEMENT_CHARACTER) => self.report(odd(
                    Severity::Doubt,
                    Code::OddName,
                    None,
                    Path::new(&child),
                    "a name that is not UTF-8, so what is in it is unknown",
                )),
                Kind::Dir => scope.spawn(move |scope| {
                    if self.stop.check().is_err() {
                        return;
                    }
                    let listed = self.store.io.open_and_list(&self.store.root, &child, None);
                    self.walk(scope, &child, listed, found);
                }),
                Kind::File => self.report(odd(Severity::Note, Code::OddName, None, Path::new(&child), "a file where repositories are")),
                Kind::Other => self.report(odd(
                    Severity::Doubt,
                    Code::OddKind,
                    None,
                    Path::new(&child),
                    "neither a directory nor a file; symbolic links are not followed, so what is behind it is unknown",
                )),
            }
        }
    }

    fn still_there(&self, path: &str) -> bool {
        !matches!(self.store.io.stat(&self.store.root, path), Err(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

/// What tags name that is not among what earlier sweeps wrote down when they looked at a time.
fn news(inventory: &Inventory, written_down: &Manifests, looked_at: Option<Timestamp>) -> News {
    let mut news = News { last_look: looked_at, manifests: Vec::new() };
    if looked_at.is_some() {
        let tagged = inventory.repositories.iter().flat_map(Repository::tagged);
        news.manifests = tagged.filter(|it| written_down.content(*it).is_none()).collect();
        news.manifests.sort_unstable();
        news.manifests.dedup();
    }
    news
}

pub(in crate::store) fn unreadable(path: &Path, repository: Option<&RepoName>, error: &io::Error) -> Problem {
    Problem {
        severity: Severity::Doubt,
        code: Code::Unreadable,
        repository: repository.cloned(),
        path: layout::told(&path.to_string_lossy()),
        cause: error.to_string(),
        remedy: "check the storage and its permissions; the janitor must run as the registry's user".into(),
    }
}

pub(in crate::store) fn odd(
    severity: Severity,
    code: Code,
    repository: Option<&RepoName>,
    path: &Path,
    cause: &str,
) -> Problem {
    let (cause, remedy) =
        with_short_name(path, cause, "the registry does not make such a thing; move it out of the store");
    Problem {
        severity,
        code,
        repository: repository.cloned(),
        path: layout::told(&path.to_string_lossy()),
        cause,
        remedy,
    }
}

/// The cause and the remedy for an odd name, which may be a server's own idea of one.
fn with_short_name(path: &Path, cause: &str, remedy: &str) -> (String, String) {
    if path.file_name().and_then(|name| name.to_str()).is_some_and(is_short_dos_name) {
        (format!("{cause}; {SHORT_DOS_NAME}"), SHORT_DOS_NAME_REMEDY.into())
    } else {
        (cause.into(), remedy.into())
    }
}
