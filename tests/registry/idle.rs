//! Sweeps that have nothing to do, and places where there is no store.

use std::fs;

use janitor_testkit::{Image, Janitor, Registry, Tree};

use crate::stage::{binary, janitor, push_versions, registry_part};

#[test]
fn a_second_sweep_right_after_the_first_changes_nothing() {
    let registry = Registry::start();
    push_versions(&registry, "app", 5);
    push_versions(&registry, "app/nested", 1);
    registry.client().push("app", "many", &Image::multi_arch(1));
    janitor(&registry).keep(2).run().assert_code(0);
    let after_the_first = Tree::without(registry.store(), &["janitor"]);

    let second = janitor(&registry).keep(2).run().assert_code(0);

    after_the_first.assert_unchanged(&Tree::without(registry.store(), &["janitor"]));
    for total in ["tags_removed", "manifests_removed", "blobs_removed", "bytes_freed", "repositories_removed"]
    {
        assert_eq!(second.total(total), 0, "{total}");
    }
    assert_eq!(second.report()["collection"]["status"], "nothing-to-do");
}

#[test]
fn a_store_with_only_kept_images_is_left_alone() {
    let registry = Registry::start();
    push_versions(&registry, "app", 3);
    let before = Tree::of(&registry_part(&registry));

    let outcome = janitor(&registry).keep(10).run().assert_code(0);

    before.assert_unchanged(&Tree::of(&registry_part(&registry)));
    assert_eq!(outcome.total("tags_kept"), 3);
    assert_eq!(outcome.report()["collection"]["status"], "nothing-to-do");
}

#[test]
fn a_brand_new_registry_has_no_store_yet() {
    let registry = Registry::start();
    let before = Tree::of(registry.store());

    let outcome = janitor(&registry).run().assert_code(10);

    before.assert_unchanged(&Tree::of(registry.store()));
    let path = registry.store().display().to_string();
    assert!(outcome.stderr.contains(&path), "{}", outcome.stderr);
}

#[test]
fn a_missing_directory_is_no_store_and_is_not_made() {
    let registry = Registry::start();
    let missing = registry.scratch().join("not-mounted");

    let outcome =
        janitor(&registry).env("JANITOR_DATA_DIR", &missing.display().to_string()).run().assert_code(10);

    assert!(!missing.exists());
    assert!(outcome.stderr.contains("not-mounted"), "{}", outcome.stderr);
}

#[test]
fn an_audit_of_no_store_says_so_too() {
    let registry = Registry::start();
    fs::create_dir_all(registry.store().join("docker/registry/v2")).unwrap();
    let before = Tree::of(registry.store());

    janitor(&registry).audit().run().assert_code(10);

    before.assert_unchanged(&Tree::of(registry.store()));
}

#[test]
fn version_and_help_need_no_store() {
    let version = Janitor::bare(binary()).arg("--version").run().assert_code(0);
    assert!(version.stdout.contains(env!("CARGO_PKG_VERSION")));
    let help = Janitor::bare(binary()).arg("--help").run().assert_code(0);
    for setting in [
        "KEEP_LAST_N",
        "JANITOR_INTERVAL_SECS",
        "RUN_ONCE",
        "DRY_RUN",
        "RUN_GC",
        "GC_DELETE_UNTAGGED",
        "GC_ENGINE",
        "GC_GRACE",
        "GC_SETTLE",
        "GC_TIMEOUT",
        "UNDO_WINDOW",
        "JANITOR_DATA_DIR",
        "JANITOR_REGISTRY_CONFIG",
        "JANITOR_REGISTRY_BIN",
        "JANITOR_JOBS",
        "LOG_FORMAT",
        "LOG_LEVEL",
    ] {
        assert!(help.stdout.contains(setting), "--help is silent on {setting}");
    }
}
