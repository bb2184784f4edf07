//! Each damage that crashes, full disks and careless hands do gives its one code and its consequence.

#![expect(clippy::disallowed_methods, reason = "a test damages its own store")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use janitor_testkit::{Damage, Digest, Image, Registry, StoreBuilder, StoreView, ago};

use super::{check, checked, codes, only_finding};
use crate::stage::push_versions;

/// An index with two images, pushed as `team/app:v3`.
struct Stage {
    index: Image,
    child: Digest,
    layer: Digest,
}

type Hurt = fn(&StoreView, &Damage, &Stage);

const BROKEN: &str = "broken";

fn stage(registry: &Registry) -> Stage {
    let index = Image::multi_arch(30);
    registry.client().push("team/app", "v3", &index);
    registry.client().push("other", "v1", &Image::small(1));
    let child =
        index.documents().iter().map(janitor_testkit::Document::digest).find(|it| *it != index.digest());
    let layer = index.blobs().keys().next().unwrap().clone();
    Stage { child: child.unwrap(), layer, index }
}

/// Damages a store as told, checks it, and compares: the one code, and the tag that does not pull.
#[track_caller]
fn breaks_the_tag(code: &str, names: fn(&Stage) -> &Digest, hurt: Hurt) {
    let registry = Registry::start();
    let stage = stage(&registry);
    hurt(&registry.view(), &Damage::to(&registry.view()), &stage);
    registry.client().pull("team/app", "v3").unwrap_err();

    let outcome = checked(&registry).assert_code(4);

    let finding = only_finding(&outcome);
    assert_eq!(finding["code"], code, "{finding:#}");
    assert_eq!(finding["severity"], BROKEN, "{finding:#}");
    assert_eq!(finding["repository"], "team/app", "{finding:#}");
    assert_eq!(finding["tags"], serde_json::json!(["team/app:v3"]), "{finding:#}");
    let consequence = finding["consequence"].as_str().unwrap();
    assert!(consequence.starts_with("team/app:v3 does not pull: "), "{consequence}");
    if !code.starts_with("tag-") {
        assert!(consequence.contains(names(&stage).as_str()), "{consequence}");
    }
    assert_ne!(finding["remedy"], "", "{finding:#}");
    let path = finding["path"].as_str().unwrap();
    let place = registry.store().join(path);
    assert!(
        path.starts_with("docker/registry/v2/") && place.ancestors().nth(3).is_some_and(Path::exists),
        "{path}"
    );
    assert_eq!(outcome.total("tags_broken"), 1);
}

fn the_child(stage: &Stage) -> &Digest {
    &stage.child
}

fn the_layer(stage: &Stage) -> &Digest {
    &stage.layer
}

#[test]
fn damaged_tag_links() {
    breaks_the_tag("tag-link-empty", the_child, |_, damage, _| damage.truncate_tag("team/app", "v3"));
    breaks_the_tag("tag-link-garbled", the_child, |_, damage, _| {
        damage.garble_tag("team/app", "v3", "sha256:abc");
    });
    breaks_the_tag("tag-link-missing", the_child, |view, _, _| {
        fs::remove_file(view.current_link("team/app", "v3")).unwrap();
    });
}

#[test]
fn damaged_revision_links() {
    breaks_the_tag("revision-link-empty", the_child, |_, damage, stage| {
        damage.truncate_revision("team/app", &stage.child);
    });
    breaks_the_tag("revision-link-garbled", the_child, |view, _, stage| {
        fs::write(view.revision_link("team/app", &stage.child), "half a").unwrap();
    });
    breaks_the_tag("revision-link-missing", the_child, |_, damage, stage| {
        damage.remove_revision("team/app", &stage.child);
    });
}

#[test]
fn damaged_layer_links() {
    breaks_the_tag("layer-link-empty", the_layer, |_, damage, stage| {
        damage.truncate_layer("team/app", &stage.layer);
    });
    breaks_the_tag("layer-link-garbled", the_layer, |view, _, stage| {
        fs::write(view.layer_link("team/app", &stage.layer), "sha256:").unwrap();
    });
    breaks_the_tag("layer-link-missing", the_layer, |view, _, stage| {
        fs::remove_file(view.layer_link("team/app", &stage.layer)).unwrap();
    });
}

#[test]
fn damaged_manifests() {
    breaks_the_tag("manifest-empty", the_child, |_, damage, stage| damage.truncate_blob(&stage.child));
    breaks_the_tag("manifest-wrong-hash", the_child, |_, damage, stage| damage.garble_blob(&stage.child));
    breaks_the_tag("manifest-cut-short", the_child, |view, _, stage| {
        let path = view.blob_data(&stage.child);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    });
    breaks_the_tag("child-missing", the_child, |_, damage, stage| damage.remove_blob(&stage.child));
    breaks_the_tag("blob-without-data", the_child, |_, damage, stage| damage.remove_blob_data(&stage.child));
}

#[test]
fn damaged_layers() {
    breaks_the_tag("blob-missing", the_layer, |_, damage, stage| damage.remove_blob(&stage.layer));
    breaks_the_tag("blob-without-data", the_layer, |_, damage, stage| damage.remove_blob_data(&stage.layer));
    breaks_the_tag("blob-empty", the_layer, |_, damage, stage| damage.truncate_blob(&stage.layer));
    breaks_the_tag("blob-wrong-size", the_layer, |view, _, stage| {
        let path = view.blob_data(&stage.layer);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    });
}

#[test]
fn a_tagged_manifest_that_is_gone_is_told_by_name() {
    let registry = Registry::start();
    let stage = stage(&registry);
    Damage::to(&registry.view()).remove_blob(&stage.index.digest());

    let finding = only_finding(&checked(&registry).assert_code(4));

    assert_eq!(finding["code"], "manifest-missing");
    let expected = format!("team/app:v3 does not pull: manifest {} is missing", stage.index.digest());
    assert_eq!(finding["consequence"], expected.as_str());
}

#[test]
fn a_link_that_names_another_digest_than_its_directory() {
    let registry = Registry::start();
    let stage = stage(&registry);
    let view = registry.view();
    fs::write(view.revision_link("team/app", &stage.child), stage.index.digest().as_str()).unwrap();
    fs::write(view.layer_link("team/app", &stage.layer), stage.index.digest().as_str()).unwrap();

    let outcome = checked(&registry).assert_code(4);

    let told = codes(&outcome);
    let expected =
        ["layer-link-other", "revision-link-other"].map(|code| (BROKEN.to_owned(), code.to_owned()));
    assert_eq!(told, expected, "{:#}", outcome.report());
}

#[test]
fn one_damage_that_breaks_many_tags_is_told_once() {
    let registry = Registry::start();
    let images = push_versions(&registry, "a", 1);
    for tag in ["v2", "v3", "v4", "v5"] {
        registry.client().push("a", tag, &images[0]);
    }
    registry.client().push("b", "v1", &images[0]);
    Damage::to(&registry.view()).remove_blob(images[0].blobs().keys().next().unwrap());

    let outcome = checked(&registry).assert_code(4);

    let finding = only_finding(&outcome);
    assert_eq!(finding["tags"].as_array().unwrap().len(), 6);
    assert!(finding["repository"].is_null(), "it is in more than one: {finding:#}");
    let consequence = finding["consequence"].as_str().unwrap();
    assert!(consequence.starts_with("a:v1, a:v2, a:v3 and 3 more do not pull: "), "{consequence}");
    assert_eq!(outcome.total("tags_broken"), 6);
    let text = check(&registry).arg("--output=text").run().assert_code(4).stdout;
    assert!(text.contains(consequence) && text.contains("6 tags do not pull"), "{text}");
}

#[test]
fn what_breaks_no_tag_is_weighed_by_what_it_stands_in_the_way_of() {
    type Case = (&'static str, &'static str, i32, fn(&Registry, &Image));
    let cases: [Case; 7] = [
        ("broken", "revision-link-empty", 4, |registry, image| {
            Damage::to(&registry.view()).truncate_revision("app", &image.digest());
        }),
        ("broken", "manifest-empty", 4, |registry, image| {
            Damage::to(&registry.view()).truncate_blob(&image.digest());
        }),
        ("warning", "revision-link-dangling", 0, |registry, image| {
            Damage::to(&registry.view()).remove_blob(&image.digest());
        }),
        ("note", "layer-link-dangling", 0, |registry, image| {
            // Without the manifest nothing needs the layer.
            let layer = image.blobs().keys().next().unwrap();
            registry.client().delete("app", &image.digest());
            Damage::to(&registry.view()).remove_blob(layer);
        }),
        ("warning", "layer-link-empty", 0, |registry, image| {
            Damage::to(&registry.view()).truncate_layer("app", image.blobs().keys().next().unwrap());
        }),
        ("note", "blob-without-data", 0, |registry, _| {
            let loose =
                StoreBuilder::new(registry.store()).loose_blob(b"loose", ago(Duration::from_secs(60)));
            Damage::to(&registry.view()).remove_blob_data(&loose);
        }),
        ("broken", "blob-empty", 4, |registry, _| {
            let loose =
                StoreBuilder::new(registry.store()).loose_blob(b"loose", ago(Duration::from_secs(60)));
            Damage::to(&registry.view()).truncate_blob(&loose);
        }),
    ];
    for (severity, code, exit, hurt) in cases {
        let registry = Registry::start();
        let image = Image::small(40);
        registry.client().push("other", "v1", &Image::small(1));
        registry.client().push_untagged("app", &image);
        hurt(&registry, &image);

        let outcome = checked(&registry).assert_code(exit);

        let finding = only_finding(&outcome);
        assert_eq!((&finding["severity"], &finding["code"]), (&severity.into(), &code.into()), "{finding:#}");
        assert_eq!(finding["tags"].as_array().unwrap().len(), 0, "{finding:#}");
        assert_ne!(finding["consequence"], "", "{finding:#}");
    }
}

#[test]
fn a_repository_without_the_directory_of_its_layer_links() {
    let registry = Registry::start();
    registry.client().push("app", "v1", &Image::small(1));
    fs::remove_dir_all(registry.view().repository("app").join("_layers")).unwrap();

    let outcome = checked(&registry).assert_code(4);

    let told = codes(&outcome);
    assert!(told.contains(&(BROKEN.into(), "layers-directory-missing".into())), "{told:?}");
    assert!(told.contains(&(BROKEN.into(), "layer-link-missing".into())), "{told:?}");
    let report = outcome.report();
    let findings = report["findings"].as_array().unwrap();
    let missing = findings.iter().find(|it| it["code"] == "layers-directory-missing").unwrap();
    assert!(missing["path"].as_str().unwrap().ends_with("repositories/app/_layers"), "{missing:#}");
}

#[test]
fn what_lies_about_is_noted_once_it_is_old() {
    let registry = Registry::start();
    push_versions(&registry, "app", 1);
    let view = registry.view();
    let image = Image::small(1);
    let old = ago(Duration::from_secs(2 * 86400));
    for (name, at) in [("link.1.tmp", old), ("link.2.tmp", ago(Duration::from_secs(60)))] {
        let stray = view.revision_link("app", &image.digest()).with_file_name(name);
        fs::write(&stray, "half").unwrap();
        fs::File::options().write(true).open(&stray).unwrap().set_modified(at).unwrap();
    }
    fs::write(view.repository("app").join("NOTES.txt"), "mine").unwrap();
    symlink("/tmp", view.repository("app").join("_manifests/tags/elsewhere")).unwrap();

    let outcome = checked(&registry).assert_code(0);

    let expected = [("warning", "odd-kind"), ("note", "odd-name"), ("note", "stray-temporary-file")];
    let mut told = codes(&outcome);
    told.sort_by(|a, b| a.1.cmp(&b.1));
    assert_eq!(told, expected.map(|(a, b)| (a.to_owned(), b.to_owned())), "{:#}", outcome.report());
    assert!(outcome.stdout.contains("link.1.tmp") && !outcome.stdout.contains("link.2.tmp"));
}

#[test]
fn uploads_are_told_of_from_an_age_that_can_be_set() {
    let registry = Registry::start();
    push_versions(&registry, "app", 1);
    let old = ago(Duration::from_secs(8 * 86400));
    let store = StoreBuilder::new(registry.store());
    store.upload("app", "old", b"bytes", old);
    store.upload("app", "poisoned", b"bytes", old);
    let poisoned = registry.view().repository("app").join("_uploads/poisoned");
    fs::write(poisoned.join("startedat"), "").unwrap();
    for upload in [poisoned.with_file_name("old"), poisoned] {
        for part in ["startedat", "hashstates", ""] {
            fs::File::open(upload.join(part)).unwrap().set_modified(old).unwrap();
        }
    }
    let in_uploads = |outcome: &janitor_testkit::Outcome| {
        let mut told = codes(outcome);
        told.sort();
        told
    };
    let noted = |code: &str| ("note".to_owned(), code.to_owned());

    let outcome = checked(&registry).assert_code(0);
    assert_eq!(in_uploads(&outcome), [noted("stale-upload"), noted("upload-without-start")]);
    let later = check(&registry).env("UPLOAD_MAX_AGE", "30d").run().assert_code(0);
    assert_eq!(in_uploads(&later), []);
    let wrong = check(&registry).env("UPLOAD_MAX_AGE", "soon").run().assert_code(2);
    assert!(wrong.stderr.contains("'soon' for 'UPLOAD_MAX_AGE'"), "{}", wrong.stderr);
    let misspelt = check(&registry).env("UPLOAD_MAX_AG", "30d").run().assert_code(2);
    assert!(misspelt.stderr.contains("UPLOAD_MAX_AGE"), "{}", misspelt.stderr);
}

#[test]
fn a_directory_where_a_link_belongs_is_no_link() {
    let registry = Registry::start();
    push_versions(&registry, "app", 1);
    let link = registry.view().current_link("app", "v1");
    fs::remove_file(&link).unwrap();
    fs::create_dir(&link).unwrap();

    let outcome = checked(&registry).assert_code(4);

    assert!(codes(&outcome).contains(&(BROKEN.into(), "tag-link-missing".into())), "{}", outcome.stdout);
}

#[test]
fn what_cannot_be_looked_at_is_neither_whole_nor_broken() {
    let registry = Registry::start();
    push_versions(&registry, "app", 1);
    // Links are not followed, so nobody knows what is behind it.
    let tags = registry.view().repository("app").join("_manifests/tags");
    let elsewhere = registry.scratch().join("tags");
    fs::rename(&tags, &elsewhere).unwrap();
    symlink(&elsewhere, &tags).unwrap();

    let outcome = checked(&registry).assert_code(3);

    assert!(codes(&outcome).contains(&("doubt".into(), "unreadable".into())), "{}", outcome.stdout);
    assert_eq!(outcome.report()["status"], "incomplete");
}
