//! Damages of tags, and of the links of revisions and layers.

use std::path::{Path, PathBuf};

use janitor_testkit::Damage as Hurt;

use crate::cell::{Damage, Done, Scene};
use crate::expectation::Expect;
use crate::place::Place;

pub(crate) const DAMAGES: [Damage; 14] = [
    Damage { name: "tag link empty", act: |scene| tag(scene, Hurt::empty) },
    Damage { name: "tag link half-written", act: |scene| tag(scene, Hurt::halve) },
    Damage {
        name: "tag link garbled",
        act: |scene| tag(scene, |hurt, link| hurt.overwrite(link, b"no digest")),
    },
    Damage {
        name: "tag link too long",
        act: |scene| tag(scene, |hurt, link| hurt.overwrite(link, &[b'a'; 5000])),
    },
    Damage { name: "tag link gone", act: |scene| tag(scene, Hurt::remove) },
    Damage {
        name: "tag without current",
        act: |scene| tag(scene, |hurt, link| hurt.remove(link.parent().unwrap())),
    },
    Damage {
        name: "tag of an unknown manifest",
        act: |scene| {
            let unknown = format!("sha256:{}", "5".repeat(64));
            let mut done = tag(scene, |hurt, link| hurt.overwrite(link, unknown.as_bytes()))?;
            done.expect = Expect::Doubt { told: "5".repeat(64), spared: vec![scene.target.repository] };
            Some(done)
        },
    },
    Damage { name: "revision link empty", act: |scene| revision(scene, Hurt::empty) },
    Damage { name: "revision link half-written", act: |scene| revision(scene, Hurt::halve) },
    Damage {
        name: "revision link gone",
        act: |scene| {
            // The registry's own delete takes the tags of a manifest with it, and nothing else.
            let is_deleted = matches!(scene.place, Place::Child | Place::Referrer);
            if scene.place.is_needed() && !is_deleted {
                return revision(scene, Hurt::remove);
            }
            let mut done = revision_gone(scene, Path::to_path_buf)?;
            done.mends &= !is_deleted;
            Some(done)
        },
    },
    Damage {
        name: "revision gone",
        act: |scene| revision_gone(scene, |link| link.parent().unwrap().to_owned()),
    },
    Damage { name: "layer link empty", act: |scene| layer(scene, Hurt::empty, Path::to_path_buf) },
    Damage { name: "layer link gone", act: |scene| layer(scene, Hurt::remove, Path::to_path_buf) },
    Damage {
        name: "layer link's directory gone",
        act: |scene| layer(scene, Hurt::remove, |link| link.parent().unwrap().to_owned()),
    },
];

fn tag(scene: &Scene<'_>, act: impl Fn(&Hurt, &Path)) -> Option<Done> {
    let tag = scene.target.tag?;
    let link = scene.view.current_link(scene.target.repository, tag);
    act(&Hurt::to(scene.view), &link);
    let expect = Expect::Doubt {
        told: format!("{}/_manifests/tags/{tag}", scene.target.repository),
        spared: vec![scene.target.repository],
    };
    scene.done(&scene.view.tag(scene.target.repository, tag), expect)
}

/// A tag is no less sure for it, so tags go; but no manifest and no blob.
fn revision(scene: &Scene<'_>, act: impl Fn(&Hurt, &Path)) -> Option<Done> {
    let link = scene.view.revision_link(scene.target.repository, &scene.target.manifest);
    act(&Hurt::to(scene.view), &link);
    let expect = Expect::Doubt { told: scene.target.manifest.hex().to_owned(), spared: Vec::new() };
    scene.done(&link, expect)
}

fn revision_gone(scene: &Scene<'_>, what: impl Fn(&Path) -> PathBuf) -> Option<Done> {
    let link = scene.view.revision_link(scene.target.repository, &scene.target.manifest);
    let what = what(&link);
    Hurt::to(scene.view).remove(&what);
    let expect = if scene.place.is_pulled() {
        Expect::broken(&scene.target, &scene.target.manifest)
    } else {
        // The registry's own delete leaves just this.
        Expect::Done
    };
    // Mended, a manifest that nothing had named meanwhile would have come back without its blobs.
    let mends = scene.place != Place::Referrer;
    let mut done = scene.done(&what, expect)?;
    done.mends = mends;
    Some(done)
}

fn layer(scene: &Scene<'_>, act: fn(&Hurt, &Path), what: impl Fn(&Path) -> PathBuf) -> Option<Done> {
    let link = scene.view.layer_link(scene.target.repository, &scene.target.layer);
    let what = what(&link);
    act(&Hurt::to(scene.view), &what);
    let expect = if scene.place.is_pulled() {
        Expect::broken(&scene.target, &scene.target.layer)
    } else {
        Expect::Done
    };
    scene.done(&what, expect)
}
