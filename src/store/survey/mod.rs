//! A check's look at the store: every directory is listed and every link read, and nothing changed.
//!
//! Beside a live registry a push writes its blobs before its links, so links are read first; what
//! seems broken is for a second look to confirm.

mod blobs;
mod manifests;
mod repository;
mod uploads;

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::io::{Dir, Entry, Kind};
use super::links::{self, Link};
use super::{Store, layout};
use crate::model::{
    Digest, Digests, HiddenCopy, HiddenFile, Id, LinkState, OddKind, Oddity, Proofs, RepoName, Survey,
    Surveyed,
};
use crate::stop::{Interrupted, Stop};

impl Store {
    /// Looks at the whole store, or at some repositories and what they need.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for. What cannot be read is an [`Oddity`].
    pub fn survey(&self, only: Option<&HashSet<RepoName>>, stop: &Stop) -> Result<Survey, Interrupted> {
        let surveyor = Surveyor {
            store: self,
            stop,
            only,
            digests: Mutex::default(),
            hidden: Mutex::default(),
            oddities: Mutex::default(),
        };
        let found = Mutex::new(Vec::new());
        self.pool.install(|| rayon::scope(|scope| surveyor.walk(scope, layout::REPOSITORIES, &found)));
        stop.check()?;
        let mut repositories: Vec<Surveyed> = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        repositories.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let (manifests, references, claims) = surveyor.manifests(&repositories)?;
        let blobs = match only {
            None => surveyor.all_blobs()?,
            Some(_) => surveyor.blobs_of(&repositories, &manifests, &references)?,
        };
        let Surveyor { digests, hidden, oddities, .. } = surveyor;
        let mut hidden = hidden.into_inner().unwrap_or_else(PoisonError::into_inner);
        if !hidden.is_empty() {
            // What a sweep has hidden and listed, a sweep brings back or deletes.
            let listed = self.listed_as_hidden();
            hidden.retain(|copy| !listed.contains(&copy.file));
            hidden.sort_by(|a, b| a.file.cmp(&b.file));
        }
        let digests = digests.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut oddities = oddities.into_inner().unwrap_or_else(PoisonError::into_inner);
        oddities.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Survey {
            digests,
            repositories,
            manifests,
            references,
            blobs,
            claims,
            hidden,
            intact: BTreeSet::new(),
            proofs: Proofs::default(),
            oddities,
            is_partial: only.is_some(),
        })
    }
}

struct Surveyor<'a> {
    store: &'a Store,
    stop: &'a Stop,
    only: Option<&'a HashSet<RepoName>>,
    digests: Mutex<Digests>,
    hidden: Mutex<Vec<HiddenCopy>>,
    oddities: Mutex<Vec<Oddity>>,
}

impl Surveyor<'_> {
    fn all_digests(&self) -> MutexGuard<'_, Digests> {
        self.digests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn intern(&self, digest: &Digest) -> Id {
        self.all_digests().intern(digest)
    }

    fn tell(&self, path: String, repository: Option<&RepoName>, kind: OddKind) {
        let oddity = Oddity { path, repository: repository.cloned(), kind };
        self.oddities.lock().unwrap_or_else(PoisonError::into_inner).push(oddity);
    }

    /// Notes what lies in a directory under the name that hides it from the registry, if anything does.
    fn note_hidden(&self, entries: &[Entry], name: &str, file: impl FnOnce() -> HiddenFile) {
        let has = |name: &str| entries.iter().any(|entry| entry.name == name && entry.kind == Kind::File);
        if has(&layout::hidden(name)) {
            let copy = HiddenCopy { file: file(), is_beside_another: has(name) };
            self.hidden.lock().unwrap_or_else(PoisonError::into_inner).push(copy);
        }
    }

    fn tell_unreadable(&self, path: String, repository: Option<&RepoName>, error: &io::Error) {
        self.tell(path, repository, OddKind::Unreadable(error.to_string()));
    }

    /// Opens and lists a directory; `None` when it is not there, or could not be looked at, which is told.
    fn list(&self, dir: &Dir, path: &str, repository: Option<&RepoName>) -> Option<(Dir, Vec<Entry>)> {
        let listed = self.store.io.open_dir(dir, path).and_then(|dir| {
            let entries = self.store.io.list(&dir)?;
            Ok((dir, entries))
        });
        match listed {
            Ok(listed) => Some(listed),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                self.tell_unreadable(join(dir, path), repository, &error);
                None
            }
        }
    }

    /// Tells of an entry that is not what the registry has there.
    fn odd(&self, dir: &Dir, entry: &Entry, repository: Option<&RepoName>, what: &'static str) {
        let path = join(dir, &entry.name);
        match entry.kind {
            Kind::File if layout::is_deleted_but_open(&entry.name) => {}
            Kind::Other => self.tell(path, repository, OddKind::Kind),
            Kind::File if is_temporary(&entry.name) => match self.store.io.stat(dir, &entry.name) {
                Ok(attributes) => self.tell(path, repository, OddKind::Temporary(attributes.modified)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => self.tell_unreadable(path, repository, &error),
            },
            Kind::File | Kind::Dir => self.tell(path, repository, OddKind::Name(what)),
        }
    }

    fn walk<'s>(&'s self, scope: &rayon::Scope<'s>, path: &str, found: &'s Mutex<Vec<Surveyed>>) {
        if self.stop.check().is_err() {
            return;
        }
        let Some((dir, entries)) = self.list(&self.store.root, path, None) else {
            return;
        };
        let name = path.strip_prefix(layout::REPOSITORIES).unwrap_or_default().trim_start_matches('/');
        let is_dir = |wanted| entries.iter().any(|entry| entry.name == wanted && entry.kind == Kind::Dir);
        let is_repository = is_dir(layout::MANIFESTS) || is_dir(layout::LAYERS) || is_dir(layout::UPLOADS);
        let known = name.parse::<RepoName>().ok();
        let is_wanted = match (&known, self.only) {
            (Some(name), Some(only)) => only.contains(name),
            (None, Some(_)) => false,
            (_, None) => true,
        };
        for entry in &entries {
            let is_part = [layout::MANIFESTS, layout::LAYERS, layout::UPLOADS].contains(&entry.name.as_str());
            match entry.kind {
                Kind::Dir if is_part && is_repository && known.is_some() => {}
                Kind::Dir if entry.name.starts_with('_') => {
                    if is_wanted {
                        self.odd(&dir, entry, known.as_ref(), "no directory of a repository");
                    }
                }
                Kind::Dir => {
                    let child = format!("{path}/{}", entry.name);
                    if !self.leads_to_wanted(&child) {
                        continue;
                    }
                    scope.spawn(move |scope| self.walk(scope, &child, found));
                }
                Kind::File | Kind::Other if is_wanted => {
                    self.odd(&dir, entry, known.as_ref(), "a file where repositories are");
                }
                Kind::File | Kind::Other => {}
            }
        }
        match known {
            Some(name) if is_repository && is_wanted => {
                let repository =
                    self.repository(name, &dir, is_dir(layout::LAYERS), is_dir(layout::MANIFESTS));
                found.lock().unwrap_or_else(PoisonError::into_inner).push(repository);
            }
            None if is_repository && is_wanted => {
                let kind = OddKind::Name("it looks like a repository, and no repository can have its name");
                self.tell(dir.path().display().to_string(), None, kind);
            }
            _ => {}
        }
    }

    fn leads_to_wanted(&self, path: &str) -> bool {
        let name = path.strip_prefix(layout::REPOSITORIES).unwrap_or_default().trim_start_matches('/');
        self.only.is_none_or(|only| {
            only.iter().any(|wanted| {
                wanted
                    .as_str()
                    .strip_prefix(name)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        })
    }

    /// Reads a link, and tells when that cannot be done.
    fn link(&self, dir: &Dir, path: &str, repository: &RepoName) -> (LinkState, Option<jiff::Timestamp>) {
        match links::read(&self.store.io, dir, path) {
            Link::To(digest, written) => (LinkState::To(self.intern(&digest)), Some(written)),
            Link::Missing => (LinkState::Missing, None),
            Link::Bad(cause) if cause == links::EMPTY => (LinkState::Empty, None),
            Link::Bad(cause) => (LinkState::Garbled(cause), None),
            Link::Unreadable(error) => {
                self.tell_unreadable(join(dir, path), Some(repository), &error);
                (LinkState::Unreadable, None)
            }
        }
    }
}

fn join(dir: &Dir, path: &str) -> String {
    dir.path().join(path).display().to_string()
}

/// `link.<uuid>.tmp`, `data.<uuid>.tmp`, as registry 3.1 names what it is about to rename.
fn is_temporary(name: &str) -> bool {
    std::path::Path::new(name).extension().is_some_and(|it| it == "tmp")
}
