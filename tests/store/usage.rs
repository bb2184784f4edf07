//! What it costs to tell what holds the disk: a look, one stat for each blob, and what an audit asks of garbage.

use std::collections::BTreeMap;
use std::sync::Arc;

use janitor_testkit::{Image, StoreBuilder, Tree};
use jiff::SignedDuration;
use registry_janitor::cli::UsageOrder;
use registry_janitor::config::{Config, UsageQuery};
use registry_janitor::model::Measure;
use registry_janitor::report::usage::UsageReport;
use registry_janitor::stop::Stop;
use registry_janitor::store::{Op, Store};
use registry_janitor::sweep::sweep_store;
use registry_janitor::usage;

use crate::stage::{Stage, hours_ago};
use crate::watch::{Hooks, Log, mutates};

/// A store, and every operation on it from here on.
fn watched(root: &std::path::Path) -> (Store, Arc<Log>) {
    let log = Arc::new(Log::default());
    let seen = Arc::clone(&log);
    let watch = Hooks::before(move |op, path| {
        seen.add(op, path);
        Ok(())
    });
    (Store::open(root, 4, Some(watch)).unwrap(), log)
}

fn tell(config: &Config) -> (UsageReport, Arc<Log>) {
    let query = UsageQuery {
        names: Vec::new(),
        tags: true,
        top: usize::MAX,
        order: UsageOrder::Size,
        measure: Measure::Allocated,
    };
    let (store, log) = watched(&config.data_dir);
    let report = usage::of_store(&store, config, &query, &Stop::default()).unwrap();
    assert!(!log.all().iter().any(|(op, _)| mutates(*op)), "it changes nothing");
    (report, log)
}

/// How often the data of each blob was asked for.
fn data_stats(log: &Log) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for (op, path) in log.all() {
        if op == Op::Stat && path.ends_with("/data") {
            *times.entry(path).or_default() += 1;
        }
    }
    times
}

#[test]
fn where_nothing_is_garbage_it_costs_a_look_and_one_stat_for_each_blob() {
    let directory = tempfile::tempdir().unwrap();
    let builder = StoreBuilder::new(directory.path());
    builder.push("app", "v1", &Image::small(1), hours_ago(2));
    builder.push("app", "v2", &Image::small(2), hours_ago(1));
    builder.push("other", "multi", &Image::multi_arch(3), hours_ago(1));
    builder.push("other", "v1", &Image::small(1), hours_ago(1));
    let stage = Stage::new();
    let config = Config { data_dir: directory.path().into(), ..stage.config() };
    let (store, look) = watched(directory.path());
    store.scan(&Stop::default()).unwrap();

    let (report, log) = tell(&config);

    let blobs = builder.view().blobs().len();
    // Each part of the trash is asked for once; there is none.
    let trash = 3;
    // Nor is there a file that says when things dated ahead were first seen.
    let first_seen = 1;
    assert_eq!(log.all().len(), look.all().len() + blobs + trash + first_seen);
    assert_eq!(log.count(Op::Stat), look.count(Op::Stat) + blobs);
    assert_eq!(data_stats(&log).len(), blobs);
    assert_eq!(report.totals.blobs, blobs);
    assert_eq!(report.totals.tags_bytes, report.totals.total_bytes);
}

#[test]
fn with_garbage_it_costs_no_more_than_an_audit_and_one_stat_for_each_blob() {
    let stage = Stage::new();
    let before = Tree::of(stage.root());
    let mut config = stage.config();
    config.policy.keep_last = 100;
    config.dry_run = true;
    let (store, audit) = watched(stage.root());
    let audited = sweep_store(&store, &config, &Stop::default()).unwrap();

    let (report, log) = tell(&config);

    let blobs = stage.view().blobs().len();
    assert!(log.all().len() <= audit.all().len() + blobs, "{} > {}", log.all().len(), audit.all().len());
    let stats = data_stats(&log);
    assert_eq!((stats.len(), stats.values().max()), (blobs, Some(&1)), "none is asked twice");
    assert_eq!(audited.totals.tags_removed, 0);
    assert!(report.totals.reclaimable_bytes > 0);
    assert_eq!(report.totals.reclaimable_bytes, report.totals.untagged_bytes, "of the two untagged images");
    before.assert_unchanged(&Tree::of(stage.root()));
}

#[test]
fn a_blob_that_cannot_be_measured_is_a_doubt_and_hides_no_other() {
    let stage = Stage::new();
    let layer = stage.versions[2].blobs().keys().next().unwrap().hex().to_owned();
    let watch = Hooks::before(move |op, path| {
        let is_it = op == Op::Stat && path.contains(&layer);
        if is_it { Err(std::io::Error::from_raw_os_error(5)) } else { Ok(()) }
    });
    let mut config = stage.config();
    config.grace = SignedDuration::from_hours(1000);
    let store = Store::open(stage.root(), 1, Some(watch)).unwrap();
    let query = UsageQuery {
        names: Vec::new(),
        tags: false,
        top: 1,
        order: UsageOrder::Alone,
        measure: Measure::Apparent,
    };
    let report = usage::of_store(&store, &config, &query, &Stop::default()).unwrap();
    assert_eq!(report.exit_code, 3);
    assert_eq!((report.rows.repositories.len(), report.rows.left_out), (1, 2));
    let lost = stage.view().blob_bytes() - report.totals.total_bytes;
    let sizes: Vec<u64> = stage.view().blobs().into_values().collect();
    assert!(sizes.contains(&lost), "{lost} of {sizes:?}");
    assert_eq!(report.totals.reclaimable_bytes, 0);
    assert!(report.totals.waiting_until.is_some());
}
