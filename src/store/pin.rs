//! Pins: manifests of the janitor's own that hold young blobs while the stock collector runs.
//!
//! The stock collector knows no age: it takes a layer whose manifest is still on its way for
//! garbage. But it takes every revision for a root. So for as long as it runs, the young blobs that
//! nothing references are listed as the layers of a manifest, in a repository that is there anyway,
//! written as the registry writes one: the bytes first, the revision link after them. It has no tag,
//! so clients see nothing of it.
//!
//! A pin that a crash leaves behind is an ordinary manifest that no tag reaches, and the sweep after
//! its grace removes it.

use std::io;

use serde_json::json;

use super::{Store, StoreLock, layout, mutate};
use crate::model::{Digest, Place, RepoName};

/// Blobs in one pin: well below the largest manifest that the registry takes (4 MiB).
const BLOBS_IN_A_PIN: usize = 10_000;

/// Pins that are in the store.
#[must_use = "pins hold blobs until they are taken out"]
#[derive(Debug)]
pub struct Pins {
    sweep: String,
    places: Vec<(Place, Digest)>,
}

impl Store {
    /// Puts pins on blobs, in a repository.
    ///
    /// # Errors
    /// Whatever the system says; then no pin is left.
    pub fn pin(
        &self,
        lock: &StoreLock,
        sweep: &str,
        repository: &RepoName,
        blobs: &[(Digest, u64)],
    ) -> io::Result<Pins> {
        let mut pins = Pins { sweep: format!("{sweep}-pins"), places: Vec::new() };
        for blobs in blobs.chunks(BLOBS_IN_A_PIN) {
            let content = manifest(blobs);
            let digest = Digest::of(&content);
            pins.places.push((Place::Revision(repository.clone(), digest.clone()), digest.clone()));
            let written = self.write_manifest(lock, repository, &digest, &content);
            if let Err(error) = written {
                self.unpin(lock, pins)?;
                return Err(error);
            }
        }
        Ok(pins)
    }

    /// Takes pins out again.
    ///
    /// # Errors
    /// Whatever the system says; what is left is removed by a later sweep.
    pub fn unpin(&self, lock: &StoreLock, pins: Pins) -> io::Result<()> {
        let trash = format!("{}/{}", layout::CONDEMNED, pins.sweep);
        mutate::make_dirs(&self.io, &lock.dir, &trash)?;
        let to = self.io.open_dir(&lock.dir, &trash)?;
        for (place, digest) in pins.places {
            let (shard, hex) = layout::shard_and_hex(&digest);
            // The link goes first: a revision without its manifest would be a broken one.
            let parts = [
                (layout::parent(&place), layout::file_name(&place), "link"),
                (format!("{}/{shard}", layout::BLOBS), hex, "blob"),
            ];
            for (parent, name, kind) in parts {
                let moved = self.io.open_dir(&self.root, &parent).and_then(|from| {
                    mutate::rename_dir(&self.io, &from, &name, &to, &format!("{kind}-{name}"))
                });
                match moved {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    moved => moved?,
                }
            }
        }
        drop(to);
        mutate::remove_trash(&self.io, &lock.dir, &trash)
    }

    fn write_manifest(
        &self,
        _lock: &StoreLock,
        repository: &RepoName,
        digest: &Digest,
        content: &[u8],
    ) -> io::Result<()> {
        let blob = format!("{}/{}", layout::BLOBS, layout::blob_dir(digest));
        let place = Place::Revision(repository.clone(), digest.clone());
        let revision = format!("{}/{}", layout::parent(&place), layout::file_name(&place));
        for (dir, name, content) in
            [(blob, "data", content), (revision, "link", digest.to_string().as_bytes())]
        {
            mutate::make_dirs(&self.io, &self.root, &dir)?;
            mutate::write_new(&self.io, &self.io.open_dir(&self.root, &dir)?, name, content)?;
        }
        Ok(())
    }
}

/// An image manifest as both 2.x and 3.x of the registry parse it. It needs a configuration, and
/// the first blob is as good as any.
fn manifest(blobs: &[(Digest, u64)]) -> Vec<u8> {
    let descriptor = |(digest, size): &(Digest, u64), kind: &str| json!({ "mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest.to_string(), "size": size });
    let config = blobs.first().map(|blob| descriptor(blob, "config.v1+json"));
    let layers: Vec<_> = blobs.iter().map(|blob| descriptor(blob, "layer.v1.tar")).collect();
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": layers,
        "annotations": { "org.opencontainers.image.description": "holds young blobs while the registry's collector runs" },
    })
    .to_string()
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Manifest;

    #[test]
    fn a_pin_references_what_it_is_to_hold() {
        let blobs: Vec<(Digest, u64)> = (0..3_u8).map(|n| (Digest::of(&[n]), 1)).collect();
        let pin = Manifest::parse(&manifest(&blobs)).unwrap();
        for (digest, _) in &blobs {
            assert!(pin.blobs.iter().any(|blob| blob.digest == *digest));
        }
    }

    #[test]
    fn the_largest_pin_is_smaller_than_the_largest_manifest() {
        let blobs: Vec<(Digest, u64)> =
            (0..BLOBS_IN_A_PIN).map(|n| (Digest::of(&n.to_le_bytes()), u64::MAX)).collect();
        assert!((manifest(&blobs).len() as u64) < layout::MANIFEST_MAX_BYTES);
    }
}
