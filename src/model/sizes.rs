//! How large blobs are, as far as that is known.

use std::collections::HashMap;

use super::{Id, Manifest, Standing};

/// No blob is larger, whatever a manifest claims.
const CREDIBLE_BYTES: u64 = i64::MAX as u64 / 1024;
/// Nothing is known.
const UNKNOWN: u64 = 1 << 62;
/// Set in a size that was looked at, which no claim changes.
const MEASURED: u64 = 1 << 63;

/// Sizes of blobs in bytes, from what manifests claim and from what was looked at.
#[derive(Clone, Debug, Default)]
pub struct Sizes {
    /// By [`Id::slot`].
    known: Vec<u64>,
    /// Claimed for references by another algorithm than the blob is stored under.
    others: HashMap<Id, u64>,
}

impl Sizes {
    /// A blob's size; 0 when it is not known, or when manifests contradict each other.
    pub fn of(&self, blob: Id) -> u64 {
        let known = blob.slot().and_then(|slot| self.known.get(slot)).copied().unwrap_or(UNKNOWN);
        if known == UNKNOWN { 0 } else { known & !MEASURED }
    }

    /// Takes down a manifest's own size, and what it claims of others.
    pub fn read(&mut self, id: Id, manifest: Manifest<'_>) {
        for it in manifest.references().filter(|it| it.standing != Standing::Held) {
            if let Some(claim) = it.size_bytes.filter(|size| *size <= CREDIBLE_BYTES) {
                agree(self.entry(it.blob), claim);
            }
        }
        self.measured(id, manifest.size_bytes());
    }

    /// Takes down a size that was looked at.
    pub fn measured(&mut self, blob: Id, size_bytes: u64) {
        *self.entry(blob) = size_bytes | MEASURED;
    }

    /// Takes what was claimed for a reference as a claim for the blob that it leads to.
    pub fn alias(&mut self, reference: Id, blob: Id) {
        if let Some(claim) = self.others.get(&reference).copied().filter(|claim| *claim != UNKNOWN) {
            agree(self.entry(blob), claim);
        }
    }

    fn entry(&mut self, blob: Id) -> &mut u64 {
        let Some(slot) = blob.slot() else { return self.others.entry(blob).or_insert(UNKNOWN) };
        let length = self.known.len();
        if slot >= length {
            if slot >= self.known.capacity() {
                // Doubling would set aside for a great store as much again as it needs.
                self.known.reserve_exact((slot + 1 - length).max(length / 8));
            }
            self.known.resize(slot + 1, UNKNOWN);
        }
        &mut self.known[slot]
    }
}

/// Once in dispute, a size stays so: no further claim agrees with 0 but another 0.
fn agree(size: &mut u64, claim: u64) {
    if *size & MEASURED == 0 {
        *size = if *size == UNKNOWN || *size == claim { claim } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Descriptor, Digest, Digests, Document, Manifests};

    fn read(sizes: &mut Sizes, id: Id, document: &Document, digests: &mut Digests) {
        let mut manifests = Manifests::default();
        manifests.insert(id, document, digests);
        sizes.read(id, manifests.get(&id).unwrap());
    }

    /// What is known of `blob` and of the manifest itself once manifests claimed this of it, in order.
    fn told(claims: &[Option<u64>]) -> (u64, u64) {
        let (mut digests, mut sizes) = (Digests::default(), Sizes::default());
        let blob = Digest::of(b"blob");
        let (blob_id, manifest) = (digests.intern(&blob), digests.intern(&Digest::of(b"manifest")));
        for size_bytes in claims {
            let descriptor = Descriptor::new(blob.clone(), *size_bytes, false);
            let itself = Descriptor::new(Digest::of(b"manifest"), Some(1), false);
            let document = Document {
                size_bytes: 10,
                children: [itself].into(),
                blobs: [descriptor].into(),
                subject: None,
            };
            read(&mut sizes, manifest, &document, &mut digests);
        }
        (sizes.of(blob_id), sizes.of(manifest))
    }

    #[test]
    fn a_size_is_known_only_where_all_who_claim_one_agree() {
        assert_eq!(told(&[Some(7)]), (7, 10), "what was read is no claim");
        assert_eq!(told(&[Some(7), Some(7), None]), (7, 10));
        assert_eq!(told(&[None]), (0, 10));
        assert_eq!(told(&[Some(7), Some(8)]), (0, 10));
        assert_eq!(told(&[Some(7), Some(8), Some(7)]), (0, 10), "a dispute does not end");
        for wild in [u64::MAX, CREDIBLE_BYTES + 1] {
            assert_eq!(told(&[Some(wild), Some(7)]), (7, 10), "{wild}");
        }
    }

    #[test]
    fn what_was_looked_at_is_not_disputed_and_an_alias_claims_for_its_blob() {
        let mut digests = Digests::default();
        let sha512: Digest = format!("sha512:{}", "01".repeat(64)).parse().unwrap();
        let [alias, blob, other] =
            [&sha512, &Digest::of(b"blob"), &Digest::of(b"m")].map(|it| digests.intern(it));
        let descriptor = Descriptor::new(sha512, Some(7), false);
        let blobs = [descriptor].into();
        let document = Document { size_bytes: 10, children: Box::default(), blobs, subject: None };
        let mut sizes = Sizes::default();
        read(&mut sizes, other, &document, &mut digests);
        assert_eq!((sizes.of(alias), sizes.of(blob)), (0, 0));
        sizes.alias(alias, blob);
        assert_eq!(sizes.of(blob), 7);
        sizes.measured(blob, 8);
        sizes.alias(alias, blob);
        assert_eq!(sizes.of(blob), 8);
    }
}
