//! One janitor at a time.

use std::fs::{self, File};
use std::time::Duration;

use janitor_testkit::{BadStorage, Interrupt, Registry, Running, Tree};

use crate::stage::{assert_all_pull, janitor, names, push_versions, registry_part};

const SOON: Duration = Duration::from_secs(20);

/// Takes the lock as another process would.
fn hold_lock(registry: &Registry) -> File {
    let directory = registry.store().join("janitor");
    fs::create_dir_all(&directory).unwrap();
    let file = File::options().create(true).truncate(false).write(true).open(directory.join("lock")).unwrap();
    file.try_lock().unwrap();
    file
}

/// A janitor that holds the lock while it settles for an hour.
fn settling_janitor(registry: &Registry) -> Running {
    let mut running = janitor(registry).keep(2).env("GC_SETTLE", "1h").spawn();
    // Once the manifest is gone too, nothing moves until the settling is over.
    running.wait_until("everything is in the trash", |_| {
        let view = registry.view();
        view.tags("app").len() == 2 && view.revisions("app").len() == 2
    });
    running
}

#[test]
fn a_one_shot_that_finds_another_janitor_says_which_and_does_nothing() {
    let registry = Registry::start();
    push_versions(&registry, "app", 3);
    let holder = settling_janitor(&registry);
    let before = Tree::of(&registry_part(&registry));

    let outcome = janitor(&registry).keep(1).run().assert_code(11);

    before.assert_unchanged(&Tree::of(&registry_part(&registry)));
    let holder_id = holder.id().to_string();
    assert!(outcome.stderr.contains(&holder_id), "{}", outcome.stderr);
    holder.signal(Interrupt::Term);
    holder.end_within(SOON).assert_code(143);
}

#[test]
fn a_one_shot_waits_for_the_other_janitor_when_told_to() {
    let registry = Registry::start();
    push_versions(&registry, "app", 3);
    let holder = settling_janitor(&registry);
    let mut waiting = janitor(&registry).keep(1).arg("--lock-wait=10m").spawn();
    waiting.wait_until("it says that it waits", |waiting| !waiting.stderr_so_far().is_empty());
    assert_eq!(registry.view().tags("app"), names(&["v2", "v3"]));

    holder.signal(Interrupt::Term);
    holder.end_within(SOON).assert_code(143);
    waiting.end_within(SOON).assert_code(0);

    assert_eq!(registry.client().tags("app"), names(&["v3"]));
    assert_all_pull(&registry, "app");
}

#[test]
fn waiting_for_the_other_janitor_has_an_end() {
    let registry = Registry::start();
    push_versions(&registry, "app", 3);
    let lock = hold_lock(&registry);
    let before = Tree::of(&registry_part(&registry));

    janitor(&registry).keep(1).env("JANITOR_LOCK_WAIT", "1s").run().assert_code(11);

    before.assert_unchanged(&Tree::of(&registry_part(&registry)));
    drop(lock);
}

#[test]
fn a_held_lock_on_cifs_is_held_and_no_question_of_permissions() {
    let registry = Registry::start();
    push_versions(&registry, "app", 3);
    let before = Tree::of(&registry_part(&registry));
    // A CIFS client says "permission denied" where others say "would block".
    let cifs = BadStorage::new("flock", "error=EACCES");

    let outcome = cifs.for_janitor(janitor(&registry).keep(1)).run().assert_code(11);
    assert!(outcome.stderr.contains("another janitor"), "{}", outcome.stderr);
    let waited = janitor(&registry).keep(1).env("JANITOR_LOCK_WAIT", "1s");
    let outcome = cifs.for_janitor(waited).run().assert_code(11);
    assert!(outcome.stderr.contains("waiting for the lock"), "{}", outcome.stderr);

    before.assert_unchanged(&Tree::of(&registry_part(&registry)));
}

#[test]
fn the_loop_skips_a_sweep_while_another_janitor_works() {
    let registry = Registry::start();
    push_versions(&registry, "app", 3);
    let lock = hold_lock(&registry);
    let before = Tree::of(&registry_part(&registry));
    let mut running = janitor(&registry).keep(1).looping().env("JANITOR_INTERVAL_SECS", "1").spawn();
    running.wait_until("it has said that another one works", |running| {
        running.stderr_so_far().contains("another janitor")
    });
    before.assert_unchanged(&Tree::of(&registry_part(&registry)));

    drop(lock);
    running.wait_until("it sweeps after all", |_| registry.view().tags("app") == names(&["v3"]));

    running.signal(Interrupt::Term);
    running.end_within(SOON).assert_code(143);
    assert_all_pull(&registry, "app");
}

#[test]
fn an_audit_asks_nobody() {
    let registry = Registry::start();
    push_versions(&registry, "app", 3);
    let lock = hold_lock(&registry);
    let before = Tree::of(registry.store());

    let outcome = janitor(&registry).keep(1).audit().run().assert_code(0);

    assert_eq!(outcome.total("tags_removed"), 2);
    before.assert_unchanged(&Tree::of(registry.store()));
    drop(lock);
}

#[test]
fn a_lock_file_that_a_dead_janitor_left_is_no_lock() {
    let registry = Registry::start();
    push_versions(&registry, "app", 3);
    drop(hold_lock(&registry));
    fs::write(registry.store().join("janitor/lock"), "pid 1 on elsewhere").unwrap();

    janitor(&registry).keep(1).run().assert_code(0);

    assert_eq!(registry.client().tags("app"), names(&["v3"]));
}
