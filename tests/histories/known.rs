//! Histories in which something once went wrong.

use crate::operation::{MINUTE, Operation, Serve};
use crate::settings::{Engine, Settings};
use crate::sweeps::play;

fn push(repository: &'static str, tag: &'static str, family: usize) -> Operation {
    Operation::Push { repository, tag, family, reuse: false }
}

fn sweep(untagged_go: bool, grace_minutes: i64, engine: Engine) -> Operation {
    let grace_ms = grace_minutes * MINUTE;
    Operation::Sweep(Settings { keep: 1, untagged_go, grace_ms, settle_ms: 0, jobs: 1, engine })
}

#[test]
fn a_kept_index_whose_child_the_registry_deleted_is_told_to_be_broken() {
    let history = |engine| {
        let delete = Operation::Delete { repository: "app/web", which: 3 };
        [
            push("app/web", "latest", 6),
            delete,
            push("lib", "v1", 0),
            push("lib", "v2", 1),
            sweep(true, 0, engine),
        ]
    };
    play(Engine::Off, &history(Engine::Off));
    // Nor does it keep the collector from what is garbage elsewhere.
    play(Engine::Registry, &history(Engine::Registry));
}

#[test]
fn what_the_registry_deleted_is_reclaimed_where_untagged_manifests_stay() {
    let delete = Operation::Delete { repository: "app", which: 0 };
    play(Engine::Registry, &[push("app", "latest", 0), delete, sweep(false, 0, Engine::Registry)]);
}

#[test]
fn a_referrer_that_the_registry_deleted_does_not_stay_with_its_image() {
    let refer = Operation::Serve { repository: "app", family: 2, how: Serve::Referrer };
    let delete = Operation::Delete { repository: "app", which: 0 };
    play(Engine::Registry, &[refer, delete, push("app", "latest", 2)]);
}

#[test]
fn a_referrer_of_what_the_registry_has_just_deleted_is_not_taken_away_and_put_back() {
    let refer = Operation::Serve { repository: "app", family: 2, how: Serve::Referrer };
    let delete = Operation::Delete { repository: "app", which: 4 };
    let wait = Operation::Wait { minutes: 50 };
    let mut history = vec![refer, push("app", "latest", 5), delete, wait];
    history.extend((0..7).map(|_| push("app", "v1", 3)));
    history.push(sweep(true, 60, Engine::Off));
    play(Engine::Off, &history);
}

#[test]
fn an_artifact_that_is_still_young_when_its_image_goes_takes_no_place_of_another() {
    let untagged = Operation::HalfPush { repository: "lib", family: 2, manifests: 1 };
    let wait = Operation::Wait { minutes: 70 };
    let serve = Operation::Serve { repository: "lib", family: 2, how: Serve::Tagged };
    play(Engine::Off, &[untagged, push("lib", "v1", 0), wait, serve, sweep(true, 60, Engine::Off)]);
}

#[test]
fn what_a_crash_left_of_a_pin_does_not_keep_the_next_sweep_from_pinning_the_same_blobs() {
    let refer = Operation::Serve { repository: "app", family: 0, how: Serve::Referrer };
    let wait = Operation::Wait { minutes: 70 };
    let delete = Operation::Delete { repository: "lib", which: 0 };
    let settings =
        |untagged_go, engine| Settings { keep: 1, untagged_go, grace_ms: 0, settle_ms: 0, jobs: 1, engine };
    let first = Operation::Sweep(settings(true, Engine::Off));
    let crash = Operation::Crash(settings(false, Engine::Registry), 20);
    play(
        Engine::Registry,
        &[refer, push("lib", "latest", 4), wait, first, delete, push("app", "latest", 0), crash],
    );
}
