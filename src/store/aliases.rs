//! What layer links under another algorithm than sha256 name, and whether the blobs have those digests.
//!
//! The digests that were computed are remembered in a file, so that each blob is read once and not in every sweep:
//!
//! ```text
//! sha512:<hex> sha256:<hex>      a line for each blob: the digest that was computed, and what it is stored under
//! sha256:<hex>                   of all lines before this one
//! ```
//!
//! A file that is missing or damaged means that the blobs are read again.

use std::fmt::Write as _;
use std::io;

use super::links::{self, Link};
use super::{Store, StoreLock, layout, mutate};
use crate::model::{Algorithm, Digest, Digests, Inventory, Place, Proofs};
use crate::stop::{Interrupted, Stop};

/// A line takes 208 bytes, so this is far more than a store has.
const MAX_BYTES: u64 = 16 << 20;

/// What a layer link says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerLink {
    /// It names this blob.
    To(Digest),
    /// It says nothing, for this reason.
    Nothing(String),
}

impl Store {
    /// Reads layer links, each as it is now.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for.
    pub fn layer_links(&self, places: &[Place], stop: &Stop) -> Result<Vec<LayerLink>, Interrupted> {
        self.each(places, |place| {
            stop.check()?;
            let path = layout::link(place);
            let mut link = links::read(&self.io, &self.root, &path);
            if matches!(link, Link::Missing) {
                // The janitor hides links while it decides whether their blobs may go.
                link = links::read(&self.io, &self.root, &layout::hidden(&path));
            }
            Ok(match link {
                Link::To(blob, _) => LayerLink::To(blob),
                Link::Missing => LayerLink::Nothing("it is missing".into()),
                Link::Bad(cause) => LayerLink::Nothing(cause),
                Link::Unreadable(error) => LayerLink::Nothing(error.to_string()),
            })
        })
    }

    /// Computes digests of blobs under other algorithms than their own. `None` for a blob that could not be read, or
    /// whose bytes are not its own.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for.
    pub fn compute_digests(
        &self,
        blobs: &[(Digest, Algorithm)],
        stop: &Stop,
    ) -> Result<Vec<Option<Digest>>, Interrupted> {
        self.each(blobs, |(blob, algorithm)| {
            let path = format!("{}/{}/{}", layout::BLOBS, layout::blob_dir(blob), layout::DATA);
            let mut interrupted = Ok(());
            let mut compute = |path: &str| {
                self.compute_digest(&self.root, path, *algorithm, |_| {
                    interrupted = stop.check();
                    interrupted.map_err(io::Error::other)
                })
            };
            let computed = match compute(&path) {
                // The janitor hides blobs while it decides whether they may go.
                Err(error) if error.kind() == io::ErrorKind::NotFound => compute(&layout::hidden(&path)),
                computed => computed,
            };
            interrupted?;
            Ok(computed.ok().and_then(|(own, computed)| (own == *blob).then_some(computed)))
        })
    }

    /// Adds what earlier sweeps computed, unless that was done already.
    pub fn recall_proofs(&self, proofs: &mut Proofs, digests: &Digests) {
        if !proofs.begin_recall() {
            return;
        }
        let path = format!("{}/{}", layout::JANITOR, layout::ALIASES);
        let content = self.io.read(&self.data, &path, MAX_BYTES);
        let pairs = content.ok().and_then(|content| parse(&content.bytes)).unwrap_or_default();
        for (long, blob) in &pairs {
            // What nothing in the store names any more is not needed again.
            if let (Some(long), Some(blob)) = (digests.id(long), digests.id(blob)) {
                proofs.recalled(blob, long, digests);
            }
        }
    }

    /// Writes down what was computed, unless that is written already.
    ///
    /// # Errors
    /// When it cannot be written; then the next sweep reads those blobs again.
    pub fn remember_proofs(&self, lock: &StoreLock, inventory: &Inventory) -> io::Result<()> {
        if !inventory.proofs.is_new() {
            return Ok(());
        }
        let pairs = inventory.proofs.pairs().filter(|(_, blob)| inventory.has_blob(*blob));
        let pairs = pairs.map(|(long, blob)| (inventory.digest(long), inventory.digest(blob)));
        mutate::write_whole(&self.io, &lock.dir, layout::ALIASES, text(pairs).as_bytes())
    }
}

fn text(pairs: impl Iterator<Item = (Digest, Digest)>) -> String {
    let mut text = String::new();
    for (long, blob) in pairs {
        // Writing to a string does not fail.
        writeln!(text, "{long} {blob}").ok();
    }
    let seal = Digest::of(text.as_bytes());
    writeln!(text, "{seal}").ok();
    text
}

/// The pairs of a file that is as it was written.
fn parse(bytes: &[u8]) -> Option<Vec<(Digest, Digest)>> {
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let (lines, seal) = text.rsplit_once('\n').map_or(("", text), |(lines, seal)| (lines, seal));
    let sealed = &bytes[..bytes.len() - seal.len() - 1];
    (seal.parse() == Ok(Digest::of(sealed))).then_some(())?;
    let pair = |line: &str| {
        let (long, blob) = line.split_once(' ')?;
        Some((long.parse().ok()?, blob.parse().ok()?))
    };
    lines.lines().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_was_computed_is_read_as_it_was_written_and_nothing_of_a_damaged_file() {
        let long: Digest = format!("sha512:{}", "0a".repeat(64)).parse().unwrap();
        let pairs = vec![(long.clone(), Digest::of(b"a")), (long, Digest::of(b"b"))];
        let written = text(pairs.clone().into_iter());
        assert_eq!(parse(written.as_bytes()), Some(pairs));
        assert_eq!(parse(text(std::iter::empty()).as_bytes()), Some(Vec::new()));
        for length in 0..written.len() {
            assert_eq!(parse(&written.as_bytes()[..length]), None, "{length}");
        }
        assert_eq!(parse(written.replacen("0a", "0b", 1).as_bytes()), None);
    }

    proptest! {
        #[test]
        fn no_content_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(parse(&bytes).is_none_or(|pairs| pairs.len() <= bytes.len()));
        }
    }
}
