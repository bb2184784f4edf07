//! Layers that manifests name by sha512: the registry stores them under sha256, and a layer link says which blob each
//! one is. What a sweep and a check make of links that are missing or wrong.

#![expect(clippy::disallowed_methods, reason = "a test damages its own store")]

use std::fs;
use std::path::{Path, PathBuf};

use janitor_testkit::{Digest, Image, Janitor, Outcome, Registry, sha512};
use serde_json::{Value, json};

use crate::stage::{blobs_on_disk, digests_of, janitor, push_versions, request};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LAYER: &[u8] = b"a layer that is named by sha512";
/// As long as the layer, and another blob.
const DECOY: &[u8] = b"a blob that is named by nobody.";
const CONFIG: &[u8] = b"{}";

fn put_blob(registry: &Registry, repository: &str, digest: &str, bytes: &[u8]) {
    let location = registry.client().start_upload(repository).unwrap();
    let (_, path) = location.split_once(registry.address()).unwrap();
    let separator = if path.contains('?') { '&' } else { '?' };
    let put = format!("{path}{separator}digest={digest}");
    let (status, answer) = request(registry, "PUT", &put, "application/octet-stream", bytes);
    assert_eq!(status, 201, "{}", String::from_utf8_lossy(&answer));
}

fn put_manifest(registry: &Registry, repository: &str, tag: &str, kind: &str, manifest: &Value) -> Digest {
    let bytes = manifest.to_string();
    let path = format!("/v2/{repository}/manifests/{tag}");
    let (status, answer) = request(registry, "PUT", &path, kind, bytes.as_bytes());
    assert_eq!(status, 201, "{}", String::from_utf8_lossy(&answer));
    Digest::of(bytes.as_bytes())
}

fn image(layer: &str, size: usize) -> Value {
    let config = Digest::of(CONFIG);
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config.as_str(), "size": CONFIG.len() },
        "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": size }],
    })
}

/// Pushes `v1`, whose layer is named by sha512; says which manifest that is.
fn push_long(registry: &Registry, repository: &str) -> Digest {
    put_blob(registry, repository, &sha512(LAYER), LAYER);
    put_blob(registry, repository, Digest::of(CONFIG).as_str(), CONFIG);
    put_manifest(registry, repository, "v1", MANIFEST, &image(&sha512(LAYER), LAYER.len()))
}

fn link(registry: &Registry, repository: &str) -> PathBuf {
    let long = sha512(LAYER);
    registry.view().repository(repository).join("_layers/sha512").join(&long["sha512:".len()..]).join("link")
}

/// The layer as a client gets it.
fn pull(registry: &Registry, repository: &str) -> Option<Vec<u8>> {
    let (status, _) = request(registry, "GET", &format!("/v2/{repository}/manifests/v1"), "text/plain", b"");
    assert_eq!(status, 200);
    let (status, layer) =
        request(registry, "GET", &format!("/v2/{repository}/blobs/{}", sha512(LAYER)), "text/plain", b"");
    (status == 200).then_some(layer)
}

type Hurt = fn(&Path);

fn hurts() -> [(&'static str, &'static str, Hurt); 6] {
    [
        ("missing", "layer-link-missing", |link| fs::remove_file(link).unwrap()),
        ("no directory", "layer-link-missing", |link| {
            fs::remove_dir_all(link.parent().unwrap().parent().unwrap()).unwrap();
        }),
        ("empty", "layer-link-empty", |link| fs::write(link, "").unwrap()),
        ("the configuration", "layer-link-other", |link| {
            fs::write(link, Digest::of(CONFIG).as_str()).unwrap();
        }),
        ("as long as the layer", "layer-link-other", |link| {
            fs::write(link, Digest::of(DECOY).as_str()).unwrap();
        }),
        ("a blob that is nowhere", "layer-link-other", |link| {
            fs::write(link, Digest::of(b"nowhere").as_str()).unwrap();
        }),
    ]
}

/// Repositories with an image whose layer is named by sha512, and one with images of which two are to go.
fn store(repositories: &[&str]) -> (Registry, Vec<Image>) {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 3);
    for repository in repositories {
        push_long(&registry, repository);
        put_blob(&registry, repository, Digest::of(DECOY).as_str(), DECOY);
    }
    (registry, images)
}

fn engines(registry: &Registry) -> [(&'static str, Janitor); 2] {
    ["native", "registry"].map(|engine| (engine, janitor(registry).env("GC_ENGINE", engine).keep(1)))
}

fn has_layer(registry: &Registry) -> bool {
    registry.view().blob_data(&Digest::of(LAYER)).exists()
}

fn assert_put_off(outcome: &Outcome, registry: &Registry, what: &str) {
    let report = outcome.report();
    assert_eq!(report["collection"]["status"], "put-off", "{what}: {report}");
    let findings = report["findings"].as_array().unwrap();
    let told = findings.iter().find(|it| it["severity"] == "doubt").unwrap();
    let path = told["path"].as_str().unwrap();
    assert!(path.contains("hurt/_layers/sha512/"), "{what}: {report}");
    assert!(told["remedy"].as_str().unwrap().contains("push the layer again"), "{what}: {report}");
    let broken = report["broken"].as_array().unwrap();
    let broken: Vec<&Value> = broken.iter().map(|it| &it["repository"]).collect();
    assert_eq!(broken, ["hurt"], "{what}: {report}");
    assert!(has_layer(registry), "{what}: the layer is lost");
}

#[test]
fn a_layer_is_not_lost_with_its_link_and_everything_goes_on_once_it_is_pushed_again() {
    // Alone, and beside a whole one that comes before or after it: what one repository's link says must not depend on
    // what another's says.
    let beside = [&["hurt"][..], &["hurt", "whole"], &["a-whole-one", "hurt"]].into_iter().cycle();
    for ((what, _, hurt), others) in hurts().into_iter().zip(beside) {
        let (registry, images) = store(others);
        hurt(&link(&registry, "hurt"));
        for (engine, janitor) in engines(&registry) {
            let what = format!("{what} {others:?} {engine}");
            assert_put_off(&janitor.run().assert_code(3), &registry, &what);
            for other in others.iter().filter(|it| **it != "hurt") {
                assert_eq!(pull(&registry, other).as_deref(), Some(LAYER), "{what}: {other}");
            }
        }
        put_blob(&registry, "hurt", &sha512(LAYER), LAYER);
        let outcome = janitor(&registry).env("GC_ENGINE", "native").keep(1).run().assert_code(0);
        assert_eq!(outcome.report()["collection"]["status"], "done", "{what}: {}", outcome.report());
        for repository in others {
            assert_eq!(pull(&registry, repository).as_deref(), Some(LAYER), "{what}: {repository}");
        }
        let (kept, on_disk) = (digests_of(&images[2..]), blobs_on_disk(&registry));
        assert!(on_disk.is_superset(&kept), "{what}");
        let gone = digests_of(&images[..2]);
        assert!(on_disk.is_disjoint(&gone.difference(&kept).cloned().collect()), "{what}");
    }
}

#[test]
fn a_doubt_about_a_layer_ends_with_the_tag_that_needs_it() {
    for engine in ["native", "registry"] {
        let (registry, _) = store(&["whole"]);
        let manifest = push_long(&registry, "hurt");
        fs::remove_file(link(&registry, "hurt")).unwrap();
        let sweep = || janitor(&registry).env("GC_ENGINE", engine).keep(1).run();
        assert_put_off(&sweep().assert_code(3), &registry, engine);
        registry.client().delete("hurt", &manifest);
        let outcome = sweep().assert_code(0);
        assert_eq!(outcome.report()["collection"]["status"], "done", "{engine}: {}", outcome.report());
        assert_eq!(pull(&registry, "whole").as_deref(), Some(LAYER), "{engine}");
    }
}

#[test]
fn a_tag_whose_layer_is_in_doubt_still_goes_and_takes_the_doubt_along() {
    let (registry, _) = store(&["whole"]);
    push_long(&registry, "hurt");
    fs::remove_file(link(&registry, "hurt")).unwrap();
    let newer = Image::small(77);
    registry.client().push("hurt", "v2", &newer);
    let outcome = janitor(&registry).env("GC_ENGINE", "native").keep(1).run().assert_code(0);
    assert_eq!(outcome.report()["collection"]["status"], "done", "{}", outcome.report());
    assert_eq!(pull(&registry, "whole").as_deref(), Some(LAYER));
    registry.client().pull("hurt", "v2").unwrap();
}

#[test]
fn check_tells_of_the_link_and_repairs_it_from_a_blob_whose_bytes_prove_it() {
    for (what, code, hurt) in hurts() {
        for others in [&["hurt"][..], &["hurt", "whole"]] {
            let (registry, _) = store(others);
            hurt(&link(&registry, "hurt"));
            let report = janitor(&registry).arg("check").run().assert_code(4).report();
            let findings = report["findings"].as_array().unwrap();
            let told: Vec<&Value> = findings.iter().filter(|it| it["severity"] == "broken").collect();
            assert_eq!(told.len(), 1, "{what}: {report}");
            assert_eq!(told[0]["code"], code, "{what}: {report}");
            assert_eq!(told[0]["tags"], json!(["hurt:v1"]), "{what}: {report}");
            let outcome = janitor(&registry).arg("check").arg("--repair").arg("--yes").run().assert_code(0);
            let report = outcome.report();
            assert_eq!(report["repaired"][0]["outcome"], "done", "{what}: {report}");
            for repository in others {
                assert_eq!(pull(&registry, repository).as_deref(), Some(LAYER), "{what}: {repository}");
            }
        }
    }
}

#[test]
fn a_layer_that_is_gone_is_not_replaced_by_another_blob() {
    let (registry, _) = store(&["hurt"]);
    fs::remove_file(link(&registry, "hurt")).unwrap();
    fs::remove_dir_all(registry.view().blob_data(&Digest::of(LAYER)).parent().unwrap()).unwrap();
    let report = janitor(&registry).arg("check").arg("--repair").arg("--yes").run().assert_code(4).report();
    assert_eq!(report["repaired"], json!([]), "{report}");
    assert!(!link(&registry, "hurt").exists());
}

#[test]
fn an_image_that_an_index_lists_by_sha512_keeps_its_layers() {
    for engine in ["native", "registry"] {
        let registry = Registry::start();
        push_versions(&registry, "app", 3);
        put_blob(&registry, "index", Digest::of(CONFIG).as_str(), CONFIG);
        put_blob(&registry, "index", Digest::of(LAYER).as_str(), LAYER);
        let child = image(Digest::of(LAYER).as_str(), LAYER.len()).to_string();
        let long = sha512(child.as_bytes());
        put_blob(&registry, "index", &long, child.as_bytes());
        let listed = json!({ "mediaType": MANIFEST, "digest": long, "size": child.len() });
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [listed] });
        put_manifest(&registry, "index", "v1", INDEX, &index);
        let check = janitor(&registry).arg("check").run().assert_code(0).report();
        assert_eq!(check["findings"], json!([]), "{check}");
        let outcome = janitor(&registry).env("GC_ENGINE", engine).keep(1).run().assert_code(0);
        assert_eq!(outcome.report()["collection"]["status"], "done", "{engine}: {}", outcome.report());
        let (status, got) =
            request(&registry, "GET", &format!("/v2/index/manifests/{long}"), "text/plain", b"");
        assert_eq!((status, got.as_slice()), (200, child.as_bytes()), "{engine}");
        for blob in [LAYER, CONFIG] {
            let path = format!("/v2/index/blobs/{}", Digest::of(blob));
            let (status, got) = request(&registry, "GET", &path, "text/plain", b"");
            assert_eq!((status, got.as_slice()), (200, blob), "{engine}");
        }
    }
}
