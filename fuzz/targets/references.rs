//! Any bytes may stand in the file of references, also with the right checksum behind them: none make its reader panic,
//! and whatever it understands can be written again and comes back as it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use registry_janitor::model::{Digest, Digests, Manifests, Selection};
use registry_janitor::store::{read_references, write_references};

fuzz_target!(|bytes: &[u8]| {
    // As they are, then behind the line that a file begins with and before their checksum.
    drop(read_references(bytes, bytes.len() as u64));
    let mut file = written(&Digests::default(), &Manifests::default());
    let title = file.iter().position(|byte| *byte == b'\n').unwrap();
    file.truncate(title + 1);
    file.extend(bytes);
    let checksum = Digest::of(&file);
    file.extend(checksum.bytes());
    let Ok((digests, manifests)) = read_references(&file[..], file.len() as u64) else { return };

    let again = written(&digests, &manifests);
    let (digests, manifests) = read_references(&again[..], again.len() as u64).unwrap();
    assert_eq!(written(&digests, &manifests), again);
});

fn written(digests: &Digests, manifests: &Manifests) -> Vec<u8> {
    let (ids, mut file) = (manifests.ids(), Vec::new());
    let numbers = Selection::of(digests, manifests.names_of(&ids));
    write_references(&mut file, digests, manifests, &ids, &numbers).unwrap();
    file
}
