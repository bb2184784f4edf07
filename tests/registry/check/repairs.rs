//! `janitor check --repair` on stores that the real registry wrote: what it mends pulls again.

#![expect(clippy::disallowed_methods, reason = "a test damages its own store")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::Duration;

use janitor_testkit::{Damage, Digest, Image, Outcome, Registry, StoreBuilder, StoreView, Tree, ago};

use super::{check, checked, codes};
use crate::stage::{assert_all_pull, janitor, push_versions};

type Hurt = fn(&StoreView, &Damage, &Image);
type Which = fn(&Image) -> Digest;

fn child(image: &Image) -> Digest {
    image.documents()[0].digest()
}

fn layer(image: &Image) -> &Digest {
    image.blobs().keys().next().unwrap()
}

fn repair(registry: &Registry) -> Outcome {
    check(registry).arg("--repair").arg("--yes").run()
}

/// What came of each repair.
fn outcomes(outcome: &Outcome) -> Vec<String> {
    let report = outcome.report();
    let repaired = report["repaired"].as_array().unwrap();
    repaired.iter().map(|it| it["outcome"].as_str().unwrap().to_owned()).collect()
}

fn hurt_store(hurt: Hurt) -> (Registry, Image) {
    let registry = Registry::start();
    let image = Image::multi_arch(30);
    registry.client().push("team/app", "v3", &image);
    hurt(&registry.view(), &Damage::to(&registry.view()), &image);
    registry.client().pull("team/app", "v3").unwrap_err();
    (registry, image)
}

#[test]
fn links_that_can_say_only_one_thing_are_written_anew() {
    let hurts: [Hurt; 9] = [
        |_, damage, _| damage.truncate_tag("team/app", "v3"),
        |_, damage, _| damage.garble_tag("team/app", "v3", "sha256:00"),
        |_, damage, image| damage.truncate_revision("team/app", &child(image)),
        |_, damage, image| damage.remove_revision("team/app", &child(image)),
        |view, _, image| {
            fs::write(view.revision_link("team/app", &child(image)), image.digest().as_str()).unwrap();
        },
        |_, damage, image| damage.truncate_layer("team/app", layer(image)),
        |view, _, image| fs::write(view.layer_link("team/app", layer(image)), "sha256:").unwrap(),
        |view, _, image| fs::remove_file(view.layer_link("team/app", layer(image))).unwrap(),
        |view, _, _| fs::remove_dir_all(view.repository("team/app").join("_layers")).unwrap(),
    ];
    for (number, hurt) in hurts.into_iter().enumerate() {
        let (registry, image) = hurt_store(hurt);

        let outcome = repair(&registry);

        assert_eq!(outcome.code, Some(0), "{number}: {}\n{}", outcome.stdout, outcome.stderr);
        let done = outcomes(&outcome);
        assert!(!done.is_empty() && done.iter().all(|it| it == "done"), "{number}: {done:?}");
        assert_eq!(codes(&outcome), [], "{number}: what is left");
        registry.client().pull("team/app", "v3").unwrap();
        assert_eq!(registry.view().tag_digest("team/app", "v3"), image.digest(), "{number}");
        // The registry can write the links again, and the store is as good as new to a sweep.
        registry.client().push("team/app", "v3", &image);
        janitor(&registry).run().assert_code(0);
    }
}

#[test]
fn damaged_bytes_are_moved_to_the_trash_and_the_next_push_heals_them() {
    let hurts: [(Hurt, Which); 5] = [
        (|_, damage, image| damage.truncate_blob(&child(image)), child),
        (|_, damage, image| damage.garble_blob(&image.digest()), Image::digest),
        (|_, damage, image| damage.truncate_blob(layer(image)), |image| layer(image).clone()),
        (|view, _, image| cut_short(view, &child(image)), child),
        (|view, _, image| cut_short(view, layer(image)), |image| layer(image).clone()),
    ];
    for (number, (hurt, hurt_digest)) in hurts.into_iter().enumerate() {
        let (registry, image) = hurt_store(hurt);
        let digest = hurt_digest(&image);

        let outcome = repair(&registry).assert_code(4);

        assert_eq!(outcomes(&outcome), ["done"], "{number}");
        assert_eq!(codes(&outcome).len(), 1, "what is left is that it is missing: {}", outcome.stdout);
        assert!(!registry.view().has_blob(&digest), "{number}");
        let mended = registry.store().join("janitor/trash/mended");
        let run = fs::read_dir(&mended).unwrap().next().unwrap().unwrap().path();
        let shard = run.join("blobs/sha256").join(&digest.hex()[..2]);
        assert!(shard.join(digest.hex()).join("data").is_file(), "{number}: the bytes are kept");
        registry.client().push("team/app", "v3", &image);
        registry.client().pull("team/app", "v3").unwrap();
        assert_eq!(codes(&checked(&registry).assert_code(0)), [], "{number}");
        janitor(&registry).run().assert_code(0);
        assert_all_pull(&registry, "team/app");
    }
}

fn cut_short(view: &StoreView, digest: &Digest) {
    let path = view.blob_data(digest);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
}

#[test]
fn without_consent_repairs_are_listed_and_nothing_is_changed() {
    let (registry, _) = hurt_store(|_, damage, _| damage.truncate_tag("team/app", "v3"));
    let before = Tree::of(registry.store());

    let outcome = check(&registry).arg("--repair").run().assert_code(4);

    before.assert_unchanged(&Tree::of(registry.store()));
    assert_eq!(outcomes(&outcome), ["listed"]);
    assert!(outcome.stderr.contains("to mend: point team/app:v3 to sha256:"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("nothing was changed"), "{}", outcome.stderr);
    let lonely = check(&registry).arg("--yes").run().assert_code(2);
    assert!(lonely.stderr.contains("--repair"), "{}", lonely.stderr);
}

#[test]
fn a_dry_run_mends_nothing_whoever_agrees() {
    let (registry, _) = hurt_store(|_, damage, _| damage.truncate_tag("team/app", "v3"));
    let before = Tree::of(registry.store());

    let outcome = check(&registry).env("DRY_RUN", "true").arg("--repair").arg("--yes").run().assert_code(4);

    before.assert_unchanged(&Tree::of(registry.store()));
    assert_eq!(outcomes(&outcome), ["listed"]);
    assert!(outcome.stderr.contains("dry run"), "{}", outcome.stderr);
}

#[test]
fn while_another_janitor_works_nothing_is_mended() {
    let (registry, _) = hurt_store(|_, damage, _| damage.truncate_tag("team/app", "v3"));
    fs::create_dir(registry.store().join("janitor")).unwrap();
    let lock = fs::File::create(registry.store().join("janitor/lock")).unwrap();
    lock.lock().unwrap();

    let outcome = repair(&registry).assert_code(11);

    assert_eq!(outcome.report()["status"], "locked");
    assert_eq!(fs::read(registry.view().current_link("team/app", "v3")).unwrap(), b"");
    // Looking needs no lock.
    assert_eq!(codes(&checked(&registry).assert_code(4)).len(), 1);
    drop(lock);
    repair(&registry).assert_code(0);
}

#[test]
fn what_would_be_a_guess_is_left() {
    // Two images that a tag held, equally new: nobody knows which was the last.
    let registry = Registry::start();
    let images = [Image::small(1), Image::small(2)];
    let at = ago(Duration::from_secs(60));
    for image in &images {
        registry.client().push("app", "v1", image);
        let link = registry.view().index_link("app", "v1", &image.digest());
        fs::File::open(link).unwrap().set_modified(at).unwrap();
    }
    Damage::to(&registry.view()).truncate_tag("app", "v1");
    let before = Tree::of(registry.store());

    let outcome = repair(&registry).assert_code(4);

    assert_eq!(outcomes(&outcome), [""; 0]);
    before.assert_unchanged(&Tree::of(registry.store()));
}

#[test]
fn a_new_link_has_the_mode_and_the_owner_of_its_neighbours() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 1);
    let link = registry.view().layer_link("app", layer(&images[0]));
    let dir = link.parent().unwrap();
    fs::set_permissions(dir, fs::Permissions::from_mode(0o750)).unwrap();
    fs::remove_file(&link).unwrap();
    let tag = registry.view().current_link("app", "v1");
    fs::set_permissions(&tag, fs::Permissions::from_mode(0o604)).unwrap();
    fs::write(&tag, "").unwrap();

    let outcome = repair(&registry).assert_code(0);

    assert_eq!(outcomes(&outcome), ["done", "done"]);
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&link), mode(&tag)), (0o640, 0o604));
    assert_eq!(fs::metadata(&link).unwrap().uid(), fs::metadata(dir).unwrap().uid());
    assert_all_pull(&registry, "app");
}

#[test]
fn old_leftovers_go_and_young_ones_stay() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 1);
    let old = ago(Duration::from_secs(8 * 86400));
    let link = registry.view().revision_link("app", &images[0].digest());
    for (name, at) in [("link.1.tmp", old), ("link.2.tmp", ago(Duration::from_secs(60)))] {
        let stray = link.with_file_name(name);
        fs::write(&stray, "half").unwrap();
        fs::File::open(&stray).unwrap().set_modified(at).unwrap();
    }
    StoreBuilder::new(registry.store()).upload("app", "old", b"bytes", old);
    let uploads = registry.view().repository("app").join("_uploads");
    fs::File::open(uploads.join("old/hashstates")).unwrap().set_modified(old).unwrap();
    fs::File::open(uploads.join("old")).unwrap().set_modified(old).unwrap();
    registry.client().start_upload("app").unwrap();

    let outcome = repair(&registry).assert_code(0);

    assert_eq!(outcomes(&outcome), ["done", "done"], "{}", outcome.stdout);
    assert!(!link.with_file_name("link.1.tmp").exists() && link.with_file_name("link.2.tmp").exists());
    assert!(!uploads.join("old").exists());
    assert_eq!(fs::read_dir(&uploads).unwrap().count(), 1, "the upload under way is still there");
    let mended = registry.store().join("janitor/trash/mended");
    assert_eq!(fs::read_dir(mended).unwrap().count(), 0, "and nothing is left of what went");
    assert_all_pull(&registry, "app");
}
