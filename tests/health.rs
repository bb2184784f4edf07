//! What `janitor health` says of a loop whose store has been in doubt for too long.

use std::fs;
use std::time::Duration;

use janitor_testkit::{Image, Interrupt, Janitor, StoreBuilder, ago};

const WEEK: Duration = Duration::from_secs(7 * 86400);

#[test]
fn a_store_that_doubt_keeps_from_being_collected_is_unhealthy_until_it_is_collected() {
    let dir = tempfile::tempdir().unwrap();
    let store = StoreBuilder::new(dir.path().join("store"));
    store.push("team/app", "v1", &Image::small(1), ago(WEEK));
    let link = store.view().current_link("team/app", "v1");
    let digest = fs::read(&link).unwrap();
    fs::write(&link, "").unwrap();
    let config = dir.path().join("config.yml");
    let root = store.root().display().to_string();
    fs::write(&config, format!("storage:\n  filesystem:\n    rootdirectory: {root}\n")).unwrap();
    let janitor = |patience: &str| {
        Janitor::bare(env!("CARGO_BIN_EXE_janitor"))
            .env("GC_ENGINE", "native")
            .env("GC_SETTLE", "0s")
            .env("JANITOR_HEARTBEAT", &dir.path().join("heartbeat").display().to_string())
            .env("JANITOR_REGISTRY_CONFIG", &config.display().to_string())
            .env("JANITOR_DATA_DIR", &root)
            .env("DOUBT_MAX_AGE", patience)
    };
    let health = |patience| {
        let mut looping = janitor(patience).looping().spawn();
        looping.wait_until("it has swept", |it| it.stderr_so_far().contains("next sweep in"));
        let health = janitor(patience).arg("health").run();
        looping.signal(Interrupt::Term);
        looping.end_within(Duration::from_secs(20)).assert_code(143);
        health
    };

    assert_eq!(health("7d").assert_code(0).stdout, "waiting for the next sweep\n");
    let record = store.root().join("janitor/trash/condemned/doubt.json");
    let first = fs::read(&record).unwrap();
    let told = health("0s").assert_code(1).stderr;
    assert!(told.starts_with("error: nothing has been removed from the store since "), "{told}");
    assert!(told.contains("team/app/_manifests/tags/v1/current/link: the link is empty"), "{told}");
    assert!(told.contains("\nhint: push the tag again; janitor check lists"), "{told}");
    assert_eq!(fs::read(&record).unwrap(), first, "a restart does not begin the time again");

    // It was two weeks ago that a sweep was first in doubt.
    fs::write(&record, r#"{"in_doubt_since":"2026-01-01T00:00:00Z"}"#).unwrap();
    assert!(health("7d").assert_code(1).stderr.contains("since 2026-01-01T00:00:00Z"));
    // An audit changes nothing of it.
    janitor("7d").env("RUN_ONCE", "true").audit().run().assert_code(3);
    assert!(record.exists());

    fs::write(&link, digest).unwrap();
    assert_eq!(health("7d").assert_code(0).stdout, "waiting for the next sweep\n");
    assert!(!record.exists());
}
