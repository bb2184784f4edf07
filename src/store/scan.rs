//! One look at the store: repositories, tags, revisions, layer links, manifests and blob names.
//!
//! Cost in round trips: a listing for each directory that leads to a repository; six more
//! directories for a repository; one file for a tag and one for a manifest; a listing for each of
//! the 256 blob shards. `_uploads`, layers' and configs' bytes, revision links, layer links and a
//! tag's `index` are not touched.
//!
//! The order matters beside a live registry: a push writes its blobs before its links, so links are
//! read first and blobs listed afterwards, and whatever a link names is in the listing.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rayon::prelude::*;

use super::Store;
use super::io::{Dir, Entry, Kind};
use super::layout;
use super::links::{self, Link};
use super::manifests::ManifestRead;
use crate::model::{
    Algorithm, Code, Digest, Inventory, Manifest, Problem, RepoName, Repository, Severity, Tag, TagName,
    TagState,
};
use crate::stop::{Interrupted, Stop};

/// How long a registry may take to fill a link that it has just truncated.
pub(super) const WRITE_IN_PROGRESS: Duration = Duration::from_secs(1);

/// A later look at some repositories.
#[derive(Debug)]
pub struct Look {
    /// The repositories as they are now; one that is gone has no entry.
    pub repositories: Vec<Repository>,
    /// Manifests that were not known before.
    pub new_manifests: HashMap<Digest, Manifest>,
    /// What was not as expected.
    pub problems: Vec<Problem>,
}

impl Store {
    /// Looks at the whole store. Nothing is changed.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for. What cannot be read is not an error but a
    /// [`Problem`] in the inventory.
    pub fn scan(&self, stop: &Stop) -> Result<Inventory, Interrupted> {
        let scanner = Scanner::new(self, stop);
        let found = Mutex::new(Vec::new());
        self.pool.install(|| {
            rayon::scope(|scope| scanner.walk(scope, layout::REPOSITORIES, &found));
        });
        stop.check()?;
        let mut repositories = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        scanner.read_doubtful_tags_again(&mut repositories)?;
        repositories.sort_unstable_by(|a, b| a.name.cmp(&b.name));

        let (blobs, problems) = self.list_blobs(stop)?;
        scanner.report_all(problems);
        let present = |digest: &Digest| blobs.binary_search(digest).is_ok();
        let manifests = scanner.read_manifests(&mut repositories, &HashMap::new(), present)?;
        Ok(Inventory { repositories, manifests, blobs, problems: scanner.into_problems() })
    }

    /// Looks at some repositories again, reading only manifests that are not `known` yet.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for.
    pub fn look_again(
        &self,
        names: &[RepoName],
        known: &HashMap<Digest, Manifest>,
        stop: &Stop,
    ) -> Result<Look, Interrupted> {
        let scanner = Scanner::new(self, stop);
        let mut repositories: Vec<Repository> = self
            .pool
            .install(|| names.par_iter().filter_map(|name| scanner.repository_by_name(name)).collect());
        stop.check()?;
        scanner.read_doubtful_tags_again(&mut repositories)?;
        let new_manifests = scanner.read_manifests(&mut repositories, known, |_| true)?;
        Ok(Look { repositories, new_manifests, problems: scanner.into_problems() })
    }
}

struct Scanner<'a> {
    store: &'a Store,
    stop: &'a Stop,
    problems: Mutex<Vec<Problem>>,
}

impl<'a> Scanner<'a> {
    const fn new(store: &'a Store, stop: &'a Stop) -> Self {
        Self { store, stop, problems: Mutex::new(Vec::new()) }
    }

    fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner().unwrap_or_else(PoisonError::into_inner);
        problems.sort_by(|a, b| (&a.path, a.code).cmp(&(&b.path, b.code)));
        problems
    }

    fn report_all(&self, problems: Vec<Problem>) {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).extend(problems);
    }

    fn report(&self, problem: Problem) {
        self.report_all(vec![problem]);
    }

    fn walk<'s>(&'s self, scope: &rayon::Scope<'s>, path: &str, found: &'s Mutex<Vec<Repository>>) {
        if self.stop.check().is_err() {
            return;
        }
        let name = path.strip_prefix(layout::REPOSITORIES).unwrap_or_default().trim_start_matches('/');
        let listed = self.store.io.open_dir(&self.store.root, path).and_then(|dir| {
            let entries = self.store.io.list(&dir)?;
            Ok((dir, entries))
        });
        let (dir, entries) = match listed {
            Ok(listed) => listed,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.still_there(path) => {
                return;
            }
            Err(error) => return self.report(unreadable(Path::new(path), None, &error)),
        };
        let is_dir = |wanted| entries.iter().any(|entry| entry.name == wanted && entry.kind == Kind::Dir);
        if is_dir(layout::MANIFESTS) || is_dir(layout::LAYERS) {
            match name.parse::<RepoName>() {
                Ok(name) => {
                    let repository = self.repository(name, &dir);
                    found.lock().unwrap_or_else(PoisonError::into_inner).push(repository);
                }
                Err(error) => self.report(Problem {
                    severity: Severity::Doubt,
                    code: Code::OddName,
                    repository: None,
                    path: path.to_owned(),
                    cause: format!("it looks like a repository, but it is {error}"),
                    remedy: "move it out of the store if the registry did not make it".into(),
                }),
            }
        }
        drop(dir);
        for entry in entries {
            let child = format!("{path}/{}", entry.name);
            match entry.kind {
                Kind::Dir if entry.name.starts_with('_') => {}
                Kind::Dir => scope.spawn(move |scope| self.walk(scope, &child, found)),
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

    fn repository_by_name(&self, name: &RepoName) -> Option<Repository> {
        let path = layout::repository(name);
        match self.store.io.open_dir(&self.store.root, &path) {
            Ok(dir) => Some(self.repository(name.clone(), &dir)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                self.report(unreadable(Path::new(&path), Some(name), &error));
                Some(Repository {
                    name: name.clone(),
                    tags: Vec::new(),
                    revisions: Vec::new(),
                    layers: Vec::new(),
                    aliases: Vec::new(),
                    in_doubt: true,
                })
            }
        }
    }

    fn repository(&self, name: RepoName, dir: &Dir) -> Repository {
        let mut in_doubt = false;
        let tags = self.tags(&name, dir, &mut in_doubt);
        let revisions = self.digests(&name, dir, layout::REVISIONS, Severity::Doubt, &mut in_doubt);
        let layers = self.digests(&name, dir, layout::LAYERS, Severity::Warning, &mut in_doubt);
        let aliases = self.aliases(&name, dir, &layers, &mut in_doubt);
        Repository { name, tags, revisions, layers, aliases, in_doubt }
    }

    fn tags(&self, name: &RepoName, dir: &Dir, in_doubt: &mut bool) -> Vec<Tag> {
        let Some((dir, entries)) = self.list(name, dir, layout::TAGS, in_doubt) else {
            return Vec::new();
        };
        let mut names: Vec<TagName> = Vec::with_capacity(entries.len());
        for entry in entries {
            match (entry.kind, entry.name.parse()) {
                (Kind::Dir, Ok(tag)) => names.push(tag),
                (Kind::File, _) => self.report(odd(
                    Severity::Note,
                    Code::OddName,
                    Some(name),
                    &dir.path().join(&entry.name),
                    "a file where tags are",
                )),
                (Kind::Dir, Err(error)) => {
                    *in_doubt = true;
                    let cause = error.to_string();
                    self.report(odd(
                        Severity::Doubt,
                        Code::OddName,
                        Some(name),
                        &dir.path().join(&entry.name),
                        &cause,
                    ));
                }
                (Kind::Other, _) => {
                    *in_doubt = true;
                    let path = dir.path().join(&entry.name);
                    self.report(odd(
                        Severity::Doubt,
                        Code::OddKind,
                        Some(name),
                        &path,
                        "neither a directory nor a file",
                    ));
                }
            }
        }
        names
            .into_par_iter()
            .filter(|_| self.stop.check().is_ok())
            .map(|tag| {
                let state = match links::read(&self.store.io, &dir, &layout::current_link(&tag)) {
                    Link::To(digest, pushed_at) => TagState::Linked { digest, pushed_at },
                    Link::Missing | Link::Bad(_) | Link::Unreadable(_) => TagState::Doubtful,
                };
                Tag { name: tag, state }
            })
            .collect()
    }

    /// The digests that the directories below `<path>/<alg>` are named after.
    fn digests(
        &self,
        name: &RepoName,
        dir: &Dir,
        path: &str,
        weight: Severity,
        in_doubt: &mut bool,
    ) -> Vec<Digest> {
        let Some((dir, algorithms)) = self.list(name, dir, path, in_doubt) else {
            return Vec::new();
        };
        let mut digests = Vec::new();
        for entry in algorithms {
            let here = dir.path().join(&entry.name);
            let known = layout::algorithm(&entry.name).filter(|_| entry.kind == Kind::Dir);
            let Some(algorithm) = known else {
                *in_doubt |= weight == Severity::Doubt;
                self.report(odd(
                    weight,
                    Code::OddName,
                    Some(name),
                    &here,
                    "not the directory of a digest algorithm",
                ));
                continue;
            };
            let Some((_, entries)) = self.list(name, &dir, &entry.name, in_doubt) else {
                continue;
            };
            digests.reserve(entries.len());
            for entry in entries {
                match Digest::from_parts(algorithm, &entry.name) {
                    Ok(digest) if entry.kind == Kind::Dir => digests.push(digest),
                    _ => {
                        let weight = if entry.kind == Kind::File { Severity::Note } else { weight };
                        *in_doubt |= weight == Severity::Doubt;
                        let path = here.join(&entry.name);
                        self.report(odd(
                            weight,
                            Code::OddName,
                            Some(name),
                            &path,
                            "not the directory of a digest",
                        ));
                    }
                }
            }
        }
        digests.sort_unstable();
        digests
    }

    /// Follows the layer links that are filed under another algorithm than their blob.
    fn aliases(
        &self,
        name: &RepoName,
        dir: &Dir,
        layers: &[Digest],
        in_doubt: &mut bool,
    ) -> Vec<(Digest, Digest)> {
        let foreign = layers.iter().filter(|layer| layer.algorithm() != Algorithm::Sha256);
        let follow = |layer: &Digest| {
            let path = format!("{}/{}/link", layout::LAYERS, layout::link_dir(layer));
            let problem = match links::read(&self.store.io, dir, &path) {
                Link::To(blob, _) => return Some((layer.clone(), blob)),
                Link::Missing => return None,
                Link::Bad(cause) => Problem {
                    severity: Severity::Doubt,
                    code: Code::BadLink,
                    repository: Some(name.clone()),
                    path: dir.path().join(&path).display().to_string(),
                    cause,
                    remedy: "push the image again; until then it is unknown which blob this layer is".into(),
                },
                Link::Unreadable(error) => unreadable(&dir.path().join(&path), Some(name), &error),
            };
            *in_doubt = true;
            self.report(problem);
            None
        };
        foreign.filter_map(follow).collect()
    }

    fn list(&self, name: &RepoName, dir: &Dir, path: &str, in_doubt: &mut bool) -> Option<(Dir, Vec<Entry>)> {
        let listed = self.store.io.open_dir(dir, path).and_then(|dir| {
            let entries = self.store.io.list(&dir)?;
            Ok((dir, entries))
        });
        match listed {
            Ok(listed) => Some(listed),
            // Asked for by name, not because a listing had it: a repository may lack any of these.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                *in_doubt = true;
                self.report(unreadable(&dir.path().join(path), Some(name), &error));
                None
            }
        }
    }

    /// Gives a registry time to finish what it may be writing, then decides on each doubtful tag.
    fn read_doubtful_tags_again(&self, repositories: &mut [Repository]) -> Result<(), Interrupted> {
        let doubtful = |tag: &Tag| tag.state == TagState::Doubtful;
        if !repositories.iter().any(|repository| repository.tags.iter().any(doubtful)) {
            return Ok(());
        }
        self.stop.wait(WRITE_IN_PROGRESS)?;
        for repository in repositories {
            let name = repository.name.clone();
            let parent = format!("{}/{}", layout::repository(&name), layout::TAGS);
            let mut in_doubt = repository.in_doubt;
            repository.tags.retain_mut(|tag| {
                if !doubtful(tag) {
                    return true;
                }
                let path = format!("{parent}/{}", layout::current_link(&tag.name));
                let problem = match links::read(&self.store.io, &self.store.root, &path) {
                    Link::To(digest, pushed_at) => {
                        tag.state = TagState::Linked { digest, pushed_at };
                        return true;
                    }
                    Link::Missing if !self.still_there(&format!("{parent}/{}", tag.name)) => {
                        return false;
                    }
                    Link::Missing => Problem {
                        severity: Severity::Doubt,
                        code: Code::TagWithoutLink,
                        repository: Some(name.clone()),
                        path,
                        cause: "the tag's directory is there, its link is not".into(),
                        remedy: "push the tag again, or delete its directory".into(),
                    },
                    Link::Bad(cause) => Problem {
                        severity: Severity::Doubt,
                        code: Code::BadLink,
                        repository: Some(name.clone()),
                        path,
                        cause,
                        remedy: "push the tag again".into(),
                    },
                    Link::Unreadable(error) => unreadable(Path::new(&path), Some(&name), &error),
                };
                in_doubt = true;
                self.report(problem);
                true
            });
            repository.in_doubt = in_doubt;
        }
        Ok(())
    }

    /// Reads every manifest that a tag, a revision or an index names, once.
    fn read_manifests(
        &self,
        repositories: &mut [Repository],
        known: &HashMap<Digest, Manifest>,
        present: impl Fn(&Digest) -> bool,
    ) -> Result<HashMap<Digest, Manifest>, Interrupted> {
        let mut manifests: HashMap<Digest, Manifest> = HashMap::new();
        let mut seen: HashSet<Digest> = HashSet::new();
        let mut bad: HashSet<Digest> = HashSet::new();
        let mut absent: HashSet<Digest> = HashSet::new();
        let mut wanted: Vec<Digest> = repositories
            .iter()
            .flat_map(|repository| {
                repository.tags.iter().filter_map(Tag::digest).chain(&repository.revisions)
            })
            .cloned()
            .collect();
        // Tags and revisions must be manifests; what an index lists may as well be a plain blob.
        let mut must_be_manifests = true;
        loop {
            wanted.sort_unstable();
            wanted.dedup();
            wanted.retain(|digest| !known.contains_key(digest) && !seen.contains(digest));
            seen.extend(wanted.iter().cloned());
            absent.extend(wanted.extract_if(.., |digest| !present(digest)));
            if wanted.is_empty() {
                break;
            }
            let reads =
                self.store.read_manifests(&wanted, must_be_manifests, WRITE_IN_PROGRESS, self.stop)?;
            let mut children = Vec::new();
            for (digest, read) in reads {
                match read {
                    ManifestRead::Manifest(manifest) => {
                        children.extend(manifest.children.iter().filter_map(|child| {
                            let small =
                                child.size_bytes.is_none_or(|size| size <= layout::MANIFEST_MAX_BYTES);
                            small.then(|| child.digest.clone())
                        }));
                        manifests.insert(digest, manifest);
                    }
                    ManifestRead::Blob => {}
                    ManifestRead::Absent => {
                        absent.insert(digest);
                    }
                    ManifestRead::Doubt(problem) => {
                        self.report(problem);
                        bad.insert(digest);
                    }
                }
            }
            wanted = children;
            must_be_manifests = false;
        }
        for repository in repositories {
            let tagged = || repository.tags.iter().filter_map(Tag::digest);
            repository.in_doubt |= tagged().chain(&repository.revisions).any(|digest| bad.contains(digest));
            if let Some(digest) = tagged().find(|digest| absent.contains(*digest)) {
                repository.in_doubt = true;
                self.report(Problem {
                    severity: Severity::Doubt,
                    code: Code::ManifestMissing,
                    repository: Some(repository.name.clone()),
                    path: format!("{}/{}", layout::BLOBS, layout::blob_dir(digest)),
                    cause: "a tag names this manifest, and it is not there; what else it needs is unknown"
                        .into(),
                    remedy: "push the image again, or delete the tag".into(),
                });
            }
        }
        Ok(manifests)
    }
}

pub(super) fn unreadable(path: &Path, repository: Option<&RepoName>, error: &io::Error) -> Problem {
    Problem {
        severity: Severity::Doubt,
        code: Code::Unreadable,
        repository: repository.cloned(),
        path: path.display().to_string(),
        cause: error.to_string(),
        remedy: "check the storage and its permissions; the janitor must run as the registry's user".into(),
    }
}

pub(super) fn odd(
    severity: Severity,
    code: Code,
    repository: Option<&RepoName>,
    path: &Path,
    cause: &str,
) -> Problem {
    Problem {
        severity,
        code,
        repository: repository.cloned(),
        path: path.display().to_string(),
        cause: cause.into(),
        remedy: "the registry does not make such a thing; move it out of the store".into(),
    }
}
