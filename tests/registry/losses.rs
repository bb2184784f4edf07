//! A store that has lost most of its content since the last sweep is not swept until a person says that it may be.

#![expect(clippy::disallowed_methods, reason = "this test is the storage that goes away")]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use janitor_testkit::{
    BadStorage, BulkSpec, Collector, Digest, Image, Interrupt, Janitor, Outcome, Registry, Tree,
};

use crate::stage::{blobs_on_disk, janitor, registry_part};

/// So many repositories with so many tags each.
fn store(repositories: usize, tags: usize) -> Registry {
    let registry = Registry::start();
    let spec =
        BulkSpec { repositories, tags, untagged: 0, shared_layers: 0, own_layers: 1, ..BulkSpec::default() };
    spec.write(registry.store());
    registry
}

fn memory(registry: &Registry) -> PathBuf {
    registry.store().join("janitor/last-sweep.json")
}

/// Takes the last repositories of a store away, as storage does that is mounted in part. Says how to put
/// them back.
fn unmount(registry: &Registry, repositories: impl Iterator<Item = usize>) -> impl FnOnce() {
    let mut moves = Vec::new();
    for number in repositories {
        let name = BulkSpec::repository_name(number);
        let from = registry_part(registry).join("registry/v2/repositories").join(name);
        let to = registry.scratch().join(format!("unmounted-{number}"));
        fs::rename(&from, &to).unwrap();
        moves.push((from, to));
    }
    || moves.into_iter().for_each(|(from, to)| fs::rename(to, from).unwrap())
}

fn codes(outcome: &Outcome) -> Vec<String> {
    let report = outcome.report();
    let findings = report["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_store_that_is_half_there_is_refused_until_it_is_back() {
    let registry = store(24, 1);
    janitor(&registry).run().assert_code(0);
    let put_back = unmount(&registry, 11..24);
    let before = Tree::of(&registry_part(&registry));
    // What guards against a sweep of most blobs is off.
    let sweep = janitor(&registry).env("MAX_REMOVE_PERCENT", "100");

    for _ in 0..2 {
        let told = sweep.run().assert_code(12).stderr;
        assert!(told.contains("11 of 24 repositories, 11 of 24 tags are still there"), "{told}");
        assert!(told.contains("--run-once --accept-losses "), "{told}");
        before.assert_unchanged(&Tree::of(&registry_part(&registry)));
    }
    let everything = Tree::of(registry.store());
    let audit = sweep.clone().audit().run().assert_code(12);
    everything.assert_unchanged(&Tree::of(registry.store()));
    assert!(codes(&audit).contains(&"store-shrank".to_owned()), "{:?}", codes(&audit));
    assert_eq!(names_of(&missing(&audit)), numbers(11..24));
    assert_eq!(audit.total("blobs_removed"), 0);

    put_back();
    sweep.run().assert_code(0);
    assert_eq!(blobs_on_disk(&registry).len(), 72);
}

#[test]
fn a_confirmed_loss_is_told_once() {
    let registry = store(24, 1);
    janitor(&registry).run().assert_code(0);
    let _gone = unmount(&registry, 11..24);
    let sweep = janitor(&registry).env("MAX_REMOVE_PERCENT", "100");
    sweep.run().assert_code(12);
    sweep.clone().arg("--accept-losses").run().assert_code(0);
    assert_eq!(blobs_on_disk(&registry).len(), 33);
    sweep.run().assert_code(0);
}

/// One sweep with each engine.
fn with_each_engine(test: impl Fn(&dyn Fn(&Registry) -> Janitor)) {
    for engine in ["registry", "native"] {
        test(&|registry| janitor(registry).env("GC_ENGINE", engine));
    }
}

/// What the report says of repositories that are missed.
fn missing(outcome: &Outcome) -> Vec<(String, String)> {
    let report = outcome.report();
    let findings = report["findings"].as_array().unwrap();
    let of = |it: &serde_json::Value| {
        let text = |key: &str| it[key].as_str().unwrap().to_owned();
        (text("repository"), format!("{}: {}; {}", text("severity"), text("cause"), text("remedy")))
    };
    findings.iter().filter(|it| it["code"] == "tags-missing").map(of).collect()
}

fn numbers(repositories: std::ops::Range<usize>) -> Vec<String> {
    let mut names: Vec<String> = repositories.map(BulkSpec::repository_name).collect();
    names.sort_unstable();
    names
}

fn names_of(missing: &[(String, String)]) -> Vec<String> {
    missing.iter().map(|(name, _)| name.clone()).collect()
}

#[test]
fn repositories_that_vanish_are_named_and_hold_every_blob_until_they_are_back() {
    with_each_engine(|sweep| {
        let registry = store(20, 2);
        let sweep = || sweep(&registry).keep(2);
        sweep().run().assert_code(0);
        let put_back = unmount(&registry, 11..20);
        // Something else goes out of use.
        registry.client().push("other", "v1", &Image::small(1));
        registry.client().push("other", "v1", &Image::small(2));
        let blobs = blobs_on_disk(&registry);
        for _ in 0..3 {
            let outcome = sweep().run().assert_code(3);
            let missing = missing(&outcome);
            assert_eq!(names_of(&missing), numbers(11..20));
            let (_, told) = &missing[0];
            assert!(
                told.starts_with("doubt: the repository is gone: 2 of 2 tags are missing since "),
                "{told}"
            );
            assert!(told.contains("--run-once --accept-losses "), "{told}");
            assert_eq!(outcome.report()["collection"]["status"], "put-off");
            assert_eq!(blobs_on_disk(&registry), blobs);
        }
        let audit = sweep().audit().run().assert_code(3);
        assert_eq!(names_of(&missing(&audit)), numbers(11..20));
        assert_eq!(audit.total("blobs_removed"), 0);

        put_back();
        let outcome = sweep().run().assert_code(0);
        assert_eq!(missing(&outcome), []);
        assert_eq!(outcome.total("blobs_removed"), 3);
        for name in numbers(0..20) {
            crate::stage::assert_all_pull(&registry, &name);
        }
    });
}

#[test]
fn repositories_whose_loss_is_accepted_are_let_go_and_others_are_missed_again() {
    with_each_engine(|sweep| {
        let registry = store(20, 2);
        let sweep = || sweep(&registry).keep(2);
        sweep().run().assert_code(0);
        let _gone = unmount(&registry, 14..20);
        sweep().run().assert_code(3);
        let accepted = sweep().arg("--accept-losses").run().assert_code(0);
        assert_eq!(names_of(&missing(&accepted)), numbers(14..20));
        assert!(missing(&accepted)[0].1.contains("that was accepted"), "{:?}", missing(&accepted));
        assert_eq!(blobs_on_disk(&registry).len(), 14 * 6);
        assert_eq!(missing(&sweep().run().assert_code(0)), []);

        let _gone = unmount(&registry, 13..14);
        assert_eq!(names_of(&missing(&sweep().run().assert_code(3))), numbers(13..14));
        assert_eq!(blobs_on_disk(&registry).len(), 14 * 6);
    });
}

/// Has the last sweep have remembered something else.
fn rewrite_memory(registry: &Registry, change: impl Fn(&str) -> String) {
    let text = fs::read_to_string(memory(registry)).unwrap();
    let content = text.strip_prefix("{\"last_sweep\":").unwrap().rsplit_once(",\"digest\":").unwrap().0;
    let content = change(content);
    let digest = Digest::of(content.as_bytes());
    fs::write(memory(registry), format!("{{\"last_sweep\":{content},\"digest\":\"{digest}\"}}")).unwrap();
}

#[test]
fn repositories_are_waited_for_for_seven_days() {
    with_each_engine(|sweep| {
        let registry = store(20, 2);
        let sweep = || sweep(&registry).keep(2);
        sweep().run().assert_code(0);
        let _gone = unmount(&registry, 19..20);
        sweep().run().assert_code(3);
        let missed_since = |hours: u64| {
            let then = std::time::SystemTime::now() - Duration::from_secs(hours * 3600);
            let then = humantime::format_rfc3339_seconds(then).to_string();
            rewrite_memory(&registry, |text| {
                let (before, after) = text.split_once("\"missed_since\":\"").unwrap();
                let (_, after) = after.split_once('"').unwrap();
                format!("{before}\"missed_since\":\"{then}\"{after}")
            });
        };
        missed_since(7 * 24 - 1);
        sweep().run().assert_code(3);
        missed_since(7 * 24 + 1);
        let given_up = sweep().run().assert_code(0);
        assert_eq!(names_of(&missing(&given_up)), numbers(19..20));
        assert!(missing(&given_up)[0].1.contains("has waited 7 days for them"), "{:?}", missing(&given_up));
        assert_eq!(blobs_on_disk(&registry).len(), 19 * 6);
        assert_eq!(missing(&sweep().run().assert_code(0)), []);
    });
}

#[test]
fn a_repository_whose_tags_vanish_is_missed_though_its_directory_is_there() {
    with_each_engine(|sweep| {
        let registry = store(20, 5);
        let sweep = || sweep(&registry).keep(5);
        sweep().run().assert_code(0);
        let name = BulkSpec::repository_name(3);
        let tags = registry.view().repository(&name).join("_manifests/tags");
        let elsewhere = registry.scratch().join("tags");
        fs::rename(&tags, &elsewhere).unwrap();
        fs::create_dir(&tags).unwrap();
        for _ in 0..2 {
            let outcome = sweep().run().assert_code(3);
            assert_eq!(names_of(&missing(&outcome)), [name.as_str()]);
            assert!(
                missing(&outcome)[0].1.contains("doubt: 5 of 5 tags are missing"),
                "{:?}",
                missing(&outcome)
            );
            // Somebody may push to it meanwhile.
            registry.client().push(&name, "new", &Image::small(1));
        }
        fs::rename(tags.join("new"), elsewhere.join("new")).unwrap();
        fs::remove_dir(&tags).unwrap();
        fs::rename(&elsewhere, &tags).unwrap();
        assert_eq!(missing(&sweep().keep(6).run().assert_code(0)), []);
        crate::stage::assert_all_pull(&registry, &name);
    });
}

#[test]
fn a_few_tags_that_somebody_removes_by_hand_are_not_missed() {
    let registry = store(20, 10);
    janitor(&registry).keep(10).run().assert_code(0);
    let name = BulkSpec::repository_name(3);
    let tags = registry.view().repository(&name).join("_manifests/tags");
    let remove = |tag: usize| fs::remove_dir_all(tags.join(format!("v{tag}"))).unwrap();
    (1..=4).for_each(remove);
    let outcome = janitor(&registry).keep(10).run().assert_code(0);
    assert_eq!(missing(&outcome), []);
    (5..=9).for_each(remove);
    assert_eq!(names_of(&missing(&janitor(&registry).keep(10).run().assert_code(3))), [name]);
}

#[test]
fn a_loss_that_is_accepted_is_not_asked_for_a_second_time() {
    with_each_engine(|sweep| {
        let registry = store(1, 10);
        let sweep = || sweep(&registry).keep(10);
        sweep().run().assert_code(0);
        let name = BulkSpec::repository_name(0);
        let tags = registry.view().repository(&name).join("_manifests/tags");
        (1..=7).for_each(|tag| fs::remove_dir_all(tags.join(format!("v{tag}"))).unwrap());
        let accepted = sweep().arg("--accept-losses").run().assert_code(0);
        assert_eq!(names_of(&missing(&accepted)), [name]);
        assert_eq!(blobs_on_disk(&registry).len(), 9);
    });
}

#[test]
fn what_the_policy_removes_or_somebody_deletes_over_the_api_is_not_missed() {
    with_each_engine(|sweep| {
        let registry = store(20, 2);
        sweep(&registry).keep(2).run().assert_code(0);
        let client = registry.client();
        let name = BulkSpec::repository_name(3);
        for tag in ["v1", "v2"] {
            client.delete(&name, &registry.view().tag_digest(&name, tag));
        }
        // One was pushed again before.
        let other = BulkSpec::repository_name(4);
        client.push(&other, "v1", &Image::small(1));
        for tag in ["v1", "v2"] {
            client.delete(&other, &registry.view().tag_digest(&other, tag));
        }
        let outcome = sweep(&registry).keep(2).run().assert_code(0);
        assert_eq!(missing(&outcome), []);
        assert_eq!(blobs_on_disk(&registry).len(), 18 * 6);

        let none = || sweep(&registry).keep(0).env("JANITOR_UNSAFE_KEEP_NONE", "true");
        none().arg("--max-remove-percent=100").run().assert_code(0);
        let outcome = none().run().assert_code(0);
        assert_eq!(missing(&outcome), []);
    });
}

#[test]
fn a_memory_of_an_earlier_version_is_read() {
    let registry = store(24, 1);
    janitor(&registry).run().assert_code(0);
    // It knows neither names nor settings.
    rewrite_memory(&registry, |text| {
        let (counts, _) = text.split_once(",\"known\":").unwrap();
        format!("{counts}}}")
    });
    let put_back = unmount(&registry, 11..24);
    let told = janitor(&registry).env("MAX_REMOVE_PERCENT", "100").run().assert_code(12).stderr;
    assert!(told.contains("11 of 24 repositories, 11 of 24 tags are still there"), "{told}");
    put_back();

    let outcome = janitor(&registry).run().assert_code(0);
    assert_eq!(codes(&outcome), [""; 0]);
    let _gone = unmount(&registry, 20..24);
    assert_eq!(names_of(&missing(&janitor(&registry).run().assert_code(3))), numbers(20..24));
    assert_eq!(blobs_on_disk(&registry).len(), 72);
}

#[test]
fn what_a_sweep_removed_that_was_cut_short_is_no_loss() {
    let registry = store(1, 30);
    janitor(&registry).keep(30).run().assert_code(0);
    let scripts = Collector::scripts_in(registry.scratch());
    let hanging = scripts.with_real_run("hanging", "sleep 600");
    let keep_five = janitor(&registry).keep(5).env("MAX_REMOVE_PERCENT", "100");
    let mut sweep = keep_five.clone().collector(&hanging).spawn();
    sweep.wait_until("the collector runs", |_| scripts.calls("hanging").len() >= 2);
    sweep.signal(Interrupt::Term);
    sweep.end_within(Duration::from_secs(30)).assert_code(143);
    assert_eq!(registry.client().tags(&BulkSpec::repository_name(0)).len(), 5);

    let outcome = keep_five.run().assert_code(0);
    assert_eq!(outcome.total("blobs_removed"), 75);
}

#[test]
fn what_goes_away_during_a_sweep_is_missed_by_the_next() {
    let registry = store(1, 30);
    let mut sweep = janitor(&registry).keep(28).env("GC_SETTLE", "3s").spawn();
    sweep.wait_until("it waits", |it| it.stderr_so_far().contains("waiting 3s"));
    let _gone = unmount(&registry, 0..1);
    sweep.end_within(Duration::from_secs(60)).assert_code(12);
    let told = janitor(&registry).keep(28).env("MAX_REMOVE_PERCENT", "100").run().assert_code(12).stderr;
    assert!(told.contains("0 of 28 tags"), "{told}");
    assert_eq!(blobs_on_disk(&registry).len(), 90);
}

#[test]
fn a_memory_that_the_storage_fails_to_give_is_refused_until_it_does_or_somebody_confirms() {
    let registry = store(24, 1);
    janitor(&registry).run().assert_code(0);
    let _gone = unmount(&registry, 11..24);
    let before = Tree::of(&registry_part(&registry));
    let sweep = janitor(&registry).env("MAX_REMOVE_PERCENT", "100");
    for error in ["EIO", "EACCES", "ESTALE"] {
        let bad = BadStorage::new("read", &format!("error={error}")).at(&memory(&registry));
        let told = bad.for_janitor(sweep.clone()).run().assert_code(12).stderr;
        assert!(told.contains("janitor/last-sweep.json: what the last sweep left is not known"), "{told}");
        assert!(told.contains("check the storage and its permissions"), "{told}");
        assert!(told.contains("--run-once --accept-losses "), "{told}");
        before.assert_unchanged(&Tree::of(&registry_part(&registry)));
    }
    let bad = BadStorage::new("read", "error=EIO").at(&memory(&registry));
    let everything = Tree::of(registry.store());
    let audit = bad.for_janitor(sweep.clone().audit()).run().assert_code(12);
    everything.assert_unchanged(&Tree::of(registry.store()));
    assert_eq!(codes(&audit), ["no-memory"]);
    assert_eq!(audit.total("blobs_removed"), 39);

    let confirmed = bad.for_janitor(sweep.clone().arg("--accept-losses")).run().assert_code(3);
    assert_eq!(codes(&confirmed), ["no-memory"]);
    assert_eq!(blobs_on_disk(&registry).len(), 33);
    sweep.run().assert_code(0);
}

#[test]
fn a_memory_that_cannot_be_read_and_a_sweep_of_too_much_are_confirmed_together() {
    let registry = store(1, 24);
    janitor(&registry).keep(24).run().assert_code(0);
    let bad = BadStorage::new("read", "error=EIO").at(&memory(&registry));
    let told = bad.for_janitor(janitor(&registry).keep(1)).run().assert_code(12).stderr;
    assert!(told.contains("what the last sweep left is not known"), "{told}");
    assert_eq!(told.matches("--run-once").count(), 1, "{told}");
    assert!(told.contains("--run-once --accept-losses --max-remove-percent 96 "), "{told}");
}

#[test]
fn a_damaged_memory_is_told_and_written_anew() {
    let registry = store(24, 1);
    janitor(&registry).run().assert_code(0);
    let path = memory(&registry);
    let good = fs::read_to_string(&path).unwrap();
    let more = good.replace("\"tags\":24", "\"tags\":99");
    assert_ne!(more, good);
    for damaged in ["", "{", &good[..good.len() / 2], &more] {
        fs::write(&path, damaged).unwrap();
        let audit = janitor(&registry).audit().run().assert_code(0);
        assert_eq!(codes(&audit), ["no-memory"], "{damaged}");
        let outcome = janitor(&registry).run().assert_code(0);
        assert_eq!(codes(&outcome), ["no-memory"], "{damaged}");
        assert_eq!(codes(&janitor(&registry).run().assert_code(0)), [""; 0]);
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(codes(&janitor(&registry).run().assert_code(0)), [""; 0]);
    assert!(path.exists());
}
