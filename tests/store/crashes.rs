//! A crash at any point loses nothing, and the next sweep finishes what it left.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use janitor_testkit::{Digest, Tree};
use registry_janitor::stop::Stop;
use registry_janitor::sweep::SweepError;

use crate::stage::Stage;
use crate::watch::{Hooks, Log, mutates};
use crate::witness::{assert_whole, trash};

/// How a sweep ends before its time, at one of the operations that change the store.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The power goes: from this operation on, none is made.
    Crash,
    /// Only this operation fails.
    Failure,
    /// A signal arrives just before it.
    Signal,
}

/// Tags and manifests of every repository.
fn content(stage: &Stage) -> BTreeMap<&'static str, (BTreeSet<String>, BTreeSet<Digest>)> {
    let view = stage.view();
    let of = |name| (name, (view.tags(name), view.revisions(name)));
    ["app", "app/nested", "emptied", "busy"].map(of).into()
}

fn changes_of_a_sweep() -> usize {
    let log = Arc::new(Log::default());
    let seen = Arc::clone(&log);
    let watch = Hooks::before(move |op, path| {
        seen.add(op, path);
        Ok(())
    });
    Stage::new().sweep(Some(watch)).unwrap();
    log.all().iter().filter(|(op, _)| mutates(*op)).count()
}

/// Ends a sweep at its `at`th change, and then makes good.
fn end_at(at: usize, end: End, swept: &BTreeMap<&'static str, (BTreeSet<String>, BTreeSet<Digest>)>) {
    let stage = Stage::new();
    let when = format!("{end:?} at change {at}");
    let stop = Arc::new(Stop::default());
    let signal = Arc::clone(&stop);
    let made = AtomicUsize::new(0);
    let watch = Hooks::before(move |op, _| {
        let now = if mutates(op) { made.fetch_add(1, Ordering::SeqCst) } else { made.load(Ordering::SeqCst) };
        let is_it = mutates(op) && now == at;
        match end {
            End::Crash if is_it || now > at => Err(io::Error::other("the power is gone")),
            End::Failure if is_it => Err(io::Error::from_raw_os_error(5)),
            End::Signal if is_it => {
                signal.request(15);
                Ok(())
            }
            _ => Ok(()),
        }
    });
    let ended = stage.sweep_with(&stage.config(), Some(watch), &stop);
    assert_whole(stage.view(), &stage.kept(), &when);
    match (end, &ended) {
        (End::Crash | End::Failure, Ok(report)) => {
            assert_eq!(report.exit_code, 3, "{when}: {:#?}", report.findings);
        }
        (End::Crash | End::Failure, Err(error)) => assert_eq!(error.exit_code(), 1, "{when}: {error}"),
        // A signal at the last change comes too late.
        (End::Signal, Ok(report)) => assert_eq!(report.exit_code, 0, "{when}"),
        (End::Signal, Err(error)) => assert!(matches!(error, SweepError::Interrupted(_)), "{when}: {error}"),
    }

    let report = stage.sweep(None).unwrap();
    assert_eq!(report.exit_code, 0, "{when}: {:#?}", report.findings);
    assert_eq!(report.broken, [], "{when}");
    assert_whole(stage.view(), &stage.kept(), &format!("the sweep after {when}"));
    assert_eq!(trash(stage.root()), Vec::<std::path::PathBuf>::new(), "{when}");
    assert_eq!(content(&stage), *swept, "{when}");

    let settled = Tree::without(stage.root(), &["janitor"]);
    let report = stage.sweep(None).unwrap();
    assert_eq!(report.exit_code, 0, "{when}");
    settled.assert_unchanged(&Tree::without(stage.root(), &["janitor"]));
}

fn end_everywhere(end: End) {
    let stage = Stage::new();
    stage.sweep(None).unwrap();
    let swept = content(&stage);
    assert_eq!(swept["app"].0.len(), 3, "a plain sweep does what the stage says");
    assert!(!stage.view().repository("emptied").exists());
    let changes = changes_of_a_sweep();
    assert!(changes > 40, "{changes}");
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::SeqCst);
                    if at >= changes {
                        break;
                    }
                    end_at(at, end, &swept);
                }
            });
        }
    });
}

#[test]
fn a_crash_at_any_change_loses_nothing() {
    end_everywhere(End::Crash);
}

#[test]
fn a_failure_of_any_single_change_loses_nothing_and_is_told() {
    end_everywhere(End::Failure);
}

#[test]
fn a_signal_at_any_change_loses_nothing() {
    end_everywhere(End::Signal);
}
