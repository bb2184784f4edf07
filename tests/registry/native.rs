//! The janitor's own collector on stores of the real registry: what it takes, what it leaves, when it is chosen.

use std::collections::BTreeSet;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

use janitor_testkit::{Cache, Damage, Digest, Image, Janitor, Registry, RegistryOptions, Tree};

use crate::stage::{
    assert_all_pull, blobs_on_disk, digests_of, janitor, names, push_versions, registry_part,
};

fn native(registry: &Registry) -> Janitor {
    janitor(registry).env("GC_ENGINE", "native")
}

/// The layer links of a repository that lead somewhere or nowhere, by their directories.
fn links(registry: &Registry, repository: &str) -> BTreeSet<String> {
    let layers = registry.view().repository(repository).join("_layers/sha256");
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    fs::read_dir(layers).unwrap().map(|entry| name(entry.unwrap())).collect()
}

/// A blob of an image that is not its manifest.
fn blob_of(image: &Image) -> (&Digest, &[u8]) {
    let (digest, bytes) = image.blobs().iter().find(|(digest, _)| **digest != image.digest()).unwrap();
    (digest, bytes)
}

#[test]
fn blobs_go_with_their_links_and_their_directories_and_a_second_sweep_changes_nothing() {
    let registry = Registry::start();
    let images = push_versions(&registry, "team/app", 5);
    let before = registry.view().blob_bytes();

    let outcome = native(&registry).keep(2).run().assert_code(0);

    assert_eq!(registry.client().tags("team/app"), names(&["v4", "v5"]));
    assert_all_pull(&registry, "team/app");
    assert_eq!(blobs_on_disk(&registry), digests_of(&images[3..]));
    let report = outcome.report();
    let collection = &report["collection"];
    assert_eq!((&collection["engine"], &collection["status"]), (&"native".into(), &"done".into()));
    assert_eq!(collection["blobs_rescued"], 0);
    assert_eq!(outcome.total("blobs_removed"), 9);
    assert_eq!(outcome.total("bytes_freed"), before - registry.view().blob_bytes());
    // A configuration and a layer each.
    assert_eq!(collection["layer_links_removed"], 6);
    // Of the two that are left, and of a layer that all of them share.
    assert_eq!(links(&registry, "team/app").len(), 5);

    let swept = Tree::of(&registry_part(&registry));
    native(&registry).keep(2).run().assert_code(0);
    swept.assert_unchanged(&Tree::of(&registry_part(&registry)));
    // What it has taken can be pushed again.
    registry.client().push("team/app", "v1", &images[0]);
    registry.client().pull("team/app", "v1").unwrap();
}

#[test]
fn it_is_chosen_where_no_registry_is_installed() {
    let registry = Registry::start();
    push_versions(&registry, "app", 3);
    let nowhere = registry.scratch().join("no-such-registry");

    let sweep = janitor(&registry).collector(&nowhere).env("GC_ENGINE", "auto").keep(1);
    let outcome = sweep.run().assert_code(0);

    assert_eq!(outcome.report()["collection"]["engine"], "native");
    assert_eq!(outcome.total("blobs_removed"), 6);
}

#[test]
fn a_binary_that_was_given_and_cannot_be_run_is_reported_and_the_native_collector_runs() {
    let registry = Registry::start();
    push_versions(&registry, "app", 2);
    let scratch = registry.scratch();
    let (nowhere, idle) = (scratch.join("no-such-registry"), scratch.join("not-executable"));
    std::fs::write(&idle, "#!/bin/sh\n").unwrap();
    for binary in [&nowhere, &idle] {
        let sweep = janitor(&registry).collector(binary).env("GC_ENGINE", "auto").keep(1);
        let outcome = sweep.run().assert_code(0);
        assert_eq!(outcome.report()["collection"]["engine"], "native");
        let told = format!("there is no executable '{}', so GC_ENGINE=auto uses", binary.display());
        assert!(outcome.stderr.contains(&told), "{}", outcome.stderr);
        let findings = outcome.report()["findings"].to_string();
        assert!(findings.contains("JANITOR_REGISTRY_BIN") && findings.contains(&told), "{findings}");
    }

    let unset = janitor(&registry).without("JANITOR_REGISTRY_BIN").env("GC_ENGINE", "auto");
    let outcome = unset.env("PATH", "/nowhere").run().assert_code(0);
    assert_eq!(outcome.report()["collection"]["engine"], "native");
    assert!(!outcome.report()["findings"].to_string().contains("JANITOR_REGISTRY_BIN"));
}

#[test]
fn it_leaves_blobs_alone_while_nothing_tells_whether_the_registry_has_a_cache() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 3);
    let nowhere = registry.scratch().join("no-such-config.yml").display().to_string();
    let sweep = native(&registry).env("JANITOR_REGISTRY_CONFIG", &nowhere).keep(1);

    let outcome = sweep.run().assert_code(12);

    assert_eq!(blobs_on_disk(&registry), digests_of(&images));
    let detail = outcome.report()["collection"]["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("no-such-config.yml") && detail.contains("JANITOR_REGISTRY_URL"), "{detail}");

    // The registry itself may say.
    let outcome = sweep.env("JANITOR_REGISTRY_URL", &registry.url()).run().assert_code(0);
    assert_eq!(outcome.total("blobs_removed"), 6);
    assert_eq!(blobs_on_disk(&registry), digests_of(&images[2..]));
}

#[test]
fn a_registry_with_a_cache_keeps_its_blobs_and_links() {
    let registry =
        Registry::start_with(RegistryOptions { cache: Cache::InMemory, ..RegistryOptions::default() });
    let images = push_versions(&registry, "app", 3);

    native(&registry).keep(1).run().assert_code(12);

    assert_eq!(blobs_on_disk(&registry), digests_of(&images));
    assert_eq!(links(&registry, "app").len(), 7);
}

#[test]
fn links_that_lead_nowhere_go_and_those_of_broken_images_stay() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 3);
    // The registry's collector leaves them.
    janitor(&registry).env("GC_ENGINE", "registry").keep(2).run().assert_code(0);
    assert_eq!(links(&registry, "app").len(), 7);
    Damage::to(&registry.view()).remove_blob(blob_of(&images[1]).0);

    let outcome = native(&registry).keep(2).run().assert_code(3);

    assert_eq!(outcome.report()["broken"][0]["tag"], "v2");
    assert_eq!(outcome.report()["collection"]["layer_links_removed"], 2);
    assert_eq!(links(&registry, "app").len(), 5);
    // One push makes it whole.
    registry.client().push("app", "v2", &images[1]);
    native(&registry).keep(2).run().assert_code(0);
    assert_all_pull(&registry, "app");
}

#[test]
fn blobs_of_a_push_under_way_and_blobs_that_were_linked_anew_stay() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 3);
    sleep(Duration::from_millis(6500));
    // A registry that has a blob writes nothing but a link when it is uploaded once more.
    let (layer, bytes) = blob_of(&images[0]);
    registry.client().push_blob("fresh", layer, bytes).unwrap();
    let coming = Image::small(77);
    let (young, bytes) = blob_of(&coming);
    registry.client().push_blob("fresh", young, bytes).unwrap();

    let outcome = native(&registry).env("GC_GRACE", "6s").keep(1).run().assert_code(0);

    let mut expected = digests_of(&images[2..]);
    expected.extend([layer.clone(), young.clone()]);
    assert_eq!(blobs_on_disk(&registry), expected);
    assert_eq!(outcome.total("blobs_held"), 2);
    assert!(outcome.report()["totals"]["held_until"].is_string());
    registry.client().push("fresh", "v1", &coming);
    assert_all_pull(&registry, "fresh");
}

#[test]
fn a_platform_deleted_in_one_repository_stays_in_another() {
    let registry = Registry::start();
    let multi = Image::multi_arch(3);
    for repository in ["prod/app", "dev/app"] {
        registry.client().push(repository, "v1", &multi);
    }
    let platform = &multi.documents()[0].digest();
    registry.client().delete("dev/app", platform);

    let outcome = native(&registry).keep(3).run().assert_code(3);

    assert_eq!(outcome.report()["broken"][0]["repository"], "dev/app");
    assert_eq!(outcome.total("blobs_removed"), 0);
    assert_all_pull(&registry, "prod/app");
}
