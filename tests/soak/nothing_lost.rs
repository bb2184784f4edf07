//! Engines that are promised to lose nothing beside pushes.

use std::time::Duration;

use janitor_testkit::{Registry, RegistryOptions};

use crate::engine::Engine;
use crate::run::{Found, seconds, soak, soak_until};
use crate::sweeps::Told;
use crate::tally::{Tag, Tally, explain};

/// A registry that takes its time between its last look at what a push needs and the links that it writes.
fn slow_registry(millis: u64) -> Registry {
    let slow_directories = Some(Duration::from_millis(millis));
    Registry::start_with(RegistryOptions { slow_directories, ..RegistryOptions::default() })
}

/// Fails unless every acknowledged image that the policy keeps is whole, and what should go goes.
fn assert_loses_nothing(registry: &Registry, engine: &Engine, duration: Duration) -> Found {
    let found = soak(registry, engine, duration, |_| ());

    let (summary, none) = (&found.summary, Vec::<&Tag>::new());
    let covered = |tags: Vec<_>| found.tally.covered(tags);
    assert_eq!(covered(found.tally.lost.values().map(|loss| &loss.tag).collect()), none, "{summary}");
    assert_eq!(covered(found.unpullable.iter().collect()), none, "{summary}");
    let broken = found.sweeps.iter().flat_map(|told| &told.broken).collect();
    let lacks: Vec<_> = found.sweeps.iter().flat_map(|told| &told.lacks).collect();
    assert_eq!(covered(broken), none, "sweeps found these broken: {lacks:#?}\n{summary}");
    if found.unpullable.is_empty() {
        assert_eq!(found.last.code, Some(0), "{:#?}\n{summary}", found.last);
    }
    // A request that takes too long may leave a manifest without its layers, on which clients rely.
    let is_fast = found.tally.too_slow.is_empty();
    assert!(found.tally.given_up.is_empty() || !is_fast, "{:#?}\n{summary}", found.tally.given_up);
    let removed = |of: fn(&Told) -> u64| found.sweeps.iter().map(of).sum::<u64>();
    assert!(removed(|told| told.tags_removed) > 0, "no tag went\n{summary}");
    assert!(removed(|told| told.manifests_removed) > 0, "no manifest went\n{summary}");
    let unexplained: Vec<&String> = found.tally.loud.keys().filter(|it| explain(it).is_none()).collect();
    assert!(unexplained.is_empty(), "{unexplained:?}\n{summary}");
    found
}

#[test]
fn pruning_beside_pushes_loses_nothing() {
    // Whoever collects blobs prunes as well: below, for longer.
    assert_loses_nothing(&Registry::start(), &Engine::prune_only(), seconds(10));
}

#[test]
fn collecting_beside_pushes_loses_nothing() {
    let found = assert_loses_nothing(&slow_registry(60), &Engine::native(), seconds(60));
    assert!(found.sweeps.iter().any(|told| told.blobs_removed > 0), "no blob went\n{}", found.summary);
}

/// The soak would see a collector that loses images. When it does is left to chance, so this is for every night;
/// `tests/store/native/pushes.rs` has it happen each time.
#[test]
#[ignore = "takes as long as it takes"]
fn collecting_without_a_second_look_loses_images_and_the_soak_sees_them() {
    let registry = slow_registry(120);
    let patience = Duration::from_secs(600);

    let found = soak_until(
        &registry,
        &Engine::native_without_second_look(),
        patience,
        |_| (),
        |field| has_lost(&field.tally()),
    );

    assert!(has_lost(&found.tally), "{}", found.summary);
}

fn has_lost(tally: &Tally) -> bool {
    !tally.covered(tally.lost.values().map(|loss| &loss.tag)).is_empty()
}
