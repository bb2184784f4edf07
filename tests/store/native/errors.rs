//! A storage that errs once while the janitor's own collector works: nothing live is lost, it is told, and the next
//! sweep comes to the same end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use registry_janitor::store::Op;
use rustix::io::Errno;

use super::crashes::make_good;
use super::stage::{Content, NativeStage, leftovers};
use crate::crashes::each;
use crate::watch::Hooks;
use crate::witness::assert_whole;

/// What an undisturbed sweep leaves, and which operations it makes.
fn undisturbed() -> (Content, usize) {
    let stage = NativeStage::new();
    let made = std::sync::Arc::new(AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&made);
    let watch = Hooks::before(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(())
    });
    assert_eq!(stage.sweep(Some(watch)).unwrap().exit_code, 0);
    (stage.content(), made.load(Ordering::SeqCst))
}

/// Fails one operation; says what was wrong with what came of it.
fn fail_at(at: usize, errno: Errno, swept: &Content) {
    let stage = NativeStage::new();
    let made = AtomicUsize::new(0);
    let failed = std::sync::Arc::new(Mutex::new(String::new()));
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
    assert_whole(stage.view(), &stage.kept(), &what);
    match &ended {
        Ok(report) if report.exit_code == 0 => {
            assert_eq!(report.broken, [], "{what}");
            if errno != Errno::NOENT {
                assert_eq!(stage.content(), *swept, "{what}: not told, and not all was done");
            }
        }
        Ok(report) => assert_eq!(report.exit_code, 3, "{what}: {:#?}", report.findings),
        Err(error) => assert!([1, 10, 12].contains(&error.exit_code()), "{what}: {error}"),
    }
    // A hidden file that the storage denied once has to be found, and then comes back for a sweep.
    make_good(&stage, &what, if errno == Errno::NOENT { 3 } else { 1 }, swept);
}

/// Runs every case and tells of all that fail.
fn fail_everywhere(errnos: &[Errno], step: usize) {
    let (swept, operations) = undisturbed();
    assert!(operations > 600, "{operations}");
    let all = (0..operations).flat_map(|at| errnos.iter().map(move |errno| (at, *errno)));
    let cases: Vec<(usize, Errno)> = all.step_by(step).collect();
    let failures = Mutex::new(Vec::new());
    each(cases.len(), |number| {
        let (at, errno) = cases[number];
        let run = std::panic::AssertUnwindSafe(|| fail_at(at, errno, &swept));
        if let Err(panic) = std::panic::catch_unwind(run) {
            failures.lock().unwrap().push(panic.downcast_ref::<String>().cloned().unwrap_or_default());
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), cases.len(), failures.join("\n\n"));
}

#[test]
fn an_input_error_at_an_operation_loses_nothing() {
    fail_everywhere(&[Errno::IO], 29);
}

#[test]
fn a_file_that_is_not_found_at_an_operation_loses_nothing() {
    fail_everywhere(&[Errno::NOENT], 23);
}

#[test]
#[ignore = "it takes minutes; the tests above take samples of it"]
fn any_error_at_any_operation_loses_nothing() {
    fail_everywhere(&[Errno::IO, Errno::NOENT, Errno::STALE, Errno::ACCESS], 1);
}

#[test]
fn a_storage_whose_hidden_files_cannot_be_shown_or_deleted_loses_nothing() {
    let (swept, _) = undisturbed();
    // Nothing that is hidden can be renamed back, or deleted, however often it is tried.
    for name in ["data.janitor", "link.janitor"] {
        let stage = NativeStage::new();
        let watch =
            Hooks::before(
                move |_, path| {
                    if path.ends_with(name) { Err(io::Error::from(Errno::IO)) } else { Ok(()) }
                },
            );
        let report = stage.sweep(Some(watch)).unwrap();
        assert_eq!(report.exit_code, 3, "{name}: {:#?}", report.findings);
        assert_whole(stage.view(), &stage.kept(), name);
        assert_ne!(crate::witness::trash(stage.root()), Vec::<PathBuf>::new(), "{name}");
        make_good(&stage, name, 1, &swept);
    }
}

/// Makes a rename of the sweep itself, as a storage does whose answer is lost.
fn rename(root: &Path, path: &str) {
    let from = root.join(path);
    let hidden = from.with_file_name(format!("{}.janitor", from.file_name().unwrap().display()));
    let to = if from.is_file() {
        hidden
    } else {
        let sweeps = fs::read_dir(root.join("janitor/trash/pending")).unwrap();
        let below = path.strip_prefix("docker/registry/v2/").unwrap();
        let places = sweeps.map(|sweep| sweep.unwrap().path().join(below));
        places.filter(|place| place.parent().unwrap().is_dir()).max().unwrap()
    };
    fs::rename(from, to).unwrap();
}

#[test]
fn what_was_taken_away_or_hidden_is_known_of_although_the_answer_was_lost() {
    let (swept, _) = undisturbed();
    for errno in [Errno::NOENT, Errno::IO, Errno::TIMEDOUT] {
        for number in 0.. {
            let stage = NativeStage::new();
            let (root, made) = (stage.root().to_owned(), AtomicUsize::new(0));
            let lost = std::sync::Arc::new(Mutex::new(None));
            let told = std::sync::Arc::clone(&lost);
            let watch = Hooks::before(move |op, path| {
                let is_away = op == Op::Rename && path.starts_with("docker/");
                if is_away && made.fetch_add(1, Ordering::SeqCst) == number {
                    rename(&root, path);
                    *told.lock().unwrap() = Some(path.to_owned());
                    return Err(io::Error::from(errno));
                }
                Ok(())
            });
            let report = stage.sweep(Some(watch)).unwrap();
            let Some(lost) = lost.lock().unwrap().take() else {
                assert!(number > 20, "{number}");
                break;
            };
            let what = format!("{errno:?} for {lost}");
            assert_eq!(report.exit_code, 0, "{what}: {:#?}", report.findings);
            assert_whole(stage.view(), &stage.kept(), &what);
            assert_eq!(stage.content(), swept, "{what}");
            assert_eq!(leftovers(stage.view()), Vec::<PathBuf>::new(), "{what}");
        }
    }
}
