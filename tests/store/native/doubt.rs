//! Since when doubt has kept a store from being collected: written down once, and forgotten by the next sweep without it.

use std::fs;

use registry_janitor::stop::Stop;
use registry_janitor::store::Store;
use registry_janitor::sweep::sweep_store;

use super::stage::NativeStage;

#[test]
fn the_first_sweep_in_doubt_remembers_when_and_one_without_doubt_forgets() {
    let stage = NativeStage::new();
    let record = stage.root().join("janitor/trash/condemned/doubt.json");
    let link = stage.view().current_link("app", "v3");
    let digest = fs::read(&link).unwrap();
    fs::write(&link, "").unwrap();

    let audit = registry_janitor::config::Config { dry_run: true, ..stage.config() };
    assert_eq!(stage.stage.sweep_with(&audit, None, &Stop::default()).unwrap().in_doubt_since, None);
    assert!(!record.exists(), "an audit changes nothing");

    let first = stage.sweep(None).unwrap().in_doubt_since.unwrap();
    let written = fs::read(&record).unwrap();
    assert_eq!(stage.sweep(None).unwrap().in_doubt_since, Some(first));
    assert_eq!(fs::read(&record).unwrap(), written);

    // What cannot be read counts from now, and so does a time that is yet to come.
    for garbled in ["", "{", r#"{"in_doubt_since":"9000-01-01T00:00:00Z"}"#] {
        fs::write(&record, garbled).unwrap();
        let again = stage.sweep(None).unwrap().in_doubt_since.unwrap();
        assert!(again > first && again < first + jiff::SignedDuration::from_hours(1), "{garbled}");
    }

    fs::write(&link, digest).unwrap();
    assert_eq!(stage.sweep(None).unwrap().in_doubt_since, None);
    assert!(!record.exists());
    let operations = || {
        let store = Store::open(stage.root(), 1, None).unwrap();
        sweep_store(&store, &stage.config(), &Stop::default()).unwrap();
        store.io_counts()
    };
    let before = operations();
    assert_eq!(before, operations(), "no operation is spent on it where there is no doubt");
}
