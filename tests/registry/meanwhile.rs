//! Pushes while a sweep is under way: what was already in the trash comes back, or is there anew.

use janitor_testkit::{Format, Image, ImageSpec, Layer, Registry, Running};

use crate::stage::{assert_all_pull, blobs_on_disk, digests_of, janitor, names, push_versions};

/// A sweep that has taken `v1` and `v2` and their manifests away and gives pushes this long to show up.
fn settling_sweep(registry: &Registry) -> Running {
    let mut running = janitor(registry).keep(1).env("GC_SETTLE", "3s").spawn();
    running.wait_until("everything is in the trash", |_| {
        let view = registry.view();
        view.tags("app").len() == 1 && view.revisions("app").len() == 1
    });
    running
}

fn finish(running: Running) {
    running.end_within(std::time::Duration::from_secs(60)).assert_code(0);
}

#[test]
fn a_removed_tag_that_is_pushed_again_meanwhile_stays() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 3);
    let running = settling_sweep(&registry);

    registry.client().push("app", "v1", &images[0]);
    finish(running);

    assert_eq!(registry.client().tags("app"), names(&["v1", "v3"]));
    assert_all_pull(&registry, "app");
    assert_eq!(blobs_on_disk(&registry), digests_of([&images[0], &images[2]]));
}

#[test]
fn a_removed_image_that_is_pushed_under_a_new_tag_meanwhile_stays() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 3);
    let running = settling_sweep(&registry);

    registry.client().push("app", "stable", &images[1]);
    finish(running);

    assert_eq!(registry.client().tags("app"), names(&["stable", "v3"]));
    assert_all_pull(&registry, "app");
}

#[test]
fn a_removed_tag_that_gets_another_image_meanwhile_keeps_the_new_one() {
    let registry = Registry::start();
    push_versions(&registry, "app", 3);
    let running = settling_sweep(&registry);

    let other = Image::small(50);
    registry.client().push("app", "v1", &other);
    finish(running);

    let pulled = registry.client().pull("app", "v1").unwrap();
    assert_eq!(pulled.digest, other.digest());
    assert_all_pull(&registry, "app");
}

#[test]
fn a_new_image_on_the_layers_of_a_removed_one_is_whole() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 3);
    let running = settling_sweep(&registry);

    // The layer that only v1 had: the client asks, is told that it is there, and skips the upload.
    let heir = ImageSpec::new("heir").layer(Layer::seeded(1, 1024)).build();
    let inherited = heir.blobs().keys().find(|digest| images[0].blobs().contains_key(digest));
    assert!(inherited.is_some(), "the two images share no layer");
    registry.client().push("app", "heir", &heir);
    finish(running);

    assert_all_pull(&registry, "app");
    assert_eq!(registry.client().pull("app", "heir").unwrap().digest, heir.digest());
}

#[test]
fn an_index_of_a_removed_image_that_is_pushed_meanwhile_is_whole() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 3);
    let running = settling_sweep(&registry);

    let index = Image::index(Format::Oci, &[&images[0], &images[1]]);
    registry.client().push("app", "index", &index);
    finish(running);

    assert_all_pull(&registry, "app");
    assert_eq!(registry.client().pull("app", "index").unwrap().documents, 3);
}
