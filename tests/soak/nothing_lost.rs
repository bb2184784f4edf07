//! Engines that are promised to lose nothing beside pushes.

use janitor_testkit::Registry;

use crate::engine::Engine;
use crate::run::{seconds, soak};
use crate::sweeps::Told;

/// Fails unless every acknowledged image that the policy keeps is whole, and what should go goes.
fn assert_loses_nothing(engine: &Engine) {
    let registry = Registry::start();

    let found = soak(&registry, engine, seconds(20), |_| ());

    let summary = &found.summary;
    assert!(found.tally.broken().is_empty(), "{summary}");
    assert!(found.tally.given_up.is_empty(), "{:#?}\n{summary}", found.tally.given_up);
    assert!(found.unpullable.is_empty(), "{:?}\n{summary}", found.unpullable);
    assert_eq!(found.last.code, Some(0), "{:#?}\n{summary}", found.last);
    let told: Vec<_> = found.sweeps.iter().flat_map(|told| &told.broken).collect();
    assert!(told.is_empty(), "sweeps found these broken: {told:?}\n{summary}");
    let removed = |of: fn(&Told) -> u64| found.sweeps.iter().map(of).sum::<u64>();
    assert!(removed(|told| told.tags_removed) > 0, "no tag went\n{summary}");
    assert!(removed(|told| told.manifests_removed) > 0, "no manifest went\n{summary}");
}

#[test]
fn pruning_beside_pushes_loses_nothing() {
    assert_loses_nothing(&Engine::prune_only());
}
