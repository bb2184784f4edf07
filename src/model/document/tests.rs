use super::*;
use proptest::prelude::*;

fn digest(letter: char) -> Digest {
    format!("sha256:{}", letter.to_string().repeat(64)).parse().unwrap()
}

#[test]
fn every_shape_is_followed_whatever_the_media_type() {
    let json = format!(
        r#"{{"mediaType":"application/x-unheard-of","manifests":[{{"digest":"{a}","size":1}}],
            "config":{{"digest":"{b}","size":2}},"layers":[{{"digest":"{c}","size":3,"urls":["u"]}}],
            "fsLayers":[{{"blobSum":"{d}"}}],"blobs":[{{"digest":"{e}"}}],"subject":{{"digest":"{f}"}}}}"#,
        a = digest('a'),
        b = digest('b'),
        c = digest('c'),
        d = digest('d'),
        e = digest('e'),
        f = digest('f'),
    );
    let manifest = Document::parse(json.as_bytes()).unwrap();
    assert_eq!(manifest.size_bytes, json.len() as u64);
    let children: Vec<_> = manifest.children.iter().map(|child| child.digest.clone()).collect();
    assert_eq!(children, [digest('a')]);
    let blobs: Vec<_> =
        manifest.blobs.iter().map(|blob| (blob.digest.clone(), blob.size_bytes, blob.foreign)).collect();
    assert_eq!(
        blobs,
        [
            (digest('b'), Some(2), false),
            (digest('c'), Some(3), true),
            (digest('e'), None, false),
            (digest('d'), None, false)
        ]
    );
    assert_eq!(manifest.subject, Some(digest('f')));
}

#[test]
fn an_empty_index_is_a_manifest_but_an_empty_object_is_not() {
    assert!(Document::parse(br#"{"manifests":[]}"#).is_ok());
    assert!(matches!(Document::parse(b"{}"), Err(ManifestError::Shape)));
}

#[test]
fn a_key_that_is_there_twice_loses_no_reference() {
    let [a, b, c, d] = ['a', 'b', 'c', 'd'].map(digest);
    let json = format!(
        r#"{{"config":{{"digest":"{a}","size":1}},"layers":[{{"digest":"{b}","size":2}}],
            "layers":[{{"digest":"{c}","digest":"{d}","size":3}}],"layers":null,
            "config":{{"digest":"{d}","size":4,"size":5}},"manifests":[{{"digest":"{a}"}}],
            "manifests":[],"subject":{{"digest":"{a}"}},"subject":{{"digest":"{b}"}}}}"#
    );
    let manifest = Document::parse(json.as_bytes()).unwrap();
    let told = |list: &[Descriptor]| -> Vec<(Digest, Option<u64>)> {
        list.iter().map(|it| (it.digest.clone(), it.size_bytes)).collect()
    };
    let expected = [(&a, Some(1)), (&d, Some(5)), (&b, Some(2)), (&c, None), (&d, None)];
    assert_eq!(told(&manifest.blobs), expected.map(|(digest, size)| (digest.clone(), size)));
    assert_eq!(told(&manifest.children), [(a, None)]);
    assert_eq!(manifest.subject, Some(b));
}

#[test]
fn keys_are_known_in_any_case() {
    let d = digest('d');
    for (key, digest) in
        [("Layers", "Digest"), ("LAYERS", "DIGEST"), ("layer\u{17f}", "digest"), (r"l\u0061yers", "digest")]
    {
        let json = format!(r#"{{"{key}":[{{"{digest}":"{d}","Size":7,"URLs":["u"]}}]}}"#);
        let manifest = Document::parse(json.as_bytes()).unwrap();
        let expected = Descriptor { digest: d.clone(), size_bytes: Some(7), foreign: true };
        assert_eq!(*manifest.blobs, [expected], "{key}");
    }
    let json = format!(r#"{{"FsLayers":[{{"BlobSum":"{d}"}}],"x":0}}"#);
    assert_eq!(Document::parse(json.as_bytes()).unwrap().blobs[0].digest, d);
}

#[test]
fn a_key_of_no_interest_may_be_anything() {
    let d = digest('d');
    let mut json = format!(r#"{{"layers":[{{"digest":"{d}","x":1e999}}],"\ud800":1,""#).into_bytes();
    json.extend(b"\xff\":{\"\xfe\":\"\xfd\"}}");
    assert_eq!(Document::parse(&json).unwrap().blobs[0].digest, d);
}

#[test]
fn a_size_that_is_none_is_unknown_and_no_error() {
    let d = digest('d');
    for size in ["-1", "1.5", "1e30", "99999999999999999999999", "null", r#""7""#, "{}", "[1]", "true"] {
        let json = format!(r#"{{"layers":[{{"size":{size},"digest":"{d}"}}]}}"#);
        let manifest = Document::parse(json.as_bytes()).unwrap();
        assert_eq!((&manifest.blobs[0].digest, manifest.blobs[0].size_bytes), (&d, None), "{size}");
    }
    let json = format!(r#"{{"layers":[{{"size":{},"digest":"{d}"}}]}}"#, u64::MAX);
    assert_eq!(Document::parse(json.as_bytes()).unwrap().blobs[0].size_bytes, Some(u64::MAX));
}

#[test]
fn references_of_every_algorithm_are_followed() {
    let long = format!("sha384:{}", "a".repeat(96));
    let json = format!(r#"{{"layers":[{{"digest":"{long}"}},{{"digest":"sha512:{}"}}]}}"#, "b".repeat(128));
    assert_eq!(Document::parse(json.as_bytes()).unwrap().blobs[0].digest.to_string(), long);
}

#[test]
fn what_cannot_be_understood_is_an_error_and_never_an_empty_manifest() {
    for bad in [
        "",
        "{",
        "[]",
        "null",
        r#"{"manifests":{}}"#,
        r#"{"layers":[{"size":1}]}"#,
        r#"{"layers":[{"digest":"sha256:12"}]}"#,
        r#"{"config":"x"}"#,
        r#"{"subject":{"digest":""}}"#,
        r#"{"layers":[],"layers":[{"digest":"x"}]}"#,
        r#"{"layers":[{"DIGEST":null}]}"#,
    ] {
        assert!(Document::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _parsed = Document::parse(&bytes);
    }
}
