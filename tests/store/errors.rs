//! A storage that cannot be read in places: nothing live is lost, and it is told where.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use janitor_testkit::Image;
use registry_janitor::model::Severity;

use crate::stage::Stage;
use crate::watch::{Hooks, Log, mutates};
use crate::witness::{assert_whole, trash};

/// A path without what differs from one sweep to the next: its name in the trash; a listing's path ends in a slash.
fn lasting(path: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    if let ["janitor", "trash", _, name, ..] = parts[..] {
        let at = parts.iter().position(|part| *part == name).unwrap();
        parts[at] = "*";
    }
    parts.join("/").trim_end_matches('/').to_owned()
}

/// Every path that a sweep opens, reads, lists or stats.
fn reads_of_a_sweep() -> Vec<String> {
    let stage = Stage::new();
    let log = Arc::new(Log::default());
    let seen = Arc::clone(&log);
    let watch = Hooks::before(move |op, path| {
        seen.add(op, path);
        Ok(())
    });
    stage.sweep(Some(watch)).unwrap();
    let root = format!("{}/", stage.root().display());
    let reads = log.all().into_iter().filter(|(op, _)| !mutates(*op));
    let paths: BTreeSet<String> = reads.map(|(_, path)| lasting(&path.replace(&root, "ROOT"))).collect();
    paths.into_iter().collect()
}

/// Sweeps while nothing can be read at this path, then once more when all is well again.
fn fail_for_ever(target: &str, errno: i32) {
    let stage = Stage::new();
    let what = format!("error {errno} of {target}");
    let root = format!("{}/", stage.root().display());
    let wanted = target.to_owned();
    let watch = Hooks::before(move |op, path| {
        if !mutates(op) && lasting(&path.replace(&root, "ROOT")) == wanted {
            return Err(io::Error::from_raw_os_error(errno));
        }
        Ok(())
    });
    let ended = stage.sweep(Some(watch));
    assert_whole(stage.view(), &stage.kept(), &what);
    match ended {
        Ok(report) => {
            assert_eq!(report.exit_code, 3, "{what}: {:#?}", report.findings);
            let told = report.findings.iter().any(|it| it.severity >= Severity::Doubt && !it.path.is_empty());
            assert!(told || !report.broken.is_empty(), "{what}: {:#?}", report.findings);
        }
        Err(error) => {
            assert!([1, 10, 12].contains(&error.exit_code()), "{what}: {error}");
        }
    }

    let report = stage.sweep(None).unwrap();
    assert_eq!(report.exit_code, 0, "after {what}: {:#?}", report.findings);
    assert_whole(stage.view(), &stage.kept(), &format!("the sweep after {what}"));
    assert_eq!(trash(stage.root()), Vec::<std::path::PathBuf>::new(), "after {what}");
    assert_eq!(stage.view().tags("app").len(), 3, "after {what}");
    assert_eq!(stage.view().revisions("app").len(), 7, "after {what}");
}

/// Fails one path in so many, one after the other.
fn fail_everywhere(errno: i32, one_in: usize) {
    let mut reads = reads_of_a_sweep();
    assert!(reads.len() > 150, "{}", reads.len());
    // What only a referrer has is no part of what a tag pulls, so a sweep that keeps it does not look after it.
    let referrer = Image::referrer_of(&Image::small(3), "application/spdx+json", "sbom");
    reads.retain(|path| {
        !referrer.blobs().keys().any(|blob| path.contains(blob.hex())) || !path.ends_with("data")
    });
    let reads: Vec<String> = reads.into_iter().step_by(one_in).collect();
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(target) = reads.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if let Err(panic) = std::panic::catch_unwind(|| fail_for_ever(target, errno)) {
                        let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                        failures.lock().unwrap().push(text);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), reads.len(), failures.join("\n\n"));
}

#[test]
fn an_input_error_anywhere_loses_nothing_and_is_told() {
    fail_everywhere(5, 1);
}

#[test]
fn a_refused_permission_anywhere_loses_nothing_and_is_told() {
    fail_everywhere(13, 9);
}
