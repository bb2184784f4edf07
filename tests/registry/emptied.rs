//! Repositories that nothing is left in leave the catalog; what is inside them stays.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use janitor_testkit::{Damage, Image, Registry, Tree, ago};

use crate::stage::{assert_all_pull, blobs_on_disk, digests_of, janitor, names, push_versions};

#[test]
fn an_empty_repository_leaves_the_catalog_and_the_one_inside_it_stays() {
    let registry = Registry::start();
    let client = registry.client();
    let image = Image::small(1);
    client.push("mina", "v1", &image);
    push_versions(&registry, "mina/daemon", 2);
    push_versions(&registry, "other", 1);
    client.delete("mina", &image.digest());

    let outcome = janitor(&registry).run().assert_code(0);

    assert_eq!(client.catalog(), names(&["mina/daemon", "other"]));
    assert_all_pull(&registry, "mina/daemon");
    assert_all_pull(&registry, "other");
    assert_eq!(outcome.total("repositories_removed"), 1);
    assert_eq!(outcome.repository("mina")["removed"], true);
}

#[test]
fn an_image_deleted_through_the_api_is_collected_by_the_first_sweep() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 2);
    // The registry leaves the revision's empty directory behind.
    registry.client().delete("app", &images[0].digest());

    janitor(&registry).run().assert_code(0);

    assert_eq!(blobs_on_disk(&registry), digests_of(&images[1..]));
    assert_all_pull(&registry, "app");
}

#[test]
fn a_removed_repository_can_be_pushed_to_again() {
    let registry = Registry::start();
    let client = registry.client();
    let image = Image::small(1);
    client.push("team/old", "v1", &image);
    push_versions(&registry, "other", 1);
    client.delete("team/old", &image.digest());
    janitor(&registry).run().assert_code(0);
    assert_eq!(client.catalog(), names(&["other"]));

    client.push("team/old", "v1", &image);

    assert_all_pull(&registry, "team/old");
    assert_eq!(client.catalog(), names(&["other", "team/old"]));
}

#[test]
fn a_repository_with_an_upload_under_way_stays() {
    let registry = Registry::start();
    let client = registry.client();
    push_versions(&registry, "other", 1);
    client.start_upload("fresh").unwrap();

    let outcome = janitor(&registry).run().assert_code(0);

    assert_eq!(outcome.total("repositories_removed"), 0);
    assert!(registry.view().repository("fresh/_uploads").is_dir());
}

#[test]
fn an_empty_repository_younger_than_the_grace_stays() {
    let registry = Registry::start();
    let client = registry.client();
    let image = Image::small(1);
    client.push("young", "v1", &image);
    push_versions(&registry, "other", 1);
    client.delete("young", &image.digest());

    let outcome = janitor(&registry).env("GC_GRACE", "1h").run();

    let outcome = outcome.assert_code(0);
    assert_eq!(outcome.total("repositories_removed"), 0);
    assert!(registry.view().repository("young/_layers").is_dir());
}

fn set_hours_ago(directory: &Path, hours: u64) {
    let at = ago(Duration::from_secs(3600 * hours));
    File::open(directory).unwrap().set_modified(at).unwrap();
}

#[test]
fn what_an_interrupted_sweep_left_of_a_repository_goes_when_nobody_touched_it_for_long() {
    let registry = Registry::start();
    push_versions(&registry, "app", 1);
    push_versions(&registry, "team/app", 1);
    let at = |name: &str| registry.view().repository(name);
    let bare = ["app/web", "gone/deep/down", "gone/deep/too", "team/old", "Odd", "fresh", "busy/below"];
    for name in bare {
        fs::create_dir_all(at(name)).unwrap();
    }
    for name in bare.iter().filter(|name| **name != "fresh") {
        set_hours_ago(&at(name), 3);
    }
    for above in ["gone/deep", "gone", "team", "app"] {
        set_hours_ago(&at(above), 3);
    }
    set_hours_ago(&at("busy"), 0);
    let sweep = janitor(&registry).env("GC_GRACE", "1h");

    Damage::to(&registry.view()).truncate_tag("app", "v1");
    let before = Tree::of(&at(""));
    sweep.run().assert_code(3);
    before.assert_unchanged(&Tree::of(&at("")));
    registry.client().push("app", "v1", &Image::small(1));
    let before = Tree::of(&at(""));
    sweep.clone().env("GC_DELETE_UNTAGGED", "false").run().assert_code(0);
    sweep.clone().audit().run().assert_code(0);
    before.assert_unchanged(&Tree::of(&at("")));

    sweep.run().assert_code(0);

    for gone in ["app/web", "gone", "team/old", "busy/below"] {
        assert!(!at(gone).exists(), "{gone}");
    }
    for stays in ["app", "team/app", "Odd", "fresh", "busy"] {
        assert!(at(stays).is_dir(), "{stays}");
    }
    assert_all_pull(&registry, "app");
    assert_all_pull(&registry, "team/app");
    let after = Tree::of(&at(""));
    sweep.run().assert_code(0);
    after.assert_unchanged(&Tree::of(&at("")));
}
