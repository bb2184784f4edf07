//! Manifests as nobody should write them, and what is to be read from them. `@a` stands for a digest.

use super::*;

pub(super) const IMAGE: &str =
    r#""schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json""#;
const DOCKER: &str =
    r#""schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json""#;
const INDEX: &str = r#""schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json""#;
const LIST: &str =
    r#""schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json""#;
const SCHEMA1: &str = r#""schemaVersion":1,"name":"team/app","tag":"v1""#;

/// A manifest, what a pull needs of it, and everything that it may hold, each in order of their letters. What is needed
/// and was verified when it was pushed is in capitals.
pub(super) struct Odd {
    pub(super) json: String,
    pub(super) needs: &'static str,
    pub(super) holds: &'static str,
}

fn odd(head: &str, rest: &str, needs: &'static str, holds: &'static str) -> Odd {
    let comma = if head.is_empty() || rest.is_empty() { "" } else { "," };
    let mut json = format!("{{{head}{comma}{rest}}}");
    for letter in 'a'..='z' {
        json = json.replace(&format!("@{letter}"), &digest(letter).to_string());
    }
    Odd { json, needs, holds }
}

pub(super) fn digest(letter: char) -> Digest {
    Digest::of(letter.to_string().as_bytes())
}

/// What registry 2.8 takes and serves.
#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn served() -> Vec<Odd> {
    vec![
        // Ordinary ones.
        odd(
            IMAGE,
            r#""config":{"digest":"@c","size":1},"layers":[{"digest":"@a"},{"digest":"@b"},{"digest":"@a"}]"#,
            "ABC",
            "abc",
        ),
        odd(DOCKER, r#""config":{"digest":"@c"},"layers":[]"#, "C", "c"),
        odd(r#""schemaVersion":2"#, r#""config":{"digest":"@c"},"layers":[{"digest":"@a"}]"#, "AC", "ac"),
        odd(LIST, r#""manifests":[{"digest":"@a","platform":{"os":"linux"}},{"digest":"@b"}]"#, "AB", "ab"),
        odd(r#""schemaVersion":2"#, r#""manifests":[{"digest":"@a"}]"#, "A", "a"),
        odd(SCHEMA1, r#""fsLayers":[{"blobSum":"@a"},{"blobSum":"@b"}],"history":[{},{}]"#, "AB", "ab"),
        odd(
            IMAGE,
            r#""config":{"digest":"@c"},"layers":[{"digest":"@a"}],"subject":{"digest":"@s"}"#,
            "AC",
            "ac",
        ),
        // Nothing where a list should be.
        odd(INDEX, r#""manifests":null"#, "", ""),
        odd(LIST, r#""manifests":null"#, "", ""),
        odd(INDEX, "", "", ""),
        odd(LIST, "", "", ""),
        odd(r#""schemaVersion":2"#, "", "", ""),
        odd(r#""schemaVersion":2"#, r#""manifests":null"#, "", ""),
        odd(r#""schemaVersion":2"#, r#""config":null,"layers":null"#, "", ""),
        odd(IMAGE, r#""config":{"digest":"@c"},"layers":null"#, "C", "c"),
        odd(IMAGE, r#""config":{"digest":"@c"}"#, "C", "c"),
        // Keys that the registry does not know, with anything in them.
        odd(IMAGE, r#""config":{"digest":"@c"},"blobs":1"#, "c", "c"),
        odd(IMAGE, r#""config":{"digest":"@c"},"blobs":{}"#, "c", "c"),
        odd(
            IMAGE,
            r#""config":{"digest":"@c"},"blobs":[{"digest":"@b","size":1e999},7,"@d",null,[1]]"#,
            "c",
            "bcd",
        ),
        odd(IMAGE, r#""config":{"digest":"@c"},"blobs":{"digest":"@b"}"#, "c", "bc"),
        odd(INDEX, r#""manifests":[{"digest":"@a"}],"blobs":[{"digest":"@b"}]"#, "a", "ab"),
        odd(INDEX, r#""blobs":[{"digest":"md5:00"}]"#, "", ""),
        odd(IMAGE, r#""config":{"digest":"@c"},"subject":"x""#, "C", "c"),
        odd(IMAGE, r#""config":{"digest":"@c"},"subject":{"digest":"md5:00"}"#, "C", "c"),
        odd(IMAGE, r#""config":{"digest":"@c"},"subject":[{"size":-1}]"#, "C", "c"),
        odd(IMAGE, r#""config":{"digest":"@c"},"subject":null"#, "C", "c"),
        odd(IMAGE, r#""config":{"digest":"@c"},"fsLayers":"x""#, "c", "c"),
        odd(IMAGE, r#""config":{"digest":"@c"},"fsLayers":[{"blobSum":"x"},{"blobSum":"@f"}]"#, "c", "cf"),
        odd(DOCKER, r#""config":{"digest":"@c"},"manifests":7"#, "c", "c"),
        odd(DOCKER, r#""config":{"digest":"@c"},"manifests":[{"digest":"@a"}]"#, "c", "ac"),
        odd(LIST, r#""manifests":[{"digest":"@a"}],"layers":"x","config":[]"#, "a", "a"),
        odd(
            LIST,
            r#""manifests":[{"digest":"@a"}],"layers":[{"digest":"@b"}],"config":{"digest":"@c"}"#,
            "a",
            "abc",
        ),
        odd(IMAGE, r#""config":{"digest":"@c","blobSum":"@b"}"#, "c", "bc"),
        // Layers that need not be there.
        odd(
            IMAGE,
            r#""config":{"digest":"@c"},"layers":[{"digest":"md5:00","urls":["http://x/"]}]"#,
            "C",
            "c",
        ),
        odd(IMAGE, r#""config":{"digest":"@c"},"layers":[{"digest":"x","urls":["http://x/"]}]"#, "C", "c"),
        odd(IMAGE, r#""config":{"digest":"@c"},"layers":[{"digest":"@a","urls":["http://x/"]}]"#, "C", "ac"),
        odd(IMAGE, r#""config":{"digest":"@c"},"layers":[{"digest":"@a","urls":[]}]"#, "AC", "ac"),
        odd(
            IMAGE,
            r#""config":{"digest":"@c"},"layers":[{"digest":"@a","urls":["u"],"urls":null}]"#,
            "ac",
            "ac",
        ),
        // Sizes.
        odd(IMAGE, r#""config":{"digest":"@c","size":-1}"#, "C", "c"),
        odd(IMAGE, r#""config":{"digest":"@c","size":null}"#, "C", "c"),
        odd(INDEX, r#""manifests":[{"digest":"@a","size":9223372036854775807}],"x":1e999"#, "A", "a"),
        // Equal keys: Go's decoder takes the last, and decodes structs and elements over what is there.
        odd(
            IMAGE,
            r#""config":{"digest":"@c"},"layers":[{"digest":"@a"}],"layers":[{"digest":"@b"}]"#,
            "bc",
            "abc",
        ),
        odd(
            IMAGE,
            r#""config":{"digest":"@c"},"layers":[{"digest":"@a"},{"digest":"@b"}],"Layers":[{"size":1}]"#,
            "ac",
            "abc",
        ),
        odd(IMAGE, r#""config":{"digest":"@c"},"layers":[{"digest":"@a"}],"layers":[null]"#, "ac", "ac"),
        odd(
            IMAGE,
            r#""config":{"digest":"@c"},"layers":[{"digest":"@a"},{"digest":"@b"}],"layers":[{"digest":"@d"}],"layers":[{},{}]"#,
            "bcd",
            "abcd",
        ),
        odd(IMAGE, r#""config":{"digest":"@c"},"layers":[{"digest":"@a"}],"layers":[]"#, "c", "ac"),
        odd(IMAGE, r#""config":{"digest":"@c"},"layers":[{"digest":"@a"}],"layers":null"#, "c", "ac"),
        odd(IMAGE, r#""config":{"digest":"@a"},"config":{"digest":"@c"}"#, "c", "ac"),
        odd(IMAGE, r#""config":{"digest":"@c"},"config":null"#, "c", "c"),
        odd(IMAGE, r#""config":{"digest":"@c"},"config":{"size":1}"#, "c", "c"),
        odd(IMAGE, r#""config":{"digest":"@a","digest":"@c"}"#, "c", "ac"),
        odd(IMAGE, r#""config":{"digest":"@c","DIGEST":null}"#, "c", "c"),
        odd(INDEX, r#""manifests":[{"digest":"@a"}],"manifests":[{"digest":"@b"}]"#, "b", "ab"),
        odd(
            r#""schemaVersion":2"#,
            r#""config":{"digest":"@c"},"manifests":[{"digest":"@a"}],"manifests":null"#,
            "c",
            "ac",
        ),
        // Pushed as an index, whose decoder takes `null` for no configuration, it is served as an image.
        odd(r#""schemaVersion":2"#, r#""config":{"digest":"@c"},"config":null"#, "c", "c"),
        odd(r#""schemaVersion":9,"schemaVersion":2"#, r#""config":{"digest":"@c"}"#, "c", "c"),
        odd(
            IMAGE,
            r#""config":{"digest":"@c"},"subject":{"digest":"@r"},"subject":{"digest":"@s"}"#,
            "c",
            "cr",
        ),
        // Keys in any case, also beyond ASCII.
        odd(
            r#""SchemaVersion":2,"MEDIATYPE":"application/vnd.oci.image.manifest.v1+json""#,
            r#""CONFIG":{"Digest":"@c"},"layer\u017f":[{"dige\u017ft":"@a"}]"#,
            "AC",
            "ac",
        ),
        odd(r#""schemaVer\u0073ion":2"#, r#""config":{"di\u0067est":"@c"}"#, "C", "c"),
        // Whatever has the name that schema 1 gives an image may have been pushed as that.
        odd(IMAGE, r#""name":"team/app","config":{"digest":"@c"},"layers":[{"digest":"@a"}]"#, "ac", "ac"),
    ]
}

/// What the registry does not serve, and what is followed by its shape.
pub(super) fn unserved() -> Vec<Odd> {
    vec![
        odd("", r#""manifests":[]"#, "", ""),
        odd("", r#""layers":[{"digest":"@a"}]"#, "a", "a"),
        odd(
            r#""schemaVersion":"2""#,
            r#""config":{"digest":"@c"},"manifests":[{"digest":"@a"}]"#,
            "ac",
            "ac",
        ),
        odd(r#""schemaVersion":3"#, r#""config":{"digest":"@c"}"#, "c", "c"),
        odd(
            r#""mediaType":"application/vnd.oci.artifact.manifest.v1+json""#,
            r#""blobs":[{"digest":"@a"}],"subject":{"digest":"@s"}"#,
            "a",
            "a",
        ),
        odd(
            r#""mediaType":"application/x-unheard-of""#,
            r#""manifests":[{"digest":"@a"}],"config":{"digest":"@b"},"layers":[{"digest":"@c"}],"fsLayers":[{"blobSum":"@d"}],"blobs":[{"digest":"@e"}]"#,
            "abcde",
            "abcde",
        ),
        // Of another type than the registry reads, but nothing is hidden by it.
        odd(
            IMAGE,
            r#""config":{"digest":"@c","size":"7"},"layers":[{"digest":"@a","size":1e999}]"#,
            "AC",
            "ac",
        ),
        odd(IMAGE, r#""config":{"digest":"@c"},"layers":[{"size":1},{}]"#, "C", "c"),
    ]
}

/// What has references that cannot be read, and a pull would need them.
pub(super) fn unreadable() -> Vec<String> {
    [
        (IMAGE, r#""config":"x""#),
        (IMAGE, r#""layers":{}"#),
        (IMAGE, r#""layers":[1]"#),
        (IMAGE, r#""layers":[{"digest":7}]"#),
        (IMAGE, r#""layers":[{"digest":"sha256:12"}]"#),
        (IMAGE, r#""layers":[{"digest":"blake3:00"}]"#),
        (IMAGE, r#""layers":[],"layers":[{"digest":"x"}]"#),
        (LIST, r#""manifests":{}"#),
        (LIST, r#""manifests":[{"digest":"md5:00"}]"#),
        (SCHEMA1, r#""fsLayers":"x""#),
        ("", r#""config":{"labels":{}}"#),
        ("", r#""manifests":null"#),
        ("", ""),
    ]
    .map(|(head, rest)| odd(head, rest, "", "").json)
    .into()
}
