//! One janitor at a time.

use std::time::Duration;

use janitor_testkit::{Interrupt, Running, Tree};

use crate::stage::{Stage, names};

const SOON: Duration = Duration::from_secs(60);

/// A janitor that holds the lock while it settles for an hour.
fn settling(stage: &Stage) -> Running {
    let mut running = stage.janitor().keep(2).env("GC_SETTLE", "1h").spawn();
    running.wait_until("it waits for pushes under way", |running| {
        running.stderr_so_far().contains("second look")
    });
    running
}

#[test]
#[ignore = "needs a network mount: make test-cifs"]
fn a_second_janitor_says_that_the_lock_is_held_and_changes_nothing() {
    let (stage, _) = Stage::with_versions(3);
    let holder = settling(&stage);
    let before = Tree::of(&stage.root().join("docker"));

    let outcome = stage.janitor().keep(1).run().assert_code(11);
    assert!(outcome.stderr.contains(&holder.id().to_string()), "it says who: {}", outcome.stderr);
    let outcome = stage.janitor().keep(1).env("JANITOR_LOCK_WAIT", "1s").run().assert_code(11);
    assert!(outcome.stderr.contains("waiting for the lock"), "{}", outcome.stderr);
    stage.janitor().keep(1).audit().run().assert_code(0);

    before.assert_unchanged(&Tree::of(&stage.root().join("docker")));
    holder.signal(Interrupt::Term);
    holder.end_within(SOON).assert_code(143);
}

#[test]
#[ignore = "needs a network mount: make test-cifs"]
fn the_lock_of_a_killed_janitor_is_free_and_the_next_one_cleans_up() {
    let (stage, images) = Stage::with_versions(3);
    let holder = settling(&stage);
    let mut waiting = stage.janitor().keep(1).env("JANITOR_LOCK_WAIT", "10m").spawn();
    waiting.wait_until("it says that it waits", |waiting| {
        waiting.stderr_so_far().contains("waiting for the lock")
    });

    holder.signal(Interrupt::Kill);
    waiting.end_within(SOON).assert_code(0);

    assert_eq!(stage.tags("app"), names(&["v3"]));
    stage.assert_ends_with(1, &["v3"], &[&images[2]]);
    drop(holder);
}
