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
            scene.done(&data, scene.doubt(&scene.target.manifest.hex()))
        },
    },
    Damage { name: "gone", act: gone },
];

fn bytes(scene: &Scene<'_>, bad: impl Fn(&[u8]) -> Vec<u8>) -> Option<Done> {
    let data = scene.view.blob_data(&scene.target.manifest);
    Hurt::to(scene.view).overwrite(&data, &bad(&std::fs::read(&data).unwrap()));
    scene.done(&data, scene.doubt(&scene.target.manifest.hex()))
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
