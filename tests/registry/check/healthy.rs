//! A whole store has no finding, whatever kinds of images are in it.

use janitor_testkit::{Digest, Image, Registry};

use super::{check, checked};
use crate::stage::push_versions;

#[test]
fn a_store_of_every_kind_of_image_has_no_finding() {
    let registry = Registry::start();
    let client = registry.client();
    push_versions(&registry, "team/app", 3);
    // A tag that was pushed again leaves an untagged manifest and a past behind.
    client.push("team/app", "v1", &Image::small(9));
    let index = Image::multi_arch(20);
    client.push("team/app/nested", "latest", &index);
    client.push("team/app/nested", "signed", &Image::cosign_signature_of(&index));
    client.push_untagged("team/app", &Image::referrer_of(&Image::small(1), "application/x-sbom", "sbom"));
    // What the registry's own delete leaves is a directory without a link.
    client.push("gone", "v1", &Image::small(50));
    client.delete("gone", &Image::small(50).digest());
    // A layer that no manifest names yet.
    let bytes = b"a layer ahead of its image";
    client.push_blob("team/app", &Digest::of(bytes), bytes).unwrap();
    // A push under way.
    client.start_upload("team/app").unwrap();

    let outcome = checked(&registry).assert_code(0);

    let report = outcome.report();
    assert_eq!(report["findings"].as_array().unwrap().len(), 0, "{report:#}");
    assert_eq!(report["status"], "whole");
    assert_eq!(report["schema_version"], 1);
    assert_eq!((outcome.total("repositories"), outcome.total("tags")), (3, 5));
    assert_eq!(outcome.total("blobs"), registry.view().blobs().len() as u64);
    let text = check(&registry).arg("--output=text").run().assert_code(0).stdout;
    assert!(text.contains("3 repositories, 5 tags") && text.contains("everything is whole"), "{text}");
}

#[test]
fn a_store_that_the_collector_has_been_at_is_whole() {
    let registry = Registry::start();
    push_versions(&registry, "app", 3);
    crate::stage::janitor(&registry).env("GC_ENGINE", "registry").keep(1).run().assert_code(0);

    let outcome = checked(&registry).assert_code(0);

    // The registry's collector leaves the links of layers that it deleted: one note for all of them.
    let finding = super::only_finding(&outcome);
    assert_eq!((&finding["severity"], &finding["code"]), (&"note".into(), &"layer-link-dangling".into()));
    assert_eq!(finding["cause"], "4 layer links name blobs that are gone");
}

#[test]
fn a_check_may_be_of_some_repositories_only() {
    let registry = Registry::start();
    push_versions(&registry, "well", 1);
    let hurt = Image::small(70);
    registry.client().push("hurt/inside", "v1", &hurt);
    janitor_testkit::Damage::to(&registry.view()).remove_blob(hurt.blobs().keys().next().unwrap());

    let well = check(&registry).arg("well").run().assert_code(0);
    assert_eq!((well.total("repositories"), well.total("tags")), (1, 1));
    let hurt = check(&registry).arg("well").arg("hurt/inside").run().assert_code(4);
    assert_eq!(hurt.total("repositories"), 2);

    let unknown = check(&registry).arg("hurt").run().assert_code(2);
    assert!(unknown.stderr.contains("no repository hurt"), "{}", unknown.stderr);
    let odd = check(&registry).arg("No/Such").run().assert_code(2);
    assert!(odd.stderr.contains("expected a repository name"), "{}", odd.stderr);
}

#[test]
fn where_there_is_no_store_nothing_is_called_whole() {
    let registry = Registry::start();
    let outcome = check(&registry).arg("--data-dir=/nowhere").run().assert_code(10);
    assert_eq!(outcome.report()["status"], "no-store");
}
