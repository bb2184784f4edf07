use super::odd::{digest, served, unreadable, unserved};
use super::*;
use crate::model::{Digests, Manifests};
use proptest::prelude::*;

/// The letters of what is needed, in capitals where it was verified, and of all that is held.
fn told(document: &Document) -> (String, String) {
    let (mut needs, mut holds) = (String::new(), String::new());
    for letter in 'a'..='z' {
        let all = document.children.iter().chain(&document.blobs);
        let named: Vec<&Descriptor> = all.filter(|it| it.digest == digest(letter)).collect();
        let needed = named.iter().filter(|it| it.standing != Standing::Held && !it.foreign);
        match needed.map(|it| it.standing).max() {
            Some(Standing::Verified) => needs.push(letter.to_ascii_uppercase()),
            Some(_) => needs.push(letter),
            None => {}
        }
        if !named.is_empty() {
            holds.push(letter);
        }
    }
    (needs, holds)
}

#[test]
fn what_a_manifest_holds_is_generous_and_what_it_needs_is_what_the_registry_reads() {
    for odd in served().into_iter().chain(unserved()) {
        let document = Document::parse(odd.json.as_bytes()).unwrap_or_else(|it| panic!("{}: {it}", odd.json));
        let (needs, holds) = told(&document);
        assert_eq!((needs.as_str(), holds.as_str()), (odd.needs, odd.holds), "{}", odd.json);
    }
}

#[test]
fn what_hides_a_needed_reference_is_an_error_and_never_an_empty_manifest() {
    let broken = ["", "{", "[]", "null", "7", r#"{"schemaVersion":2,}"#, "\u{feff}{\"schemaVersion\":2}"];
    for bad in unreadable().into_iter().chain(broken.map(str::to_owned)) {
        assert!(Document::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn sizes_and_the_subject_are_read_as_the_last_key_says() {
    let json = served().remove(0).json;
    let document = Document::parse(json.as_bytes()).unwrap();
    assert_eq!(document.size_bytes, json.len() as u64);
    assert_eq!(
        document.blobs[0],
        Descriptor { may_be_manifest: true, ..Descriptor::new(digest('c'), Some(1), false) }
    );
    let subject = |json: &str| {
        let odd = served().into_iter().find(|odd| odd.json.contains(json)).unwrap();
        Document::parse(odd.json.as_bytes()).unwrap().subject
    };
    assert_eq!(subject(&format!(r#""subject":{{"digest":"{}"}}}}"#, digest('s'))), Some(digest('s')));
    assert_eq!(subject(&format!(r#""subject":{{"digest":"{}"}},"subject""#, digest('r'))), Some(digest('s')));
    assert_eq!(subject(r#""subject":"x""#), None);
    for (size, expected) in [
        ("-1", None),
        ("1.5", None),
        ("1e30", None),
        ("99999999999999999999999", None),
        ("null", None),
        (r#""7""#, None),
        ("{}", None),
        ("[1]", None),
        ("true", None),
        ("18446744073709551615", Some(u64::MAX)),
    ] {
        let json = format!(r#"{{"layers":[{{"size":{size},"digest":"{}"}}]}}"#, digest('d'));
        assert_eq!(Document::parse(json.as_bytes()).unwrap().blobs[0].size_bytes, expected, "{size}");
    }
}

#[test]
fn what_is_named_as_a_layer_may_be_a_manifest_unless_its_media_type_says_otherwise() {
    for (key, media_type, expected) in [
        ("layers", r#""application/vnd.oci.image.manifest.v1+json""#, true),
        ("layers", r#""application/vnd.docker.distribution.manifest.list.v2+json""#, true),
        ("layers", r#""application/vnd.oci.image.index.v1+json""#, true),
        ("layers", r#""application/octet-stream""#, true),
        ("layers", r#""application/json""#, true),
        ("layers", "null", true),
        ("layers", r#""application/vnd.oci.image.layer.v1.tar+gzip""#, false),
        ("layers", r#""application/vnd.docker.image.rootfs.diff.tar.gzip""#, false),
        ("layers", r#""application/vnd.in-toto+json""#, false),
        ("layers", r#""application/vnd.dev.cosign.simplesigning.v1+json""#, false),
        ("config", r#""application/vnd.oci.image.config.v1+json""#, false),
        ("config", r#""application/octet-stream""#, false),
        ("config", r#""application/vnd.oci.image.manifest.v1+json""#, true),
    ] {
        let entry = format!(r#"{{"mediaType":{media_type},"digest":"{}"}}"#, digest('d'));
        let entry = if key == "layers" { format!("[{entry}]") } else { entry };
        let document = Document::parse(format!(r#"{{"{key}":{entry}}}"#).as_bytes()).unwrap();
        assert_eq!(document.blobs[0].may_be_manifest, expected, "{key} {media_type}");
    }
    let schema1 = format!(r#"{{"schemaVersion":1,"fsLayers":[{{"blobSum":"{}"}}]}}"#, digest('d'));
    assert!(!Document::parse(schema1.as_bytes()).unwrap().blobs[0].may_be_manifest);
}

#[test]
fn a_key_of_no_interest_may_be_anything() {
    let d = digest('d');
    let mut json =
        format!(r#"{{"layers":[{{"digest":"{d}","x":1e999}}],"\ud800":1,"y":"\udfff","#).into_bytes();
    json.extend(b"\"\xff\":{\"\xfe\":\"\xfd\"},\"deep\":");
    // As deep as Go's decoder goes, and in places where something is expected.
    let deep = |times| ["[".repeat(times), "]".repeat(times)].concat();
    json.extend(deep(9000).bytes());
    for key in ["blobs", "subject", "fsLayers"] {
        json.extend(format!(r#","{key}":{}"#, deep(9000)).bytes());
    }
    json.extend(format!(r#","schemaVersion":2,"annotations":{{"size":{}}}}}"#, deep(300)).bytes());
    assert_eq!(Document::parse(&json).unwrap().blobs[0].digest, d);
}

#[test]
fn references_of_every_algorithm_are_followed() {
    let long = format!("sha384:{}", "a".repeat(96));
    let json = format!(r#"{{"layers":[{{"digest":"{long}"}},{{"digest":"sha512:{}"}}]}}"#, "b".repeat(128));
    assert_eq!(Document::parse(json.as_bytes()).unwrap().blobs[0].digest.to_string(), long);
}

/// What each meaning made of the odd manifests.
const MEANINGS: [(u32, &str); 1] = [(2, "sha256:6cff8f84e83c")];

#[test]
fn whoever_changes_what_manifests_mean_raises_the_number_that_remembered_ones_are_bound_to() {
    let (mut digests, mut manifests, mut refused) = (Digests::default(), Manifests::default(), String::new());
    for json in served().into_iter().chain(unserved()).map(|odd| odd.json).chain(unreadable()) {
        let id = digests.intern(&Digest::of(json.as_bytes()));
        match Document::parse(json.as_bytes()) {
            Ok(document) => manifests.insert(id, &document, &mut digests),
            Err(_) => refused.push_str(&json),
        }
    }
    let mut written = refused.into_bytes();
    written.extend(manifests.bytes());
    let meaning = (MEANING, Digest::of(&written).short());
    let (known, digest) = MEANINGS[MEANINGS.len() - 1];
    assert_eq!(
        meaning,
        (known, digest.to_owned()),
        "manifests are read or remembered differently than before (or there are more odd ones): raise MEANING, so that no \
         sweep believes what was written before, and append what is on the left to MEANINGS"
    );
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _parsed = Document::parse(&bytes);
    }

    #[test]
    fn what_is_needed_is_held_and_named_once_in_each_place(
        keys in proptest::collection::vec((0_usize..7, 0_usize..9), 0..6),
    ) {
        let values = ["null", "7", r#""@a""#, "[]", "{}", r#"[{"digest":"@a"}]"#, r#"{"digest":"@b"}"#,
            r#"[null,{"digest":"@c","urls":["u"]}]"#, r#"[{"digest":"@b","digest":"@a"},{"blobSum":"@d"}]"#];
        let names = ["config", "layers", "manifests", "fsLayers", "blobs", "subject", "LAYERS"];
        let fields: Vec<String> =
            keys.iter().map(|(name, value)| format!(r#","{}":{}"#, names[*name], values[*value])).collect();
        let mut json = format!(r#"{{"schemaVersion":2{}}}"#, fields.concat());
        for letter in 'a'..='d' {
            json = json.replace(&format!("@{letter}"), &digest(letter).to_string());
        }
        if let Ok(document) = Document::parse(json.as_bytes()) {
            let named = ('a'..='d').filter(|letter| json.contains(&digest(*letter).to_string()));
            let (needs, holds) = told(&document);
            prop_assert!(needs.to_lowercase().chars().all(|letter| holds.contains(letter)));
            let only_subject = |letter: &char| document.subject == Some(digest(*letter)) && !holds.contains(*letter);
            prop_assert_eq!(named.filter(|it| !only_subject(it)).collect::<String>(), holds);
        }
    }
}
