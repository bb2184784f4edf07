//! Sweeps that end at any change: killed, cut off with a file half written, on a full disk. A sample of the changes is
//! taken always, every single one with `HISTORY_CASES`.

#![expect(clippy::disallowed_methods, reason = "the sweep that is killed has a process of its own")]

use std::env;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use registry_janitor::stop::Stop;
use registry_janitor::store::Store;
use registry_janitor::sweep::sweep_store;

use crate::limbo::Limbo;
use crate::operation::{MINUTE, Operation, Serve};
use crate::settings::{Engine, Settings};
use crate::watch::{End, Storage};
use crate::world::World;

/// No sweep of the scene makes so many changes.
const MANY: usize = 400;

/// Keeps one tag of each repository, one change at a time.
fn settings(engine: Engine) -> Settings {
    Settings { keep: 1, untagged_go: true, grace_ms: 60 * MINUTE, settle_ms: 0, jobs: 1, engine }
}

/// A store with something of everything: tags, manifests, blobs and a repository that go, and what is kept,
/// with its companions or for its age.
fn scene(is_young: bool) -> World {
    let push = |repository, tag, family| Operation::Push { repository, tag, family, reuse: true };
    let serve = |repository, family, how| Operation::Serve { repository, family, how };
    let mut history = vec![
        push("app", "v1", 0),
        serve("app", 0, Serve::Signature),
        push("app", "v2", 4),
        push("app", "latest", 1),
        push("app", "v2", 2),
        push("app", "v9", 6),
        serve("app", 6, Serve::Fallback),
        serve("app", 6, Serve::Tagged),
        serve("app", 1, Serve::TwoReferrers),
        Operation::Mount { repository: "app/web", family: 1 },
        push("app/web", "v1", 1),
        Operation::HalfPush { repository: "lib", family: 5, manifests: 2 },
        Operation::Push { repository: "app/web", tag: "v2", family: 3, reuse: true },
        Operation::Delete { repository: "app/web", which: 0 },
        Operation::Wait { minutes: 200 },
    ];
    if is_young {
        history.push(Operation::HalfPush { repository: "app", family: 5, manifests: 0 });
        history.push(serve("app/web", 4, Serve::Signature));
    }
    let mut world = World::new();
    for operation in &history {
        world.step(operation);
    }
    world
}

/// Runs something for one of so many changes of a sweep, or for every one where longer looks are asked for, a few at
/// the same time, until it has no more changes.
fn at_some_changes(step: usize, act: impl Fn(usize) -> bool + Sync) {
    let step = if env::var_os("HISTORY_CASES").is_some() { 1 } else { step };
    let (next, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::SeqCst) * step;
                    assert!(at < MANY, "a sweep has an end");
                    if !act(at) {
                        break;
                    }
                    ended.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert!(ended.into_inner() * step > 50, "the scene has more than that to take away");
}

/// After a sweep that ended at a change: the store may have lost nothing, and two further sweeps make good.
fn make_good(mut world: World, settings: &Settings) {
    world.sweep_twice(settings);
    let reserve = fs::metadata(world.root().join("janitor/reserve")).unwrap();
    assert_eq!(reserve.len(), (1 << 20) + 4096, "the room for a full disk");
    let spare = fs::read_dir(world.root().join("janitor/spare")).unwrap().count();
    assert_eq!(spare, 64, "the inodes for a full disk");
    world.end(settings.engine);
}

/// Cuts the power at a change. Says whether there was one.
fn cut_at(at: usize, settings: &Settings) -> bool {
    let mut world = scene(true);
    world.model.now += 1;
    let before = Limbo::read(&world.view);
    let expected = world.expected(settings);
    let storage = Storage::new(world.root(), world.clock(), Some((End::PowerCut, at)));
    let swept = world.run(settings, &storage);
    if !storage.crashed() {
        world.compare(settings, expected, &swept.unwrap());
        return false;
    }
    world.take_stock(&expected, &before);
    make_good(world, settings);
    true
}

#[test]
fn a_power_cut_at_any_change_loses_nothing_and_leaves_nothing() {
    at_some_changes(5, |at| cut_at(at, &settings(Engine::Registry)));
}

/// Kills a sweep, in a process of its own, at a change. Says whether there was one.
fn kill_at(at: usize, settings: &Settings) -> bool {
    let mut world = scene(true);
    world.model.now += 1;
    let before = Limbo::read(&world.view);
    let expected = world.expected(settings);
    let status = Command::new(env::current_exe().unwrap())
        .args(["--exact", "crashes::a_sweep_that_is_killed", "--ignored"])
        .env("HISTORY_STORE", world.root())
        .env("HISTORY_REGISTRY_CONFIG", world.registry_config())
        .env("HISTORY_NOW_MS", world.model.now.to_string())
        .env("HISTORY_KILL_AT", at.to_string())
        .env("HISTORY_COLLECTOR", format!("{:?}", settings.engine))
        .output()
        .unwrap()
        .status;
    world.stamp();
    let killed = status.signal() == Some(9);
    assert!(killed || status.success(), "{status}");
    if killed {
        world.take_stock(&expected, &before);
        make_good(world, settings);
    }
    killed
}

#[test]
fn a_kill_at_any_change_loses_nothing_and_leaves_nothing() {
    at_some_changes(7, |at| kill_at(at, &settings(Engine::Registry)));
}

#[test]
fn a_power_cut_at_any_change_of_the_janitors_own_collector_loses_nothing_and_leaves_nothing() {
    at_some_changes(5, |at| cut_at(at, &settings(Engine::Native)));
}

#[test]
fn a_kill_at_any_change_of_the_janitors_own_collector_loses_nothing_and_leaves_nothing() {
    at_some_changes(9, |at| kill_at(at, &settings(Engine::Native)));
}

#[test]
#[ignore = "what the tests of kills start in a process of its own"]
fn a_sweep_that_is_killed() {
    let Some(root) = env::var_os("HISTORY_STORE").map(PathBuf::from) else { return };
    let number = |name| env::var(name).unwrap().parse::<u64>().unwrap();
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(number("HISTORY_NOW_MS"));
    let at = usize::try_from(number("HISTORY_KILL_AT")).unwrap();
    let collector = env::var("HISTORY_COLLECTOR").unwrap();
    let engines = [Engine::Off, Engine::Registry, Engine::Native];
    let settings = settings(engines.into_iter().find(|it| format!("{it:?}") == collector).unwrap());
    let registry_config = PathBuf::from(env::var_os("HISTORY_REGISTRY_CONFIG").unwrap());
    let storage = Storage::new(&root, now, Some((End::Kill, at)));
    let store = Store::open(&root, settings.jobs, Some(Box::new(storage))).unwrap();
    let report = sweep_store(&store, &settings.config(&root, &registry_config, false), &Stop::default());
    assert_eq!(report.unwrap().exit_code, 0);
}

/// Cuts the power on a disk that stays full, so that the sweep after it has only the reserve as well.
fn cut_on_a_full_disk_at(at: usize, settings: &Settings) -> bool {
    let mut world = scene(false);
    // The reserve is from the time when there was room.
    let store = Store::open(world.root(), 1, None).unwrap();
    drop(store.lock(registry_janitor::store::StorageClock::of_host().now()).unwrap());
    drop(store);
    world.stamp();
    let room = Arc::new(AtomicUsize::new(0));
    world.model.now += 1;
    let before = Limbo::read(&world.view);
    let expected = world.expected(settings);
    let end = Some((End::PowerCut, at));
    let storage = Storage::new(world.root(), world.clock(), end).with_room(&room);
    let swept = world.run(settings, &storage);
    if !storage.crashed() {
        world.compare(settings, expected, &swept.unwrap());
        return false;
    }
    world.take_stock(&expected, &before);
    world.model.now += 1;
    let expected = world.expected(settings);
    let storage = Storage::new(world.root(), world.clock(), None).with_room(&room);
    let report = world.run(settings, &storage).unwrap();
    world.compare(settings, expected, &report);
    make_good(world, settings);
    true
}

#[test]
fn a_power_cut_at_any_change_on_a_full_disk_does_not_keep_the_next_sweep_from_making_room() {
    at_some_changes(5, |at| cut_on_a_full_disk_at(at, &settings(Engine::Off)));
}

#[test]
fn a_power_cut_at_any_change_on_a_full_disk_does_not_keep_the_janitors_own_collector_from_making_room() {
    at_some_changes(7, |at| cut_on_a_full_disk_at(at, &settings(Engine::Native)));
}
