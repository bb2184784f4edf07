//! A sweep that would remove most of a store removes nothing, until a person has said that it is meant.

#![expect(clippy::disallowed_methods, reason = "this test is the storage that goes away, and dates a store")]

use std::fs;
use std::time::{Duration, SystemTime};

use janitor_testkit::{BulkSpec, Interrupt, Registry, Tree};
use serde_json::Value;

use crate::stage::{blobs_on_disk, janitor, registry_part};

/// One repository with so many tags, and manifests that no tag holds; three blobs for each image.
fn store(tags: usize, untagged: usize) -> (Registry, String) {
    store_since(tags, untagged, SystemTime::now() - Duration::from_secs(86_400))
}

fn store_since(tags: usize, untagged: usize, newest: SystemTime) -> (Registry, String) {
    let registry = Registry::start();
    let spec = BulkSpec {
        repositories: 1,
        tags,
        untagged,
        shared_layers: 0,
        own_layers: 1,
        newest,
        ..BulkSpec::default()
    };
    spec.write(registry.store());
    (registry, BulkSpec::repository_name(0))
}

fn finding<'a>(report: &'a Value, code: &str) -> &'a Value {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().find(|finding| finding["code"] == code).unwrap_or_else(|| panic!("no {code} in {report}"))
}

#[test]
fn most_of_the_tags_go_only_when_that_is_confirmed() {
    let (registry, app) = store(30, 0);
    let before = Tree::of(&registry_part(&registry));

    let refused = janitor(&registry).keep(5).run().assert_code(12);

    before.assert_unchanged(&Tree::of(&registry_part(&registry)));
    let told = &refused.stderr;
    assert!(told.contains("25 of 30 tags") && told.contains("MAX_REMOVE_PERCENT=50"), "{told}");
    assert!(told.contains("--run-once --max-remove-percent 84 "), "{told}");
    assert!(told.contains(r#"make gc ARGS="--max-remove-percent 84""#), "{told}");
    assert_eq!(refused.report()["status"], "refused");

    // It is permitted by just what was told, and by nothing less.
    janitor(&registry).keep(5).arg("--max-remove-percent=83").run().assert_code(12);
    before.assert_unchanged(&Tree::of(&registry_part(&registry)));
    let confirmed = janitor(&registry).keep(5).arg("--max-remove-percent=84").run().assert_code(0);
    assert_eq!(confirmed.total("tags_removed"), 25);
    assert_eq!(registry.client().tags(&app).len(), 5);
    assert_eq!(blobs_on_disk(&registry).len(), 15);
    // Once for all: a store of few tags is not guarded, and the next sweep has nothing to confirm.
    janitor(&registry).keep(5).run().assert_code(0);
    janitor(&registry).keep(1).run().assert_code(0);
    assert_eq!(registry.client().tags(&app).len(), 1);
}

#[test]
fn half_of_the_tags_may_go() {
    let (registry, app) = store(30, 0);
    janitor(&registry).keep(15).run().assert_code(0);
    assert_eq!(registry.client().tags(&app).len(), 15);
}

#[test]
fn an_audit_lists_everything_and_says_that_it_would_be_refused() {
    let (registry, _) = store(30, 0);
    let before = Tree::of(registry.store());

    let audit = janitor(&registry).keep(5).audit().run().assert_code(12);

    before.assert_unchanged(&Tree::of(registry.store()));
    assert_eq!(audit.total("tags_removed"), 25);
    assert_eq!(audit.total("blobs_removed"), 75);
    let report = audit.report();
    assert_eq!((&report["status"], &report["exit_code"]), (&"refused".into(), &12.into()));
    let told = finding(&report, "too-much-goes");
    assert!(told["remedy"].as_str().unwrap().contains("--max-remove-percent 84"), "{told}");
    let text = janitor(&registry).keep(5).audit().env("JANITOR_OUTPUT", "text").run().assert_code(12).stdout;
    assert!(text.contains("would refuse this") && text.contains("--max-remove-percent 84"), "{text}");

    janitor(&registry).keep(5).audit().arg("--max-remove-percent=84").run().assert_code(0);
}

#[test]
fn most_of_the_blobs_go_only_when_that_is_confirmed() {
    let (registry, _) = store(2, 30);
    let before = Tree::of(&registry_part(&registry));

    let refused = janitor(&registry).keep(2).run().assert_code(12);

    // No manifest went either, so that what is lost in most of the store could still be tagged again.
    before.assert_unchanged(&Tree::of(&registry_part(&registry)));
    assert!(refused.stderr.contains("90 of 96 blobs"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("tags and"), "{}", refused.stderr);
    janitor(&registry).keep(2).arg("--max-remove-percent=94").run().assert_code(0);
    assert_eq!(blobs_on_disk(&registry).len(), 6);
}

#[test]
fn what_is_too_young_to_go_does_not_count() {
    let (registry, _) = store_since(2, 30, SystemTime::now());
    let outcome = janitor(&registry).keep(2).env("GC_GRACE", "1h").run().assert_code(0);
    assert_eq!(outcome.total("blobs_held"), 90);
    assert_eq!(blobs_on_disk(&registry).len(), 96);
}

#[test]
fn a_store_that_goes_away_while_a_sweep_waits_loses_no_blob() {
    let (registry, app) = store(30, 0);
    let blobs = blobs_on_disk(&registry);
    let mut sweep = janitor(&registry).keep(20).env("GC_SETTLE", "3s").spawn();
    sweep.wait_until("it waits", |it| it.stderr_so_far().contains("waiting 3s"));
    let repository = registry.store().join("docker/registry/v2/repositories").join(&app);
    let elsewhere = registry.scratch().join("elsewhere");
    fs::rename(&repository, &elsewhere).unwrap();

    let outcome = sweep.end_within(Duration::from_secs(60)).assert_code(12);

    assert_eq!(blobs_on_disk(&registry), blobs);
    let report = outcome.report();
    assert_eq!(report["collection"]["status"], "refused");
    let detail = report["collection"]["detail"].as_str().unwrap();
    assert!(detail.contains("60 of 60 blobs that kept tags needed when the sweep began"), "{report}");
}

#[test]
fn the_loop_repeats_its_refusal_and_is_not_well() {
    let (registry, app) = store(30, 0);
    let janitor = janitor(&registry).keep(5);
    let mut looping = janitor.clone().looping().env("JANITOR_INTERVAL_SECS", "1").spawn();
    looping.wait_until("it has refused twice", |it| it.stderr_so_far().matches("25 of 30 tags").count() >= 2);
    // It may just be about to sweep again.
    looping.wait_until("it is not well", |_| {
        let health = janitor.clone().arg("health").run();
        health.code == Some(1) && health.stderr.contains("exit code 12")
    });
    looping.signal(Interrupt::Term);
    looping.end_within(Duration::from_secs(20)).assert_code(143);
    assert_eq!(registry.client().tags(&app).len(), 30);
}

/// A sweep that was confirmed, and left its blobs where they were.
fn left_behind(settings: &[(&str, &str)]) -> Registry {
    let (registry, _) = store(30, 0);
    let mut sweep = janitor(&registry).keep(5).arg("--max-remove-percent=84");
    for (name, value) in settings {
        sweep = sweep.env(name, value);
    }
    sweep.run();
    assert_eq!(blobs_on_disk(&registry).len(), 90);
    registry
}

#[test]
fn what_a_confirmed_sweep_could_not_collect_is_not_asked_about_again() {
    for settings in [
        &[("RUN_GC", "false")][..],
        &[("GC_ENGINE", "registry"), ("JANITOR_REGISTRY_BIN", "/nowhere/registry")],
        &[("JANITOR_REGISTRY_URL", "http://127.0.0.1:9")],
    ] {
        let registry = left_behind(settings);
        janitor(&registry).keep(5).run().assert_code(0);
        assert_eq!(blobs_on_disk(&registry).len(), 15, "{settings:?}");
    }
}

#[test]
fn what_is_thrown_out_of_the_trash_is_not_asked_about_again() {
    let registry = left_behind(&[("UNDO_WINDOW", "7d")]);
    janitor(&registry).arg("trash").arg("empty").arg("--yes").run().assert_code(0);
    janitor(&registry).keep(5).env("UNDO_WINDOW", "7d").run().assert_code(0);
    assert_eq!(blobs_on_disk(&registry).len(), 15);
}

#[test]
fn what_somebody_else_collected_is_no_loss() {
    let registry = left_behind(&[("RUN_GC", "false")]);
    let before = fs::read(registry.store().join("janitor/last-sweep.json")).unwrap();
    janitor(&registry).keep(5).run().assert_code(0);
    // As if the collection had been another program's, of which no memory tells.
    fs::write(registry.store().join("janitor/last-sweep.json"), before).unwrap();
    janitor(&registry).keep(5).run().assert_code(0);
}
