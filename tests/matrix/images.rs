//! Missing parts of images: layers, configurations, and what holds all layers of a repository.

use std::path::{Path, PathBuf};

use janitor_testkit::{Damage as Hurt, Digest};

use crate::cell::{Damage, Done, Scene};
use crate::expectation::Expect;
use crate::place::Place;

pub(crate) const DAMAGES: [Damage; 6] = [
    Damage {
        name: "layer empty",
        act: |scene| blob(scene, &scene.target.layer, Hurt::empty, Path::to_path_buf),
    },
    Damage {
        name: "layer half-written",
        act: |scene| blob(scene, &scene.target.layer, Hurt::halve, Path::to_path_buf),
    },
    Damage {
        name: "layer without its data",
        act: |scene| blob(scene, &scene.target.layer, Hurt::remove, Path::to_path_buf),
    },
    Damage { name: "layer gone", act: |scene| blob(scene, &scene.target.layer, Hurt::remove, directory) },
    Damage {
        name: "configuration gone",
        act: |scene| blob(scene, &scene.target.config, Hurt::remove, directory),
    },
    Damage { name: "_layers gone", act: layers },
];

fn directory(data: &Path) -> PathBuf {
    data.parent().unwrap().to_owned()
}

fn blob(
    scene: &Scene<'_>,
    digest: &Digest,
    act: fn(&Hurt, &Path),
    what: impl Fn(&Path) -> PathBuf,
) -> Option<Done> {
    let what = what(&scene.view.blob_data(digest));
    act(&Hurt::to(scene.view), &what);
    let expect = match scene.place {
        Place::Kept | Place::Child | Place::Nested | Place::Other => Expect::broken(&scene.target, digest),
        // Its configuration is that of the signature, too.
        Place::Referrer if *digest == scene.target.config => Expect::Broken {
            repository: "app",
            tag: scene.template.signature_tag.clone(),
            missing: digest.to_string(),
        },
        Place::Referrer => Expect::Error { told: digest.to_string() },
        Place::Going | Place::Untagged => Expect::Done,
    };
    scene.done(&what, expect)
}

fn layers(scene: &Scene<'_>) -> Option<Done> {
    if !matches!(scene.place, Place::Kept | Place::Nested | Place::Other) {
        return None;
    }
    let layers = scene.view.repository(scene.target.repository).join("_layers");
    Hurt::to(scene.view).remove(&layers);
    scene.done(&layers, Expect::broken(&scene.target, &scene.target.layer))
}
