//! Doubt keeps: what a crash or a full disk left behind is reported, and nothing near it goes.

use std::fs;

use janitor_testkit::{Damage, Image, Registry};

use crate::stage::{assert_all_pull, blobs_on_disk, janitor, names, push_versions};

#[test]
fn a_repository_with_an_empty_tag_link_loses_nothing_and_the_others_are_swept() {
    let registry = Registry::start();
    push_versions(&registry, "hurt", 3);
    push_versions(&registry, "well", 3);
    Damage::to(&registry.view()).truncate_tag("hurt", "v1");
    let blobs = blobs_on_disk(&registry);

    let outcome = janitor(&registry).keep(1).run().assert_code(3);

    assert_eq!(registry.view().tags("hurt"), names(&["v1", "v2", "v3"]));
    assert_eq!(registry.client().tags("well"), names(&["v3"]));
    // While a root is in doubt, no blob goes anywhere.
    assert_eq!(blobs_on_disk(&registry), blobs);
    let report = outcome.report();
    let finding = &report["findings"][0];
    assert_eq!(finding["severity"], "doubt", "{report}");
    let path = finding["path"].as_str().unwrap();
    assert!(path.contains("hurt") && path.contains("v1"), "{report}");
    assert!(finding["cause"].is_string() && finding["remedy"].is_string());
}

#[test]
fn no_blob_goes_while_a_manifest_cannot_be_read() {
    type Hurt = fn(&Damage, &Image);
    let hurts: [(&str, Hurt); 3] = [
        ("empty", |damage, image| {
            damage.truncate_blob(&image.digest());
        }),
        ("garbled", |damage, image| {
            damage.garble_blob(&image.digest());
        }),
        ("empty link", |damage, image| {
            damage.truncate_revision("hurt", &image.digest());
        }),
    ];
    for (what, hurt) in hurts {
        let registry = Registry::start();
        // An image that no other repository has.
        let image = Image::small(100);
        registry.client().push("hurt", "v1", &image);
        push_versions(&registry, "well", 3);
        hurt(&Damage::to(&registry.view()), &image);
        let blobs = blobs_on_disk(&registry);

        let outcome = janitor(&registry).keep(1).run().assert_code(3);

        assert_eq!(blobs_on_disk(&registry), blobs, "{what}");
        assert_all_pull(&registry, "well");
        let report = outcome.report();
        assert!(report["findings"].to_string().contains(image.digest().hex()), "{what}: {report}");
    }
}

#[test]
fn a_kept_tag_that_cannot_be_pulled_is_reported_by_its_missing_piece() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 2);
    let layer = images[1].blobs().keys().find(|digest| !images[0].blobs().contains_key(digest)).unwrap();
    Damage::to(&registry.view()).remove_blob(layer);

    let outcome = janitor(&registry).keep(2).run().assert_code(3);

    let report = outcome.report();
    let broken = report["broken"].as_array().unwrap();
    assert_eq!(broken.len(), 1, "{report}");
    assert_eq!(broken[0]["tag"], "v2", "{report}");
    assert_eq!(broken[0]["missing"][0], layer.as_str(), "{report}");
    registry.client().pull("app", "v1").unwrap();
}

#[test]
fn a_blob_whose_directory_is_there_without_its_bytes_is_missing() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 1);
    let layer = images[0].blobs().keys().next().unwrap();
    Damage::to(&registry.view()).remove_blob_data(layer);
    registry.client().pull("app", "v1").unwrap_err();

    let outcome = janitor(&registry).run().assert_code(3);

    let report = outcome.report();
    assert_eq!(report["broken"][0]["missing"][0], layer.as_str(), "{report}");
}

#[test]
fn what_the_registry_does_not_know_is_reported_and_left() {
    let registry = Registry::start();
    push_versions(&registry, "app", 3);
    let stray = registry.view().repository("app").join("NOTES.txt");
    fs::write(&stray, "mine").unwrap();
    let shouting = registry.view().repository("SHOUTING");
    fs::create_dir_all(shouting.join("_manifests/tags")).unwrap();

    let outcome = janitor(&registry).keep(1).run();

    assert!(matches!(outcome.code, Some(0 | 3)), "exit code {:?}\n{}", outcome.code, outcome.stderr);
    assert!(stray.is_file() && shouting.is_dir());
    assert!(outcome.report()["findings"].to_string().contains("SHOUTING"));
    assert_all_pull(&registry, "app");
}
