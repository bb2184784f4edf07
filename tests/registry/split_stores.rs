//! A store whose parts lie on different file systems, as when a mount is missing: it is refused, and nothing changes.

use std::path::Path;

use janitor_testkit::{Outcome, Registry, Tree};

use crate::small_disk::SmallDisk;
use crate::stage::{assert_all_pull, blobs_on_disk, digests_of, janitor, push_versions, registry_part};

/// Sweeps, audits and checks while another disk holds a part of the store, and once more when it is whole again.
fn refused_while_elsewhere(part: impl Fn(&Path) -> std::path::PathBuf, told: impl Fn(&Path) -> String) {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 3);
    let below = Tree::of(&registry_part(&registry));
    let disk = SmallDisk::mount_over_a_copy_of(&part(registry.store()));
    let before = Tree::of(registry.store());
    let told = told(registry.store());
    let is_told = |outcome: Outcome| {
        let outcome = outcome.assert_code(12);
        assert!(outcome.stderr.contains(&told), "{told:?} is not in {}", outcome.stderr);
        before.assert_unchanged(&Tree::of(registry.store()));
    };
    is_told(janitor(&registry).keep(1).run());
    is_told(janitor(&registry).keep(1).audit().run());
    is_told(janitor(&registry).keep(1).arg("--accept-losses").run());
    is_told(janitor(&registry).arg("check").run());

    drop(disk);
    below.assert_unchanged(&Tree::of(&registry_part(&registry)));
    janitor(&registry).keep(1).run().assert_code(0);
    assert_eq!(blobs_on_disk(&registry), digests_of(&images[2..]));
    assert_all_pull(&registry, "app");
}

#[test]
fn blobs_on_another_file_system_than_the_repositories_are_refused() {
    refused_while_elsewhere(
        |store| store.join("docker/registry/v2/blobs"),
        |store| {
            let (store, v2) = (store.display(), "docker/registry/v2");
            format!("{store}/{v2}/repositories and {store}/{v2}/blobs are on different file systems")
        },
    );
}

#[test]
fn repositories_on_another_file_system_than_the_root_directory_are_refused() {
    refused_while_elsewhere(
        |store| store.join("docker/registry"),
        |store| {
            let store = store.display();
            format!("{store} and {store}/docker/registry/v2/repositories are on different file systems")
        },
    );
}
