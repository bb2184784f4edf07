//! Layers that a manifest names by sha512: what is read of them, and what a link that goes wrong meanwhile does.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use janitor_testkit::StoreBuilder;
use registry_janitor::config::Config;
use registry_janitor::report::{CollectionStatus, SweepReport};
use registry_janitor::stop::Stop;
use registry_janitor::store::{Op, Watch};

use super::stage::NativeStage;
use crate::stage::{hours_ago, tag};
use crate::watch::Hooks;

/// The store with a tag in `app` that names a layer by sha512.
fn stage() -> NativeStage {
    let stage = NativeStage::new();
    let layer = stage.layer();
    let text = String::from_utf8(stage.gone.document().bytes.clone()).unwrap();
    let manifest = text.replace(layer.as_str(), &stage.long(&layer));
    let digest = StoreBuilder::new(stage.root()).manifest("app", manifest.as_bytes(), hours_ago(6));
    tag(stage.view(), "app", "long", &digest);
    stage
}

fn sweep(stage: &NativeStage, watch: Box<dyn Watch>) -> SweepReport {
    let mut config: Config = stage.config();
    config.policy.keep_last = 100;
    stage.stage.sweep_with(&config, Some(watch), &Stop::default()).unwrap()
}

#[test]
fn such_a_layer_is_read_once_and_not_in_the_next_sweep() {
    let stage = stage();
    let (layer, opened) = (format!("{}/data", stage.layer().hex()), Arc::new(AtomicUsize::new(0)));
    for expected in [1, 1, 2] {
        if expected == 2 {
            // It may be deleted at any time.
            fs::remove_file(stage.root().join("janitor/aliases")).unwrap();
        }
        let (layer, count) = (layer.clone(), Arc::clone(&opened));
        let watch = Hooks::before(move |op, path| {
            if op == Op::Open && path.ends_with(&layer) {
                count.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        });
        let report = sweep(&stage, watch);
        assert_eq!(report.exit_code, 0, "{:#?}", report.findings);
        assert_eq!(opened.load(Ordering::SeqCst), expected);
    }
}

#[test]
fn a_link_that_is_damaged_between_the_looks_brings_everything_back() {
    for content in [None, Some(""), Some("decoy")] {
        let stage = stage();
        let before = stage.view().blobs();
        let (alias, decoy) = (stage.alias(&stage.layer()), stage.config_blob());
        let (hiding, hurt) = (AtomicBool::new(false), Arc::new(AtomicBool::new(false)));
        let done = Arc::clone(&hurt);
        let watch = Hooks::before(move |op, path| {
            if op == Op::Rename && path.ends_with("/data") {
                hiding.store(true, Ordering::SeqCst);
            }
            let is_second =
                hiding.load(Ordering::SeqCst) && op == Op::Open && path.ends_with("v2/repositories");
            if is_second && !done.swap(true, Ordering::SeqCst) {
                match content {
                    None => fs::remove_file(&alias).unwrap(),
                    Some("decoy") => fs::write(&alias, decoy.as_str()).unwrap(),
                    Some(text) => fs::write(&alias, text).unwrap(),
                }
            }
            Ok(())
        });
        let report = sweep(&stage, watch);
        assert!(hurt.load(Ordering::SeqCst), "nothing was hidden");
        assert_eq!(
            report.collection.status,
            CollectionStatus::PutOff,
            "{content:?}: {:?}",
            report.collection
        );
        assert_eq!(report.exit_code, 3, "{content:?}: {:#?}", report.findings);
        // What is kept in doubt is all that the manifest phase left.
        assert_eq!(report.totals.blobs_removed, 0, "{content:?}");
        assert_eq!(stage.view().blobs(), before, "{content:?}");
    }
}
