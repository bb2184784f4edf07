//! A sweep of the janitor's own collector that ends at any single change, with its lists and without them.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use janitor_testkit::Tree;
use registry_janitor::stop::Stop;
use registry_janitor::store::Watch;
use registry_janitor::sweep::SweepError;

use super::pushes::push_links_alone;
use super::stage::{Content, NativeStage, leftovers};
use crate::crashes::each;
use crate::watch::{Hooks, Log, mutates};
use crate::witness::{assert_whole, missing};

/// How a sweep ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// From this change on, none is made.
    Crash,
    /// As well, and the janitor's directory is deleted before the next sweep.
    CrashAndForget,
    /// Only this change fails.
    Failure,
    /// A signal arrives just before it.
    Signal,
}

/// What a sweep that nothing disturbs leaves, and how many changes it makes.
fn undisturbed() -> (Content, usize) {
    let log = Arc::new(Log::default());
    let seen = Arc::clone(&log);
    let watch = Hooks::before(move |op, path| {
        seen.add(op, path);
        Ok(())
    });
    let stage = NativeStage::new();
    let report = stage.sweep(Some(watch)).unwrap();
    assert_eq!(report.exit_code, 0, "{:#?}", report.findings);
    assert_eq!(leftovers(stage.view()), Vec::<PathBuf>::new());
    for digest in stage.gone.all_digests() {
        assert!(!stage.view().has_blob(&digest), "{digest} has gone");
    }
    let changes = log.all().iter().filter(|(op, _)| mutates(*op)).count();
    assert!(changes > 100, "{changes}");
    (stage.content(), changes)
}

fn ending(end: End, at: usize, stop: &Arc<Stop>, may_be_missed: &Arc<AtomicBool>) -> Box<dyn Watch> {
    let (made, signal, seen) = (AtomicUsize::new(0), Arc::clone(stop), Arc::clone(may_be_missed));
    Hooks::before(move |op, path| {
        let now = if mutates(op) { made.fetch_add(1, Ordering::SeqCst) } else { made.load(Ordering::SeqCst) };
        let is_it = mutates(op) && now == at;
        let is_dispensable = ["/holder.json", "/holder.json.new", "/reserve", "/spare"]
            .iter()
            .any(|name| path.ends_with(name));
        if is_it && end == End::Failure && is_dispensable {
            seen.store(true, Ordering::SeqCst);
        }
        match end {
            End::Crash | End::CrashAndForget if is_it || now > at => {
                Err(io::Error::other("the power is gone"))
            }
            End::Failure if is_it => Err(io::Error::from_raw_os_error(5)),
            End::Signal if is_it => {
                signal.request(15);
                Ok(())
            }
            _ => Ok(()),
        }
    })
}

/// Ends a sweep at its `at`th change, and then makes good.
fn end_at(at: usize, end: End, swept: &Content) {
    let stage = NativeStage::new();
    let when = format!("{end:?} at change {at}");
    let (stop, may_be_missed) = (Arc::new(Stop::default()), Arc::new(AtomicBool::new(false)));
    let watch = ending(end, at, &stop, &may_be_missed);

    let ended = stage.stage.sweep_with(&stage.config(), Some(watch), &stop);

    assert_whole(stage.view(), &stage.kept(), &when);
    match (end, &ended) {
        (_, Ok(report)) if may_be_missed.load(Ordering::SeqCst) => {
            assert_eq!(report.exit_code, 0, "{when}: {:#?}", report.findings);
        }
        (End::Signal, Ok(report)) => assert_eq!(report.exit_code, 0, "{when}: {:#?}", report.findings),
        (_, Ok(report)) => assert_eq!(report.exit_code, 3, "{when}: {:#?}", report.findings),
        (End::Signal, Err(error)) => assert!(matches!(error, SweepError::Interrupted(_)), "{when}: {error}"),
        (_, Err(error)) => assert_eq!(error.exit_code(), 1, "{when}: {error}"),
    }
    if end == End::CrashAndForget {
        forget(&stage);
    }
    // Without the lists, a sweep brings blobs back, the next one their links, and the third decides on them anew.
    make_good(&stage, &when, if end == End::CrashAndForget { 3 } else { 1 }, swept);
}

/// Somebody deletes what the janitor keeps in the store.
pub(super) fn forget(stage: &NativeStage) {
    // A crash at the first changes leaves nothing there.
    fs::remove_dir_all(stage.root().join("janitor")).ok();
}

/// After so many sweeps, everything that should be gone is, and a further sweep changes nothing.
pub(super) fn make_good(stage: &NativeStage, when: &str, sweeps: usize, swept: &Content) {
    for number in 1..=sweeps {
        let report = stage.sweep(None).unwrap();
        assert_eq!(report.exit_code, 0, "sweep {number} after {when}: {:#?}", report.findings);
        assert_eq!(report.broken, [], "sweep {number} after {when}");
        assert_whole(stage.view(), &stage.kept(), &format!("sweep {number} after {when}"));
    }
    assert_eq!(leftovers(stage.view()), Vec::<PathBuf>::new(), "after {when}");
    assert_eq!(stage.content(), *swept, "after {when}");
    let settled = Tree::without(stage.root(), &["janitor"]);
    assert_eq!(stage.sweep(None).unwrap().exit_code, 0, "after {when}");
    settled.assert_unchanged(&Tree::without(stage.root(), &["janitor"]));
}

/// Ends a sweep at every change, or at one of so many.
fn end_everywhere(end: End, step: usize) {
    let (swept, changes) = undisturbed();
    each(changes.div_ceil(step), |number| end_at(number * step, end, &swept));
}

#[test]
fn a_crash_at_any_change_loses_nothing_and_leaves_nothing() {
    end_everywhere(End::Crash, 7);
}

#[test]
fn a_crash_at_any_change_whose_lists_are_lost_loses_nothing_and_leaves_nothing() {
    end_everywhere(End::CrashAndForget, 7);
}

#[test]
fn a_failure_of_any_single_change_loses_nothing_and_is_told() {
    end_everywhere(End::Failure, 7);
}

#[test]
fn a_signal_at_any_change_loses_nothing() {
    end_everywhere(End::Signal, 13);
}

#[test]
#[ignore = "it takes minutes; the tests beside it take samples of it"]
fn an_end_of_any_kind_at_any_change_loses_nothing_and_leaves_nothing() {
    for end in [End::Crash, End::CrashAndForget, End::Failure, End::Signal] {
        end_everywhere(end, 1);
    }
    push_and_crash_everywhere(false, 1);
    push_and_crash_everywhere(true, 1);
}

/// What came to need hidden things just before the crash, by links alone, is whole after the next sweeps.
fn push_and_crash_everywhere(forgets: bool, step: usize) {
    let (_, changes) = undisturbed();
    let made_whole = AtomicUsize::new(0);
    each(changes.div_ceil(step), |number| {
        let at = number * step;
        let stage = NativeStage::new();
        let (view, image) = (stage.view().clone(), stage.gone.clone());
        let made = AtomicUsize::new(0);
        let pushed = Arc::new(AtomicBool::new(false));
        let was_pushed = Arc::clone(&pushed);
        let watch = Hooks::before(move |op, _| {
            let now =
                if mutates(op) { made.fetch_add(1, Ordering::SeqCst) } else { made.load(Ordering::SeqCst) };
            if mutates(op) && now == at {
                // Once the second look was taken, a registry refuses such a push: its blobs are gone.
                let condemned = fs::read_dir(view.root().join("janitor/trash/condemned"));
                let is_over = condemned
                    .into_iter()
                    .flatten()
                    .flatten()
                    .any(|it| it.file_name().to_string_lossy().ends_with("-blobs"));
                let is_gone = !(view.has_blob(&image.digest()) || is_hidden(&view, &image.digest()));
                if !is_over && !is_gone {
                    push_links_alone(&view, "other", "late", &image);
                    was_pushed.store(true, Ordering::SeqCst);
                }
            }
            if now >= at && (mutates(op) || now > at) {
                return Err(io::Error::other("the power is gone"));
            }
            Ok(())
        });
        let _ended = stage.sweep(Some(watch));
        if !pushed.load(Ordering::SeqCst) {
            return;
        }
        made_whole.fetch_add(1, Ordering::SeqCst);
        if forgets {
            forget(&stage);
        }
        for number in 1..=if forgets { 3 } else { 1 } {
            let report = stage.sweep(None).unwrap();
            assert_eq!(report.exit_code, 0, "at change {at}: {:#?}", report.findings);
            let lacks = missing(stage.view(), "other", "late");
            assert_eq!(lacks, Vec::<String>::new(), "sweep {number} after change {at}");
        }
        assert_whole(stage.view(), &stage.kept(), &format!("at change {at}"));
        // A link that its repository does not need is found again only with its blob, when that goes.
        let left = leftovers(stage.view());
        let are_links = left.iter().all(|it| it.ends_with("link.janitor"));
        assert!(left.is_empty() || forgets && are_links, "at change {at}: {left:?}");
    });
    assert!(made_whole.load(Ordering::SeqCst) * step > 60, "{made_whole:?}");
}

fn is_hidden(view: &janitor_testkit::StoreView, digest: &janitor_testkit::Digest) -> bool {
    view.blob_data(digest).with_file_name("data.janitor").exists()
}

#[test]
fn what_was_pushed_at_the_moment_of_a_crash_comes_back() {
    push_and_crash_everywhere(false, 7);
}

#[test]
fn what_was_pushed_at_the_moment_of_a_crash_comes_back_without_the_lists() {
    push_and_crash_everywhere(true, 7);
}
