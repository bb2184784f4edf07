//! Remains of blobs and of repositories: tidied up once, and never in the way of a later sweep.

use std::fs::{self, File};
use std::time::Duration;

use janitor_testkit::{Collector, Digest, Registry, StoreBuilder, ago};

use super::{assert_blobs, damage, runs};
use crate::stage::{assert_all_pull, digests_of, janitor, names, push_versions};

#[test]
fn the_empty_directory_of_a_blob_is_removed_without_the_collector() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 1);
    let data = registry.view().blob_data(&Digest::of(b"once a blob"));
    let hollow = data.parent().unwrap();
    fs::create_dir_all(hollow).unwrap();
    let scripts = Collector::scripts_in(registry.scratch());
    let recording = scripts.recording("recording");

    let outcome = janitor(&registry).collector(&recording).run().assert_code(0);

    assert!(!hollow.exists(), "{}", outcome.stdout);
    assert_eq!(runs(&scripts, "recording"), (0, 0), "{}", outcome.stdout);
    assert_eq!(outcome.report()["collection"]["status"], "nothing-to-do");
    assert_blobs(&registry, &digests_of(&images));
    assert_all_pull(&registry, "app");
}

#[test]
fn the_last_repository_stays_while_there_are_blobs_so_that_no_later_sweep_refuses() {
    let registry = Registry::start();
    let repository = registry.view().repository("old");
    let hours_ago = ago(Duration::from_secs(3 * 3600));
    for directory in ["_manifests/tags", "_manifests/revisions/sha256", "_layers/sha256", "_uploads"] {
        fs::create_dir_all(repository.join(directory)).unwrap();
    }
    for directory in [
        "_manifests/tags",
        "_manifests/revisions/sha256",
        "_manifests/revisions",
        "_manifests",
        "_layers/sha256",
        "_layers",
        "_uploads",
        "",
    ] {
        File::open(repository.join(directory)).unwrap().set_modified(hours_ago).unwrap();
    }
    let young = StoreBuilder::new(registry.store()).loose_blob(b"on its way", ago(Duration::ZERO));
    let sweep = janitor(&registry).env("GC_GRACE", "1h");

    for _ in 0..2 {
        let outcome = sweep.run().assert_code(0);

        assert_eq!(outcome.total("repositories_removed"), 0);
        assert!(repository.is_dir());
        assert!(registry.view().has_blob(&young));
    }

    // It is the blob, and nothing else, that keeps it.
    damage(&registry).remove_blob(&young);
    let outcome = sweep.run().assert_code(0);
    assert_eq!(outcome.total("repositories_removed"), 1, "{}", outcome.stdout);
    assert_eq!(registry.client().catalog(), names(&[]));
}
