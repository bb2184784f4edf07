//! The directories of blobs: what is in each, and how large its data is.

use std::collections::{BTreeSet, HashMap};
use std::io;

use rayon::prelude::*;

use super::layout::DATA;
use super::{Dir, Entry, Kind, Surveyor, join, layout};
use crate::model::{
    Algorithm, BlobState, Digest, HiddenFile, Id, Manifest, ManifestState, Manifests, Surveyed,
};
use crate::stop::Interrupted;

type Blobs = HashMap<Id, BlobState>;

impl Surveyor<'_> {
    /// Every directory below `blobs`.
    pub(super) fn all_blobs(&self) -> Result<Blobs, Interrupted> {
        let Some((top, entries)) = self.list(&self.store.root, layout::BLOBS, None) else {
            return Ok(Blobs::new());
        };
        let sha256 = Algorithm::Sha256.as_str();
        for entry in entries.iter().filter(|it| it.name != sha256 || it.kind != Kind::Dir) {
            self.odd(&top, entry, None, "no directory of blobs: they are stored under sha256");
        }
        let Some((dir, shards)) = self.list(&top, sha256, None) else {
            return Ok(Blobs::new());
        };
        let shard = |entry: &Entry| self.shard(&dir, entry);
        let found: Vec<Vec<(Id, BlobState)>> =
            self.store.pool.install(|| shards.par_iter().map(shard).collect::<Result<_, Interrupted>>())?;
        Ok(found.into_iter().flatten().collect())
    }

    /// The blobs that some repositories need or link.
    pub(super) fn blobs_of(
        &self,
        repositories: &[Surveyed],
        manifests: &HashMap<Id, ManifestState>,
        references: &Manifests,
    ) -> Result<Blobs, Interrupted> {
        let mut wanted: BTreeSet<Id> = manifests.keys().copied().collect();
        let whole = manifests.keys().filter_map(|id| references.get(id));
        wanted.extend(whole.flat_map(Manifest::blobs).map(|reference| reference.blob));
        for repository in repositories {
            wanted.extend(repository.layers.keys().map(|id| repository.resolve(*id)));
        }
        let wanted: Vec<(Id, Digest)> =
            wanted.into_iter().map(|id| (id, self.all_digests().get(id))).collect();
        let look = |(id, digest): &(Id, Digest)| {
            self.stop.check()?;
            let path = format!("{}/{}", layout::BLOBS, layout::blob_dir(digest));
            Ok(self.blob(&self.store.root, &path, digest).map(|state| (*id, state)))
        };
        Ok(self.store.each(&wanted, look)?.into_iter().flatten().collect())
    }

    fn shard(&self, blobs: &Dir, shard: &Entry) -> Result<Vec<(Id, BlobState)>, Interrupted> {
        self.stop.check()?;
        let is_shard = shard.kind == Kind::Dir && shard.name.len() == 2;
        if !is_shard {
            self.odd(blobs, shard, None, "not a directory of blobs");
            return Ok(Vec::new());
        }
        let Some((dir, entries)) = self.list(blobs, &shard.name, None) else {
            return Ok(Vec::new());
        };
        let look = |entry: &Entry| {
            self.stop.check()?;
            match Digest::from_parts(Algorithm::Sha256, &entry.name) {
                Ok(digest) if entry.kind == Kind::Dir && entry.name.starts_with(&shard.name) => {
                    Ok(self.blob(&dir, &entry.name, &digest).map(|state| (self.intern(&digest), state)))
                }
                _ => {
                    self.odd(&dir, entry, None, "not the directory of a blob of this shard");
                    Ok(None)
                }
            }
        };
        let found: Vec<Option<(Id, BlobState)>> =
            entries.par_iter().map(look).collect::<Result<_, Interrupted>>()?;
        Ok(found.into_iter().flatten().collect())
    }

    fn blob(&self, parent: &Dir, name: &str, digest: &Digest) -> Option<BlobState> {
        let listed = self.store.io.open_dir(parent, name).and_then(|dir| {
            let entries = self.store.io.list(&dir)?;
            Ok((dir, entries))
        });
        let (dir, entries) = match listed {
            Ok(listed) => listed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                self.tell_unreadable(join(parent, name), None, &error);
                return Some(BlobState::Unreadable);
            }
        };
        let mut state = BlobState::Hollow;
        self.note_hidden(&entries, DATA, || HiddenFile::Blob(digest.clone()));
        for entry in entries.iter().filter(|entry| !layout::is_hidden(&entry.name)) {
            if entry.name != DATA || entry.kind != Kind::File {
                self.odd(&dir, entry, None, "beside a blob's data");
                continue;
            }
            match self.store.io.stat(&dir, DATA) {
                Ok(attributes) => state = BlobState::Data(attributes.size_bytes),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    self.tell_unreadable(join(&dir, DATA), None, &error);
                    state = BlobState::Unreadable;
                }
            }
        }
        Some(state)
    }
}
