//! Manifests that nobody should write and that the registry takes: they are read as the registry reads them, keep whatever
//! they may hold, stop nothing, and give nothing away.

use std::collections::BTreeMap;

use janitor_testkit::{Digest, Document, Image, Outcome, Registry};

use crate::stage::{blobs_on_disk, janitor, names, push_versions};

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// A manifest of a media type, without its braces and its first two keys. In it, `@c` is the digest of a configuration,
/// `@a` and `@b` of layers, `@m` of a manifest, all of them pushed to the repository before, and `@x` of nothing.
const ODD: [(&str, &str, &str); 37] = [
    ("a list that is null", LIST, r#""manifests":null"#),
    ("an index that is null", INDEX, r#""manifests":null"#),
    ("a list without manifests", LIST, ""),
    ("an index without manifests", INDEX, ""),
    ("an image without layers", IMAGE, r#""config":{"digest":"@c"}"#),
    ("an image whose layers are null", DOCKER, r#""config":{"digest":"@c"},"layers":null"#),
    ("blobs a number", IMAGE, r#""config":{"digest":"@c"},"layers":[{"digest":"@a"}],"blobs":1"#),
    ("blobs an object", IMAGE, r#""config":{"digest":"@c"},"layers":[],"blobs":{}"#),
    ("blobs that name a layer", IMAGE, r#""config":{"digest":"@c"},"layers":[],"blobs":[{"digest":"@a"}]"#),
    ("blobs that name nothing", IMAGE, r#""config":{"digest":"@c"},"layers":[],"blobs":[{"digest":"@x"}]"#),
    ("blobs of any kind", INDEX, r#""manifests":[{"digest":"@m"}],"blobs":[1,null,"@a",{"digest":7}]"#),
    (
        "blobs of no known algorithm",
        IMAGE,
        r#""config":{"digest":"@c"},"layers":[],"blobs":[{"digest":"md5:00"}]"#,
    ),
    ("a subject that is a text", IMAGE, r#""config":{"digest":"@c"},"layers":[],"subject":"x""#),
    (
        "a subject that is no digest",
        IMAGE,
        r#""config":{"digest":"@c"},"layers":[],"subject":{"digest":"x"}"#,
    ),
    ("a subject of another type", INDEX, r#""manifests":[],"subject":[{"size":1e999}]"#),
    ("fsLayers a text", IMAGE, r#""config":{"digest":"@c"},"layers":[],"fsLayers":"x""#),
    ("fsLayers that name a layer", LIST, r#""manifests":[],"fsLayers":[{"blobSum":"@a"}]"#),
    ("manifests of another type", DOCKER, r#""config":{"digest":"@c"},"layers":[],"manifests":7"#),
    (
        "manifests that name a manifest",
        DOCKER,
        r#""config":{"digest":"@c"},"layers":[],"manifests":[{"digest":"@m"}]"#,
    ),
    ("layers of another type", LIST, r#""manifests":[],"layers":"x","config":[]"#),
    ("layers in a list", LIST, r#""manifests":[],"layers":[{"digest":"@a"}]"#),
    (
        "a foreign layer of no known algorithm",
        IMAGE,
        r#""config":{"digest":"@c"},"layers":[{"digest":"md5:00","urls":["http://x/"]}]"#,
    ),
    (
        "a foreign layer that is nowhere",
        IMAGE,
        r#""config":{"digest":"@c"},"layers":[{"digest":"@x","urls":["http://x/"]}]"#,
    ),
    (
        "a size beyond all",
        IMAGE,
        r#""config":{"digest":"@c"},"layers":[],"x":{"size":1e999},"blobs":[{"digest":"@a","size":1e999}]"#,
    ),
    ("a negative size", IMAGE, r#""config":{"digest":"@c","size":-1},"layers":[]"#),
    (
        "two lists of layers",
        IMAGE,
        r#""config":{"digest":"@c"},"layers":[{"digest":"@x"}],"layers":[{"digest":"@a"}]"#,
    ),
    (
        "two lists of layers that are there",
        DOCKER,
        r#""config":{"digest":"@c"},"layers":[{"digest":"@b"}],"layers":[{"digest":"@a"}]"#,
    ),
    ("two configurations", IMAGE, r#""config":{"digest":"@x"},"config":{"digest":"@c"},"layers":[]"#),
    ("two digests", IMAGE, r#""config":{"digest":"@x","digest":"@c"},"layers":[]"#),
    ("two lists of manifests", INDEX, r#""manifests":[{"digest":"@x"}],"manifests":[{"digest":"@m"}]"#),
    (
        "a list that is null after all",
        IMAGE,
        r#""manifests":[{"digest":"@m"}],"manifests":null,"config":{"digest":"@c"},"layers":[]"#,
    ),
    (
        "a configuration that stays behind null",
        IMAGE,
        r#""config":{"digest":"@c"},"config":null,"layers":[]"#,
    ),
    ("keys in capitals", IMAGE, r#""CONFIG":{"DIGEST":"@c"},"Layers":[{"Digest":"@a"}]"#),
    ("keys beyond ASCII", IMAGE, r#""config":{"dige\u017ft":"@c"},"layer\u017f":[{"digest":"@a"}]"#),
    (
        "a manifest as a layer",
        IMAGE,
        r#""config":{"digest":"@c"},"layers":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"@m"}]"#,
    ),
    (
        "a manifest as a layer of some type",
        DOCKER,
        r#""config":{"digest":"@c"},"layers":[{"mediaType":"application/vnd.example.bundle","digest":"@m"}]"#,
    ),
    (
        "a manifest as the configuration",
        IMAGE,
        r#""config":{"mediaType":"application/vnd.example.bundle","digest":"@m"},"layers":[]"#,
    ),
];

/// What is in a repository before its odd manifest is pushed: these bytes are in no other.
struct Parts {
    config: Vec<u8>,
    layers: [Vec<u8>; 2],
    inner: Image,
}

impl Parts {
    fn of(number: usize) -> Self {
        Self {
            config: format!("{{\"odd\":{number}}}").into_bytes(),
            layers: ["a", "b"].map(|layer| format!("layer {layer} of {number}").into_bytes()),
            inner: Image::small(5000 + number as u64),
        }
    }

    fn push(&self, registry: &Registry, repository: &str) {
        let client = registry.client();
        client.push_untagged(repository, &self.inner);
        let bytes = &self.inner.document().bytes;
        for bytes in self.layers.iter().chain([&self.config, bytes]) {
            client.push_blob(repository, &Digest::of(bytes), bytes).unwrap();
        }
    }

    fn manifest(&self, media_type: &str, rest: &str) -> Document {
        let comma = if rest.is_empty() { "" } else { "," };
        let json = format!(r#"{{"schemaVersion":2,"mediaType":"{media_type}"{comma}{rest}}}"#);
        Document { media_type: media_type.to_owned(), bytes: self.fill(&json).into_bytes() }
    }

    fn fill(&self, json: &str) -> String {
        self.named()
            .into_iter()
            .fold(json.to_owned(), |json, (name, digest)| json.replace(name, digest.as_str()))
    }

    fn named(&self) -> BTreeMap<&'static str, Digest> {
        let [a, b] = self.layers.each_ref().map(|layer| Digest::of(layer));
        let (c, m) = (Digest::of(&self.config), self.inner.digest());
        BTreeMap::from([("@a", a), ("@b", b), ("@c", c), ("@m", m), ("@x", Digest::of(b"nothing"))])
    }

    /// What has to stay because of a manifest with this text.
    fn held(&self, json: &str) -> Vec<Digest> {
        let mut held: Vec<Digest> = self
            .named()
            .into_iter()
            .filter(|(name, _)| *name != "@x" && json.contains(name))
            .map(|(_, it)| it)
            .collect();
        if json.contains("@m") {
            held.extend(self.inner.all_digests());
        }
        held
    }
}

fn no_doubt(what: &str, outcome: &Outcome) {
    let report = outcome.report();
    let findings = report["findings"].as_array().unwrap();
    let bad = findings.iter().filter(|it| ["doubt", "error"].contains(&it["severity"].as_str().unwrap()));
    assert_eq!(bad.count(), 0, "{what}: {report:#}");
    assert_eq!(report["broken"].as_array().map_or(0, Vec::len), 0, "{what}: {report:#}");
}

#[test]
fn whatever_the_registry_takes_is_read_keeps_what_it_holds_and_stops_nothing() {
    for engine in ["registry", "native"] {
        let registry = Registry::start();
        let client = registry.client();
        let mut taken = Vec::new();
        for (number, (name, media_type, rest)) in ODD.into_iter().enumerate() {
            let (repository, parts) = (format!("odd/n{number}"), Parts::of(number));
            parts.push(&registry, &repository);
            let document = parts.manifest(media_type, rest);
            client.put_manifest(&repository, "v1", &document).unwrap_or_else(|why| panic!("{name}: {why}"));
            assert_eq!(client.get_manifest(&repository, "v1").unwrap(), document.bytes, "{name}");
            taken.push((name, repository, parts.held(rest), document));
        }
        push_versions(&registry, "busy", 3);
        let garbage = Image::small(1).digest();

        for sweep in ["first", "second"] {
            let outcome =
                janitor(&registry).env("GC_ENGINE", engine).env("MAX_REMOVE_PERCENT", "100").keep(1).run();

            assert_eq!(outcome.code, Some(0), "{engine} {sweep}: {}\n{}", outcome.stdout, outcome.stderr);
            no_doubt(&format!("{engine} {sweep}"), &outcome);
            let blobs = blobs_on_disk(&registry);
            assert!(!blobs.contains(&garbage), "{engine} {sweep}");
            for (name, repository, held, document) in &taken {
                for digest in held {
                    assert!(blobs.contains(digest), "{engine} {sweep}: {name} loses {digest}");
                }
                assert_eq!(&client.get_manifest(repository, "v1").unwrap(), &document.bytes, "{name}");
                if held.contains(&Parts::of(0).inner.digest()) {
                    client.pull(repository, held[0].as_str()).unwrap();
                }
            }
        }
        let outcome = janitor(&registry).arg("check").run();
        assert_eq!(outcome.code, Some(0), "{engine}: {}", outcome.stdout);
    }
}

#[test]
fn a_manifest_that_is_a_layer_of_a_kept_one_keeps_its_own_layers() {
    for (media_type, engine) in [IMAGE, "application/vnd.example.bundle"]
        .into_iter()
        .flat_map(|it| [(it, "registry"), (it, "native")])
    {
        let registry = Registry::start();
        let client = registry.client();
        let parts = Parts::of(1);
        parts.push(&registry, "app");
        let layers =
            format!(r#""config":{{"digest":"@c"}},"layers":[{{"mediaType":"{media_type}","digest":"@m"}}]"#);
        push_versions(&registry, "app", 2);
        client.put_manifest("app", "bundle", &parts.manifest(IMAGE, &layers)).unwrap();
        registry.set_push_time("app", "v2", janitor_testkit::ago(std::time::Duration::from_secs(60)));

        let outcome = janitor(&registry).env("GC_ENGINE", engine).keep(2).run().assert_code(0);

        assert_eq!(outcome.total("tags_removed"), 1, "{}", outcome.stdout);
        client.pull("app", parts.inner.digest().as_str()).unwrap();
    }
}

/// Pushes something to `secret`, has `mine` name its digest in some way, and repairs the store.
#[track_caller]
fn gives_nothing_away(what: &str, name: impl Fn(&Registry, &Parts, &Digest, &Digest), is_whole: bool) {
    let registry = Registry::start();
    let client = registry.client();
    let secret = Image::small(77);
    client.push("secret", "v1", &secret);
    let (layer, manifest) = (secret.blobs().keys().next().unwrap(), secret.digest());
    let parts = Parts::of(3);
    parts.push(&registry, "mine");
    name(&registry, &parts, layer, &manifest);
    assert!(client.tags("mine") == names(&["v1"]) && !client.has_blob("mine", layer), "{what}");

    let before = janitor(&registry).arg("check").run();
    let outcome = janitor(&registry).arg("check").arg("--repair").arg("--yes").run();

    assert!(!client.has_blob("mine", layer), "{what}: {}", outcome.stdout);
    assert!(client.get_manifest("mine", manifest.as_str()).is_err(), "{what}: {}", outcome.stdout);
    if is_whole {
        assert_eq!((before.code, outcome.code), (Some(0), Some(0)), "{what}: {}", before.stdout);
    } else {
        assert!(!before.stdout.contains("check --repair"), "{what}: {}", before.stdout);
    }
}

#[test]
fn a_repair_links_nothing_that_a_manifest_names_where_the_registry_does_not_look() {
    let image = |media_type: &'static str, rest: &'static str| {
        move |registry: &Registry, parts: &Parts, layer: &Digest, manifest: &Digest| {
            let rest = rest.replace("@l", layer.as_str()).replace("@s", manifest.as_str());
            registry.client().put_manifest("mine", "v1", &parts.manifest(media_type, &rest)).unwrap();
        }
    };
    for (what, media_type, rest) in [
        ("blobs", IMAGE, r#""config":{"digest":"@c"},"layers":[],"blobs":[{"digest":"@l"}]"#),
        (
            "the first layers",
            IMAGE,
            r#""config":{"digest":"@c"},"layers":[{"digest":"@l"}],"layers":[{"digest":"@a"}]"#,
        ),
        ("the first digest", DOCKER, r#""config":{"digest":"@l","digest":"@c"},"layers":[]"#),
        ("the layers of a list", LIST, r#""manifests":[],"layers":[{"digest":"@l"}]"#),
        ("fsLayers", INDEX, r#""manifests":[],"fsLayers":[{"blobSum":"@l"}]"#),
        (
            "the manifests of an image",
            DOCKER,
            r#""config":{"digest":"@c"},"layers":[],"manifests":[{"digest":"@s"}]"#,
        ),
        ("the first manifests", INDEX, r#""manifests":[{"digest":"@s"}],"manifests":[{"digest":"@m"}]"#),
        (
            "a foreign layer",
            IMAGE,
            r#""config":{"digest":"@c"},"layers":[{"digest":"@l","urls":["http://x/"]}]"#,
        ),
    ] {
        gives_nothing_away(what, image(media_type, rest), true);
    }
}

#[test]
fn a_repair_links_nothing_that_the_registry_did_not_look_for_when_it_took_a_manifest() {
    // Taken as an index, whose decoder sees no configuration behind `null`, and served as an image, whose does.
    gives_nothing_away(
        "null behind a configuration",
        |registry, _, layer, _| {
            let json = format!(r#"{{"schemaVersion":2,"config":{{"digest":"{layer}"}},"config":null}}"#);
            let document = Document { media_type: INDEX.to_owned(), bytes: json.into_bytes() };
            registry.client().put_manifest("mine", "v1", &document).unwrap();
        },
        false,
    );
    // A manifest that was uploaded as a blob was never looked into; registry 2.8 lets an index list it.
    gives_nothing_away(
        "a child that is a blob",
        |registry, parts, layer, _| {
            let child = format!(r#""config":{{"digest":"@c"}},"layers":[{{"digest":"{layer}"}}]"#);
            let child = parts.manifest(IMAGE, &child);
            let client = registry.client();
            client.push_blob("mine", &child.digest(), &child.bytes).unwrap();
            let index = format!(r#""manifests":[{{"mediaType":"{IMAGE}","digest":"{}"}}]"#, child.digest());
            client.put_manifest("mine", "v1", &parts.manifest(INDEX, &index)).unwrap();
        },
        false,
    );
}
