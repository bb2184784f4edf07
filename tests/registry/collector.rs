//! The stock collector fails, is missing, hangs, chatters or lies: nothing is lost, and the next sweep makes good.

use std::fs;
use std::time::Duration;

use janitor_testkit::{Collector, Image, Registry, is_alive};

use crate::stage::{assert_all_pull, blobs_on_disk, digests_of, janitor, names, push_versions};

/// Waits for nobody; long enough that a test that waited for it would fail.
const FOREVER: &str = "600";

/// Three tags of which one is to stay, and its image.
fn three_tags(registry: &Registry) -> Image {
    push_versions(registry, "app", 3).pop().unwrap()
}

/// One ordinary sweep brings the store to what the failed one should have left.
#[track_caller]
fn assert_next_sweep_makes_good(registry: &Registry, kept: &Image) {
    janitor(registry).keep(1).run().assert_code(0);
    assert_eq!(registry.client().tags("app"), names(&["v3"]));
    assert_all_pull(registry, "app");
    assert_eq!(blobs_on_disk(registry), digests_of([kept]));
}

#[test]
fn the_collector_is_asked_before_it_may_delete_and_never_about_untagged() {
    let registry = Registry::start();
    three_tags(&registry);
    let scripts = Collector::scripts_in(registry.scratch());
    let recording = scripts.recording("recording");

    janitor(&registry).keep(1).collector(&recording).run().assert_code(0);

    let calls = scripts.calls("recording");
    let config = registry.config().display().to_string();
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert!(calls[0].contains("--dry-run"), "{calls:?}");
    assert!(!calls[1].contains("--dry-run"), "{calls:?}");
    for call in &calls {
        assert!(call.starts_with("garbage-collect"), "{calls:?}");
        assert!(call.contains(&config), "{calls:?}");
        for flag in ["--delete-untagged", " -m"] {
            assert!(!call.contains(flag), "{calls:?}");
        }
    }
}

#[test]
fn a_collection_that_failed_is_made_good_by_the_next_sweep() {
    let registry = Registry::start();
    let kept = three_tags(&registry);
    let scripts = Collector::scripts_in(registry.scratch());
    let failing = scripts.with_real_run("failing", "echo 'the disk is on fire' >&2; exit 1");

    let outcome = janitor(&registry).keep(1).collector(&failing).run().assert_code(3);

    let report = outcome.report();
    assert_eq!(report["collection"]["status"], "failed", "{report}");
    let told = format!("{report}{}", outcome.stderr);
    assert!(told.contains("the disk is on fire"), "{told}");
    assert_eq!(registry.client().tags("app"), names(&["v3"]));
    assert_all_pull(&registry, "app");
    assert_next_sweep_makes_good(&registry, &kept);
}

#[test]
fn a_collector_that_fails_already_when_asked_is_not_let_loose() {
    let registry = Registry::start();
    let kept = three_tags(&registry);
    let scripts = Collector::scripts_in(registry.scratch());
    let failing = scripts.script("failing", "exit 1");

    janitor(&registry).keep(1).collector(&failing).run().assert_code(3);

    let calls = scripts.calls("failing");
    assert!(calls.iter().all(|call| call.contains("--dry-run")), "{calls:?}");
    assert_all_pull(&registry, "app");
    assert_next_sweep_makes_good(&registry, &kept);
}

#[test]
fn a_missing_collector_is_named_and_the_tags_go_all_the_same() {
    let registry = Registry::start();
    let kept = three_tags(&registry);
    let missing = registry.scratch().join("no-such-registry");

    let sweep = janitor(&registry).keep(1).collector(&missing).env("GC_ENGINE", "registry");
    let outcome = sweep.run().assert_code(3);

    let told = format!("{}{}", outcome.stdout, outcome.stderr);
    assert!(told.contains("no-such-registry"), "{told}");
    assert_all_pull(&registry, "app");
    assert_next_sweep_makes_good(&registry, &kept);
}

#[test]
fn a_collector_that_is_no_program_is_named() {
    let registry = Registry::start();
    let kept = three_tags(&registry);
    let text = registry.scratch().join("just-text");
    fs::write(&text, "not a program").unwrap();

    let outcome = janitor(&registry).keep(1).collector(&text).run().assert_code(3);

    let told = format!("{}{}", outcome.stdout, outcome.stderr);
    assert!(told.contains("just-text"), "{told}");
    assert_next_sweep_makes_good(&registry, &kept);
}

#[test]
fn a_collector_that_hangs_is_ended_at_its_time_limit() {
    let registry = Registry::start();
    let kept = three_tags(&registry);
    let pid_file = registry.scratch().join("pid");
    let scripts = Collector::scripts_in(registry.scratch());
    let body = format!("echo $$ > '{}'; exec sleep {FOREVER}", pid_file.display());
    let hanging = scripts.with_real_run("hanging", &body);

    let outcome = janitor(&registry).keep(1).collector(&hanging).env("GC_TIMEOUT", "1s").run().assert_code(3);

    assert_eq!(outcome.report()["collection"]["status"], "failed");
    let pid: u32 = fs::read_to_string(pid_file).unwrap().trim().parse().unwrap();
    assert!(!is_alive(pid), "the collector outlived the janitor");
    assert_all_pull(&registry, "app");
    assert_next_sweep_makes_good(&registry, &kept);
}

#[test]
fn a_hanging_collectors_own_child_does_not_hold_the_janitor() {
    let registry = Registry::start();
    let kept = three_tags(&registry);
    let scripts = Collector::scripts_in(registry.scratch());
    // The shell waits for a sleep that inherits its output: the pipe stays open when only the shell is ended.
    let hanging = scripts.with_real_run("hanging", "sleep 60; exit 0");

    let running = janitor(&registry).keep(1).collector(&hanging).env("GC_TIMEOUT", "1s").spawn();
    running.end_within(Duration::from_secs(40)).assert_code(3);

    assert_next_sweep_makes_good(&registry, &kept);
}

#[test]
fn megabytes_of_output_do_not_block_the_collector() {
    let registry = Registry::start();
    let kept = three_tags(&registry);
    let scripts = Collector::scripts_in(registry.scratch());
    let chatter = "yes 'app: marking blob sha256:0000' | head -n 100000\n\
                   yes 'level=info msg=chatter' | head -n 100000 >&2\n\
                   exec \"$REAL\" \"$@\"";
    let chattering = scripts.script("chattering", chatter);

    let outcome = janitor(&registry).keep(1).collector(&chattering).run().assert_code(0);

    assert_eq!(outcome.report()["collection"]["status"], "done");
    assert_all_pull(&registry, "app");
    assert_eq!(blobs_on_disk(&registry), digests_of([&kept]));
}

#[test]
fn output_that_is_not_text_does_no_harm() {
    let registry = Registry::start();
    let kept = three_tags(&registry);
    let scripts = Collector::scripts_in(registry.scratch());
    let noise = "printf '\\377\\376\\000 noise \\200\\n'; printf '\\377\\n' >&2\nexec \"$REAL\" \"$@\"";
    let script = scripts.script("noisy", noise);

    janitor(&registry).keep(1).collector(&script).run().assert_code(0);

    assert_all_pull(&registry, "app");
    assert_eq!(blobs_on_disk(&registry), digests_of([&kept]));
}

#[test]
fn a_collector_that_would_delete_a_live_blob_does_not_run() {
    let registry = Registry::start();
    let kept = three_tags(&registry);
    let live = kept.blobs().keys().next().unwrap();
    let scripts = Collector::scripts_in(registry.scratch());
    let body = format!("\"$REAL\" \"$@\" || exit\necho\necho 'blob eligible for deletion: {live}'");
    let lying = scripts.script("lying", &body);
    let before = registry.view().blobs();

    let outcome = janitor(&registry).keep(1).collector(&lying).run();

    assert!(matches!(outcome.code, Some(3 | 12)), "exit code {:?}\n{}", outcome.code, outcome.stderr);
    let report = outcome.report();
    assert_eq!(report["collection"]["status"], "refused", "{report}");
    let told = format!("{report}{}", outcome.stderr);
    assert!(told.contains(live.hex()), "the blob is not named: {told}");
    let calls = scripts.calls("lying");
    assert!(!calls.is_empty() && calls.iter().all(|call| call.contains("--dry-run")), "it ran: {calls:?}");
    // Manifests of removed tags may be gone with the trash; no layer and no configuration may.
    for digest in before.keys().filter(|digest| kept.blobs().contains_key(digest)) {
        assert!(registry.view().has_blob(digest));
    }
    assert_all_pull(&registry, "app");
    assert_next_sweep_makes_good(&registry, &kept);
}

#[test]
fn a_collector_that_removes_a_live_blob_all_the_same_is_found_out() {
    let registry = Registry::start();
    let kept = three_tags(&registry);
    let victim = kept.blobs().keys().next().unwrap();
    let scripts = Collector::scripts_in(registry.scratch());
    let body = format!(
        "\"$REAL\" \"$@\" || exit\nrm -r \"$(dirname '{}')\"",
        registry.view().blob_data(victim).display()
    );
    let treacherous = scripts.with_real_run("treacherous", &body);

    let outcome = janitor(&registry).keep(1).collector(&treacherous).run().assert_code(3);

    let report = outcome.report();
    let broken = &report["broken"][0];
    assert_eq!(broken["repository"], "app", "{report}");
    assert_eq!(broken["tag"], "v3", "{report}");
    assert_eq!(broken["missing"][0], victim.as_str(), "{report}");
}
