//! What is hidden although no list says so, since somebody deleted the lists: beside what was pushed again, and alone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use janitor_testkit::Digest;
use jiff::SignedDuration;
use registry_janitor::check::FindingCode;
use registry_janitor::cli::{LogFormat, LogLevel, OutputFormat};
use registry_janitor::config::{CheckConfig, Deep};
use registry_janitor::fsck::check_store;
use registry_janitor::report::CollectionStatus;
use registry_janitor::report::check::{CheckReport, RepairOutcome};
use registry_janitor::stop::Stop;
use registry_janitor::store::{Op, Store};

use super::crashes::{forget, make_good};
use super::lists::hide_and_end;
use super::stage::{NativeStage, leftovers};
use crate::watch::Hooks;
use crate::witness::assert_whole;

fn check(stage: &NativeStage, deep: bool, repair: bool) -> CheckReport {
    let config = CheckConfig {
        dry_run: false,
        lock_wait: std::time::Duration::ZERO,
        data_dir: stage.root().into(),
        jobs: 1,
        only: None,
        upload_max_age: SignedDuration::from_hours(24 * 7),
        deep: deep.then_some(Deep { rate: None, state: None }),
        repair,
        yes: repair,
        output: OutputFormat::None,
        log_format: LogFormat::Text,
        log_level: LogLevel::Error,
    };
    let store = Store::open(stage.root(), 1, None).unwrap();
    check_store(&store, &config, &Stop::default(), |_| repair).unwrap()
}

/// Where a file is while it is hidden.
fn unseen(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap().to_str().unwrap();
    path.with_file_name(format!("{name}.janitor"))
}

/// A layer of an image that stays, and its link.
fn layer(stage: &NativeStage) -> (Digest, PathBuf, PathBuf) {
    let layer = stage.stays.blobs().keys().next().unwrap().clone();
    let (data, link) = (stage.view().blob_data(&layer), stage.view().layer_link("other", &layer));
    (layer, data, link)
}

/// As an interrupted sweep leaves an image's layer that was pushed again after somebody had deleted the list.
fn pushed_again(stage: &NativeStage) -> (Digest, PathBuf, PathBuf) {
    let (layer, data, link) = layer(stage);
    for path in [&data, &link] {
        fs::copy(path, unseen(path)).unwrap();
    }
    (layer, data, link)
}

/// Damages bytes, and not their number.
fn garble(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[0] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_sweep_without_a_trace_of_another_removes_hidden_copies_of_what_was_pushed_again() {
    let stage = NativeStage::new();
    let (layer, data, link) = pushed_again(&stage);
    let bytes = fs::read(&data).unwrap();

    let report = stage.sweep(None).unwrap();

    assert_eq!(report.exit_code, 0, "{:#?}", report.findings);
    assert!(report.findings.iter().any(|it| it.cause.contains("hidden copies were deleted")), "{report:#?}");
    assert_eq!(leftovers(stage.view()), Vec::<PathBuf>::new());
    assert_eq!(fs::read(&data).unwrap(), bytes);
    assert_eq!(fs::read_to_string(&link).unwrap(), layer.as_str());
    assert_whole(stage.view(), &stage.kept(), "pushed again");
}

#[test]
fn a_hidden_copy_that_is_whole_takes_the_place_of_a_damaged_one() {
    let stage = NativeStage::new();
    let (_, data, _) = pushed_again(&stage);
    let bytes = fs::read(&data).unwrap();
    garble(&data);
    let report = stage.sweep(None).unwrap();
    assert_eq!(report.exit_code, 0, "{:#?}", report.findings);
    assert_eq!(leftovers(stage.view()), Vec::<PathBuf>::new());
    assert_eq!(fs::read(&data).unwrap(), bytes);
}

#[test]
fn a_check_reports_hidden_copies_and_a_repair_removes_them() {
    let stage = NativeStage::new();
    let (layer, data, link) = pushed_again(&stage);
    // One that goes on from another sweep does not look everywhere.
    let (aside, aside_link) = (stage.root().join("aside"), stage.root().join("aside-link"));
    fs::rename(unseen(&data), &aside).unwrap();
    fs::rename(unseen(&link), &aside_link).unwrap();
    assert_eq!(stage.sweep(None).unwrap().exit_code, 0);
    fs::rename(&aside, unseen(&data)).unwrap();
    fs::rename(&aside_link, unseen(&link)).unwrap();

    let report = check(&stage, false, false);
    let told: Vec<_> = report.findings.iter().filter(|it| it.code == FindingCode::HiddenLeftover).collect();
    assert_eq!(told.len(), 2, "{:#?}", report.findings);
    assert!(told.iter().all(|it| it.remedy.contains("check --repair")), "{told:#?}");
    assert!(told.iter().any(|it| it.path.ends_with(&format!("{}/data.janitor", layer.hex()))), "{told:#?}");
    assert_eq!(report.exit_code, 0, "nothing is broken");

    let report = check(&stage, false, true);
    assert!(report.repaired.iter().all(|it| it.outcome == RepairOutcome::Done), "{:#?}", report.repaired);
    assert_eq!(report.repaired.len(), 2);
    assert_eq!(report.findings, []);
    assert_eq!(leftovers(stage.view()), Vec::<PathBuf>::new());
    assert!(data.exists() && link.exists());
    assert_whole(stage.view(), &stage.kept(), "a repair");
}

#[test]
fn a_repair_of_damaged_bytes_puts_a_whole_hidden_copy_in_their_place() {
    for deep in [false, true] {
        let stage = NativeStage::new();
        let (_, data, _) = pushed_again(&stage);
        let bytes = fs::read(&data).unwrap();
        garble(&data);
        let report = check(&stage, deep, true);
        assert!(
            report.repaired.iter().all(|it| it.outcome != RepairOutcome::Failed),
            "{deep}: {:#?}",
            report.repaired
        );
        assert_eq!(fs::read(&data).unwrap(), bytes, "{deep}: {:#?}", report.repaired);
        assert_eq!(leftovers(stage.view()), Vec::<PathBuf>::new(), "{deep}");
    }
}

#[test]
fn a_check_beside_a_sweep_says_nothing_of_what_that_has_hidden() {
    let stage = NativeStage::new();
    hide_and_end(&stage);
    let hidden = |report: &CheckReport| {
        report.findings.iter().filter(|it| it.code == FindingCode::HiddenLeftover).count()
    };
    assert_eq!(hidden(&check(&stage, false, false)), 0);
    forget(&stage);
    let report = check(&stage, false, false);
    assert!(hidden(&report) > 0, "{:#?}", report.findings);
}

#[test]
fn what_is_hidden_alone_and_referenced_comes_back_by_a_repair() {
    let stage = NativeStage::new();
    assert_eq!(stage.sweep(None).unwrap().exit_code, 0);
    let (_, data, link) = layer(&stage);
    for path in [&data, &link] {
        fs::rename(path, unseen(path)).unwrap();
    }
    let report = check(&stage, false, true);
    assert_eq!(report.findings, [], "{:#?}", report.repaired);
    assert!(data.exists() && link.exists());
    assert_whole(stage.view(), &stage.kept(), "a repair");
}

#[test]
fn what_is_hidden_alone_and_referenced_by_nothing_is_collected_whether_there_is_a_trace_of_a_sweep_or_not() {
    let undisturbed = NativeStage::new();
    undisturbed.sweep(None).unwrap();
    for is_known in [false, true] {
        let stage = NativeStage::new();
        let (layer, config) = (stage.layer(), stage.config_blob());
        if is_known {
            stage.stage.sweep_keeping_all();
        }
        for path in [stage.view().blob_data(&layer), stage.view().layer_link("other", &config)] {
            fs::rename(&path, unseen(&path)).unwrap();
        }
        make_good(&stage, &format!("known: {is_known}"), 3, &undisturbed.content());
    }
}

#[test]
fn the_hint_about_a_garbled_list_helps_where_an_image_was_pushed_again() {
    let stage = NativeStage::new();
    let list = hide_and_end(&stage);
    fs::write(&list, "garbled").unwrap();
    let report = stage.sweep(None).unwrap();
    let told = report.findings.iter().find(|it| it.cause.contains("garbled")).unwrap();
    assert!(
        told.remedy.contains("move the list out of the trash and run janitor check --repair"),
        "{told:?}"
    );
    stage.stage.builder.push("other", "again", &stage.gone, crate::stage::just_now());
    fs::rename(&list, stage.root().join("list")).unwrap();
    let report = check(&stage, false, true);
    assert!(report.repaired.iter().all(|it| it.outcome == RepairOutcome::Done), "{:#?}", report.repaired);
    assert_eq!(stage.sweep(None).unwrap().exit_code, 0);
    assert_eq!(leftovers(stage.view()), Vec::<PathBuf>::new());
    assert_whole(stage.view(), &[("other", "again".to_owned())], "the hint");
}

/// A disk that has no room for any list; from the moment on, when so many things are hidden, nothing works.
fn without_room(hidden: usize) -> Box<dyn registry_janitor::store::Watch> {
    let renamed = AtomicUsize::new(0);
    Hooks::before(move |op, path| {
        if op == Op::Write && path.contains("-blobs/hidden-") {
            return Err(io::Error::from_raw_os_error(28));
        }
        let is_hiding = op == Op::Rename && (path.ends_with("/data") || path.ends_with("/link"));
        if is_hiding {
            renamed.fetch_add(1, Ordering::SeqCst);
        }
        if renamed.load(Ordering::SeqCst) > hidden {
            return Err(io::Error::other("the power is gone"));
        }
        Ok(())
    })
}

#[test]
fn where_there_is_no_room_for_any_list_a_sweep_collects_without_one() {
    let undisturbed = NativeStage::new();
    undisturbed.sweep(None).unwrap();
    let stage = NativeStage::new();
    let report = stage.sweep(Some(without_room(usize::MAX))).unwrap();
    assert_eq!(report.exit_code, 0, "{:#?}", report.findings);
    assert_eq!(report.collection.status, CollectionStatus::Done, "{:?}", report.collection);
    assert_eq!(stage.view().blobs(), undisturbed.view().blobs());
    make_good(&stage, "no room for lists", 1, &undisturbed.content());
}

#[test]
fn what_was_hidden_without_a_list_comes_back_after_a_crash() {
    let undisturbed = NativeStage::new();
    undisturbed.sweep(None).unwrap();
    for hidden in [1, 4, 7] {
        let stage = NativeStage::new();
        // There is a trace of an earlier sweep, so that nothing would be looked for.
        stage.stage.sweep_keeping_all();
        let _ended = stage.sweep(Some(without_room(hidden)));
        let is_hidden = |path: &PathBuf| path.extension().is_some_and(|it| it == "janitor");
        assert_eq!(leftovers(stage.view()).iter().filter(|path| is_hidden(path)).count(), hidden);
        // The client asked for the blobs before, and was told that they are there.
        super::pushes::push_links_alone(stage.view(), "other", "late", &stage.gone);

        let report = stage.sweep(None).unwrap();

        assert_eq!(report.exit_code, 0, "{hidden}: {:#?}", report.findings);
        assert_whole(stage.view(), &[("other", "late".to_owned())], "a crash without a list");
        assert_whole(stage.view(), &stage.kept(), "a crash without a list");
        stage.sweep(None).unwrap();
        assert_eq!(leftovers(stage.view()), Vec::<PathBuf>::new(), "{hidden}");
    }
}
