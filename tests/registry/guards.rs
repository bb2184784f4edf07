//! Wrong settings about the registry: the janitor refuses rather than collect the wrong store, or a cached one.

use std::fs;
use std::path::{Path, PathBuf};

use janitor_testkit::{Cache, Collector, Registry, RegistryOptions, Tree};

use crate::stage::{assert_all_pull, blobs_on_disk, digests_of, janitor, push_versions, registry_part};

/// A registry's configuration for another directory.
fn config_for(registry: &Registry, rootdirectory: &Path) -> PathBuf {
    let path = registry.scratch().join("other.yml");
    let text = format!(
        "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: :5000\n",
        rootdirectory.display()
    );
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_configuration_of_another_store_is_refused_and_nothing_goes() {
    let registry = Registry::start();
    push_versions(&registry, "app", 3);
    let elsewhere = registry.scratch().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let config = config_for(&registry, &elsewhere);
    let before = Tree::of(&registry_part(&registry));

    let outcome = janitor(&registry)
        .keep(1)
        .env("JANITOR_REGISTRY_CONFIG", &config.display().to_string())
        .run()
        .assert_code(12);

    before.assert_unchanged(&Tree::of(&registry_part(&registry)));
    assert!(outcome.stderr.contains("elsewhere"), "{}", outcome.stderr);
}

#[test]
fn an_environment_that_names_another_store_is_refused_and_nothing_goes() {
    let registry = Registry::start();
    push_versions(&registry, "app", 3);
    let elsewhere = registry.scratch().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let before = Tree::of(&registry_part(&registry));

    let outcome = janitor(&registry)
        .keep(1)
        .env("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", &elsewhere.display().to_string())
        .run()
        .assert_code(12);

    before.assert_unchanged(&Tree::of(&registry_part(&registry)));
    assert!(outcome.stderr.contains("elsewhere"), "{}", outcome.stderr);
}

#[test]
fn the_same_store_by_another_path_is_ours() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 2);
    let same = registry.store().join("../store/.");
    let config = config_for(&registry, &same);

    janitor(&registry)
        .keep(1)
        .env("JANITOR_REGISTRY_CONFIG", &config.display().to_string())
        .run()
        .assert_code(0);

    assert_all_pull(&registry, "app");
    assert_eq!(blobs_on_disk(&registry), digests_of(&images[1..]));
}

#[test]
fn a_missing_configuration_is_named() {
    let registry = Registry::start();
    push_versions(&registry, "app", 2);
    let blobs = blobs_on_disk(&registry);
    let missing = registry.scratch().join("missing.yml");

    let outcome =
        janitor(&registry).keep(1).env("JANITOR_REGISTRY_CONFIG", &missing.display().to_string()).run();

    assert!(matches!(outcome.code, Some(2 | 3 | 12)), "exit code {:?}\n{}", outcome.code, outcome.stderr);
    assert!(outcome.stderr.contains("missing.yml"), "{}", outcome.stderr);
    assert_eq!(blobs_on_disk(&registry), blobs);
    assert_all_pull(&registry, "app");
}

#[test]
fn no_blob_goes_beside_a_registry_that_remembers_blobs_in_memory() {
    let registry =
        Registry::start_with(RegistryOptions { cache: Cache::InMemory, ..RegistryOptions::default() });
    let images = push_versions(&registry, "app", 3);
    let scripts = Collector::scripts_in(registry.scratch());
    let recording = scripts.recording("recording");

    let outcome = janitor(&registry).keep(1).collector(&recording).run().assert_code(12);

    assert!(outcome.stderr.contains("inmemory"), "{}", outcome.stderr);
    let calls = scripts.calls("recording");
    assert!(calls.iter().all(|call| call.contains("--dry-run")), "{calls:?}");
    for layer in images.iter().flat_map(|image| image.blobs().keys()) {
        assert!(registry.view().has_blob(layer), "{layer} went");
    }
    // What the registry believes is still true: an old image can be pushed again without its layers.
    registry.client().push("app", "v1", &images[0]);
    assert_all_pull(&registry, "app");
}

#[test]
fn a_cache_that_the_environment_switches_on_is_seen() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 2);

    janitor(&registry).keep(1).env("REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR", "inmemory").run().assert_code(12);

    for layer in images.iter().flat_map(|image| image.blobs().keys()) {
        assert!(registry.view().has_blob(layer), "{layer} went");
    }
}

#[test]
fn the_store_of_a_pull_through_cache_is_left_alone() {
    let registry = Registry::start();
    push_versions(&registry, "app", 3);
    // What such a registry leaves in its root directory.
    fs::write(registry.store().join("scheduler-state.json"), "{}").unwrap();
    let before = Tree::of(registry.store());
    for sweep in [janitor(&registry).keep(1), janitor(&registry).keep(1).audit()] {
        let told = sweep.run().assert_code(12).stderr;
        assert!(told.contains("pull-through cache (scheduler-state.json"), "{told}");
        before.assert_unchanged(&Tree::of(registry.store()));
    }
}
