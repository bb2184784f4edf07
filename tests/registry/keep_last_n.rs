//! The newest N tags of each repository stay, the rest goes, and its bytes come back.

use std::time::Duration;

use janitor_testkit::{Image, ImageSpec, Layer, OciLayout, Registry, Skopeo, ago};

use crate::stage::{assert_all_pull, blobs_on_disk, digests_of, janitor, names, push_series, push_versions};

#[test]
fn the_newest_tags_pull_and_the_bytes_of_the_others_come_back() {
    let registry = Registry::start();
    let skopeo = Skopeo::find();
    let mut layout = OciLayout::create(registry.scratch().join("layout"));
    let base = Layer::seeded(1, 40_000);
    let images: Vec<Image> = (1..=5)
        .map(|number| {
            ImageSpec::new(&format!("release {number}"))
                .layer(base)
                .layer(Layer::seeded(100 + number, 20_000))
                .build()
        })
        .collect();
    for (image, number) in images.iter().zip(1..) {
        let tag = format!("v{number}");
        layout.add(&tag, image);
        skopeo.push(&layout, &tag, &registry, &format!("team/app:{tag}"));
    }
    let before = registry.view().blob_bytes();

    let outcome = janitor(&registry).env("GC_ENGINE", "registry").keep(2).run().assert_code(0);

    let client = registry.client();
    assert_eq!(client.tags("team/app"), names(&["v4", "v5"]));
    for tag in ["v4", "v5"] {
        client.pull("team/app", tag).unwrap();
        let into = registry.scratch().join(tag);
        skopeo.pull(&registry, &format!("team/app:{tag}"), &into).unwrap();
    }
    for (image, tag) in images.iter().zip(["v1", "v2", "v3"]) {
        client.pull("team/app", tag).unwrap_err();
        client.pull("team/app", image.digest().as_str()).unwrap_err();
    }
    // Not one blob too many or too few: the shared layer stayed, everything else of the removed images went.
    assert_eq!(blobs_on_disk(&registry), digests_of(&images[3..]));
    let freed = before - registry.view().blob_bytes();
    assert!(freed > 3 * 20_000, "only {freed} bytes came back");
    assert_eq!(outcome.total("tags"), 5);
    assert_eq!(outcome.total("tags_removed"), 3);
    assert_eq!(outcome.total("tags_kept"), 2);
    assert_eq!(outcome.total("manifests_removed"), 3);
    assert_eq!(outcome.total("blobs_removed"), 9);
    assert_eq!(outcome.total("bytes_freed"), freed);
    let report = outcome.report();
    assert_eq!(report["schema_version"], 1);
    assert_eq!(report["status"], "done");
    assert_eq!(report["exit_code"], 0);
    assert_eq!(report["collection"]["engine"], "registry");
    assert_eq!(report["collection"]["status"], "done");
    for (tag, decision, result) in [("v1", "remove", "removed"), ("v5", "keep", "kept")] {
        let told = outcome.tag("team/app", tag);
        assert_eq!(told["decision"], decision, "{told}");
        assert_eq!(told["outcome"], result, "{told}");
        assert!(told["reasons"][0]["code"].is_string(), "{told}");
        assert!(told["reasons"][0]["text"].is_string(), "{told}");
    }
}

#[test]
fn each_repository_keeps_its_own_newest_tags() {
    let registry = Registry::start();
    push_versions(&registry, "a", 4);
    push_versions(&registry, "team/b", 2);
    push_versions(&registry, "team/c", 3);

    janitor(&registry).keep(2).run().assert_code(0);

    let client = registry.client();
    assert_eq!(client.tags("a"), names(&["v3", "v4"]));
    assert_eq!(client.tags("team/b"), names(&["v1", "v2"]));
    assert_eq!(client.tags("team/c"), names(&["v2", "v3"]));
    for repository in ["a", "team/b", "team/c"] {
        assert_all_pull(&registry, repository);
    }
}

#[test]
fn a_blob_that_another_repository_needs_stays() {
    let registry = Registry::start();
    // The images v1 to v4 are the same ones in both repositories.
    push_versions(&registry, "keeps-few", 4);
    push_versions(&registry, "keeps-all", 2);

    janitor(&registry).keep(2).run().assert_code(0);

    assert_eq!(registry.client().tags("keeps-few"), names(&["v3", "v4"]));
    assert_all_pull(&registry, "keeps-few");
    assert_all_pull(&registry, "keeps-all");
    // Every one of the four images is still kept by one of the two repositories.
    let kept: Vec<Image> = (1..=4).map(Image::small).collect();
    assert_eq!(blobs_on_disk(&registry), digests_of(&kept));
}

#[test]
fn an_old_tag_that_is_pushed_again_is_new() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 3);
    for (tag, hours) in [("v1", 9), ("v2", 8), ("v3", 7)] {
        registry.set_push_time("app", tag, ago(Duration::from_secs(3600 * hours)));
    }
    registry.client().push("app", "v1", &images[0]);

    janitor(&registry).keep(2).run().assert_code(0);

    assert_eq!(registry.client().tags("app"), names(&["v1", "v3"]));
    assert_all_pull(&registry, "app");
}

#[test]
fn a_tag_pushed_five_times_gives_back_its_four_older_images() {
    let registry = Registry::start();
    let images: Vec<Image> = (1..=5).map(Image::small).collect();
    for image in &images {
        registry.client().push("app", "latest", image);
    }

    let outcome = janitor(&registry).keep(10).run().assert_code(0);

    assert_eq!(outcome.total("tags_removed"), 0);
    assert_eq!(outcome.total("manifests_removed"), 4);
    let pulled = registry.client().pull("app", "latest").unwrap();
    assert_eq!(pulled.digest, images[4].digest());
    assert_eq!(blobs_on_disk(&registry), digests_of(&images[4..]));
}

#[test]
fn an_image_stays_while_one_of_its_tags_stays() {
    let registry = Registry::start();
    let (old, new) = (Image::small(1), Image::small(2));
    push_series(&registry, "app", &[("v1", &old), ("other", &new), ("stable", &old)]);

    janitor(&registry).keep(1).run().assert_code(0);

    assert_eq!(registry.client().tags("app"), names(&["stable"]));
    assert_all_pull(&registry, "app");
    assert_eq!(blobs_on_disk(&registry), digests_of([&old]));
}

#[test]
fn a_manifest_younger_than_the_grace_waits() {
    let registry = Registry::start();
    let (first, second) = (Image::small(1), Image::small(2));
    registry.client().push("app", "latest", &first);
    registry.client().push("app", "latest", &second);
    let everything = blobs_on_disk(&registry);

    let outcome = janitor(&registry).env("GC_GRACE", "1h").run();

    let outcome = outcome.assert_code(0);
    assert_eq!(outcome.total("manifests_removed"), 0);
    assert_eq!(outcome.total("manifests_held"), 1);
    assert_eq!(blobs_on_disk(&registry), everything);
    let by_digest = first.digest();
    registry.client().pull("app", by_digest.as_str()).unwrap();
}

#[test]
fn untagged_manifests_stay_when_they_are_to_stay() {
    let registry = Registry::start();
    let (first, second) = (Image::small(1), Image::small(2));
    registry.client().push("app", "latest", &first);
    registry.client().push("app", "latest", &second);

    let outcome = janitor(&registry).env("GC_DELETE_UNTAGGED", "false").run().assert_code(0);

    assert_eq!(outcome.total("tags"), 1);
    assert_eq!(outcome.total("manifests_removed"), 0);

    let by_digest = first.digest();
    registry.client().pull("app", by_digest.as_str()).unwrap();
    assert_eq!(blobs_on_disk(&registry), digests_of([&first, &second]));
}

#[test]
fn without_collection_tags_go_and_a_later_sweep_brings_the_bytes_back() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 3);

    let outcome = janitor(&registry).keep(1).env("RUN_GC", "false").run().assert_code(0);

    assert_eq!(outcome.report()["collection"]["status"], "skipped");
    assert_eq!(registry.client().tags("app"), names(&["v3"]));
    let layers: Vec<_> = images[0].blobs().keys().collect();
    assert!(layers.iter().all(|layer| registry.view().has_blob(layer)));

    janitor(&registry).keep(1).run().assert_code(0);

    assert_all_pull(&registry, "app");
    assert_eq!(blobs_on_disk(&registry), digests_of(&images[2..]));
}

#[test]
fn flags_win_over_the_environment() {
    let registry = Registry::start();
    push_versions(&registry, "app", 3);

    janitor(&registry).keep(1).arg("--keep-last-n=2").run().assert_code(0);

    assert_eq!(registry.client().tags("app"), names(&["v2", "v3"]));
}
