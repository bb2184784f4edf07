//! `janitor check --repair`: every kind of damage that it mends.

use std::fs::{self, File};
use std::time::Duration;

use janitor_testkit::{Damage, Digest, Image, StoreBuilder, StoreView, ago};

use crate::stage::{Stage, codes};

type Hurt = (&'static str, fn(&StoreView, &Damage, &Image));

fn child(image: &Image) -> Digest {
    image.documents()[0].digest()
}

fn layer(image: &Image) -> &Digest {
    image.blobs().keys().next().unwrap()
}

fn outcomes(stage: &Stage, code: i32) -> Vec<String> {
    let outcome = stage.janitor().arg("check").arg("--repair").arg("--yes").run().assert_code(code);
    let report = outcome.report();
    let repaired = report["repaired"].as_array().unwrap();
    repaired.iter().map(|it| it["outcome"].as_str().unwrap().to_owned()).collect()
}

#[test]
#[ignore = "needs a network mount: make test-cifs"]
fn links_are_mended_and_none_is_lost() {
    let hurts: [Hurt; 9] = [
        ("an empty tag link", |_, damage, _| damage.truncate_tag("app", "v3")),
        ("a garbled tag link", |_, damage, _| damage.garble_tag("app", "v3", "sha256:00")),
        ("an empty revision link", |_, damage, image| damage.truncate_revision("app", &child(image))),
        ("a missing revision", |_, damage, image| damage.remove_revision("app", &child(image))),
        ("another's revision link", |view, _, image| {
            fs::write(view.revision_link("app", &child(image)), image.digest().as_str()).unwrap();
        }),
        ("an empty layer link", |_, damage, image| damage.truncate_layer("app", layer(image))),
        ("a garbled layer link", |view, _, image| {
            fs::write(view.layer_link("app", layer(image)), "sha256:").unwrap();
        }),
        ("a missing layer link", |view, _, image| {
            fs::remove_file(view.layer_link("app", layer(image))).unwrap();
        }),
        ("no layer links", |view, _, _| fs::remove_dir_all(view.repository("app").join("_layers")).unwrap()),
    ];
    let stage = Stage::new();
    let image = Image::multi_arch(30);
    let (client, view) = (stage.registry.client(), stage.registry.view());
    client.push("app", "v3", &image);
    for (what, hurt) in hurts {
        hurt(&view, &Damage::to(&view), &image);
        client.pull("app", "v3").unwrap_err();

        let done = outcomes(&stage, 0);

        assert!(!done.is_empty() && done.iter().all(|it| it == "done"), "{what}: {done:?}");
        client.pull("app", "v3").unwrap_or_else(|missing| panic!("{what}: {missing}"));
        assert_eq!(view.tag_digest("app", "v3"), image.digest(), "{what}");
        client.push("app", "v3", &image);
    }
    assert_eq!(
        codes(&stage.janitor().arg("check").run().assert_code(0)),
        [""; 0],
        "nothing is left of a repair"
    );
    stage.assert_ends_with(1, &["v3"], &[&image]);
}

#[test]
#[ignore = "needs a network mount: make test-cifs"]
fn a_link_that_a_registry_has_open_is_mended_too() {
    let (stage, images) = Stage::with_versions(1);
    let view = stage.registry.view();
    for link in [view.current_link("app", "v1"), view.revision_link("app", &images[0].digest())] {
        Damage::to(&view).empty(&link);
        let open = File::open(&link).unwrap();

        assert_eq!(outcomes(&stage, 0), ["done"]);

        stage.assert_all_pull("app");
        drop(open);
        stage.assert_all_pull("app");
        assert_eq!(view.tag_digest("app", "v1"), images[0].digest());
    }
    assert_eq!(codes(&stage.janitor().arg("check").run().assert_code(0)), [""; 0]);
}

#[test]
#[ignore = "needs a network mount: make test-cifs"]
fn damaged_bytes_are_moved_aside_and_a_push_heals_them() {
    let hurts: [Hurt; 4] = [
        ("an empty manifest", |_, damage, image| damage.truncate_blob(&child(image))),
        ("a garbled index", |_, damage, image| damage.garble_blob(&image.digest())),
        ("an empty layer", |_, damage, image| damage.truncate_blob(layer(image))),
        ("half a layer", |view, damage, image| damage.halve(&view.blob_data(layer(image)))),
    ];
    let stage = Stage::new();
    let image = Image::multi_arch(30);
    let (client, view) = (stage.registry.client(), stage.registry.view());
    client.push("app", "v3", &image);
    for (what, hurt) in hurts {
        hurt(&view, &Damage::to(&view), &image);

        assert_eq!(outcomes(&stage, 4), ["done"], "{what}");

        client.push("app", "v3", &image);
        stage.assert_all_pull("app");
        stage.janitor().arg("check").run().assert_code(0);
    }
}

#[test]
#[ignore = "needs a network mount: make test-cifs"]
fn old_leftovers_go() {
    let (stage, images) = Stage::with_versions(1);
    let old = ago(Duration::from_secs(8 * 86400));
    let link = stage.registry.view().revision_link("app", &images[0].digest());
    let stray = link.with_file_name("link.1.tmp");
    fs::write(&stray, "half").unwrap();
    File::options().write(true).open(&stray).unwrap().set_modified(old).unwrap();
    StoreBuilder::new(stage.root()).upload("app", "old", b"bytes", old);
    let upload = stage.registry.view().repository("app").join("_uploads/old");
    for path in [upload.join("hashstates"), upload.clone()] {
        File::open(path).unwrap().set_modified(old).unwrap();
    }

    assert_eq!(outcomes(&stage, 0), ["done", "done"]);

    assert!(!stray.exists() && !upload.exists());
    stage.assert_all_pull("app");
}
