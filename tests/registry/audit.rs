//! An audit says what would go and why, and leaves the store exactly as it is.

use janitor_testkit::{Collector, Damage, Image, Registry, Tree};

use crate::stage::{janitor, push_series, push_versions};

/// A store with a bit of everything that can go.
fn a_full_store(registry: &Registry) {
    push_versions(registry, "team/app", 5);
    push_versions(registry, "team/app/nested", 2);
    let client = registry.client();
    push_series(
        registry,
        "many",
        &[
            ("v1", &Image::multi_arch(1)),
            ("v2", &Image::multi_arch(2)),
            ("v3", &Image::small(9)),
            ("latest", &Image::small(20)),
            ("latest", &Image::small(21)),
        ],
    );
    let signed = Image::small(1);
    client.push("team/app", &signed.companion_tag(".sig"), &Image::cosign_signature_of(&signed));
    client.start_upload("team/app").unwrap();
}

#[test]
fn the_store_is_byte_inode_and_mtime_identical_after_an_audit() {
    let registry = Registry::start();
    a_full_store(&registry);
    let before = Tree::of(registry.store());

    let outcome = janitor(&registry).keep(2).audit().run().assert_code(0);

    before.assert_unchanged(&Tree::of(registry.store()));
    assert!(outcome.total("tags_removed") > 0, "it looked at nothing");
    assert!(outcome.total("manifests_removed") > 0);
}

#[test]
fn an_audit_of_a_store_that_was_swept_before_changes_nothing_either() {
    let registry = Registry::start();
    a_full_store(&registry);
    janitor(&registry).keep(2).run().assert_code(0);
    push_versions(&registry, "team/later", 4);
    let before = Tree::of(registry.store());

    let outcome = janitor(&registry).keep(2).audit().run().assert_code(0);

    before.assert_unchanged(&Tree::of(registry.store()));
    assert_eq!(outcome.total("tags_removed"), 2);
}

#[test]
fn an_audit_foretells_what_the_sweep_then_does() {
    let registry = Registry::start();
    a_full_store(&registry);

    let audit = janitor(&registry).keep(2).audit().run().assert_code(0);
    let before = registry.view().blob_bytes();
    let sweep = janitor(&registry).keep(2).run().assert_code(0);
    let freed = before - registry.view().blob_bytes();

    assert!(freed > 0);
    for total in [
        "tags",
        "tags_removed",
        "tags_kept",
        "manifests_removed",
        "blobs_removed",
        "bytes_before",
        "bytes_after",
        "bytes_freed",
    ] {
        assert_eq!(audit.total(total), sweep.total(total), "{total}");
    }
    assert_eq!(audit.total("bytes_freed"), freed);
    let (audited, swept) = (audit.report(), sweep.report());
    assert_eq!(audited["dry_run"], true);
    assert_eq!(audited["status"], "audit");
    assert_eq!(swept["dry_run"], false);
    let tags = |report: &serde_json::Value, outcome: &str| -> Vec<String> {
        let mut names = Vec::new();
        for repository in report["repositories"].as_array().unwrap() {
            for tag in repository["tags"].as_array().unwrap() {
                if tag["outcome"] == outcome {
                    assert!(tag["reasons"][0]["text"].is_string(), "{tag}");
                    names.push(format!("{}:{}", repository["name"], tag["tag"]));
                }
            }
        }
        names
    };
    assert_eq!(tags(&audited, "would-remove"), tags(&swept, "removed"));
    assert_eq!(tags(&audited, "kept"), tags(&swept, "kept"));
}

#[test]
fn an_audit_in_words_names_each_tag_that_would_go() {
    let registry = Registry::start();
    push_versions(&registry, "team/app", 4);

    let outcome = janitor(&registry).keep(2).audit().env("JANITOR_OUTPUT", "text").run().assert_code(0);

    for word in ["team/app", "v1", "v2"] {
        assert!(outcome.stdout.contains(word), "{word}:\n{}", outcome.stdout);
    }
}

#[test]
fn an_audit_never_lets_the_collector_loose() {
    let registry = Registry::start();
    push_versions(&registry, "app", 3);
    let scripts = Collector::scripts_in(registry.scratch());
    let recording = scripts.recording("recording");

    let outcome = janitor(&registry).keep(1).audit().collector(&recording).run().assert_code(0);

    let report = outcome.report();
    assert_eq!(report["collection"]["status"], "would-run", "{report}");
    let calls = scripts.calls("recording");
    assert!(calls.iter().all(|call| call.contains("--dry-run")), "{calls:?}");
}

#[test]
fn an_audit_of_a_damaged_store_changes_nothing_and_tells() {
    let registry = Registry::start();
    push_versions(&registry, "app", 3);
    Damage::to(&registry.view()).truncate_tag("app", "v1");
    let before = Tree::of(registry.store());

    let outcome = janitor(&registry).keep(1).audit().run().assert_code(3);

    before.assert_unchanged(&Tree::of(registry.store()));
    assert!(outcome.report()["findings"][0]["path"].is_string());
}
