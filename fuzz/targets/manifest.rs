//! Any bytes may stand where a manifest should: none make the parser panic, and whatever it understands
//! is remembered by number and comes back as it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use registry_janitor::model::{Digest, Digests, Document, Manifests};

fuzz_target!(|bytes: &[u8]| {
    let Ok(document) = Document::parse(bytes) else { return };
    let mut digests = Digests::default();
    let id = digests.intern(&Digest::of(bytes));
    let mut manifests = Manifests::default();
    manifests.insert(id, &document, &mut digests);
    let manifest = manifests.get(&id).unwrap();
    assert_eq!(manifest.size_bytes(), document.size_bytes);
    let children: Vec<_> = manifest.children().map(|id| digests.get(id)).collect();
    assert!(children.iter().eq(document.children.iter().map(|child| &child.digest)));
    let blobs: Vec<_> = manifest.blobs().map(|blob| digests.get(blob.blob)).collect();
    assert!(blobs.iter().eq(document.blobs.iter().map(|blob| &blob.digest)));
    assert_eq!(manifest.subject().map(|id| digests.get(id)), document.subject);
});
