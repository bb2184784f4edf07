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

use super::removed::is_absent;
use super::{Store, StoreLock, layout, mutate};
use crate::model::{Digest, Place, RepoName};
use crate::stop::Stop;

/// Blobs in one pin: well below the largest manifest that the registry takes (4 MiB).
const BLOBS_IN_A_PIN: usize = 10_000;

/// Pins that are in the store.
#[must_use = "pins hold blobs until they are taken out"]
#[derive(Debug)]
pub struct Pins {
    /// Where they were made and where they go, below the janitor's directory.
    trash: String,
    /// Each part's parent directory and name, in the order in which they were put.
    parts: Vec<(String, String)>,
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
        let trash = format!("{}/{sweep}-pins", layout::CONDEMNED);
        self.make_room_and_dirs(lock, &trash)?;
        let mut pins = Pins { trash, parts: Vec::new() };
        for blobs in blobs.chunks(BLOBS_IN_A_PIN) {
            if let Err(error) = self.put_pin(lock, repository, &manifest(blobs, sweep), &mut pins) {
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
        let Pins { trash: path, parts } = pins;
        let trash = self.io.open_dir(&lock.dir, &path)?;
        // The links go first: a revision without its manifest would be a broken one.
        for (parent, name) in parts.iter().rev() {
            let moved = self
                .io
                .open_dir(&self.root, parent)
                .and_then(|from| mutate::rename_dir(&self.io, &from, name, &trash, &in_trash(parent, name)));
            match moved {
                // Somebody has removed it. What is left elsewhere is a manifest that no tag reaches.
                Err(error) if is_absent(&error) => {}
                moved => moved?,
            }
        }
        drop(trash);
        self.remove_tree(&lock.dir, &path, &Stop::default())
    }

    /// Makes both directories in the trash and renames them into place, so that neither is ever there
    /// half-written, whatever happens meanwhile.
    fn put_pin(
        &self,
        lock: &StoreLock,
        repository: &RepoName,
        content: &[u8],
        pins: &mut Pins,
    ) -> io::Result<()> {
        let digest = Digest::of(content);
        let (shard, hex) = layout::shard_and_hex(&digest);
        let revision = Place::Revision(repository.clone(), digest.clone());
        let link = digest.to_string();
        let trash = self.io.open_dir(&lock.dir, &pins.trash)?;
        let parts = [
            (format!("{}/{shard}", layout::BLOBS), hex, "data", content),
            (layout::parent(&revision), layout::file_name(&revision), "link", link.as_bytes()),
        ];
        for (parent, name, file, content) in parts {
            let made = in_trash(&parent, &name);
            mutate::make_dirs(&self.io, &trash, &made)?;
            mutate::write_new(&self.io, &self.io.open_dir(&trash, &made)?, file, content)?;
            mutate::make_dirs(&self.io, &self.root, &parent)?;
            let to = self.io.open_dir(&self.root, &parent)?;
            mutate::rename_dir(&self.io, &trash, &made, &to, &name)?;
            pins.parts.push((parent, name));
        }
        Ok(())
    }
}

/// What a part of a pin is called while it is in the trash.
fn in_trash(parent: &str, name: &str) -> String {
    let kind = if parent.starts_with(layout::BLOBS) { "blob" } else { "revision" };
    format!("{kind}-{name}")
}

/// An image manifest as both 2.x and 3.x of the registry parse it. It needs a configuration, and
/// the first blob is as good as any. The sweep is named so that what a crash has left of a pin on the same blobs is not in
/// the way.
fn manifest(blobs: &[(Digest, u64)], sweep: &str) -> Vec<u8> {
    let descriptor = |(digest, size): &(Digest, u64), kind: &str| json!({ "mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest.to_string(), "size": size });
    let config = blobs.first().map(|blob| descriptor(blob, "config.v1+json"));
    let layers: Vec<_> = blobs.iter().map(|blob| descriptor(blob, "layer.v1.tar")).collect();
    let description = format!("holds young blobs while the registry's collector runs in the sweep {sweep}");
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": layers,
        "annotations": { "org.opencontainers.image.description": description },
    })
    .to_string()
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Document;

    #[test]
    fn a_pin_references_what_it_is_to_hold() {
        let blobs: Vec<(Digest, u64)> = (0..3_u8).map(|n| (Digest::of(&[n]), 1)).collect();
        let pin = Document::parse(&manifest(&blobs, "a sweep")).unwrap();
        for (digest, _) in &blobs {
            assert!(pin.blobs.iter().any(|blob| blob.digest == *digest));
        }
    }

    #[test]
    fn the_largest_pin_is_smaller_than_the_largest_manifest() {
        let blobs: Vec<(Digest, u64)> =
            (0..BLOBS_IN_A_PIN).map(|n| (Digest::of(&n.to_le_bytes()), u64::MAX)).collect();
        assert!((manifest(&blobs, "a sweep").len() as u64) < layout::MANIFEST_MAX_BYTES);
    }
}
