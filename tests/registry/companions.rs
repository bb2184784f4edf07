//! Signatures, attestations and referrers follow their image and take none of its places.

use janitor_testkit::{Image, Registry};

use crate::stage::{assert_all_pull, blobs_on_disk, digests_of, janitor, names, push_series};

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
