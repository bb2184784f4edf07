//! A disk that is full to the last byte: the sweep that makes room on it still runs.

use std::fs;
use std::io;

use janitor_testkit::{Image, ImageSpec, Layer, Registry, RegistryOptions};

use super::assert_blobs;
use crate::small_disk::SmallDisk;
use crate::stage::{assert_all_pull, digests_of, janitor, names, push_series};

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
    let disk = SmallDisk::mount();
    let (registry, images) = three_images_on(&disk);
    janitor(&registry).keep(3).run().assert_code(0);
    disk.fill();
    let untried = disk.path().join("untried");
    let refusal = fs::write(&untried, "x").unwrap_err();
    assert_eq!(refusal.kind(), io::ErrorKind::StorageFull, "the disk is not full");

    let outcome = janitor(&registry).keep(1).run().assert_code(0);

    assert_eq!(outcome.total("tags_removed"), 2);
    assert!(outcome.total("bytes_freed") > 2 << 20, "{}", outcome.stdout);
    assert_eq!(registry.client().tags("app"), names(&["v3"]));
    assert_blobs(&registry, &digests_of(&images[2..]));
    assert_all_pull(&registry, "app");
    fs::write(&untried, "x").unwrap();
}
