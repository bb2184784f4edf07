//! Without a collector nothing is ever lost.

use janitor_testkit::Registry;

use crate::engine::Engine;
use crate::run::{seconds, soak};

#[test]
fn pruning_beside_pushes_loses_nothing() {
    let registry = Registry::start();
    let engine = Engine::prune_only();

    let found = soak(&registry, &engine, seconds(20), |_| ());

    assert!(engine.loses_nothing && found.tally.broken().is_empty(), "{}", found.summary);
    assert!(found.tally.given_up.is_empty(), "{}\n{:#?}", found.summary, found.tally.given_up);
    assert!(found.unpullable.is_empty(), "{:?}\n{}", found.unpullable, found.summary);
    assert_eq!(found.last.code, Some(0), "{:#?}\n{}", found.last, found.summary);
    assert!(found.last.broken.is_empty(), "{:#?}", found.last);
    let removed = |of: fn(&crate::sweeps::Told) -> u64| found.sweeps.iter().map(of).sum::<u64>();
    assert!(removed(|told| told.tags_removed) > 0, "no tag went\n{}", found.summary);
    assert!(removed(|told| told.manifests_removed) > 0, "no manifest went\n{}", found.summary);
}
