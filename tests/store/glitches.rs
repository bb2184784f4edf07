//! A storage that errs once, at any operation: nothing live is lost, and the next sweep comes to the same end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use janitor_testkit::Digest;
use registry_janitor::report::SweepReport;
use registry_janitor::store::{Op, Watch};
use registry_janitor::sweep::SweepError;
use rustix::io::Errno;

use crate::crashes::content;
use crate::stage::Stage;
use crate::watch::Hooks;
use crate::witness::{assert_whole, trash};

type Swept = BTreeMap<&'static str, (BTreeSet<String>, BTreeSet<Digest>)>;

/// Most of a doubtful sweep is waiting, for what may be a write in progress.
const AT_ONCE: usize = 24;

/// What an undisturbed sweep leaves, and how many operations of these kinds it makes.
fn undisturbed(counts: fn(Op) -> bool) -> (Swept, usize) {
    let stage = Stage::new();
    let made = std::sync::Arc::new(AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&made);
    let watch = Hooks::before(move |op, _| {
        count.fetch_add(usize::from(counts(op)), Ordering::SeqCst);
        Ok(())
    });
    stage.sweep(Some(watch)).unwrap();
    (content(&stage), made.load(Ordering::SeqCst))
}

/// Judges a disturbed sweep, and sweeps once more when all is well again.
fn judge(stage: &Stage, what: &str, ended: &Result<SweepReport, SweepError>, swept: &Swept) {
    assert_whole(stage.view(), &stage.kept(), what);
    match ended {
        Ok(report) if report.exit_code == 0 => assert!(report.broken.is_empty(), "{what}"),
        Ok(report) => assert_eq!(report.exit_code, 3, "{what}: {:#?}", report.findings),
        Err(error) => assert!([1, 10, 12].contains(&error.exit_code()), "{what}: {error}"),
    }
    let report = stage.sweep(None).unwrap();
    assert_eq!(report.exit_code, 0, "after {what}: {:#?}", report.findings);
    assert_whole(stage.view(), &stage.kept(), &format!("the sweep after {what}"));
    assert_eq!(trash(stage.root()), Vec::<PathBuf>::new(), "after {what}");
    assert_eq!(content(stage), *swept, "after {what}");
}

/// Runs every case, many at the same time, and tells of all that fail.
fn each(cases: &[(usize, Errno)], act: impl Fn(usize, Errno) + Sync + std::panic::RefUnwindSafe) {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(&(at, errno)) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if let Err(panic) = std::panic::catch_unwind(|| act(at, errno)) {
                        let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                        failures.lock().unwrap().push(text);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), cases.len(), failures.join("\n\n"));
}

/// Fails the operation at this position, once.
fn fail_at(at: usize, errno: Errno, swept: &Swept) {
    let stage = Stage::new();
    let (made, failed) = (AtomicUsize::new(0), std::sync::Arc::new(Mutex::new(String::new())));
    let told = std::sync::Arc::clone(&failed);
    let watch = Hooks::before(move |op, path| {
        if made.fetch_add(1, Ordering::SeqCst) != at {
            return Ok(());
        }
        *told.lock().unwrap() = format!("{op:?} of {path}");
        Err(io::Error::from(errno))
    });
    let ended = stage.sweep(Some(watch));
    let what = format!("{errno:?} at operation {at}, {}", failed.lock().unwrap());
    if let Ok(report) = &ended
        && report.exit_code == 0
        && errno != Errno::NOENT
    {
        assert_eq!(content(&stage), *swept, "{what}: not told, and not all was done");
    }
    judge(&stage, &what, &ended, swept);
}

fn fail_everywhere(errnos: &[Errno], step: usize) {
    let (swept, operations) = undisturbed(|_| true);
    assert!(operations > 300, "{operations}");
    let cases: Vec<(usize, Errno)> =
        (0..operations).flat_map(|at| errnos.iter().map(move |errno| (at, *errno))).step_by(step).collect();
    each(&cases, |at, errno| fail_at(at, errno, &swept));
}

#[test]
fn an_input_error_at_an_operation_loses_nothing() {
    fail_everywhere(&[Errno::IO], 5);
}

#[test]
fn a_file_that_is_not_found_at_an_operation_loses_nothing() {
    fail_everywhere(&[Errno::NOENT], 3);
}

#[test]
fn a_stale_handle_or_a_refused_permission_at_an_operation_loses_nothing() {
    fail_everywhere(&[Errno::STALE, Errno::ACCESS], 17);
}

#[test]
#[ignore = "it takes minutes; the tests above take samples of it"]
fn any_error_at_any_operation_loses_nothing() {
    fail_everywhere(&[Errno::IO, Errno::NOENT, Errno::STALE, Errno::ACCESS], 1);
}

/// Empties a directory for the time of one listing.
struct EmptyOnce {
    root: PathBuf,
    aside: PathBuf,
    at: usize,
    listed: AtomicUsize,
    emptied: Mutex<Option<PathBuf>>,
}

impl Watch for EmptyOnce {
    fn before(&self, op: Op, path: &Path) -> io::Result<()> {
        if op == Op::List && self.listed.fetch_add(1, Ordering::SeqCst) == self.at {
            let directory = self.root.join(path);
            move_all(&directory, &self.aside);
            *self.emptied.lock().unwrap() = Some(directory);
        }
        Ok(())
    }

    fn after(&self, op: Op, _: &Path) {
        if op == Op::List
            && let Some(directory) = self.emptied.lock().unwrap().take()
        {
            move_all(&self.aside, &directory);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the storage's part is played here")]
fn move_all(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let name = entry.unwrap().file_name();
        fs::rename(from.join(&name), to.join(&name)).unwrap();
    }
}

#[test]
fn a_directory_that_lists_empty_once_loses_nothing() {
    let (swept, listings) = undisturbed(|op| op == Op::List);
    assert!(listings > 40, "{listings}");
    let cases: Vec<(usize, Errno)> = (0..listings).map(|at| (at, Errno::NOENT)).collect();
    each(&cases, |at, _| {
        let stage = Stage::new();
        let aside = tempfile::tempdir_in(stage.root().parent().unwrap()).unwrap();
        let watch = EmptyOnce {
            root: stage.root().into(),
            aside: aside.path().into(),
            at,
            listed: AtomicUsize::new(0),
            emptied: Mutex::new(None),
        };
        let ended = stage.sweep(Some(Box::new(watch)));
        judge(&stage, &format!("an empty listing at listing {at}"), &ended, &swept);
    });
}
