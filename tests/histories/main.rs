//! Random histories of a store, played on disk and on a model, and crashes at any change.
//!
//! `HISTORY_CASES=5000 cargo test --release --test histories` plays so many new histories instead of the few
//! that are always the same, and has a sweep end at every single change instead of a sample of them; a history that
//! fails is shrunk and printed, and its seed kept beside this file.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crashes;
mod differential;
mod images;
mod known;
mod limbo;
mod model;
mod operation;
mod settings;
mod sweeps;
mod watch;
mod world;

use proptest::test_runner::{Config, FileFailurePersistence, RngSeed, TestError, TestRunner};

use operation::histories;
use settings::Engine;
use sweeps::play;

/// Most of a history is waiting, for what may be a write in progress: so many are played at the same time.
const PLAYERS: u32 = 8;

#[expect(clippy::disallowed_methods, reason = "how long to look is for the one who looks to say")]
fn look(engine: Engine, cases: u32, steps: usize) {
    let asked = std::env::var("HISTORY_CASES").ok().map(|cases| cases.parse::<u32>().unwrap());
    let cases = asked.map_or(cases, |asked| asked.div_ceil(if engine == Engine::Registry { 4 } else { 1 }));
    // What is asked again and again is to fail only for a change of the code.
    let seed = |player: u32| match asked {
        Some(_) => RngSeed::Random,
        None => RngSeed::Fixed(20_260_101 + u64::from(player)),
    };
    std::thread::scope(|scope| {
        for seed in (0..PLAYERS).map(seed) {
            scope.spawn(move || look_from(seed, engine, cases.div_ceil(PLAYERS), steps));
        }
    });
}

fn look_from(rng_seed: RngSeed, engine: Engine, cases: u32, steps: usize) {
    let config = Config {
        cases,
        rng_seed,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "tests/histories/regressions.txt",
        ))),
        max_shrink_iters: 2000,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let result = runner.run(&histories(engine, steps), |history| {
        play(engine, &history);
        Ok(())
    });
    let failure = match &result {
        Err(TestError::Fail(_, history)) => format!("{history:#?}"),
        _ => String::new(),
    };
    assert!(result.is_ok(), "{}\nthe history: {failure}", result.unwrap_err());
}

#[test]
fn no_history_loses_what_is_kept_or_keeps_what_should_go() {
    look(Engine::Off, 80, 30);
}

#[test]
fn no_history_with_the_registrys_collector_loses_what_is_kept_or_keeps_what_should_go() {
    look(Engine::Registry, 40, 25);
}

#[test]
fn no_history_with_the_janitors_own_collector_loses_what_is_kept_or_keeps_what_should_go() {
    look(Engine::Native, 40, 30);
}
