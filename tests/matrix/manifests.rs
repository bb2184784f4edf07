//! Damages of a manifest's bytes, and of the way to them from its tag.

use janitor_testkit::Digest;

use crate::cell::{Damage, Done, Scene};
use crate::expectation::Expect;
use crate::place::Place;
use janitor_testkit::Damage as Hurt;

pub(crate) const DAMAGES: [Damage; 6] = [
    Damage { name: "empty", act: |scene| bytes(scene, |_| Vec::new()) },
    Damage { name: "half-written", act: |scene| bytes(scene, |good| good[..good.len() / 2].to_vec()) },
    Damage { name: "garbled", act: |scene| bytes(scene, |good| vec![b'#'; good.len()]) },
    Damage {
        name: "another manifest's bytes",
        act: |scene| bytes(scene, |_| scene.template.lib[0].document().bytes.clone()),
    },
    Damage {
        name: "without its data",
        act: |scene| {
            let data = scene.view.blob_data(&scene.target.manifest);
            Hurt::to(scene.view).remove(&data);
            scene.done(&data, expect(scene, true, true))
        },
    },
    Damage { name: "gone", act: gone },
];

fn bytes(scene: &Scene<'_>, bad: impl Fn(&[u8]) -> Vec<u8>) -> Option<Done> {
    let data = scene.view.blob_data(&scene.target.manifest);
    let good = std::fs::read(&data).unwrap();
    let bad = bad(&good);
    Hurt::to(scene.view).overwrite(&data, &bad);
    let is_manifest = bad.starts_with(b"{") && bad.ends_with(b"}");
    scene.done(&data, expect(scene, good.len() != bad.len(), is_manifest))
}

/// What comes of a damage that a look at the file shows, or does not; the registry's collector reads it, and goes on with
/// what it finds, or gives up.
///
/// Where it was read before, what it references is known, so that the damage matters to those alone who need the manifest
/// itself.
fn expect(scene: &Scene<'_>, shows: bool, collector_goes_on: bool) -> Expect {
    let manifest = &scene.target.manifest;
    if !scene.is_remembered {
        return scene.doubt(&manifest.hex());
    }
    match scene.place {
        Place::Going | Place::Untagged => Expect::Done,
        place if shows && place.is_pulled() => Expect::broken(&scene.target, manifest),
        _ if collector_goes_on => Expect::Refused { told: shows.then(|| manifest.to_string()) },
        _ if shows => Expect::Error { told: manifest.to_string() },
        _ => Expect::Uncollected,
    }
}

fn gone(scene: &Scene<'_>) -> Option<Done> {
    let manifest: &Digest = &scene.target.manifest;
    let data = scene.view.blob_data(manifest);
    let directory = data.parent().unwrap();
    Hurt::to(scene.view).remove(directory);
    let expect = match scene.place {
        Place::Kept | Place::Going | Place::Nested | Place::Other | Place::Child => {
            scene.doubt(&manifest.hex())
        }
        // Nothing but the manifest itself could tell that somebody needs it.
        Place::Untagged | Place::Referrer => Expect::Done,
    };
    let mut done = scene.done(directory, expect)?;
    // Nobody knew any more whose referrer it was.
    done.mends = scene.place != Place::Referrer;
    Some(done)
}
