//! Pushes under way while old images are collected: the stock collector knows no age, so they are pinned.

use std::thread::sleep;
use std::time::Duration;

use janitor_testkit::{Collector, Image, Registry, Tree, ago};

use crate::stage::{
    assert_all_pull, blobs_on_disk, digests_of, janitor, names, push_versions, registry_part,
};

/// A grace that the old images outlive while the test waits, and that the young blobs are well within.
const GRACE: Duration = Duration::from_secs(6);

/// Three tags older than the grace, and the blobs of an image whose manifest has not come yet.
fn old_images_and_a_push_under_way(registry: &Registry) -> (Vec<Image>, Image) {
    let images = push_versions(registry, "app", 3);
    sleep(GRACE + Duration::from_millis(500));
    let coming = Image::small(77);
    for (digest, bytes) in coming.blobs().iter().filter(|(digest, _)| **digest != coming.digest()) {
        registry.client().push_blob("fresh", digest, bytes).unwrap();
    }
    (images, coming)
}

#[test]
fn blobs_of_a_push_under_way_outlive_the_collection_of_old_ones() {
    let registry = Registry::start();
    let (images, coming) = old_images_and_a_push_under_way(&registry);

    let outcome = janitor(&registry).keep(1).env("GC_GRACE", "6s").run().assert_code(0);

    let report = outcome.report();
    assert_eq!(report["collection"]["status"], "done", "{report}");
    let young = digests_of([&coming]).into_iter().filter(|digest| *digest != coming.digest());
    let expected = digests_of([&images[2]]).into_iter().chain(young).collect();
    assert_eq!(blobs_on_disk(&registry), expected, "no more and no less, and no pin, is left");
    assert_eq!(outcome.total("blobs_held"), coming.blobs().len() as u64 - 1);
    registry.client().push("fresh", "v1", &coming);
    assert_all_pull(&registry, "fresh");
    assert_all_pull(&registry, "app");
}

#[test]
fn a_collector_that_fails_leaves_no_pin_behind() {
    let registry = Registry::start();
    old_images_and_a_push_under_way(&registry);
    let revisions = registry.view().revisions("app");
    let scripts = Collector::scripts_in(registry.scratch());
    let failing = scripts.with_real_run("failing", "exit 1");

    let outcome = janitor(&registry).keep(1).env("GC_GRACE", "6s").collector(&failing).run().assert_code(3);

    assert_eq!(outcome.report()["collection"]["status"], "failed");
    assert!(registry.view().revisions("app").is_subset(&revisions), "a pin is left");
    assert_eq!(registry.client().tags("app"), names(&["v3"]));
}

#[test]
fn an_audit_pins_nothing() {
    let registry = Registry::start();
    old_images_and_a_push_under_way(&registry);
    let before = Tree::of(&registry_part(&registry));

    let outcome = janitor(&registry).keep(1).audit().env("GC_GRACE", "6s").run().assert_code(0);

    assert_eq!(outcome.report()["collection"]["status"], "would-run");
    before.assert_unchanged(&Tree::of(&registry_part(&registry)));
}

#[test]
fn a_manifest_pushed_by_its_digest_stays_though_another_tag_was_pushed_and_removed_since() {
    let registry = Registry::start();
    let client = registry.client();
    let (coming, other, newest) = (Image::small(1), Image::small(2), Image::small(3));
    client.push("app", "v1", &coming);
    registry.set_push_time("app", "v1", ago(Duration::from_secs(3 * 3600)));
    // Its next tag, or an index that lists it, is on its way.
    client.push_untagged("app", &coming);
    sleep(Duration::from_millis(50));
    client.push("app", "v2", &other);
    sleep(Duration::from_millis(50));
    client.push("app", "v3", &newest);
    let native = || janitor(&registry).keep(1).env("GC_ENGINE", "native");

    native().env("GC_GRACE", "1h").run().assert_code(0);

    assert_eq!(client.tags("app"), names(&["v3"]));
    client.pull("app", coming.digest().as_str()).unwrap();
    client.pull("app", other.digest().as_str()).unwrap_err();
    // Once it is old enough, it goes as well.
    native().run().assert_code(0);
    assert_eq!(blobs_on_disk(&registry), digests_of([&newest]));
}
