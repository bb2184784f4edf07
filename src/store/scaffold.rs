//! The directories that hold a repository together: made where the collector needs them, removed
//! when a repository is empty.
//!
//! Removing is by plain `rmdir` from the inside out, which fails on anything that a push has put
//! there meanwhile; so nothing can be lost, and a push that has just begun is the worst that can be
//! disturbed (it fails loudly, and only within the microseconds between its `mkdir` and its write).

use std::collections::HashMap;
use std::io;

use jiff::Timestamp;

use super::removed::is_absent;
use super::seats::again;
use super::{Store, StoreLock, layout, mutate};
use crate::model::{Digest, Place, RepoName};
use crate::stop::{Interrupted, Stop};

/// A repository's scaffolding, from the inside out. `_manifests` goes before `_layers`, because the
/// collector of registry 2.8 deletes the images of a repository that has only the former.
const INSIDE_OUT: [&str; 12] = [
    layout::UPLOADS,
    layout::TAGS,
    "_manifests/revisions/sha256",
    "_manifests/revisions/sha384",
    "_manifests/revisions/sha512",
    layout::REVISIONS,
    layout::MANIFESTS,
    "_layers/sha256",
    "_layers/sha384",
    "_layers/sha512",
    layout::LAYERS,
    "",
];

impl Store {
    /// Makes sure that `_layers` is there wherever `_manifests` is, for the stock collector: without
    /// it, 2.8 does not see the repository and deletes its images, and 3.x stops for ever.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn ensure_layers(&self, _lock: &StoreLock, repository: &RepoName) -> io::Result<()> {
        let path = format!("{}/{}", layout::repository(repository), layout::LAYERS);
        mutate::make_dirs(&self.io, &self.root, &path)
    }

    /// When a repository was last touched as far as its scaffolding tells, `None` when an upload is
    /// under way in it or it is gone.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn idle_since(&self, repository: &RepoName) -> io::Result<Option<Timestamp>> {
        let base = layout::repository(repository);
        let uploads = format!("{base}/{}", layout::UPLOADS);
        match self.io.open_dir(&self.root, &uploads).and_then(|dir| self.io.list(&dir)) {
            Ok(uploads) if uploads.is_empty() => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // Something else is there, and the repository stays.
            Err(error) if is_absent(&error) => return Ok(None),
            Ok(_) => return Ok(None),
            Err(error) => return Err(error),
        }
        let mut newest = None;
        for part in INSIDE_OUT {
            match self.io.stat(&self.root, format!("{base}/{part}").trim_end_matches('/')) {
                Ok(attributes) => newest = newest.max(Some(attributes.modified)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if is_absent(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(newest)
    }

    /// Removes an empty repository's scaffolding, and directories above it that this leaves empty.
    /// Other repositories inside it stay. `false` when something turned out to be in it.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn remove_scaffold(&self, _lock: &StoreLock, repository: &RepoName) -> io::Result<bool> {
        let base = layout::repository(repository);
        for part in INSIDE_OUT {
            let path = format!("{base}/{part}");
            let path = path.trim_end_matches('/');
            if part.is_empty() {
                break;
            }
            let removed = mutate::remove_empty_dir(&self.io, &self.root, path)?;
            if !removed && self.is_there(path)? {
                return Ok(false);
            }
        }
        let mut path = base.as_str();
        while path != layout::REPOSITORIES && mutate::remove_empty_dir(&self.io, &self.root, path)? {
            path = path.rsplit_once('/').map_or(layout::REPOSITORIES, |(above, _)| above);
        }
        Ok(true)
    }

    /// Removes directories that hold nothing at all, such as an interrupted [`Store::remove_scaffold`] leaves, and
    /// those above them that this leaves empty; each only when it was idle before. Says how many went.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for. What failed is told for each.
    pub fn remove_bare(
        &self,
        _lock: &StoreLock,
        names: &[RepoName],
        mut is_idle: impl FnMut(&str, Timestamp) -> bool,
        stop: &Stop,
    ) -> Result<(usize, Vec<io::Error>), Interrupted> {
        let mut failed = Vec::new();
        // Asked of all before any goes, since that makes those above it young.
        let mut idle: HashMap<String, bool> = HashMap::new();
        for path in names.iter().flat_map(|name| upwards(layout::repository(name))) {
            stop.check()?;
            idle.entry(path).or_insert_with_key(|path| {
                let is = self.io.stat(&self.root, path).map(|it| is_idle(path, it.modified));
                is.unwrap_or_else(|error| {
                    failed.extend((error.kind() != io::ErrorKind::NotFound).then_some(error));
                    false
                })
            });
        }
        let mut removed = 0;
        for name in names {
            stop.check()?;
            for path in upwards(layout::repository(name)).take_while(|path| idle[path]) {
                match mutate::remove_empty_dir(&self.io, &self.root, &path) {
                    Ok(true) => removed += 1,
                    Ok(false) => break,
                    Err(error) => {
                        failed.push(error);
                        break;
                    }
                }
            }
        }
        Ok((removed, failed))
    }

    /// Removes the empty directories that deleted manifests left among a repository's revisions.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for.
    pub fn remove_empty_revisions(
        &self,
        _lock: &StoreLock,
        places: impl IntoIterator<Item = Place>,
        stop: &Stop,
    ) -> Result<Vec<io::Result<bool>>, Interrupted> {
        self.by_parent(places, |dir, place| {
            stop.check()?;
            Ok(match dir {
                Ok(dir) => mutate::remove_empty_dir(&self.io, dir, &layout::file_name(place)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
                Err(error) => Err(again(error)),
            })
        })
    }

    /// Removes the empty directory that an interrupted collector left of a blob.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn remove_hollow_blob(&self, _lock: &StoreLock, digest: &Digest) -> io::Result<bool> {
        let path = format!("{}/{}", layout::BLOBS, layout::blob_dir(digest));
        mutate::remove_empty_dir(&self.io, &self.root, &path)
    }

    fn is_there(&self, path: &str) -> io::Result<bool> {
        match self.io.stat(&self.root, path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// A directory and those above it, up to the one that holds all repositories.
fn upwards(path: String) -> impl Iterator<Item = String> {
    let above = |path: &String| path.rsplit_once('/').map(|(above, _)| above.to_owned());
    std::iter::successors(Some(path), above).take_while(|path| path != layout::REPOSITORIES)
}
