//! Names and files that the registry does not make, or leaves behind when it is stopped.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::cell::{Damage, Done, Scene};
use crate::expectation::Expect;
use crate::place::Place;

pub(crate) const ODDITIES: [Damage; 18] = [
    Damage {
        name: "a tag's .tmp",
        act: |scene| file(scene, &tag(scene).join("current/link.stray.tmp"), Expect::Done),
    },
    Damage {
        name: "a revision's .tmp",
        act: |scene| file(scene, &revision(scene).join("link.stray.tmp"), Expect::Done),
    },
    Damage {
        name: "a layer link's .tmp",
        act: |scene| file(scene, &layer(scene).join("link.stray.tmp"), Expect::Done),
    },
    Damage {
        name: "a blob's .tmp",
        act: |scene| file(scene, &blob(scene).join("data.stray.tmp"), Expect::Done),
    },
    Damage {
        name: "a .tmp and no blob",
        act: |scene| {
            let hex = "ab".repeat(32);
            let blob = scene.view.v2().join("blobs/sha256/ab").join(&hex).join("data.stray.tmp");
            file(scene, &blob, Expect::Done)
        },
    },
    Damage {
        name: "a file among the tags",
        act: |scene| {
            file(scene, &manifests(scene).join("tags/stray"), Expect::Noted { told: "tags/stray".into() })
        },
    },
    Damage {
        name: "a file among the revisions",
        act: |scene| {
            let path = manifests(scene).join("revisions/sha256/stray");
            file(scene, &path, Expect::Noted { told: "sha256/stray".into() })
        },
    },
    Damage {
        name: "a file among the repositories",
        act: |scene| {
            file(scene, &scene.view.repository("stray.txt"), Expect::Noted { told: "stray.txt".into() })
        },
    },
    Damage {
        name: "a tag of a name that is none",
        act: |scene| {
            file(scene, &manifests(scene).join("tags/stray tag/current/link"), doubt(scene, "stray tag"))
        },
    },
    Damage {
        name: "a revision that is no digest",
        act: |scene| file(scene, &manifests(scene).join("revisions/sha256/stray/x"), doubt(scene, "stray")),
    },
    Damage {
        name: "a revision of an unknown algorithm",
        act: |scene| file(scene, &manifests(scene).join("revisions/md5/stray/x"), doubt(scene, "md5")),
    },
    Damage {
        name: "a layer that is no digest",
        act: |scene| {
            let path = scene.view.repository(scene.target.repository).join("_layers/sha256/stray/x");
            file(scene, &path, Expect::Noted { told: "stray".into() })
        },
    },
    Damage {
        name: "a blob that is no digest",
        act: |scene| {
            file(
                scene,
                &scene.view.v2().join("blobs/sha256/00/stray/x"),
                Expect::Noted { told: "stray".into() },
            )
        },
    },
    Damage {
        name: "a repository that shouts",
        act: |scene| {
            let path = scene.view.repository("STRAY/_manifests/tags/v1/current/link");
            file(scene, &path, Expect::Doubt { told: "STRAY".into(), spared: Vec::new() })
        },
    },
    Damage {
        name: "a repository that is not UTF-8",
        act: |scene| {
            let name = OsStr::from_bytes(b"stray\xff");
            let path =
                scene.view.v2().join("repositories").join(name).join("_manifests/tags/v1/current/link");
            file(scene, &path, Expect::Doubt { told: "stray".into(), spared: Vec::new() })
        },
    },
    Damage { name: "an upload without startedat", act: |scene| upload(scene, None) },
    Damage { name: "an upload with an empty startedat", act: |scene| upload(scene, Some("startedat")) },
    Damage { name: "an upload with a .tmp only", act: |scene| upload(scene, Some("startedat.stray.tmp")) },
];

fn manifests(scene: &Scene<'_>) -> PathBuf {
    scene.view.repository(scene.target.repository).join("_manifests")
}

fn tag(scene: &Scene<'_>) -> PathBuf {
    scene.view.tag(scene.target.repository, scene.target.tag.unwrap_or("v3"))
}

fn revision(scene: &Scene<'_>) -> PathBuf {
    parent(&scene.view.revision_link(scene.target.repository, &scene.target.manifest))
}

fn layer(scene: &Scene<'_>) -> PathBuf {
    parent(&scene.view.layer_link(scene.target.repository, &scene.target.layer))
}

fn blob(scene: &Scene<'_>) -> PathBuf {
    parent(&scene.view.blob_data(&scene.target.layer))
}

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap().to_owned()
}

fn doubt(scene: &Scene<'_>, told: &str) -> Expect {
    Expect::Doubt { told: told.to_owned(), spared: vec![scene.target.repository] }
}

/// Puts an empty file there. What is put beside something that goes may go with it.
fn file(scene: &Scene<'_>, path: &Path, expect: Expect) -> Option<Done> {
    let beside = path.parent().unwrap().exists();
    if !beside && scene.place != Place::Kept {
        return None;
    }
    // From the first directory that is not there yet, so that all of it can be taken away again.
    let first = path.ancestors().take_while(|path| !path.exists()).last().unwrap().to_owned();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "").unwrap();
    let mut done = scene.stray(&first, expect)?;
    if beside && scene.place == Place::Going {
        done.stays.clear();
    }
    Some(done)
}

fn upload(scene: &Scene<'_>, started: Option<&str>) -> Option<Done> {
    if scene.place != Place::Kept {
        return None;
    }
    let upload = scene.view.repository("app/_uploads/0b1d7dc6-8c46-4c6f-a0a9-4a7b6cbd7f0e");
    fs::create_dir_all(&upload).unwrap();
    fs::write(upload.join("data"), "half a layer").unwrap();
    if let Some(started) = started {
        fs::write(upload.join(started), "").unwrap();
    }
    scene.stray(&upload, Expect::Done)
}
