//! `janitor check --deep`: every byte is read, from where an interrupted check had come to.

use std::fs;
use std::time::Duration;

use janitor_testkit::{Image, Interrupt, Registry, StoreBuilder, Tree, ago};
use serde_json::Value;

use super::{check, checked, codes, only_finding};
use crate::stage::push_versions;

/// Two images that share a layer, which has one byte flipped.
fn flipped() -> (Registry, Vec<Image>) {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 2);
    let shared = images[0].blobs().keys().find(|digest| images[1].blobs().contains_key(digest)).unwrap();
    let path = registry.view().blob_data(shared);
    let mut bytes = fs::read(&path).unwrap();
    bytes[7] ^= 1;
    fs::write(&path, bytes).unwrap();
    (registry, images)
}

#[test]
fn a_flipped_byte_is_found_and_every_tag_that_needs_the_blob_is_told() {
    let (registry, _) = flipped();
    assert_eq!(codes(&checked(&registry).assert_code(0)), [], "its size is right");
    let before = Tree::of(registry.store());

    let outcome = check(&registry).arg("--deep").run().assert_code(4);

    before.assert_unchanged(&Tree::of(registry.store()));
    let finding = only_finding(&outcome);
    assert_eq!(finding["code"], "blob-wrong-hash");
    assert_eq!(finding["tags"], serde_json::json!(["app:v1", "app:v2"]));
    // Manifests are read in any case.
    let unread = registry.view().blobs().len() - 2;
    assert_eq!(outcome.report()["hashed"]["blobs"], unread, "{:#}", outcome.report());
}

#[test]
fn what_a_deep_check_finds_can_be_mended() {
    let (registry, images) = flipped();

    let outcome = check(&registry).arg("--deep").arg("--repair").arg("--yes").run().assert_code(4);

    assert_eq!(outcome.report()["repaired"][0]["outcome"], "done", "{:#}", outcome.report());
    assert_eq!(only_finding(&outcome)["code"], "blob-missing");
    registry.client().push("app", "v1", &images[0]);
    for tag in ["v1", "v2"] {
        registry.client().pull("app", tag).unwrap();
    }
    let after = check(&registry).arg("--deep").run().assert_code(0);
    assert_eq!(codes(&after), []);
}

#[test]
fn an_interrupted_deep_check_goes_on_where_it_was() {
    let registry = Registry::start();
    push_versions(&registry, "app", 1);
    let store = StoreBuilder::new(registry.store());
    for number in 0..300_u16 {
        store
            .loose_blob(&[number.to_le_bytes().as_slice(), &[7; 998]].concat(), ago(Duration::from_secs(60)));
    }
    let total = registry.view().blobs().len() as u64 - 1;
    let file = registry.scratch().join("state.json");
    let state = || -> Value {
        serde_json::from_str(&fs::read_to_string(&file).unwrap_or_default()).unwrap_or_default()
    };
    let deep = |rate: &str| {
        let state = format!("--state={}", file.display());
        check(&registry).arg("--deep").arg(&state).arg(&format!("--rate={rate}"))
    };

    let mut running = deep("50KiB/s").spawn();
    running.wait_until("a part was read", |_| state()["after"].is_string());
    running.signal(Interrupt::Int);
    let outcome = running.end_within(Duration::from_secs(60)).assert_code(130);

    assert_eq!(outcome.report()["status"], "interrupted");
    let rest = deep("1GB").run().assert_code(0).report();
    let (before, now) =
        (rest["hashed"]["blobs_before"].as_u64().unwrap(), rest["hashed"]["blobs"].as_u64().unwrap());
    assert!(before >= 128 && before < total, "{rest:#}");
    assert_eq!(before + now, total, "{rest:#}");
    assert!(state()["after"].is_null(), "the next one begins anew: {}", state());
    assert_eq!(deep("1GB").run().assert_code(0).report()["hashed"]["blobs_before"], 0);
}

#[test]
fn what_was_wrong_before_an_interruption_is_told_after_it() {
    let (registry, _) = flipped();
    let blobs: Vec<String> = registry.view().blobs().keys().map(|it| it.as_str().to_owned()).collect();
    let file = registry.scratch().join("state.json");
    let wrong = checked(&registry);
    assert_eq!(codes(&wrong), []);
    let found = only_finding(&check(&registry).arg("--deep").run());
    let damaged = blobs.iter().find(|it| found["consequence"].as_str().unwrap().contains(*it)).unwrap();
    let state = serde_json::json!({"schema_version": 1, "after": blobs.last(), "again": [damaged]});
    fs::write(&file, state.to_string()).unwrap();

    let outcome =
        check(&registry).arg("--deep").arg(&format!("--state={}", file.display())).run().assert_code(4);

    assert_eq!(only_finding(&outcome)["code"], "blob-wrong-hash");
    assert_eq!(outcome.report()["hashed"]["blobs"], 1);
}

#[test]
fn wrong_settings_are_told_before_anything_is_read() {
    let registry = Registry::start();
    push_versions(&registry, "app", 1);
    for (arguments, told) in [
        (["--deep", "--rate=fast"], "'fast' for '--rate <RATE>': expected bytes per second"),
        (["--deep", "--rate=0"], "'0' for '--rate <RATE>': expected bytes per second"),
        (["--rate=1MB", "--output=json"], "required arguments were not provided:\n  --deep\n"),
        (["--state=x", "--output=json"], "required arguments were not provided:\n  --deep\n"),
    ] {
        let outcome = check(&registry).arg(arguments[0]).arg(arguments[1]).run().assert_code(2);
        assert!(outcome.stderr.contains(told), "{arguments:?}: {}", outcome.stderr);
    }
    let nowhere = registry.scratch().join("no/such/directory/state.json");
    let outcome = check(&registry).arg("--deep").arg(&format!("--state={}", nowhere.display())).run();
    assert!(
        outcome.clone().assert_code(1).stderr.contains("cannot use the state file"),
        "{}",
        outcome.stderr
    );
}
