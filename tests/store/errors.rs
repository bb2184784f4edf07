//! A storage that cannot be read in places: nothing live is lost, and it is told where.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

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

/// Every path that a sweep opens, reads, lists or stats, with how often it does.
fn reads_of_a_sweep() -> BTreeMap<String, usize> {
    let stage = Stage::new();
    let log = Arc::new(Log::default());
    let seen = Arc::clone(&log);
    let watch = Hooks::before(move |op, path| {
        seen.add(op, path);
        Ok(())
    });
    stage.sweep(Some(watch)).unwrap();
    let root = format!("{}/", stage.root().display());
    // The reserve is for a full disk; a sweep that cannot see it does without.
    let reads = log.all().into_iter().filter(|(op, path)| !mutates(*op) && !path.ends_with("/reserve"));
    let mut paths = BTreeMap::new();
    for (_, path) in reads {
        *paths.entry(lasting(&path.replace(&root, "ROOT"))).or_default() += 1;
    }
    paths
}

/// Sweeps while nothing can be read at this path, but for its first so many operations; then once more when all
/// is well again.
fn fail_after(good: usize, target: &str, errno: i32) {
    let stage = Stage::new();
    let what = format!("error {errno} of {target} after {good}");
    let root = format!("{}/", stage.root().display());
    let wanted = target.to_owned();
    let seen = AtomicUsize::new(0);
    let watch = Hooks::before(move |op, path| {
        let is_it = !mutates(op) && lasting(&path.replace(&root, "ROOT")) == wanted;
        if is_it && seen.fetch_add(1, Ordering::SeqCst) >= good {
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

/// Fails each of these, at the same time as others.
fn fail_each(errno: i32, targets: &[(usize, String)]) {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some((good, target)) = targets.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if let Err(panic) = std::panic::catch_unwind(|| fail_after(*good, target, errno)) {
                        let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                        failures.lock().unwrap().push(text);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), targets.len(), failures.join("\n\n"));
}

/// The paths whose failure has to be told.
fn targets() -> BTreeMap<String, usize> {
    let reads = reads_of_a_sweep();
    assert!(reads.len() > 150, "{}", reads.len());
    reads
}

#[test]
fn an_input_error_anywhere_loses_nothing_and_is_told() {
    let targets: Vec<(usize, String)> = targets().into_keys().map(|path| (0, path)).collect();
    fail_each(5, &targets);
}

#[test]
fn a_refused_permission_anywhere_loses_nothing_and_is_told() {
    let targets: Vec<(usize, String)> = targets().into_keys().map(|path| (0, path)).step_by(9).collect();
    fail_each(13, &targets);
}

#[test]
fn an_input_error_that_comes_later_loses_nothing_and_is_told() {
    let again = targets().into_iter().filter(|(_, times)| *times > 2);
    let targets: Vec<(usize, String)> =
        again.flat_map(|(path, times)| (1..times).map(move |good| (good, path.clone()))).collect();
    assert!(targets.len() > 50, "{}", targets.len());
    fail_each(5, &targets);
}
