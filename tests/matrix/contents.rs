//! Contents that are rare and live: other algorithms, old and unknown media types, indexes of plain blobs.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use janitor_testkit::{Digest, StoreBuilder, StoreView, ago};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha512};

use crate::cell::{Damage, Done, Scene};
use crate::expectation::Expect;

const OCI: &str = "application/vnd.oci.image.manifest.v1+json";

pub(crate) const ODDITIES: [Damage; 7] = [
    Damage { name: "a layer by its sha512", act: |scene| sha512(scene, true) },
    Damage { name: "an empty alias of a sha512 layer", act: |scene| sha512(scene, false) },
    Damage {
        name: "an image of schema 1",
        act: |scene| {
            let image = |_: &Value, layer: &Digest| json!({ "schemaVersion": 1, "name": "stray", "tag": "v1", "architecture": "amd64", "fsLayers": [{ "blobSum": layer.as_str() }], "history": [{ "v1Compatibility": "{}" }] });
            content(scene, image, Expect::Done)
        },
    },
    Damage {
        name: "an unknown media type",
        act: |scene| {
            let image = |_: &Value, layer: &Digest| json!({ "schemaVersion": 2, "mediaType": "application/vnd.example.unknown+json", "blobs": [descriptor(layer)] });
            content(scene, image, Expect::Uncollected)
        },
    },
    Damage {
        name: "an image without a media type",
        act: |scene| {
            let image = |config: &Value, layer: &Digest| json!({ "schemaVersion": 2, "config": config, "layers": [descriptor(layer)] });
            content(scene, image, Expect::Done)
        },
    },
    Damage {
        name: "an index of plain blobs",
        act: |scene| {
            let index = |config: &Value, layer: &Digest| json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [config, descriptor(layer)] });
            content(scene, index, Expect::Done)
        },
    },
    Damage {
        name: "an index of nothing, without _layers",
        act: |scene| {
            let index = |_: &Value, _: &Digest| json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [] });
            let done = content(scene, index, Expect::Done)?;
            let layers = scene.view.repository("stray/_layers");
            janitor_testkit::Damage::to(scene.view).remove(&layers);
            Some(done)
        },
    },
];

fn descriptor(digest: &Digest) -> Value {
    json!({ "mediaType": "application/octet-stream", "digest": digest.as_str(), "size": LAYER.len() })
}

const LAYER: &[u8] = b"a layer of something rare";
const CONFIG: &[u8] = b"{\"rare\":true}";

/// Adds a repository `stray` of one tag with a configuration and a layer, all of which has to stay.
#[expect(
    clippy::unnecessary_wraps,
    reason = "as every damage answers, also those that make no sense in a place"
)]
fn content(scene: &Scene<'_>, document: impl Fn(&Value, &Digest) -> Value, expect: Expect) -> Option<Done> {
    let store = StoreBuilder::new(scene.view.root());
    let at = ago(Duration::from_secs(7200));
    let config = store.loose_layer("stray", CONFIG, at);
    let layer = store.loose_layer("stray", LAYER, at);
    let named = json!({ "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config.as_str(), "size": CONFIG.len() });
    let bytes = serde_json::to_vec(&document(&named, &layer)).unwrap();
    let manifest = store.manifest("stray", &bytes, at);
    tag(scene.view, &manifest);
    let blobs =
        [&manifest, &config, &layer].map(|digest| scene.view.blob_data(digest).parent().unwrap().to_owned());
    let text = String::from_utf8(bytes).unwrap();
    let needed = [true, text.contains(config.as_str()), text.contains(layer.as_str())];
    let links = [scene.view.current_link("stray", "v1"), scene.view.revision_link("stray", &manifest)];
    let stays = links
        .into_iter()
        .chain(blobs.iter().zip(needed).filter(|(_, needed)| *needed).map(|(path, _)| path.clone()))
        .map(|path| scene.below(&path))
        .collect();
    let mut touched: Vec<PathBuf> = blobs.iter().map(|path| scene.below(path)).collect();
    touched.push(scene.below(&scene.view.repository("stray")));
    Some(Done { touched, stays, expect, mends: true })
}

fn tag(view: &StoreView, digest: &Digest) {
    for link in [view.index_link("stray", "v1", digest), view.current_link("stray", "v1")] {
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        std::fs::write(link, digest.as_str()).unwrap();
    }
}

fn sha512(scene: &Scene<'_>, is_whole: bool) -> Option<Done> {
    let mut hex = String::new();
    for byte in Sha512::digest(LAYER) {
        write!(hex, "{byte:02x}").unwrap();
    }
    let image = |config: &Value, _: &Digest| json!({ "schemaVersion": 2, "mediaType": OCI, "config": config, "layers": [{ "mediaType": "application/octet-stream", "digest": format!("sha512:{hex}"), "size": LAYER.len() }] });
    let expect =
        if is_whole { Expect::Done } else { Expect::BlobDoubt { told: format!("_layers/sha512/{hex}") } };
    let mut done = content(scene, image, expect)?;
    let layer = Digest::of(LAYER);
    let alias = scene.view.repository("stray/_layers/sha512").join(&hex);
    std::fs::create_dir_all(&alias).unwrap();
    std::fs::write(alias.join("link"), if is_whole { layer.as_str() } else { "" }).unwrap();
    done.stays.push(scene.below(scene.view.blob_data(&layer).parent().unwrap()));
    Some(done)
}
