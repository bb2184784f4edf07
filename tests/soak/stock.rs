//! Beside pushes the stock collector can lose images: each loss is told, and images at rest are safe.

use janitor_testkit::{Format, Image, Registry};

use crate::engine::Engine;
use crate::pushers::single;
use crate::run::{seconds, soak};

/// Images that are there before, on layers that the pushers use and prune as well.
fn images_at_rest(registry: &Registry) -> Vec<(&'static str, Image)> {
    let images = vec![
        ("single", single(0)),
        ("other", single(7)),
        ("pair", Image::index(Format::Oci, &[&single(1), &single(2)])),
        ("many", Image::multi_arch(1)),
    ];
    for (tag, image) in &images {
        registry.client().push("at/rest", tag, image);
    }
    images
}

#[test]
fn what_the_stock_collector_loses_beside_pushes_is_told() {
    let registry = Registry::start();
    let at_rest = images_at_rest(&registry);

    let found = soak(&registry, &Engine::stock(), seconds(20), |_| ());

    assert!(found.sweeps.iter().any(|told| told.blobs_removed > 0), "no blob went\n{}", found.summary);
    assert!(found.tally.given_up.is_empty(), "{}\n{:#?}", found.summary, found.tally.given_up);
    for (tag, image) in at_rest {
        let pulled = registry.client().pull("at/rest", tag).map(|pulled| pulled.digest);
        assert_eq!(pulled, Ok(image.digest()), "at/rest:{tag}\n{}", found.summary);
    }
    assert_eq!(found.last.broken, found.unpullable, "{}", found.summary);
    let untold: Vec<_> = found.tally.lost.values().filter(|loss| !loss.told).collect();
    assert!(untold.is_empty(), "{untold:#?}\n{}", found.summary);
}
