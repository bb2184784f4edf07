//! A symbolic link in the middle of a path, planted just before an operation: nothing outside of the store changes.

#![expect(clippy::disallowed_methods, reason = "what an attacker does to a store is done here")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use janitor_testkit::{Damage, Image, Tree, scratch_directory};
use jiff::SignedDuration;
use registry_janitor::config::{Config, Wanted};
use registry_janitor::stop::Stop;
use registry_janitor::store::{Store, Watch};
use registry_janitor::undo::restore_in;

use crate::check::check;
use crate::crashes::each;
use crate::native::{NativeStage, hide_and_end};
use crate::stage::{Stage, hours_ago, just_now};
use crate::watch::{Hooks, Log, mutates};

/// Puts a symbolic link to a copy of a directory in the place of the directory.
fn plant(directory: &Path, copy: &Path) {
    let copied = Command::new("cp").arg("--archive").arg(directory).arg(copy).status().unwrap();
    assert!(copied.success(), "cannot copy {}", directory.display());
    fs::rename(directory, copy.with_extension("aside")).unwrap();
    std::os::unix::fs::symlink(copy, directory).unwrap();
}

/// Runs something on a store once for each of its changes, with a symbolic link planted before that change in the place
/// of the directory above what is changed; and once for every few changes with a link further up.
fn nothing_outside_changes_at_any_level<S>(
    prepare: impl Fn() -> S + Sync,
    root: impl Fn(&S) -> &Path + Sync,
    run: impl Fn(&S, Box<dyn Watch>) + Sync,
) {
    for (levels, step) in [(1, 1), (2, 5), (3, 7)] {
        nothing_outside_changes(levels, step, &prepare, &root, &run);
    }
}

fn nothing_outside_changes<S>(
    levels: usize,
    step: usize,
    prepare: impl Fn() -> S + Sync,
    root: impl Fn(&S) -> &Path + Sync,
    run: impl Fn(&S, Box<dyn Watch>) + Sync,
) {
    let log = Arc::new(Log::default());
    let seen = Arc::clone(&log);
    run(
        &prepare(),
        Hooks::before(move |op, path| {
            seen.add(op, path);
            Ok(())
        }),
    );
    let count = log.all().into_iter().filter(|(op, _)| mutates(*op)).count();
    let planted_in_all = AtomicUsize::new(0);
    each(count.div_ceil(step), |number| {
        let at = number * step;
        let stage = prepare();
        let outside = scratch_directory("janitor-outside-");
        let (store, copy) = (root(&stage).to_owned(), outside.path().join("copy"));
        let made = AtomicUsize::new(0);
        let moment = Arc::new(std::sync::Mutex::new(None));
        let planted = Arc::clone(&moment);
        let watch = Hooks::before(move |op, path| {
            if !mutates(op) || made.fetch_add(1, Ordering::SeqCst) != at {
                return Ok(());
            }
            let directory = Path::new(path).ancestors().nth(levels).filter(|it| *it != Path::new(""));
            let Some(directory) = directory.map(|it| store.join(it)).filter(|it| it.is_dir()) else {
                return Ok(());
            };
            plant(&directory, &copy);
            *planted.lock().unwrap() = Some((format!("{op:?} {path}"), Tree::of(&copy)));
            Ok(())
        });
        run(&stage, watch);
        if let Some((what, before)) = moment.lock().unwrap().take() {
            planted_in_all.fetch_add(1, Ordering::SeqCst);
            let differences = before.changes_to(&Tree::of(&outside.path().join("copy")));
            assert_eq!(differences, Vec::<String>::new(), "{levels} above change {at}, {what}");
        }
    });
    assert!(planted_in_all.into_inner() > 0, "nothing was planted {levels} above any of {count} changes");
}

fn holding(stage: &Stage) -> Config {
    Config { undo_window: SignedDuration::from_hours(1), ..stage.config() }
}

#[test]
fn a_sweep_follows_no_symbolic_link_that_appears_before_a_change() {
    nothing_outside_changes_at_any_level(NativeStage::new, NativeStage::root, |stage, watch| {
        let _ended = stage.sweep(Some(watch));
    });
}

#[test]
fn a_sweep_that_tidies_up_follows_no_symbolic_link_that_appears_before_a_change() {
    let prepare = || {
        let stage = NativeStage::new();
        hide_and_end(&stage);
        stage
    };
    nothing_outside_changes(1, 3, prepare, NativeStage::root, |stage, watch| {
        let _ended = stage.sweep(Some(watch));
    });
}

#[test]
fn a_restore_follows_no_symbolic_link_that_appears_before_a_change() {
    let prepare = || {
        let stage = Stage::new();
        stage.sweep_with(&holding(&stage), None, &Stop::default()).unwrap();
        stage.builder.push("app", "v1", &Image::small(99), just_now());
        stage
    };
    nothing_outside_changes_at_any_level(prepare, Stage::root, |stage, watch| {
        let Ok(store) = Store::open(stage.root(), 1, Some(watch)) else { return };
        let tags = vec![("app".parse().unwrap(), "v1".parse().unwrap())];
        let wanted = Wanted { tags, sweep: None, overwrite: true };
        let _ended = restore_in(&store, &holding(stage), &wanted, &Stop::default());
    });
}

#[test]
fn a_repair_follows_no_symbolic_link_that_appears_before_a_change() {
    let prepare = || {
        let stage = Stage::new();
        let hurt = Damage::to(stage.view());
        hurt.truncate_tag("app", "v3");
        fs::write(stage.view().blob_data(&stage.multi.digest()), "{").unwrap();
        let layer = stage.versions[1].blobs().keys().next().unwrap().clone();
        fs::remove_dir_all(stage.view().layer_link("app", &layer).parent().unwrap()).unwrap();
        let id = "5b1d7dc6-8c46-4c6f-a0a9-4a7b6cbd7f0e";
        stage.builder.upload("busy", id, b"half a layer", hours_ago(24 * 30));
        stage
    };
    nothing_outside_changes_at_any_level(prepare, Stage::root, |stage, watch| {
        let _ended = check(stage, true, Some(watch));
    });
}
