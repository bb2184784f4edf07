//! What is written comes back as it was, and nothing else is understood.

use proptest::prelude::*;

use super::{ReferencesError, read_references, write_references};
use crate::model::{Content, Descriptor, Digest, Digests, Document, Id, Manifests, Selection, Standing};

fn written(digests: &Digests, manifests: &Manifests, ids: &[Id]) -> Vec<u8> {
    let mut file = Vec::new();
    let numbers = Selection::of(digests, manifests.names_of(ids));
    write_references(&mut file, digests, manifests, ids, &numbers).unwrap();
    file
}

fn read(file: &[u8]) -> Result<(Digests, Manifests), ReferencesError> {
    read_references(file, file.len() as u64)
}

/// What is known of a digest, in words of digests.
fn told(digests: &Digests, manifests: &Manifests, digest: &Digest) -> Option<String> {
    Some(match manifests.content(digests.id(digest)?)? {
        Content::Plain => "a plain blob".to_owned(),
        Content::Manifest(manifest) => {
            let blob = |it: crate::model::Reference| Descriptor {
                digest: digests.get(it.blob),
                size_bytes: it.size_bytes,
                foreign: it.foreign,
                standing: it.standing,
                may_be_manifest: it.may_be_manifest,
            };
            let document = Document {
                size_bytes: manifest.size_bytes(),
                children: manifest.listed().map(blob).collect(),
                blobs: manifest.blobs().map(blob).collect(),
                subject: manifest.subject().map(|subject| digests.get(subject)),
            };
            format!("{document:?}")
        }
    })
}

fn digest() -> impl Strategy<Value = Digest> {
    // Few, so that they are named more than once.
    (0_u8..12, 0_u8..5).prop_map(|(letter, kind)| {
        let text = match kind {
            0 => format!("sha384:{}", format!("{letter:02x}").repeat(48)),
            1 => format!("sha512:{}", format!("{letter:02x}").repeat(64)),
            _ => return Digest::of(&[letter]),
        };
        text.parse().unwrap()
    })
}

fn descriptors() -> impl Strategy<Value = Box<[Descriptor]>> {
    let size = proptest::option::of(0..u64::MAX);
    let standing = prop_oneof![Just(Standing::Verified), Just(Standing::Needed), Just(Standing::Held)];
    let descriptor = (digest(), size, any::<bool>(), standing, any::<bool>());
    let descriptor = descriptor.prop_map(|(digest, size_bytes, foreign, standing, may_be_manifest)| {
        Descriptor { digest, size_bytes, foreign, standing, may_be_manifest }
    });
    proptest::collection::vec(descriptor, 0..4).prop_map(Vec::into_boxed_slice)
}

fn document() -> impl Strategy<Value = Option<Document>> {
    let parts = (any::<u64>(), descriptors(), descriptors(), proptest::option::of(digest()));
    proptest::option::of(parts.prop_map(|(size_bytes, children, blobs, subject)| Document {
        size_bytes,
        children,
        blobs,
        subject,
    }))
}

fn known(documents: &[Option<Document>]) -> (Digests, Manifests, Vec<Id>) {
    let (mut digests, mut manifests) = (Digests::default(), Manifests::default());
    // Nobody names it.
    digests.intern(&Digest::of(b"a blob without a manifest"));
    let ids = documents.iter().zip(0_u8..).map(|(document, at)| {
        let id = digests.intern(&Digest::of(&[at]));
        match document {
            Some(document) => manifests.insert(id, document, &mut digests),
            None => manifests.insert_plain(id),
        }
        id
    });
    let mut ids: Vec<Id> = ids.collect();
    ids.sort_unstable();
    (digests, manifests, ids)
}

proptest! {
    #[test]
    fn what_is_named_comes_back_as_it_was_and_the_rest_is_forgotten(
        documents in proptest::collection::vec(document(), 0..8),
        forgotten in 0_usize..8,
    ) {
        let (digests, manifests, mut named) = known(&documents);
        let forgotten = (forgotten < named.len()).then(|| digests.get(named.remove(forgotten)));
        let (digests_read, manifests_read) = read(&written(&digests, &manifests, &named)).unwrap();
        prop_assert_eq!(manifests_read.len(), named.len());
        prop_assert_eq!(digests_read.id(&Digest::of(b"a blob without a manifest")), None);
        for id in named {
            let digest = digests.get(id);
            prop_assert_eq!(told(&digests_read, &manifests_read, &digest), told(&digests, &manifests, &digest));
        }
        if let Some(forgotten) = forgotten {
            prop_assert_eq!(told(&digests_read, &manifests_read, &forgotten), None);
        }
    }

    #[test]
    fn one_changed_byte_is_enough_for_nothing_to_be_believed(
        documents in proptest::collection::vec(document(), 1..4),
        at in any::<prop::sample::Index>(),
        change in 1_u8..,
    ) {
        let (digests, manifests, named) = known(&documents);
        let file = written(&digests, &manifests, &named);
        let mut changed = file.clone();
        *at.get_mut(&mut changed) ^= change;
        prop_assert!(read(&changed).is_err());
        prop_assert!(read(&file[..at.index(file.len())]).is_err());
    }

    #[test]
    fn bytes_that_make_no_sense_are_an_error_also_with_their_checksum(
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut file = written(&Digests::default(), &Manifests::default(), &[]);
        file.truncate(file.iter().position(|byte| *byte == b'\n').unwrap() + 1);
        file.extend(bytes);
        file.extend(Digest::of(&file).bytes().to_vec());
        drop(read(&file));
    }
}

#[test]
fn a_count_is_believed_only_as_far_as_there_are_bytes_for_it() {
    let mut file = written(&Digests::default(), &Manifests::default(), &[]);
    file.truncate(file.iter().position(|byte| *byte == b'\n').unwrap() + 1);
    file.extend([0xff, 0xff, 0xff, 0xff, 0x7f]);
    file.extend(Digest::of(&file).bytes().to_vec());
    assert!(matches!(read(&file), Err(ReferencesError::Damaged(_))));
}

#[test]
fn what_another_version_wrote_is_not_believed() {
    let mut file = written(&Digests::default(), &Manifests::default(), &[]);
    let version = file.iter().position(u8::is_ascii_digit).unwrap();
    file[version] = b'9';
    assert!(matches!(read(&file), Err(ReferencesError::Version)));
}
