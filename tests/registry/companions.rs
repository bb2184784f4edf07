//! Signatures, attestations and referrers follow their image and take none of its places.

#![expect(clippy::disallowed_methods, reason = "a test is the storage that goes away")]

use std::collections::BTreeSet;
use std::time::Duration;

use janitor_testkit::{Image, Outcome, Registry, Tree, ago};

use crate::stage::{
    assert_all_pull, blobs_on_disk, digests_of, janitor, names, push_series, push_versions, registry_part,
};

const SBOM: &str = "application/vnd.example.sbom.v1";

#[test]
fn cosign_tags_stay_with_a_kept_image_and_go_with_a_removed_one() {
    let registry = Registry::start();
    let (old, new) = (Image::small(1), Image::small(2));
    push_series(&registry, "app", &[("v1", &old), ("v2", &new)]);
    let client = registry.client();
    for image in [&old, &new] {
        // The companion tags are pushed last and are therefore the newest of all.
        for suffix in [".sig", ".att", ".sbom"] {
            let companion = Image::cosign_signature_of(image);
            client.push("app", &image.companion_tag(suffix), &companion);
        }
    }

    let outcome = janitor(&registry).keep(1).run().assert_code(0);

    let kept = [".sig", ".att", ".sbom"].map(|suffix| new.companion_tag(suffix));
    let mut expected = names(&["v2"]);
    expected.extend(kept);
    assert_eq!(client.tags("app"), expected);
    assert_all_pull(&registry, "app");
    let signature = Image::cosign_signature_of(&new);
    assert_eq!(blobs_on_disk(&registry), digests_of([&new, &signature]));
    assert_eq!(outcome.total("tags_removed"), 4);
    let told = outcome.tag("app", &old.companion_tag(".sig"));
    assert_eq!(told["decision"], "remove", "{told}");
}

#[test]
fn a_referrer_pushed_by_digest_lives_and_goes_with_its_subject() {
    let registry = Registry::start();
    let (old, new) = (Image::small(1), Image::small(2));
    push_series(&registry, "app", &[("v1", &old), ("v2", &new)]);
    let about_old = Image::referrer_of(&old, SBOM, "old");
    let about_new = Image::referrer_of(&new, SBOM, "new");
    // A signature of the SBOM: a referrer of a referrer.
    let about_that = Image::referrer_of(&about_new, "application/vnd.example.signature", "signed");
    let client = registry.client();
    for referrer in [&about_old, &about_new, &about_that] {
        client.push_untagged("app", referrer);
    }

    janitor(&registry).keep(1).run().assert_code(0);

    client.pull("app", "v2").unwrap();
    for referrer in [&about_new, &about_that] {
        client.pull("app", referrer.digest().as_str()).unwrap();
    }
    client.pull("app", about_old.digest().as_str()).unwrap_err();
    assert_eq!(blobs_on_disk(&registry), digests_of([&new, &about_new, &about_that]));
}

#[test]
fn a_fallback_tag_and_its_referrers_follow_the_image() {
    let registry = Registry::start();
    let (old, new) = (Image::small(1), Image::small(2));
    push_series(&registry, "app", &[("v1", &old), ("v2", &new)]);
    let client = registry.client();
    for image in [&old, &new] {
        let referrer = Image::referrer_of(image, SBOM, &image.digest().to_string());
        let fallback = Image::fallback_index(&[&referrer]);
        client.push("app", &image.companion_tag(""), &fallback);
    }

    janitor(&registry).keep(1).run().assert_code(0);

    let mut expected = names(&["v2"]);
    expected.insert(new.companion_tag(""));
    assert_eq!(client.tags("app"), expected);
    assert_all_pull(&registry, "app");
    let about_new = Image::referrer_of(&new, SBOM, &new.digest().to_string());
    let fallback = Image::fallback_index(&[&about_new]);
    assert_eq!(blobs_on_disk(&registry), digests_of([&new, &fallback]));
}

#[test]
fn a_signature_of_one_platform_stays_with_its_index() {
    let registry = Registry::start();
    let index = Image::multi_arch(1);
    let child = index.documents()[0].digest();
    let client = registry.client();
    push_series(&registry, "app", &[("v1", &Image::small(1)), ("v2", &index)]);
    let signature = Image::cosign_signature_of(&index);
    client.push("app", &child.companion_tag(".sig"), &signature);

    janitor(&registry).keep(1).run().assert_code(0);

    let mut expected = names(&["v2"]);
    expected.insert(child.companion_tag(".sig"));
    assert_eq!(client.tags("app"), expected);
    assert_all_pull(&registry, "app");
}

#[test]
fn companion_tags_take_no_place() {
    let registry = Registry::start();
    let images: Vec<Image> = (1..=3).map(Image::small).collect();
    let client = registry.client();
    push_series(&registry, "app", &[("v1", &images[0]), ("v2", &images[1]), ("v3", &images[2])]);
    for image in &images {
        let signature = Image::cosign_signature_of(image);
        client.push("app", &image.companion_tag(".sig"), &signature);
    }

    let outcome = janitor(&registry).keep(3).run().assert_code(0);

    assert_eq!(outcome.total("tags_removed"), 0);
    assert_eq!(client.tags("app").len(), 6);
    assert_all_pull(&registry, "app");
}

#[test]
fn signatures_stay_while_the_repository_of_their_images_is_missing() {
    let registry = Registry::start();
    let images = push_versions(&registry, "team/app", 3);
    sign_elsewhere(&registry, "team/signatures", &images);
    janitor(&registry).keep(3).run().assert_code(0);
    let repository = registry.view().repository("team/app");
    let elsewhere = registry.scratch().join("elsewhere");
    std::fs::rename(&repository, &elsewhere).unwrap();
    let outcome = janitor(&registry).keep(1).arg("--max-remove-percent=100").run().assert_code(3);
    assert_eq!(registry.client().tags("team/signatures").len(), 3);
    let told = reason(&outcome, "team/signatures", &images[0].companion_tag(".sig"));
    assert_eq!(told, "image-unknown");
    std::fs::rename(&elsewhere, &repository).unwrap();
    janitor(&registry).keep(3).run().assert_code(0);
    assert_eq!(registry.client().tags("team/signatures").len(), 3);
}

/// Why a tag stays or goes.
fn reason(outcome: &Outcome, repository: &str, tag: &str) -> String {
    outcome.tag(repository, tag)["reasons"][0]["code"].as_str().unwrap().to_owned()
}

/// Signatures of these images as cosign pushes them with `COSIGN_REPOSITORY`, the first of them first.
fn sign_elsewhere(registry: &Registry, repository: &str, images: &[Image]) {
    for (image, minutes) in images.iter().rev().zip(1..) {
        let tag = image.companion_tag(".sig");
        registry.client().push(repository, &tag, &Image::cosign_signature_of(image));
        registry.set_push_time(repository, &tag, ago(Duration::from_secs(60 * minutes)));
    }
}

#[test]
fn signatures_in_a_repository_of_their_own_stay_with_the_images_of_others() {
    let registry = Registry::start();
    let client = registry.client();
    let images = push_versions(&registry, "team/app", 5);
    sign_elsewhere(&registry, "team/signatures", &images);
    let signature = |at: usize| images[at].companion_tag(".sig");

    let outcome = janitor(&registry).keep(2).run().assert_code(0);

    assert_eq!(client.tags("team/app"), names(&["v4", "v5"]));
    // Those of kept images, and of the others the newest two.
    let expected: BTreeSet<String> = [1, 2, 3, 4].map(signature).into();
    assert_eq!(client.tags("team/signatures"), expected);
    assert_all_pull(&registry, "team/signatures");
    let told = |at: usize| reason(&outcome, "team/signatures", &signature(at));
    assert_eq!(
        [0, 1, 2, 3, 4].map(told),
        ["beyond-keep-last", "newest", "newest", "image-elsewhere", "image-elsewhere"]
    );
    let text = &outcome.tag("team/signatures", &signature(4))["reasons"][0]["text"];
    assert!(text.as_str().unwrap().ends_with("which team/app keeps"), "{text}");
    let swept = Tree::of(&registry_part(&registry));
    janitor(&registry).keep(2).run().assert_code(0);
    swept.assert_unchanged(&Tree::of(&registry_part(&registry)));
}

#[test]
fn referrers_in_a_repository_of_their_own_stay_with_the_images_of_others() {
    let registry = Registry::start();
    let client = registry.client();
    let images = push_versions(&registry, "app", 2);
    let [old, new] = [0, 1].map(|at| Image::referrer_of(&images[at], SBOM, &format!("sbom {at}")));
    let about_that = Image::referrer_of(&new, "application/vnd.example.signature", "signed");
    let listed = Image::referrer_of(&images[1], "application/vnd.example.scan", "listed");
    for referrer in [&old, &new, &about_that] {
        client.push_untagged("sboms", referrer);
    }
    // The signature of an SBOM may have another repository again.
    client.push_untagged("signatures", &about_that);
    client.push("sboms", &images[1].companion_tag(""), &Image::fallback_index(&[&listed]));

    let outcome = janitor(&registry).keep(1).run().assert_code(0);

    assert_eq!(reason(&outcome, "sboms", &images[1].companion_tag("")), "image-elsewhere");
    assert_all_pull(&registry, "sboms");
    for referrer in [&new, &about_that, &listed] {
        client.pull("sboms", referrer.digest().as_str()).unwrap();
    }
    client.pull("signatures", about_that.digest().as_str()).unwrap();
    client.pull("sboms", old.digest().as_str()).unwrap_err();
    let du = janitor(&registry).arg("du").run().assert_code(0).report();
    assert_eq!(du["totals"]["reclaimable_bytes"], 0, "{du}");
    // They go with the last image that they are about.
    client.push("app", "v3", &Image::small(3));
    janitor(&registry).keep(1).run().assert_code(0);
    client.pull("sboms", new.digest().as_str()).unwrap_err();
    client.pull("signatures", about_that.digest().as_str()).unwrap_err();
}

#[test]
fn the_signature_of_an_image_that_another_repository_keeps_stays() {
    let registry = Registry::start();
    let client = registry.client();
    let images = push_versions(&registry, "dev", 2);
    client.push("prod", "v1", &images[0]);
    let signature = images[0].companion_tag(".sig");
    client.push("dev", &signature, &Image::cosign_signature_of(&images[0]));

    let outcome = janitor(&registry).keep(1).run().assert_code(0);

    assert_eq!(reason(&outcome, "dev", &signature), "image-elsewhere");
    assert_eq!(client.tags("dev"), BTreeSet::from(["v2".to_owned(), signature.clone()]));
    assert_all_pull(&registry, "dev");
    assert_all_pull(&registry, "prod");
    let swept = Tree::of(&registry_part(&registry));
    janitor(&registry).keep(1).run().assert_code(0);
    swept.assert_unchanged(&Tree::of(&registry_part(&registry)));
}
