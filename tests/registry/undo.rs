//! What a sweep removed comes back whole, as long as its time is not over.

use std::path::Path;
use std::time::Duration;

use janitor_testkit::{
    Damage, Digest, Document, Image, ImageSpec, Janitor, Layer, OciLayout, Outcome, Registry, Skopeo, Tree,
    ago,
};
use serde_json::Value;

use crate::stage::{assert_all_pull, blobs_on_disk, digests_of, janitor, names, push_series, push_versions};

/// A sweep that holds what it removes for an hour.
fn holding(registry: &Registry) -> Janitor {
    janitor(registry).env("UNDO_WINDOW", "1h")
}

fn trash(registry: &Registry) -> Value {
    let outcome = holding(registry).arg("trash").run().assert_code(0);
    outcome.report()
}

/// The tags that can be brought back, as `repository:tag`.
fn held(registry: &Registry) -> Vec<String> {
    let report = trash(registry);
    let name =
        |tag: &Value| format!("{}:{}", tag["repository"].as_str().unwrap(), tag["tag"].as_str().unwrap());
    report["tags"].as_array().unwrap().iter().map(name).collect()
}

fn restore(registry: &Registry, arguments: &[&str]) -> Outcome {
    arguments.iter().fold(holding(registry).arg("restore"), |janitor, argument| janitor.arg(argument)).run()
}

/// What came of each tag.
fn outcomes(outcome: &Outcome) -> Vec<(String, String)> {
    let report = outcome.report();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    report["tags"].as_array().unwrap().iter().map(|it| (text(&it["tag"]), text(&it["outcome"]))).collect()
}

/// The registry's part of the store, and the trash.
fn trees(registry: &Registry) -> [Tree; 2] {
    [Tree::without(registry.store(), &["janitor"]), Tree::of(&registry.store().join("janitor/trash"))]
}

#[track_caller]
fn assert_unchanged(before: &[Tree; 2], registry: &Registry) {
    for (before, after) in before.iter().zip(trees(registry)) {
        before.assert_unchanged(&after);
    }
}

fn pair(tag: &str, outcome: &str) -> (String, String) {
    (tag.to_owned(), outcome.to_owned())
}

#[test]
fn a_removed_tag_comes_back_as_it_was_pushed_and_stays() {
    let registry = Registry::start();
    let skopeo = Skopeo::find();
    let mut layout = OciLayout::create(registry.scratch().join("layout"));
    let images: Vec<Image> = (1..=3)
        .map(|n| ImageSpec::new(&format!("release {n}")).layer(Layer::seeded(n, 20_000)).build())
        .collect();
    for (image, tag) in images.iter().zip(["v1", "v2", "v3"]) {
        layout.add(tag, image);
        skopeo.push(&layout, tag, &registry, &format!("team/app:{tag}"));
    }
    for (tag, hours) in [("v1", 3), ("v2", 2), ("v3", 1)] {
        registry.set_push_time("team/app", tag, ago(Duration::from_secs(3600 * hours)));
    }

    let swept = holding(&registry).keep(2).run().assert_code(0);

    assert_eq!(registry.client().tags("team/app"), names(&["v2", "v3"]));
    assert_eq!(blobs_on_disk(&registry), digests_of(&images), "nothing of it is reclaimed");
    assert_eq!(swept.total("tags_removed"), 1);
    assert_eq!(swept.total("manifests_removed"), 0);
    let report = swept.report();
    assert_eq!(report["undo"]["tags"], 1, "{report}");
    assert!(report["undo"]["bytes"].as_u64().unwrap() > 20_000, "{report}");
    assert!(report["undo"]["last_due"].is_string(), "{report}");
    let listed = trash(&registry);
    let tag = &listed["tags"][0];
    assert_eq!((tag["repository"].as_str(), tag["tag"].as_str()), (Some("team/app"), Some("v1")));
    assert_eq!(tag["digest"].as_str(), Some(images[0].digest().as_str()));
    assert_eq!(tag["sweep"], report["sweep"]);
    assert_eq!(tag["reasons"][0]["code"], "beyond-keep-last");
    assert_eq!(tag["bytes_alone"], report["undo"]["bytes"], "nothing else holds its layer");
    assert_eq!(listed["totals"]["bytes"], report["undo"]["bytes"]);

    // A second sweep changes nothing.
    let trees = trees(&registry);
    let again = holding(&registry).keep(2).run().assert_code(0);
    assert_eq!(again.report()["undo"]["tags"], 1);
    assert_unchanged(&trees, &registry);

    let restored = restore(&registry, &["team/app:v1"]).assert_code(0);

    assert_eq!(outcomes(&restored), [pair("v1", "restored")]);
    let into = registry.scratch().join("pulled");
    skopeo.pull(&registry, "team/app:v1", &into).unwrap();
    assert_all_pull(&registry, "team/app");
    assert_eq!(registry.view().tag_digest("team/app", "v1"), images[0].digest());
    assert_eq!(held(&registry), Vec::<String>::new());
    // It counts as just pushed, so it is the oldest of the others that goes now.
    holding(&registry).keep(2).run().assert_code(0);
    assert_eq!(registry.client().tags("team/app"), names(&["v1", "v3"]));
    assert_eq!(held(&registry), ["team/app:v2"]);
    assert_all_pull(&registry, "team/app");
}

#[test]
fn what_outlived_its_window_goes_and_its_bytes_come_back() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 3);
    holding(&registry).keep(1).run().assert_code(0);
    assert_eq!(held(&registry), ["app:v1", "app:v2"]);

    // An audit with a window that is over says what would go, and changes nothing.
    let tree = Tree::of(registry.store());
    let audit = janitor(&registry).keep(1).audit().env("UNDO_WINDOW", "1ms").run().assert_code(0);
    assert_eq!(audit.report()["undo"]["tags_expired"], 2);
    assert_eq!(audit.report()["undo"]["tags"], 0);
    assert_eq!(audit.total("manifests_removed"), 2);
    tree.assert_unchanged(&Tree::of(registry.store()));

    // The window that is set now counts, also for what is there already.
    let swept = janitor(&registry).keep(1).env("UNDO_WINDOW", "0s").run().assert_code(0);

    assert_eq!(swept.report()["undo"]["tags_expired"], 2);
    assert_eq!(swept.total("manifests_removed"), 2);
    assert!(swept.total("bytes_freed") > 0);
    assert_eq!(blobs_on_disk(&registry), digests_of(&images[2..]));
    assert_eq!(held(&registry), Vec::<String>::new());
    restore(&registry, &["app:v1"]).assert_code(1);
    assert_all_pull(&registry, "app");
}

#[test]
fn a_window_is_counted_from_the_removal_even_without_the_file_that_tells_of_it() {
    let registry = Registry::start();
    push_versions(&registry, "app", 2);
    let swept = holding(&registry).keep(1).run().assert_code(0);
    let id = swept.report()["sweep"].as_str().unwrap().to_owned();
    let undo = registry.store().join("janitor/trash/undo").join(&id);
    for name in ["removed.json", "reasons.json"] {
        std::fs::write(undo.join(name), "half a docum").unwrap();
    }

    holding(&registry).keep(1).run().assert_code(0);

    assert_eq!(held(&registry), ["app:v1"]);
    assert_eq!(trash(&registry)["tags"][0]["reasons"].as_array().unwrap().len(), 0);
    restore(&registry, &["app:v1"]).assert_code(0);
    assert_all_pull(&registry, "app");
}

#[test]
fn a_tag_that_exists_again_is_only_replaced_when_told_so_and_then_kept_itself() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 2);
    holding(&registry).keep(1).run().assert_code(0);
    let newer = Image::small(77);
    registry.client().push("app", "v1", &newer);
    let tree = Tree::without(registry.store(), &["janitor"]);

    let refused = restore(&registry, &["app:v1"]).assert_code(3);

    assert_eq!(outcomes(&refused), [pair("v1", "exists")]);
    assert!(refused.stdout.contains("--overwrite"), "{}", refused.stdout);
    tree.assert_unchanged(&Tree::without(registry.store(), &["janitor"]));

    let restored = restore(&registry, &["--overwrite", "app:v1"]).assert_code(0);

    assert_eq!(outcomes(&restored), [pair("v1", "restored")]);
    assert_eq!(registry.view().tag_digest("app", "v1"), images[0].digest());
    let listed = trash(&registry);
    assert_eq!(listed["tags"][0]["digest"].as_str(), Some(newer.digest().as_str()));
    assert_eq!(listed["tags"][0]["reasons"][0]["code"], "overwritten");
    assert_eq!(listed["tags"].as_array().unwrap().len(), 1);
    holding(&registry).keep(2).run().assert_code(0);
    assert_all_pull(&registry, "app");
    // And back again.
    restore(&registry, &["--overwrite", "app:v1"]).assert_code(0);
    assert_eq!(registry.view().tag_digest("app", "v1"), newer.digest());
    assert_all_pull(&registry, "app");
}

#[test]
fn all_that_one_sweep_removed_comes_back_and_of_several_removals_the_last() {
    let registry = Registry::start();
    let first = push_versions(&registry, "app", 3);
    push_versions(&registry, "other", 3);
    let one = holding(&registry).keep(2).run().assert_code(0);
    // v1 again, with other content, and removed again.
    let second = Image::small(50);
    push_series(&registry, "app", &[("v1", &second), ("v2", &first[1]), ("v3", &first[2])]);
    let two = holding(&registry).keep(2).run().assert_code(0);
    let id = |outcome: &Outcome| outcome.report()["sweep"].as_str().unwrap().to_owned();
    assert_eq!(held(&registry), ["app:v1", "app:v1", "other:v1"]);

    let unknown = restore(&registry, &["--sweep", "20200101T000000000Z-1"]).assert_code(1);
    assert!(unknown.stderr.contains(&id(&one)), "{}", unknown.stderr);
    restore(&registry, &["app:v1"]).assert_code(0);
    assert_eq!(registry.view().tag_digest("app", "v1"), second.digest());
    assert_eq!(restore(&registry, &["--sweep", &id(&two)]).assert_code(1).stdout.lines().count(), 1);

    let all = restore(&registry, &["--sweep", &id(&one), "--overwrite"]).assert_code(0);

    assert_eq!(outcomes(&all), [pair("v1", "restored"), pair("v1", "restored")]);
    assert_eq!(registry.view().tag_digest("app", "v1"), first[0].digest());
    assert_eq!(registry.client().tags("other"), names(&["v1", "v2", "v3"]));
    assert_all_pull(&registry, "app");
    assert_all_pull(&registry, "other");
}

#[test]
fn a_repository_whose_tags_are_all_in_the_trash_stays() {
    let registry = Registry::start();
    push_versions(&registry, "gone/app", 1);
    push_versions(&registry, "other", 1);
    // Its only tag is one that serves an image which has no other.
    let image = Image::small(60);
    let companion = image.companion_tag(".sig");
    registry.client().push("served", &companion, &image);
    registry.set_push_time("served", &companion, ago(Duration::from_secs(3600)));

    let swept = holding(&registry).keep(1).run().assert_code(0);

    assert_eq!(swept.total("repositories_removed"), 0);
    assert_eq!(held(&registry), [format!("served:{companion}")]);
    restore(&registry, &[&format!("served:{companion}")]).assert_code(0);
    assert_all_pull(&registry, "served");
}

#[test]
fn an_index_comes_back_with_its_children_and_its_signature() {
    let registry = Registry::start();
    let (index, last) = (Image::multi_arch(4), Image::small(5));
    let signature = Image::cosign_signature_of(&index);
    let companion = index.companion_tag(".sig");
    push_series(&registry, "app", &[("v1", &index), (&companion, &signature), ("v2", &last)]);
    holding(&registry).keep(1).run().assert_code(0);
    assert_eq!(registry.client().tags("app"), names(&["v2"]));

    let restored = restore(&registry, &["app:v1"]).assert_code(0);

    assert_eq!(outcomes(&restored).len(), 2, "{}", restored.stdout);
    assert_eq!(registry.client().tags("app"), names(&["v1", "v2", &companion]));
    holding(&registry).keep(2).run().assert_code(0);
    assert_eq!(registry.client().tags("app"), names(&["v1", "v2", &companion]));
    assert_all_pull(&registry, "app");
}

#[expect(clippy::disallowed_methods, reason = "this damages a store")]
fn take_away(path: &Path) {
    std::fs::remove_file(path).unwrap();
}

#[test]
fn what_is_not_whole_does_not_come_back_and_what_is_missing_is_told() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 2);
    holding(&registry).keep(1).run().assert_code(0);
    let layer = images[0].blobs().keys().find(|it| !images[1].blobs().contains_key(*it)).unwrap();
    for damage in ["empty link", "no link", "blob", "revision"] {
        let link = registry.view().layer_link("app", layer);
        match damage {
            "empty link" => Damage::to(&registry.view()).truncate_layer("app", layer),
            "no link" => take_away(&link),
            "blob" => {
                std::fs::write(link, layer.as_str()).unwrap();
                Damage::to(&registry.view()).truncate_blob(layer);
            }
            _ => Damage::to(&registry.view()).remove_revision("app", &images[0].digest()),
        }
        let trees = trees(&registry);
        let refused = restore(&registry, &["app:v1"]).assert_code(3);
        assert_eq!(outcomes(&refused), [pair("v1", "not-whole")], "{damage}");
        let told = if damage == "revision" { images[0].digest() } else { layer.clone() };
        assert!(refused.stdout.contains(told.as_str()), "{damage}: {}", refused.stdout);
        assert_unchanged(&trees, &registry);
    }
}

/// An index that lacks its last platform, as one does that was pushed without it.
fn push_without_a_platform(registry: &Registry, tag: &str, seed: u64) -> (Image, Digest) {
    let index = Image::multi_arch(seed);
    registry.client().push("app", tag, &index);
    let manifests: Vec<Digest> = index.documents().iter().map(Document::digest).collect();
    let platform = manifests[2].clone();
    let damage = Damage::to(&registry.view());
    damage.remove_revision("app", &platform);
    damage.remove_blob(&platform);
    (index, platform)
}

#[test]
fn an_index_that_was_pushed_without_all_of_its_platforms_comes_back_as_it_was() {
    let registry = Registry::start();
    let (index, platform) = push_without_a_platform(&registry, "v1", 4);
    registry.client().push("app", "v2", &Image::small(5));
    registry.set_push_time("app", "v1", ago(Duration::from_secs(60)));
    let deleted = index.documents()[0].digest();
    for _ in 0..2 {
        holding(&registry).keep(1).run().assert_code(0);
        assert_eq!(held(&registry), ["app:v1"]);

        // What is deleted over the API meanwhile is another matter.
        registry.client().delete("app", &deleted);
        let refused = restore(&registry, &["app:v1"]).assert_code(3);
        assert_eq!(outcomes(&refused), [pair("v1", "not-whole")]);
        assert!(refused.stdout.contains(deleted.as_str()), "{}", refused.stdout);
        assert!(!refused.stdout.contains(platform.as_str()), "{}", refused.stdout);
        let link = registry.view().revision_link("app", &deleted);
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        std::fs::write(link, deleted.as_str()).unwrap();

        let restored = restore(&registry, &["app:v1"]).assert_code(0);
        assert_eq!(outcomes(&restored), [pair("v1", "restored")]);
        assert!(restored.stdout.contains(platform.as_str()), "{}", restored.stdout);
        assert_eq!(registry.view().tag_digest("app", "v1"), index.digest());
        for child in &index.documents()[..2] {
            assert_eq!(registry.client().pull("app", child.digest().as_str()).err(), None);
        }
        // It is as broken as it was, and goes with what it lacked again.
        let swept = holding(&registry).keep(2).run().assert_code(3);
        assert_eq!(swept.report()["broken"][0]["missing"], serde_json::json!([platform.as_str()]));
        registry.set_push_time("app", "v1", ago(Duration::from_secs(60)));
    }
}

#[test]
fn a_platform_that_another_repository_has_was_not_in_this_one() {
    let registry = Registry::start();
    let (index, platform) = push_without_a_platform(&registry, "v1", 4);
    registry.client().push("lib", "whole", &index);
    registry.client().push("app", "v2", &Image::small(5));
    registry.set_push_time("app", "v1", ago(Duration::from_secs(60)));
    holding(&registry).keep(1).run().assert_code(0);
    let restored = restore(&registry, &["app:v1"]).assert_code(0);
    assert!(restored.stdout.contains(platform.as_str()), "{}", restored.stdout);
    // Once it is there, it counts like any other.
    registry.set_push_time("app", "v1", ago(Duration::from_secs(60)));
    holding(&registry).keep(1).run().assert_code(0);
    registry.client().push_untagged("app", &index);
    let restored = restore(&registry, &["app:v1"]).assert_code(0);
    assert!(restored.stdout.contains("the image is whole"), "{}", restored.stdout);
}

#[test]
fn a_name_that_is_not_in_the_trash_is_an_error_that_names_near_ones() {
    let registry = Registry::start();
    push_versions(&registry, "team/app", 2);
    holding(&registry).keep(1).run().assert_code(0);

    let unknown = restore(&registry, &["team/app:v1", "team/ap:v1"]).assert_code(1);

    assert!(unknown.stderr.contains("team/ap:v1 is not in the trash"), "{}", unknown.stderr);
    assert!(unknown.stderr.contains("nearest are team/app:v1"), "{}", unknown.stderr);
    assert_eq!(registry.client().tags("team/app"), names(&["v2"]), "all or nothing");
    restore(&registry, &["Team/App"]).assert_code(2);
    restore(&registry, &[]).assert_code(2);
}

#[test]
fn a_dry_run_brings_nothing_back_and_throws_nothing_away() {
    let registry = Registry::start();
    push_versions(&registry, "app", 2);
    holding(&registry).keep(1).run().assert_code(0);
    let tree = Tree::of(registry.store());

    let would = restore(&registry, &["--dry-run", "app:v1"]).assert_code(0);
    let empty = holding(&registry).env("DRY_RUN", "true").arg("trash").arg("empty").run().assert_code(0);
    let list = holding(&registry).arg("trash").arg("--output=text").run().assert_code(0);

    assert_eq!(outcomes(&would), [pair("v1", "would-restore")]);
    assert_eq!(empty.report()["tags_thrown_away"], 1);
    assert!(list.stdout.contains("1 removed tag can be brought back"), "{}", list.stdout);
    tree.assert_unchanged(&Tree::of(registry.store()));
}

#[test]
fn the_trash_is_emptied_by_those_who_say_so() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 3);
    holding(&registry).keep(1).run().assert_code(0);

    let refused = holding(&registry).arg("trash").arg("empty").run().assert_code(2);
    assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);
    assert_eq!(held(&registry).len(), 2);
    let emptied = holding(&registry).arg("trash").arg("empty").arg("--yes").run().assert_code(0);

    assert_eq!(emptied.report()["tags_thrown_away"], 2);
    assert_eq!(held(&registry), Vec::<String>::new());
    assert_eq!(blobs_on_disk(&registry), digests_of(&images), "the next sweep takes them");
    holding(&registry).keep(1).run().assert_code(0);
    assert_eq!(blobs_on_disk(&registry), digests_of(&images[2..]));
}

#[test]
fn what_cannot_be_read_in_the_trash_keeps_everything() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 2);
    let swept = holding(&registry).keep(1).run().assert_code(0);
    let undo = registry.store().join("janitor/trash/undo").join(swept.report()["sweep"].as_str().unwrap());
    let link = undo.join("repositories/app/_manifests/tags/v1/current/link");
    std::fs::write(link, "").unwrap();

    let doubt = holding(&registry).keep(1).run().assert_code(3);

    assert_eq!(blobs_on_disk(&registry), digests_of(&images));
    assert!(doubt.stdout.contains("bad-link"), "{}", doubt.stdout);
    assert_eq!(
        holding(&registry).arg("trash").run().assert_code(3).report()["tags"].as_array().unwrap().len(),
        0
    );
    // Once its time is over, it goes like any other.
    janitor(&registry).keep(1).run().assert_code(0);
    assert_eq!(blobs_on_disk(&registry), digests_of(&images[1..]));
}

#[test]
fn an_image_comes_back_with_the_referrers_that_were_removed_with_it() {
    let registry = Registry::start();
    let client = registry.client();
    let images = push_versions(&registry, "app", 2);
    // Under a tag of its own, under none, and a signature of the first in a repository of its own.
    let sbom = Image::referrer_of(&images[0], "application/spdx+json", "packages");
    let untagged = Image::referrer_of(&images[0], "application/vnd.scan+json", "findings");
    let about_sbom = Image::referrer_of(&sbom, "application/vnd.example.signature", "signed");
    client.push("app", "v1-sbom", &sbom);
    client.push("app", "v1-sbom-signature", &about_sbom);
    client.push_untagged("app", &untagged);
    let signature = images[0].companion_tag(".sig");
    client.push("signatures", &signature, &Image::cosign_signature_of(&images[0]));
    registry.set_push_time("signatures", &signature, ago(Duration::from_secs(3600)));
    client.push("signatures", "newer", &Image::small(50));
    holding(&registry).keep(1).run().assert_code(0);
    assert_eq!(client.tags("app"), names(&["v2"]));
    assert_eq!(client.tags("signatures"), names(&["newer"]));

    let restored = restore(&registry, &["app:v1"]).assert_code(0);

    let mut outcomes = outcomes(&restored);
    outcomes.sort_unstable();
    let tags = [signature.as_str(), "v1", "v1-sbom", "v1-sbom-signature"];
    assert_eq!(outcomes, tags.map(|tag| pair(tag, "restored")));
    // Nothing is held for undo any more, and all of it stays.
    janitor(&registry).keep(2).env("UNDO_WINDOW", "0s").run().assert_code(0);
    assert_eq!(client.tags("app"), names(&["v1", "v1-sbom", "v1-sbom-signature", "v2"]));
    assert_all_pull(&registry, "app");
    for referrer in [&sbom, &about_sbom, &untagged] {
        client.pull("app", referrer.digest().as_str()).unwrap();
    }
    assert_eq!(client.tags("signatures"), names(&["newer", &signature]));
    assert_all_pull(&registry, "signatures");
}
