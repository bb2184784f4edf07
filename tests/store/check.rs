//! A check of a storage that fails in places, or that changes meanwhile.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use janitor_testkit::{Damage, Image, Tree};
use jiff::SignedDuration;
use registry_janitor::check::{FindingCode, FindingSeverity};
use registry_janitor::cli::{LogFormat, LogLevel, OutputFormat};
use registry_janitor::config::{CheckConfig, Deep};
use registry_janitor::fsck::{CheckError, check_store};
use registry_janitor::report::check::{CheckReport, RepairOutcome};
use registry_janitor::stop::Stop;
use registry_janitor::store::{Op, Store, Watch};

use crate::crashes::each;
use crate::stage::Stage;
use crate::watch::{Hooks, Log, Once, mutates};

fn config(stage: &Stage, repair: bool) -> CheckConfig {
    CheckConfig {
        dry_run: false,
        lock_wait: std::time::Duration::ZERO,
        data_dir: stage.root().into(),
        jobs: 1,
        only: None,
        upload_max_age: SignedDuration::from_hours(24 * 7),
        deep: (!repair).then_some(Deep { rate: None, state: None }),
        repair,
        yes: repair,
        output: OutputFormat::None,
        log_format: LogFormat::Text,
        log_level: LogLevel::Error,
    }
}

pub(crate) fn check(
    stage: &Stage,
    repair: bool,
    watch: Option<Box<dyn Watch>>,
) -> Result<CheckReport, CheckError> {
    let store = Store::open(stage.root(), 1, watch)?;
    check_store(&store, &config(stage, repair), &Stop::default(), |_| repair)
}

#[test]
fn an_input_error_anywhere_is_told_and_is_never_taken_for_whole_or_for_missing() {
    let stage = Stage::new();
    let log = Arc::new(Log::default());
    let seen = Arc::clone(&log);
    let watch = Hooks::before(move |op, path| {
        seen.add(op, path);
        Ok(())
    });
    assert_eq!(check(&stage, false, Some(watch)).unwrap().findings, []);
    let operations = log.all();
    assert!(operations.iter().all(|(op, _)| !mutates(*op)), "a check changes nothing");
    let paths: BTreeSet<&str> = operations.iter().map(|(_, path)| path.trim_end_matches('/')).collect();
    assert!(paths.len() > 100, "{}", paths.len());
    let before = Tree::of(stage.root());
    // One of a kind: a check waits a second before it looks again.
    let targets: Vec<&str> = paths.into_iter().step_by(9).collect();
    each(targets.len(), |number| {
        let target = targets[number];
        let wanted = target.to_owned();
        let watch = Hooks::before(move |_, path| {
            if path.trim_end_matches('/') == wanted { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
        });
        match check(&stage, false, Some(watch)) {
            Ok(report) => {
                assert_eq!(report.exit_code, 3, "{target}: {:#?}", report.findings);
                let is_doubt = |severity| severity == FindingSeverity::Doubt;
                assert!(
                    report.findings.iter().all(|it| is_doubt(it.severity)),
                    "{target}: {:#?}",
                    report.findings
                );
            }
            Err(error) => assert!([1, 10].contains(&error.exit_code()), "{target}: {error}"),
        }
    });
    before.assert_unchanged(&Tree::of(stage.root()));
}

#[test]
fn a_link_that_is_being_written_is_not_called_damaged() {
    let stage = Stage::new();
    let link = stage.view().current_link("app", "v3");
    let text = fs::read(&link).unwrap();
    fs::write(&link, "").unwrap();
    let writes = Once::default();
    let watch = Hooks::after(move |op, path| {
        if op == Op::Read && path.ends_with("/tags/v3/current/link") && writes.first() {
            fs::write(&link, &text).unwrap();
        }
    });

    let report = check(&stage, false, Some(watch)).unwrap();

    assert_eq!(report.findings, []);
}

#[test]
fn a_tag_that_is_pushed_before_its_repair_keeps_what_was_pushed() {
    let stage = Stage::new();
    Damage::to(stage.view()).truncate_tag("app", "v3");
    let link = stage.view().current_link("app", "v3");
    let pushed = stage.versions[0].digest();
    let text = pushed.as_str().to_owned();
    let once = Once::default();
    let watch = Hooks::after(move |op, path| {
        if op == Op::Write && path.ends_with("janitor/lock") && once.first() {
            fs::write(&link, &text).unwrap();
        }
    });

    let report = check(&stage, true, Some(watch)).unwrap();

    let outcomes: Vec<RepairOutcome> = report.repaired.iter().map(|it| it.outcome).collect();
    assert_eq!(outcomes, [RepairOutcome::Changed]);
    assert_eq!(stage.view().tag_digest("app", "v3"), pushed);
}

#[test]
fn a_tag_that_is_written_in_place_during_its_repair_keeps_what_was_written() {
    let stage = Stage::new();
    Damage::to(stage.view()).truncate_tag("app", "v3");
    let link = stage.view().current_link("app", "v3");
    // As the registry 2.8 does, which has opened the link before the repair renames another over it.
    let opened = fs::OpenOptions::new().write(true).open(&link).unwrap();
    let pushed = stage.versions[0].digest();
    let text = pushed.as_str().to_owned();
    let opened = Mutex::new(Some(opened));
    let watch = Hooks::before(move |op, path| {
        if op == Op::Rename
            && path.ends_with("/tags/v3/current/link")
            && let Some(mut file) = opened.lock().unwrap().take()
        {
            io::Write::write_all(&mut file, text.as_bytes())?;
        }
        Ok(())
    });

    check(&stage, true, Some(watch)).unwrap();

    assert_eq!(stage.view().tag_digest("app", "v3"), pushed);
}

#[test]
fn bytes_that_are_right_after_all_come_back() {
    let stage = Stage::new();
    let digest = Image::digest(&stage.versions[2]);
    let data = stage.view().blob_data(&digest);
    let bytes = fs::read(&data).unwrap();
    fs::write(&data, "").unwrap();
    // A manifest that the registry 2.8 writes in place at just that time.
    let renames = AtomicUsize::new(0);
    let name = digest.hex().to_owned();
    let watch = Hooks::before(move |op, path| {
        if op == Op::Rename && path.ends_with(&name) && renames.fetch_add(1, Ordering::SeqCst) == 0 {
            fs::write(&data, &bytes).unwrap();
        }
        Ok(())
    });

    let report = check(&stage, true, Some(watch)).unwrap();

    let outcomes: Vec<RepairOutcome> = report.repaired.iter().map(|it| it.outcome).collect();
    assert_eq!(outcomes, [RepairOutcome::Changed]);
    assert!(
        report.findings.iter().all(|it| it.code != FindingCode::ManifestMissing),
        "{:#?}",
        report.findings
    );
    assert_eq!(report.exit_code, 0, "{:#?}", report.findings);
}
