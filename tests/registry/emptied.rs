//! Repositories that nothing is left in leave the catalog; what is inside them stays.

use janitor_testkit::{Image, Registry};

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
