//! Doubt keeps: what a crash or a full disk left behind is reported, and nothing near it goes.

use std::fs;

use janitor_testkit::{Damage, Digest, Image, Registry};

use crate::stage::{assert_all_pull, blobs_on_disk, janitor, names, push_series, push_versions};

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

/// Twelve tags, of which the newest ten have lost a layer each.
fn newest_ten_incomplete(registry: &Registry) -> Vec<Image> {
    let images = push_versions(registry, "app", 12);
    for image in &images[2..] {
        Damage::to(&registry.view()).remove_blob(own_layer(image));
    }
    images
}

/// A layer that no other image has.
fn own_layer(image: &Image) -> &Digest {
    let shared = Image::small(999);
    let config = |digest: &Digest| image.blobs()[digest].starts_with(b"{");
    image.blobs().keys().find(|it| !shared.blobs().contains_key(*it) && !config(it)).unwrap()
}

#[test]
fn complete_images_stay_while_the_newest_ones_lack_layers() {
    let registry = Registry::start();
    let client = registry.client();
    let images = newest_ten_incomplete(&registry);
    let others: Vec<Image> = (101..=112).map(Image::small).collect();
    let tags: Vec<String> = (101..=112).map(|number| format!("v{number}")).collect();
    let series: Vec<(&str, &Image)> = tags.iter().map(String::as_str).zip(&others).collect();
    push_series(&registry, "other", &series);

    let audit = janitor(&registry).keep(10).audit().run().assert_code(3);
    let outcome = janitor(&registry).keep(10).run().assert_code(3);

    assert_eq!(audit.report()["findings"], outcome.report()["findings"]);
    assert_eq!(client.tags("app").len(), 12);
    client.pull("app", "v1").unwrap();
    client.pull("app", "v2").unwrap();
    assert_eq!(client.tags("other").len(), 10, "what is incomplete holds back its own repository only");
    let report = outcome.report();
    assert_eq!(outcome.tag("app", "v1")["reasons"][0]["code"], "kept-incomplete", "{report}");
    let finding = &report["findings"][0];
    assert_eq!(finding["code"], "kept-incomplete", "{report}");
    // What it says helps: a check lists what is missing, and deleting or pushing again each of the tags ends it.
    let remedy = finding["remedy"].as_str().unwrap();
    let check = janitor(&registry).arg("check").run().assert_code(4);
    assert!(remedy.contains("janitor check"), "{remedy}");
    assert_eq!(check.report()["totals"]["tags_broken"], 10);
    let first = finding["path"].as_str().unwrap().strip_prefix("app:").unwrap().to_owned();
    let digest = registry.view().tag_digest("app", &first);
    assert!(remedy.contains(&format!("DELETE /v2/app/manifests/{digest}")), "{remedy}");
    client.delete("app", &digest);
    let left: Vec<&Image> = images[2..].iter().filter(|image| image.digest() != digest).collect();
    janitor(&registry).keep(10).run().assert_code(3);
    assert_eq!(client.tags("app").len(), 11);
    for image in left {
        client.push("app", &registry_tag(&registry, image), image);
    }

    janitor(&registry).keep(10).run().assert_code(0);

    assert_eq!(client.tags("app").len(), 10);
    assert_all_pull(&registry, "app");
}

/// The tag that names an image.
fn registry_tag(registry: &Registry, image: &Image) -> String {
    let view = registry.view();
    view.tags("app").into_iter().find(|tag| view.tag_digest("app", tag) == image.digest()).unwrap()
}

#[test]
fn newer_pushes_end_what_an_incomplete_tag_holds_back() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 3);
    Damage::to(&registry.view()).remove_blob(own_layer(&images[2]));
    janitor(&registry).keep(1).run().assert_code(3);
    assert_eq!(registry.client().tags("app"), names(&["v1", "v2", "v3"]));
    registry.client().push("app", "v4", &Image::small(4));

    janitor(&registry).keep(1).run().assert_code(0);

    assert_eq!(registry.client().tags("app"), names(&["v4"]));
}
