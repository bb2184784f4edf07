//! Repairs: each looks once more at what it mends, and does nothing where that has changed.

use std::io;

use jiff::Timestamp;

use super::io::{Attributes, Dir, Kind};
use super::layout::{DATA, LINK};
use super::links::{self, Link};
use super::mutate::Written;
use super::removed::is_absent;
use super::{Store, StoreLock, layout, mutate};
use crate::model::{Digest, HiddenFile, Mend, Place, RepoName};
use crate::stop::Stop;

/// How often a tag's link is written where pushes write it at the same time.
const REWRITES: usize = 8;

/// What came of a repair.
#[derive(Debug, PartialEq, Eq)]
pub enum Mended {
    /// It is mended.
    Done,
    /// It is not what it was; it was left alone.
    Changed,
    /// It could not be mended.
    Failed(String),
}

impl Store {
    /// Mends one thing. What is moved aside goes into a directory of the trash with this name.
    pub fn mend(&self, lock: &StoreLock, run: &str, mend: &Mend, stop: &Stop) -> Mended {
        let mended = match mend {
            Mend::WriteLink(place, digest) => self.write_link(place, digest),
            Mend::MakeLayers(repository) => self.make_layers(repository),
            Mend::SetAside(digest) => self.set_aside(lock, run, digest, stop),
            Mend::ShowHidden(file) => self.show_hidden(lock, file, stop),
            Mend::RemoveTemporary(path, limit) => self.remove_temporary(lock, run, path, *limit),
            Mend::RemoveUpload(repository, id, limit) => {
                self.remove_upload(lock, run, repository, id, *limit, stop)
            }
        };
        match mended {
            Ok(true) => Mended::Done,
            Ok(false) => Mended::Changed,
            // Somebody has removed it: there is nothing left to mend.
            Err(error) if is_absent(&error) => Mended::Changed,
            Err(error) => Mended::Failed(error.to_string()),
        }
    }

    fn write_link(&self, place: &Place, digest: &Digest) -> io::Result<bool> {
        let data = format!("{}/{}/{DATA}", layout::BLOBS, layout::blob_dir(digest));
        match self.io.stat(&self.root, &data) {
            Ok(data) if data.kind == Kind::File => {}
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        }
        let path = format!("{}/{}", layout::parent(place), layout::link(place));
        let Some((path, _)) = path.rsplit_once('/') else { return Ok(false) };
        self.io.stat(&self.root, &layout::repository(place.repository()))?;
        let dir = self.dirs_like_those_above(path)?;
        match links::read(&self.io, &dir, LINK) {
            Link::Missing | Link::Bad(_) => {}
            Link::To(found, _) if found != *digest && !matches!(place, Place::Tag(..)) => {}
            Link::To(..) => return Ok(false),
            Link::Unreadable(error) => return Err(error),
        }
        let like = match self.io.stat(&dir, LINK) {
            Ok(link) => link,
            Err(error) if error.kind() == io::ErrorKind::NotFound => like_files_in(self.io.stat_open(&dir)?),
            Err(error) => return Err(error),
        };
        let (mut content, mut ours) = (digest.clone(), None);
        for _ in 0..REWRITES {
            let text = content.to_string();
            let old = match mutate::write_link(&self.io, &dir, LINK, text.as_bytes(), &like)? {
                Written::Replaced(Some(old)) => old,
                Written::Replaced(None) => break,
                Written::Superseded => return Ok(false),
            };
            // The registry 2.8 writes into the file that it has opened, which may have been the old one.
            let late = links::read(&self.io, &dir, &old);
            mutate::give_up(&self.io, &dir, &old)?;
            match (place, late) {
                (Place::Tag(..), Link::To(newer, _)) if newer != content && Some(&newer) != ours.as_ref() => {
                    ours = Some(std::mem::replace(&mut content, newer));
                }
                _ => break,
            }
        }
        Ok(content == *digest)
    }

    fn make_layers(&self, repository: &RepoName) -> io::Result<bool> {
        self.io.stat(&self.root, &layout::repository(repository))?;
        let path = format!("{}/{}", layout::repository(repository), layout::LAYERS);
        self.dirs_like_those_above(&path).map(|_| true)
    }

    /// Opens a directory below the registry's tree; what is missing of it is made, with the owner and the mode
    /// of the directory that it is in, since the registry has to write there.
    fn dirs_like_those_above(&self, path: &str) -> io::Result<Dir> {
        match self.io.open_dir(&self.root, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        let (above, name) = path.rsplit_once('/').ok_or(io::ErrorKind::NotFound)?;
        let above = self.dirs_like_those_above(above)?;
        mutate::make_dir_like(&self.io, &above, name, &self.io.stat_open(&above)?)?;
        self.io.open_dir(&above, name)
    }

    fn show_hidden(&self, lock: &StoreLock, file: &HiddenFile, stop: &Stop) -> io::Result<bool> {
        let (hidden, mut problems) = self.hidden_among([file.clone()], stop).map_err(io::Error::other)?;
        if !hidden.is_empty() {
            problems
                .extend(self.show_unlisted(lock, hidden.clone(), stop).map_err(io::Error::other)?.problems);
        }
        problems.pop().map_or(Ok(!hidden.is_empty()), |problem| Err(io::Error::other(problem.cause)))
    }

    /// Only what was read and has another digest goes, and it comes back where it has the right one after all. A
    /// hidden copy that is whole takes its place.
    fn set_aside(&self, lock: &StoreLock, run: &str, digest: &Digest, stop: &Stop) -> io::Result<bool> {
        let (shard, hex) = layout::shard_and_hex(digest);
        let shard = format!("{}/{shard}", layout::BLOBS);
        let from = self.io.open_dir(&self.root, &shard)?;
        let data = format!("{hex}/{DATA}");
        if self.hash_file(&from, &data, |_| Ok(()))? == *digest {
            return Ok(false);
        }
        let hidden = format!("{hex}/{}", layout::hidden(DATA));
        if self.is_better(&from, &hex, [&data, &hidden], true, stop)? {
            return mutate::rename_file(&self.io, &from, &hidden, &data).map(|()| true);
        }
        let to = self.aside(lock, run, &shard)?;
        mutate::rename_dir(&self.io, &from, &hex, &to, &hex)?;
        if self.hash_file(&to, &data, |_| Ok(()))? == *digest {
            mutate::rename_dir(&self.io, &to, &hex, &from, &hex)?;
            return Ok(false);
        }
        Ok(true)
    }

    fn remove_temporary(
        &self,
        lock: &StoreLock,
        run: &str,
        path: &str,
        limit: Timestamp,
    ) -> io::Result<bool> {
        let below = path.strip_prefix(layout::REGISTRY).map(|path| path.trim_start_matches('/'));
        let (dir, name) = below.and_then(|path| path.rsplit_once('/')).ok_or(io::ErrorKind::InvalidInput)?;
        let from = self.io.open_dir(&self.root, dir)?;
        if self.io.stat(&from, name)?.modified > limit {
            return Ok(false);
        }
        let to = self.aside(lock, run, dir)?;
        mutate::rename_dir(&self.io, &from, name, &to, name)?;
        mutate::give_up(&self.io, &to, name)?;
        self.tidy(lock, run, dir)?;
        Ok(true)
    }

    fn remove_upload(
        &self,
        lock: &StoreLock,
        run: &str,
        repository: &RepoName,
        id: &str,
        limit: Timestamp,
        stop: &Stop,
    ) -> io::Result<bool> {
        let uploads = format!("{}/{}", layout::repository(repository), layout::UPLOADS);
        let from = self.io.open_dir(&self.root, &uploads)?;
        if self.touched(&from, id)? > limit {
            return Ok(false);
        }
        let to = self.aside(lock, run, &uploads)?;
        mutate::rename_dir(&self.io, &from, id, &to, id)?;
        if self.touched(&to, id)? > limit {
            mutate::rename_dir(&self.io, &to, id, &from, id)?;
            return Ok(false);
        }
        self.remove_tree(&to, id, stop)?;
        self.tidy(lock, run, &uploads)?;
        Ok(true)
    }

    /// When something directly in an upload was last written.
    fn touched(&self, uploads: &Dir, id: &str) -> io::Result<Timestamp> {
        let dir = self.io.open_dir(uploads, id)?;
        let mut newest = self.io.stat_open(&dir)?.modified;
        for entry in self.io.list(&dir)? {
            newest = newest.max(self.io.stat(&dir, &entry.name)?.modified);
        }
        Ok(newest)
    }

    /// The place in the trash for what belongs in a directory of the registry's tree.
    fn aside(&self, lock: &StoreLock, run: &str, path: &str) -> io::Result<Dir> {
        let path = format!("{}/{run}/{path}", layout::MENDED);
        self.make_room_and_dirs(lock, &path)?;
        self.io.open_dir(&lock.dir, &path)
    }

    /// Removes the directories that nothing is left in.
    fn tidy(&self, lock: &StoreLock, run: &str, path: &str) -> io::Result<()> {
        let path = format!("{}/{run}/{path}", layout::MENDED);
        let mut path = path.as_str();
        while path != layout::MENDED && mutate::remove_empty_dir(&self.io, &lock.dir, path)? {
            path = path.rsplit_once('/').map_or(layout::MENDED, |(above, _)| above);
        }
        Ok(())
    }
}

/// What the registry gives a file in a directory that it has made, by the same umask.
fn like_files_in(mut dir: Attributes) -> Attributes {
    dir.mode &= 0o666;
    dir
}
