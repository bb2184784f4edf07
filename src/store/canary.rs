//! The store's part of a probe: where the canary lies, how it goes away, and what is left of it.

use std::io;

use super::io::Kind;
use super::{Store, StoreLock, layout, mutate};
use crate::model::{Algorithm, Digest, Scratch};
use crate::stop::Stop;

/// A canary is smaller.
const CANARY_MAX_BYTES: u64 = 512;

impl Store {
    /// Whether a scratch repository is in this store.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn has_scratch(&self, scratch: &Scratch) -> io::Result<bool> {
        self.has(&layout::repository(scratch.repository()))
    }

    /// Whether a blob's data is in this store.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn has_data(&self, digest: &Digest) -> io::Result<bool> {
        self.has(&format!("{}/{}/data", layout::BLOBS, layout::blob_dir(digest)))
    }

    /// Takes a scratch repository's canary away, if that is what this blob is.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn take_canary(&self, lock: &StoreLock, scratch: &Scratch, digest: &Digest) -> io::Result<()> {
        let (shard, hex) = layout::shard_and_hex(digest);
        let read = self.io.open_dir(&self.root, &format!("{}/{shard}", layout::BLOBS)).and_then(|shard| {
            let content = self.io.read(&shard, &format!("{hex}/data"), CANARY_MAX_BYTES)?;
            Ok((shard, content))
        });
        match read {
            Ok((shard, content)) if scratch.has_made(&content.bytes) => {
                self.throw_away(lock, scratch, &shard, &hex, "canary")
            }
            Ok(_) => Ok(()),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::FileTooLarge) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Removes a scratch repository and its canary. `false` when somebody has pushed an image there:
    /// then it is left alone.
    ///
    /// # Errors
    /// Whatever the system says; what is left is removed by a later sweep.
    pub fn remove_scratch(&self, lock: &StoreLock, scratch: &Scratch) -> io::Result<bool> {
        let above = format!("{}/{}", layout::REPOSITORIES, Scratch::reserved());
        let opened = self.io.open_dir(&self.root, &above).and_then(|above| {
            let entries = self.io.list(&self.io.open_dir(&above, scratch.digits())?)?;
            Ok((above, entries))
        });
        let (dir, entries) = match opened {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(error),
        };
        if entries.iter().any(|entry| ![layout::LAYERS, layout::UPLOADS].contains(&entry.name.as_str())) {
            return Ok(false);
        }
        let layers = format!("{}/{}/{}", scratch.digits(), layout::LAYERS, Algorithm::Sha256.as_str());
        match self.io.open_dir(&dir, &layers).and_then(|dir| self.io.list(&dir)) {
            Ok(layers) => {
                for layer in layers.iter().filter(|it| it.kind == Kind::Dir) {
                    if let Ok(digest) = Digest::from_parts(Algorithm::Sha256, &layer.name) {
                        self.take_canary(lock, scratch, &digest)?;
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        self.throw_away(lock, scratch, &dir, scratch.digits(), "repository")?;
        drop(dir);
        mutate::remove_empty_dir(&self.io, &self.root, &above)?;
        Ok(true)
    }

    /// The scratch repositories that there are; those of interrupted probes, unless one is under way.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn scratches(&self) -> io::Result<Vec<Scratch>> {
        let above = format!("{}/{}", layout::REPOSITORIES, Scratch::reserved());
        match self.io.open_dir(&self.root, &above).and_then(|dir| self.io.list(&dir)) {
            Ok(entries) => {
                let names = entries.iter().filter(|entry| entry.kind == Kind::Dir);
                let names = names.map(|entry| format!("{}/{}", Scratch::reserved(), entry.name));
                Ok(names.filter_map(|name| Scratch::of(&name.parse().ok()?)).collect())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Nothing of a probe is ever needed again, so what goes to the trash is condemned there.
    fn throw_away(
        &self,
        lock: &StoreLock,
        scratch: &Scratch,
        from: &super::Dir,
        name: &str,
        new_name: &str,
    ) -> io::Result<()> {
        let path = format!("{}/{}-probe", layout::CONDEMNED, scratch.digits());
        self.make_room_and_dirs(lock, &path)?;
        let trash = self.io.open_dir(&lock.dir, &path)?;
        match mutate::rename_dir(&self.io, from, name, &trash, new_name) {
            // Somebody else has removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            moved => moved?,
        }
        drop(trash);
        self.remove_tree(&lock.dir, &path, &Stop::default())
    }

    fn has(&self, path: &str) -> io::Result<bool> {
        // A registry on another host may have made it just now.
        match self.io.stat_now(&self.root, path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}
