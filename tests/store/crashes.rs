//! A crash at any point loses nothing, and the next sweep finishes what it left.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use janitor_testkit::{Digest, Format, Image, Tree};
use registry_janitor::stop::Stop;
use registry_janitor::sweep::SweepError;

use crate::stage::{Stage, push_index_alone};
use crate::watch::{Hooks, Log, mutates};
use crate::witness::{assert_whole, missing, trash};

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
pub(crate) fn content(stage: &Stage) -> BTreeMap<&'static str, (BTreeSet<String>, BTreeSet<Digest>)> {
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
    let at_what_it_can_do_without = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&at_what_it_can_do_without);
    let watch = Hooks::before(move |op, path| {
        let now = if mutates(op) { made.fetch_add(1, Ordering::SeqCst) } else { made.load(Ordering::SeqCst) };
        let is_it = mutates(op) && now == at;
        let is_dispensable = ["/holder.json", "/holder.json.new", "/reserve", "/spare"]
            .iter()
            .any(|name| path.ends_with(name));
        if is_it && matches!(end, End::Failure) && is_dispensable {
            seen.store(true, Ordering::SeqCst);
        }
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
        // Only people read who holds the lock, and the reserve is for a full disk; a sweep does without.
        (End::Failure, Ok(report)) if at_what_it_can_do_without.load(Ordering::SeqCst) => {
            assert_eq!(report.exit_code, 0, "{when}: {:#?}", report.findings);
        }
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
    each(changes, |at| end_at(at, end, &swept));
}

/// Runs something for every number below this one, many at the same time: they mostly wait.
pub(crate) fn each(count: usize, act: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::SeqCst);
                    if at >= count {
                        break;
                    }
                    act(at);
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

#[test]
fn an_index_pushed_at_the_moment_of_a_crash_gets_its_children_back() {
    let made_whole = AtomicUsize::new(0);
    each(changes_of_a_sweep(), |at| {
        let stage = Stage::new();
        let index = Image::index(Format::Oci, &[&stage.untagged, &stage.versions[0]]);
        let (view, pushed) = (stage.view().clone(), index.clone());
        let made = AtomicUsize::new(0);
        let watch = Hooks::before(move |op, _| {
            let now =
                if mutates(op) { made.fetch_add(1, Ordering::SeqCst) } else { made.load(Ordering::SeqCst) };
            // Once the second look was taken, a registry refuses such an index: its children are gone.
            let is_over = view.root().join("janitor/trash/condemned").exists();
            if mutates(op) && now == at && !is_over {
                push_index_alone(&view, "app", "index", &pushed);
            }
            if now > at || (mutates(op) && now == at) {
                Err(io::Error::other("the power is gone"))
            } else {
                Ok(())
            }
        });
        let _ended = stage.sweep(Some(watch));
        if stage.view().tags("app").contains("index") {
            made_whole.fetch_add(1, Ordering::SeqCst);
            let report = stage.sweep(None).unwrap();
            assert_eq!(report.exit_code, 0, "{at}: {:#?}", report.findings);
            assert_eq!(missing(stage.view(), "app", "index"), Vec::<String>::new(), "at change {at}");
            assert_eq!(trash(stage.root()), Vec::<std::path::PathBuf>::new(), "at change {at}");
        }
    });
    assert!(made_whole.load(Ordering::SeqCst) > 20, "{made_whole:?}");
}
