//! A disk that is full to the last byte: the sweep that makes room on it still runs.

#![expect(clippy::disallowed_methods, reason = "this test takes the janitor's reserve away")]

use std::fs;
use std::io;

use janitor_testkit::{Image, ImageSpec, Janitor, Layer, Registry, RegistryOptions};

use super::{assert_blobs, findings};
use crate::small_disk::SmallDisk;
use crate::stage::{assert_all_pull, blobs_on_disk, digests_of, janitor, names, push_series};

fn three_images_on(disk: &SmallDisk) -> (Registry, Vec<Image>) {
    let store = disk.path().join("store");
    let registry = Registry::start_with(RegistryOptions { store: Some(store), ..RegistryOptions::default() });
    let images: Vec<Image> =
        (1..=3).map(|seed| ImageSpec::new("large").layer(Layer::seeded(seed, 1 << 20)).build()).collect();
    push_series(&registry, "app", &[("v1", &images[0]), ("v2", &images[1]), ("v3", &images[2])]);
    (registry, images)
}

#[test]
fn a_sweep_makes_room_on_a_disk_that_is_full_to_the_last_byte() {
    for engine in ["registry", "native"] {
        make_room_by(engine);
    }
}

#[track_caller]
fn make_room_by(engine: &str) {
    let disk = SmallDisk::mount();
    let (registry, images) = three_images_on(&disk);
    let janitor = janitor(&registry).env("GC_ENGINE", engine);
    janitor.clone().keep(3).run().assert_code(0);
    disk.fill();
    let untried = disk.path().join("untried");
    let refusal = fs::write(&untried, "x").unwrap_err();
    assert_eq!(refusal.kind(), io::ErrorKind::StorageFull, "the disk is not full");

    let outcome = janitor.keep(1).run().assert_code(0);

    assert_eq!(outcome.total("tags_removed"), 2);
    assert!(outcome.total("bytes_freed") > 2 << 20, "{}", outcome.stdout);
    assert_eq!(registry.client().tags("app"), names(&["v3"]));
    assert_blobs(&registry, &digests_of(&images[2..]));
    assert_all_pull(&registry, "app");
    fs::write(&untried, "x").unwrap();
}

#[test]
fn a_registry_that_has_no_room_for_an_upload_can_still_be_asked_for_a_cache() {
    let disk = SmallDisk::mount();
    let (registry, images) = three_images_on(&disk);
    let janitor = janitor(&registry).env("GC_ENGINE", "native").env("JANITOR_REGISTRY_URL", &registry.url());
    janitor.clone().keep(1).env("RUN_GC", "false").run().assert_code(0);
    disk.fill();

    let outcome = janitor.keep(1).run().assert_code(0);

    assert!(outcome.total("bytes_freed") > 2 << 20, "{}", outcome.stdout);
    assert_blobs(&registry, &digests_of(&images[2..]));
    assert_all_pull(&registry, "app");
}

/// A full disk: no free byte, or no free inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    Bytes,
    Inodes,
}

impl Full {
    fn mount(self) -> SmallDisk {
        match self {
            Self::Bytes => SmallDisk::mount(),
            Self::Inodes => SmallDisk::mount_with_inodes(600),
        }
    }

    fn fill(self, disk: &SmallDisk) {
        match self {
            Self::Bytes => disk.fill(),
            Self::Inodes => disk.fill_inodes(),
        }
    }
}

#[test]
fn a_sweep_makes_room_on_a_disk_without_a_free_inode() {
    for engine in ["registry", "native"] {
        let disk = Full::Inodes.mount();
        let (registry, images) = three_images_on(&disk);
        let janitor = janitor(&registry).env("GC_ENGINE", engine);
        janitor.clone().keep(3).run().assert_code(0);
        Full::Inodes.fill(&disk);

        let outcome = janitor.clone().keep(1).run().assert_code(0);

        assert_eq!(outcome.total("tags_removed"), 2, "{engine}");
        assert!(outcome.total("bytes_freed") > 2 << 20, "{engine}: {}", outcome.stdout);
        assert_eq!(registry.client().tags("app"), names(&["v3"]));
        assert_blobs(&registry, &digests_of(&images[2..]));
        assert_all_pull(&registry, "app");
        // What was given up is made again, for the next time.
        janitor.keep(1).run().assert_code(0);
        assert_eq!(fs::read_dir(registry.store().join("janitor/spare")).unwrap().count(), 64, "{engine}");
    }
}

#[test]
fn a_registry_that_has_no_inode_for_an_upload_can_still_be_asked_for_a_cache() {
    let disk = Full::Inodes.mount();
    let (registry, images) = three_images_on(&disk);
    let janitor = janitor(&registry).env("GC_ENGINE", "native").env("JANITOR_REGISTRY_URL", &registry.url());
    janitor.clone().keep(1).env("RUN_GC", "false").run().assert_code(0);
    Full::Inodes.fill(&disk);

    let outcome = janitor.keep(1).run().assert_code(0);

    assert!(outcome.total("bytes_freed") > 2 << 20, "{}", outcome.stdout);
    assert_blobs(&registry, &digests_of(&images[2..]));
    assert_all_pull(&registry, "app");
}

#[test]
fn the_first_sweep_of_a_store_makes_room_on_a_disk_without_a_free_byte() {
    for engine in ["registry", "native"] {
        let disk = Full::Bytes.mount();
        let (registry, images) = three_images_on(&disk);
        Full::Bytes.fill(&disk);
        let janitor = janitor(&registry).env("GC_ENGINE", engine);

        let outcome = janitor.clone().keep(1).run();

        assert!(outcome.total("bytes_freed") > 2 << 20, "{engine}: {} {}", outcome.stdout, outcome.stderr);
        assert_blobs(&registry, &digests_of(&images[2..]));
        assert_all_pull(&registry, "app");
        janitor.keep(1).run().assert_code(0);
        assert!(registry.store().join("janitor/reserve").exists(), "{engine}");
    }
}

#[test]
fn the_first_sweep_of_a_store_without_a_free_inode_says_what_to_free_and_that_helps() {
    for engine in ["registry", "native"] {
        let disk = Full::Inodes.mount();
        let (registry, images) = three_images_on(&disk);
        Full::Inodes.fill(&disk);
        let janitor = janitor(&registry).env("GC_ENGINE", engine);

        let outcome = janitor.clone().keep(1).run().assert_code(1);
        assert!(outcome.stderr.contains("No space left"), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("hint: free at least 32 files (inodes)"), "{}", outcome.stderr);
        assert_eq!(registry.client().tags("app"), names(&["v1", "v2", "v3"]), "nothing is lost");

        disk.make_room_for_inodes(32);
        let outcome = janitor.clone().keep(1).run();
        assert!(outcome.total("bytes_freed") > 2 << 20, "{engine}: {} {}", outcome.stdout, outcome.stderr);
        assert_blobs(&registry, &digests_of(&images[2..]));
        assert_all_pull(&registry, "app");
        janitor.keep(1).run().assert_code(0);
    }
}

#[test]
fn a_sweep_without_a_reserve_and_without_a_free_inode_collects_what_it_can_without_a_list() {
    let disk = Full::Inodes.mount();
    let (registry, images) = three_images_on(&disk);
    let janitor = janitor(&registry).env("GC_ENGINE", "native");
    janitor.clone().keep(1).env("RUN_GC", "false").run().assert_code(0);
    for part in ["reserve", "spare", "trash"] {
        let path = registry.store().join("janitor").join(part);
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
    }
    Full::Inodes.fill(&disk);

    let outcome = janitor.clone().keep(1).run();

    assert!(outcome.total("bytes_freed") > 2 << 20, "{} {}", outcome.stdout, outcome.stderr);
    assert_blobs(&registry, &digests_of(&images[2..]));
    assert_all_pull(&registry, "app");
    janitor.keep(1).run().assert_code(0);
}

/// The tags in the trash, each with how many reasons are known for its removal.
fn removed(holding: &Janitor) -> Vec<(String, usize)> {
    let report = holding.clone().arg("trash").run().assert_code(0).report();
    let told = report["tags"].as_array().unwrap().iter();
    told.map(|it| (it["tag"].as_str().unwrap().to_owned(), it["reasons"].as_array().unwrap().len())).collect()
}

/// On a full disk, with or without the room that the janitor keeps for itself, tags are removed that can be
/// brought back from there.
#[track_caller]
fn remove_and_bring_back_on_a_full_disk(has_reserve: bool) {
    let disk = SmallDisk::mount();
    let (registry, images) = three_images_on(&disk);
    let holding = janitor(&registry).env("UNDO_WINDOW", "1h");
    holding.clone().keep(3).run().assert_code(0);
    if !has_reserve {
        fs::remove_file(registry.store().join("janitor/reserve")).unwrap();
    }
    disk.fill();

    let outcome = holding.clone().keep(1).run().assert_code(if has_reserve { 0 } else { 3 });

    assert_eq!(outcome.total("tags_removed"), 2);
    assert_eq!(registry.client().tags("app"), names(&["v3"]));
    assert_blobs(&registry, &digests_of(&images));
    let reasons = usize::from(has_reserve);
    assert_eq!(removed(&holding), [("v1".to_owned(), reasons), ("v2".to_owned(), reasons)]);
    if !has_reserve {
        // What is missing is told, and so is why.
        let told = findings(&outcome.report(), "error");
        assert!(told[0]["path"].as_str().unwrap().starts_with("janitor/trash/pending/"), "{told:#?}");
        assert!(told[0]["cause"].as_str().unwrap().contains("No space left"), "{told:#?}");
    }
    holding.clone().arg("restore").arg("app:v1").run().assert_code(0);
    assert_eq!(registry.client().tags("app"), names(&["v1", "v3"]));
    assert_all_pull(&registry, "app");

    disk.make_room();
    let outcome = holding.clone().keep(2).run().assert_code(0);
    assert_eq!(outcome.total("tags_removed"), 0);
    assert_eq!(findings(&outcome.report(), "error"), [0; 0]);
    assert_eq!(removed(&holding), [("v2".to_owned(), reasons)]);
    assert_eq!(blobs_on_disk(&registry), digests_of(&images));
    holding.clone().arg("restore").arg("app:v2").run().assert_code(0);
    assert_eq!(registry.client().tags("app"), names(&["v1", "v2", "v3"]));
    assert_all_pull(&registry, "app");
}

#[test]
fn what_is_removed_on_a_full_disk_can_be_brought_back_with_the_reasons_for_its_removal() {
    remove_and_bring_back_on_a_full_disk(true);
}

#[test]
fn what_is_removed_on_a_full_disk_without_any_reserve_can_be_brought_back() {
    remove_and_bring_back_on_a_full_disk(false);
}
