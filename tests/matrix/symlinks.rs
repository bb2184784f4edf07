//! Symbolic links in every place: the registry follows them, the janitor does not.

use std::path::{Path, PathBuf};

use janitor_testkit::{Damage as Hurt, Digest};

use crate::cell::{Damage, Done, Scene};
use crate::expectation::Expect;
use crate::place::Place;

pub(crate) const ODDITIES: [Damage; 15] = [
    Damage { name: "a tag's link", act: |scene| tag(scene, |tag| tag.join("current/link")) },
    Damage { name: "a tag's current", act: |scene| tag(scene, |tag| tag.join("current")) },
    Damage { name: "a tag", act: |scene| tag(scene, Path::to_owned) },
    Damage { name: "the tags", act: |scene| repository(scene, "_manifests/tags") },
    Damage { name: "the revisions", act: |scene| repository(scene, "_manifests/revisions") },
    Damage { name: "_manifests", act: |scene| repository(scene, "_manifests") },
    Damage { name: "_layers", act: |scene| repository(scene, "_layers") },
    Damage {
        name: "a revision",
        act: |scene| {
            let link = scene.view.revision_link(scene.target.repository, &scene.target.manifest);
            let expect = Expect::Doubt {
                told: scene.target.manifest.hex().into(),
                spared: vec![scene.target.repository],
            };
            swap(scene, link.parent().unwrap(), expect)
        },
    },
    Damage {
        name: "a manifest",
        act: |scene| {
            let data = scene.view.blob_data(&scene.target.manifest);
            swap(scene, &data, scene.doubt(&scene.target.manifest.hex()))
        },
    },
    Damage {
        name: "a repository",
        act: |scene| {
            if scene.place != Place::Other {
                return None;
            }
            let expect = Expect::Doubt { told: "repositories/lib".into(), spared: vec!["lib"] };
            swap(scene, &scene.view.repository("lib"), expect)
        },
    },
    Damage {
        name: "the shard of a layer",
        act: |scene| {
            let told = |told: String| Expect::Doubt { told, spared: Vec::new() };
            shard(scene, &scene.target.layer, told)
        },
    },
    Damage {
        name: "the shard of a manifest",
        act: |scene| shard(scene, &scene.target.manifest, |told| scene.doubt(&told)),
    },
    Damage {
        name: "the directory of a manifest",
        act: |scene| {
            let data = scene.view.blob_data(&scene.target.manifest);
            swap(scene, data.parent().unwrap(), scene.doubt(&scene.target.manifest.hex()))
        },
    },
    Damage { name: "all blobs", act: |scene| whole(scene, "blobs") },
    Damage { name: "all repositories", act: |scene| whole(scene, "repositories") },
];

fn tag(scene: &Scene<'_>, what: impl Fn(&Path) -> PathBuf) -> Option<Done> {
    let tag = scene.target.tag?;
    let path = what(&scene.view.tag(scene.target.repository, tag));
    let told = format!("{}/_manifests/tags/{tag}", scene.target.repository);
    swap(scene, &path, Expect::Doubt { told, spared: vec![scene.target.repository] })
}

fn repository(scene: &Scene<'_>, part: &str) -> Option<Done> {
    if !matches!(scene.place, Place::Kept | Place::Nested | Place::Other) {
        return None;
    }
    let path = scene.view.repository(scene.target.repository).join(part);
    let told = format!("{}/{part}", scene.target.repository);
    swap(scene, &path, Expect::Doubt { told, spared: vec![scene.target.repository] })
}

/// A janitor that cannot see into a shard cannot tell what is missing.
fn shard(scene: &Scene<'_>, blob: &Digest, expect: impl Fn(String) -> Expect) -> Option<Done> {
    let data = scene.view.blob_data(blob);
    let shard = data.ancestors().nth(2).unwrap();
    let told = format!("blobs/sha256/{}", &blob.hex()[..2]);
    swap(scene, shard, expect(told))
}

fn whole(scene: &Scene<'_>, part: &str) -> Option<Done> {
    if scene.place != Place::Kept {
        return None;
    }
    let spared = crate::template::REPOSITORIES.to_vec();
    swap(scene, &scene.view.v2().join(part), Expect::Doubt { told: part.into(), spared })
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "as every damage answers, also those that make no sense in a place"
)]
fn swap(scene: &Scene<'_>, path: &Path, expect: Expect) -> Option<Done> {
    Hurt::to(scene.view).leave_a_symbolic_link(path);
    let path = scene.below(path);
    Some(Done {
        touched: vec![path, "elsewhere".into()],
        stays: vec!["elsewhere".into()],
        expect,
        mends: true,
    })
}
