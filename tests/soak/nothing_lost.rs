//! Engines that are promised to lose nothing beside pushes.

use janitor_testkit::Registry;

use crate::engine::Engine;
use crate::run::{seconds, soak};
use crate::sweeps::Told;
use crate::tally::Tag;

/// Fails unless every acknowledged image that the policy keeps is whole, and what should go goes.
fn assert_loses_nothing(engine: &Engine) {
    let registry = Registry::start();

    let found = soak(&registry, engine, seconds(20), |_| ());

    let (summary, none) = (&found.summary, Vec::<&Tag>::new());
    let covered = |tags: Vec<_>| found.tally.covered(tags);
    assert_eq!(covered(found.tally.lost.values().map(|loss| &loss.tag).collect()), none, "{summary}");
    assert_eq!(covered(found.unpullable.iter().collect()), none, "{summary}");
    let told = found.sweeps.iter().flat_map(|told| &told.broken).collect();
    assert_eq!(covered(told), none, "sweeps found these broken\n{summary}");
    if found.unpullable.is_empty() {
        assert_eq!(found.last.code, Some(0), "{:#?}\n{summary}", found.last);
    }
    assert!(found.tally.given_up.is_empty(), "{:#?}\n{summary}", found.tally.given_up);
    let removed = |of: fn(&Told) -> u64| found.sweeps.iter().map(of).sum::<u64>();
    assert!(removed(|told| told.tags_removed) > 0, "no tag went\n{summary}");
    assert!(removed(|told| told.manifests_removed) > 0, "no manifest went\n{summary}");
}

#[test]
fn pruning_beside_pushes_loses_nothing() {
    assert_loses_nothing(&Engine::prune_only());
}
