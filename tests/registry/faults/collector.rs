//! What the stock collector does not see, or would delete, in stores that are odd but live.

use janitor_testkit::{Collector, Digest, Registry, sha512};
use serde_json::json;

use super::{assert_blobs, damage, findings, loose_blobs, runs};
use crate::stage::{assert_all_pull, blobs_on_disk, digests_of, janitor, names, push_versions, request};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[test]
fn an_image_with_a_sha512_layer_outlives_a_collection() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 3);
    let client = registry.client();
    let (layer, config) = (b"a layer by its sha512".as_slice(), b"{}".as_slice());
    let long = sha512(layer);
    let location = client.start_upload("long").unwrap();
    let (_, path) = location.split_once(registry.address()).unwrap();
    let separator = if path.contains('?') { '&' } else { '?' };
    let put = format!("{path}{separator}digest={long}");
    let (status, answer) = request(&registry, "PUT", &put, "application/octet-stream", layer);
    assert_eq!(status, 201, "{}", String::from_utf8_lossy(&answer));
    let config_digest = Digest::of(config);
    client.push_blob("long", &config_digest, config).unwrap();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": config_digest.as_str(),
            "size": config.len(),
        },
        "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": long, "size": layer.len() }],
    })
    .to_string();
    let (status, answer) = request(&registry, "PUT", "/v2/long/manifests/v1", MANIFEST, manifest.as_bytes());
    assert_eq!(status, 201, "{}", String::from_utf8_lossy(&answer));

    // Behind its alias it is as whole as any.
    let check = janitor(&registry).arg("check").arg("--deep").run().assert_code(0).report();
    assert_eq!(check["findings"], json!([]), "{check}");

    let outcome = janitor(&registry).keep(1).run().assert_code(0);

    let report = outcome.report();
    assert_eq!(report["collection"]["status"], "done", "{report}");
    let (status, pulled) = request(&registry, "GET", "/v2/long/manifests/v1", "text/plain", b"");
    assert_eq!((status, pulled.as_slice()), (200, manifest.as_bytes()));
    let (status, pulled) = request(&registry, "GET", &format!("/v2/long/blobs/{long}"), "text/plain", b"");
    assert_eq!((status, pulled.as_slice()), (200, layer));
    let mut expected = digests_of(&images[2..]);
    expected.extend([Digest::of(layer), config_digest, Digest::of(manifest.as_bytes())]);
    assert_blobs(&registry, &expected);
    assert_all_pull(&registry, "app");
}

#[test]
fn a_kept_tag_without_its_revision_is_reported_and_keeps_its_blobs_while_the_rest_is_collected() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 3);
    loose_blobs(&registry, 3);
    damage(&registry).remove_revision("app", &images[2].digest());

    let outcome = janitor(&registry).keep(1).run().assert_code(3);

    let report = outcome.report();
    assert_eq!(report["collection"]["status"], "done", "{report}");
    let broken = report["broken"].as_array().unwrap();
    assert_eq!(broken.len(), 1, "{report}");
    assert_eq!(broken[0]["tag"], "v3", "{report}");
    assert_eq!(broken[0]["missing"][0], images[2].digest().as_str(), "{report}");
    assert_blobs(&registry, &digests_of(&images));
    // The older ones may be the last that pull.
    assert_eq!(registry.view().tags("app"), names(&["v1", "v2", "v3"]));
}

#[test]
fn an_empty_revision_link_is_named_also_where_only_loose_blobs_are_garbage() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 2);
    loose_blobs(&registry, 3);
    damage(&registry).truncate_revision("app", &images[1].digest());

    let outcome = janitor(&registry).env("GC_ENGINE", "registry").keep(2).run().assert_code(3);

    let report = outcome.report();
    let hurt = format!("app/_manifests/revisions/sha256/{}", images[1].digest().hex());
    let told = findings(&report, "doubt");
    assert!(told.iter().any(|it| it["path"].as_str().unwrap().contains(&hurt)), "{report}");
    for digest in digests_of(&images) {
        assert!(registry.view().has_blob(&digest), "{digest} went");
    }
    registry.client().pull("app", "v1").unwrap();
}

#[test]
fn a_store_in_which_nothing_is_kept_is_not_emptied() {
    let registry = Registry::start();
    std::fs::create_dir_all(registry.view().repository("x").join("_layers")).unwrap();
    let blobs = loose_blobs(&registry, 25);
    let scripts = Collector::scripts_in(registry.scratch());
    let recording = scripts.recording("recording");

    for _ in 0..2 {
        let outcome = janitor(&registry).collector(&recording).run().assert_code(12);

        let report = outcome.report();
        assert_eq!(report["status"], "refused", "{report}");
        assert!(report["error"].as_str().unwrap().contains("25 of 25 blobs"), "{report}");
        assert_eq!(runs(&scripts, "recording").1, 0, "{report}");
        assert_eq!(blobs_on_disk(&registry), blobs);
    }
}
