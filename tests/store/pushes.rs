//! Pushes at the worst moment: what was acknowledged is whole when the sweep has ended.

use std::sync::Arc;

use janitor_testkit::{Digest, Format, Image, StoreBuilder};
use registry_janitor::report::{Outcome, SweepReport};
use registry_janitor::store::Op;

use crate::stage::{Stage, hours_ago, just_now, push_index_alone, tag};
use crate::watch::{Hooks, Once};
use crate::witness::{assert_whole, missing, missing_of, trash};

/// Sweeps, and pushes once when an operation of this kind on a path with this ending has been made.
fn sweep_and_push_after(
    stage: &Stage,
    op: Op,
    ending: String,
    push: impl Fn() + Send + Sync + 'static,
) -> SweepReport {
    let pushed = Arc::new(Once::default());
    let done = Arc::clone(&pushed);
    let watch = Hooks::after(move |made, path| {
        if made == op && path.ends_with(&ending) && done.first() {
            push();
        }
    });
    let report = stage.sweep(Some(watch)).unwrap();
    assert!(pushed.has_been(), "the sweep never came to the moment of the push");
    finish(stage, &report);
    report
}

/// As [`sweep_and_push_after`], just before the operation.
fn sweep_and_push_before(
    stage: &Stage,
    op: Op,
    ending: String,
    push: impl Fn() + Send + Sync + 'static,
) -> SweepReport {
    let pushed = Arc::new(Once::default());
    let done = Arc::clone(&pushed);
    let watch = Hooks::before(move |made, path| {
        if made == op && path.ends_with(&ending) && done.first() {
            push();
        }
        Ok(())
    });
    let report = stage.sweep(Some(watch)).unwrap();
    assert!(pushed.has_been(), "the sweep never came to the moment of the push");
    finish(stage, &report);
    report
}

/// What holds whoever pushed what.
fn finish(stage: &Stage, report: &SweepReport) {
    assert_whole(stage.view(), &stage.kept(), "a push during the sweep");
    assert_eq!(report.exit_code, 0, "{:#?}", report.findings);
    assert_eq!(report.broken, []);
}

fn outcome(report: &SweepReport, name: &str) -> Outcome {
    let app = report.repositories.iter().find(|repository| repository.name.as_str() == "app").unwrap();
    app.tags.iter().find(|tag| tag.tag.as_str() == name).unwrap().outcome
}

/// Where a manifest's directory is renamed to or from.
fn revision(digest: &Digest) -> String {
    format!("_manifests/revisions/sha256/{}", digest.hex())
}

#[test]
fn a_tag_pushed_again_between_decision_and_check_stays() {
    let stage = Stage::new();
    let (builder, image) = (StoreBuilder::new(stage.root()), stage.versions[0].clone());
    let report =
        sweep_and_push_before(&stage, Op::MakeDir, "repositories/app/_manifests/tags".into(), move || {
            builder.push("app", "v1", &image, just_now());
        });
    assert_eq!(outcome(&report, "v1"), Outcome::Changed);
    assert_eq!(outcome(&report, "v2"), Outcome::Removed);
    assert_eq!(missing(stage.view(), "app", "v1"), Vec::<String>::new());
    assert_eq!(trash(stage.root()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_tag_pushed_again_between_check_and_rename_comes_back() {
    for other in [false, true] {
        let stage = Stage::new();
        let image = if other { Image::small(60) } else { stage.versions[0].clone() };
        let (builder, pushed) = (StoreBuilder::new(stage.root()), image.clone());
        let report = sweep_and_push_before(
            &stage,
            Op::Rename,
            "v2/repositories/app/_manifests/tags/v1".into(),
            move || {
                builder.push("app", "v1", &pushed, just_now());
            },
        );
        assert_eq!(outcome(&report, "v1"), Outcome::Changed);
        assert_eq!(stage.view().tag_digest("app", "v1"), image.digest());
        assert_eq!(missing(stage.view(), "app", "v1"), Vec::<String>::new());
        assert_eq!(trash(stage.root()), Vec::<std::path::PathBuf>::new());
    }
}

#[test]
fn a_tag_pushed_again_between_check_and_rename_is_away_for_a_moment_only() {
    let stage = Stage::new();
    let (builder, image, view) = (StoreBuilder::new(stage.root()), Image::small(60), stage.view().clone());
    let came_back = Arc::new(Once::default());
    let seen = Arc::clone(&came_back);
    let pushed = Once::default();
    let watch = Hooks::before(move |op, path| {
        if op == Op::Rename && path.ends_with("v2/repositories/app/_manifests/tags/v1") && pushed.first() {
            builder.push("app", "v1", &image, just_now());
        }
        // The next thing that goes: nobody waits for the second look.
        let is_later = op == Op::Rename && path.contains("v2/repositories/app/_manifests/revisions/");
        if is_later && view.current_link("app", "v1").exists() {
            seen.first();
        }
        Ok(())
    });
    let report = stage.sweep(Some(watch)).unwrap();
    finish(&stage, &report);
    assert!(came_back.has_been(), "v1 was away until the second look");
}

#[test]
fn a_tag_pushed_again_right_after_its_rename_is_there_anew() {
    for other in [false, true] {
        let stage = Stage::new();
        let image = if other { Image::small(60) } else { stage.versions[0].clone() };
        let (builder, pushed) = (StoreBuilder::new(stage.root()), image.clone());
        sweep_and_push_after(
            &stage,
            Op::Rename,
            "v2/repositories/app/_manifests/tags/v1".into(),
            move || {
                builder.push("app", "v1", &pushed, just_now());
            },
        );
        assert_eq!(stage.view().tag_digest("app", "v1"), image.digest());
        assert_eq!(missing(stage.view(), "app", "v1"), Vec::<String>::new());
        assert_eq!(trash(stage.root()), Vec::<std::path::PathBuf>::new());
    }
}

#[test]
fn a_tag_made_anew_while_the_old_one_is_put_back_is_the_newer_one() {
    // Pushed between check and rename, so that it is to be put back; and pushed once more before it is.
    let stage = Stage::new();
    let second = Image::small(61);
    let builder = StoreBuilder::new(stage.root());
    let (first, then) = (Image::small(60), second.clone());
    let once = Once::default();
    let watch = Hooks::before(move |op, path| {
        if op == Op::Rename && path.ends_with("_manifests/tags/v1") {
            builder.push("app", "v1", if once.first() { &first } else { &then }, just_now());
        }
        Ok(())
    });
    let report = stage.sweep(Some(watch)).unwrap();
    finish(&stage, &report);
    assert_eq!(outcome(&report, "v1"), Outcome::Changed);
    assert_eq!(stage.view().tag_digest("app", "v1"), second.digest());
    assert_eq!(missing(stage.view(), "app", "v1"), Vec::<String>::new());
    assert_eq!(stage.sweep(None).unwrap().exit_code, 0);
    assert_eq!(missing(stage.view(), "app", "v1"), Vec::<String>::new());
    assert_eq!(trash(stage.root()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn an_index_pushed_between_the_looks_gets_its_children_back() {
    let stage = Stage::new();
    let nested = Image::index(Format::Oci, &[&stage.versions[0]]);
    let index = Image::index(Format::Oci, &[&nested, &stage.untagged]);
    let (view, pushed) = (stage.view().clone(), index.clone());
    let inner = StoreBuilder::new(stage.root());
    let last = [&stage.versions[0], &stage.versions[1], &stage.untagged]
        .map(Image::digest)
        .into_iter()
        .max()
        .unwrap();
    let report = sweep_and_push_after(
        &stage,
        Op::Rename,
        format!("v2/repositories/app/{}", revision(&last)),
        move || {
            inner.manifest("app", &nested.document().bytes, just_now());
            push_index_alone(&view, "app", "index", &pushed);
        },
    );
    assert_eq!(missing(stage.view(), "app", "index"), Vec::<String>::new());
    assert!(!stage.view().has_revision("app", &stage.versions[1].digest()), "nothing needs v2");
    assert_eq!(report.totals.manifests_removed, 2, "v2 and that of emptied; the signature of v1 follows v1");
    assert!(report.findings.iter().any(|it| it.path.contains(stage.untagged.digest().as_str())));
    assert_eq!(trash(stage.root()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn an_index_pushed_by_digest_gets_its_children_back_too() {
    let stage = Stage::new();
    let index = Image::index(Format::Oci, &[&stage.untagged]);
    let pushed = index.clone();
    let builder = StoreBuilder::new(stage.root());
    let moment = format!("v2/repositories/app/{}", revision(&stage.untagged.digest()));
    sweep_and_push_after(&stage, Op::Rename, moment, move || {
        builder.manifest("app", &pushed.document().bytes, just_now());
    });
    assert_eq!(missing_of(stage.view(), "app", &index.digest()), Vec::<String>::new());
}

#[test]
fn an_image_tagged_anew_between_the_looks_gets_its_referrers_back() {
    let stage = Stage::new();
    let sbom = Image::referrer_of(&stage.versions[0], "application/spdx+json", "sbom of v1");
    stage.builder.push_untagged("app", &sbom, hours_ago(5));
    let (view, digest) = (stage.view().clone(), stage.versions[0].digest());
    let bytes = stage.versions[0].document().bytes.clone();
    let builder = StoreBuilder::new(stage.root());
    let last = [&stage.versions[0], &stage.versions[1], &stage.untagged, &sbom]
        .map(Image::digest)
        .into_iter()
        .max()
        .unwrap();
    sweep_and_push_after(&stage, Op::Rename, format!("v2/repositories/app/{}", revision(&last)), move || {
        builder.manifest("app", &bytes, just_now());
        tag(&view, "app", "stable", &digest);
    });
    assert_eq!(missing(stage.view(), "app", "stable"), Vec::<String>::new());
    assert_eq!(missing_of(stage.view(), "app", &sbom.digest()), Vec::<String>::new());
}

#[test]
fn a_manifest_pushed_again_by_digest_stays() {
    for before in [true, false] {
        let stage = Stage::new();
        let (builder, image) = (StoreBuilder::new(stage.root()), stage.untagged.clone());
        let moment = format!("v2/repositories/app/{}", revision(&image.digest()));
        let push = move || builder.push_untagged("app", &image, just_now());
        if before {
            sweep_and_push_before(&stage, Op::Rename, moment, push);
        } else {
            sweep_and_push_after(&stage, Op::Rename, moment, push);
        }
        assert_eq!(missing_of(stage.view(), "app", &stage.untagged.digest()), Vec::<String>::new());
        assert_eq!(trash(stage.root()), Vec::<std::path::PathBuf>::new());
    }
}

#[test]
fn a_push_into_a_repository_that_is_being_emptied_gets_its_layers_back() {
    let stage = Stage::new();
    let last = stage.emptied.blobs().keys().max().unwrap().hex().to_owned();
    let (view, image) = (stage.view().clone(), stage.emptied.clone());
    let builder = StoreBuilder::new(stage.root());
    // The client asked for the layers before they were taken away, and sends the manifest only.
    let report = sweep_and_push_after(
        &stage,
        Op::Rename,
        format!("v2/repositories/emptied/_layers/sha256/{last}"),
        move || {
            builder.manifest("emptied", &image.document().bytes, just_now());
            tag(&view, "emptied", "v1", &image.digest());
        },
    );
    assert_eq!(missing(stage.view(), "emptied", "v1"), Vec::<String>::new());
    assert_eq!(report.totals.repositories_removed, 0);
    assert_eq!(trash(stage.root()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_push_into_a_repository_that_is_being_removed_is_not_removed() {
    let stage = Stage::new();
    let builder = StoreBuilder::new(stage.root());
    let moment = "repositories/emptied/_manifests/revisions/sha256".into();
    let report = sweep_and_push_after(&stage, Op::Remove, moment, move || {
        builder.push("emptied", "v1", &Image::small(62), just_now());
    });
    assert_eq!(missing(stage.view(), "emptied", "v1"), Vec::<String>::new());
    assert_eq!(report.totals.repositories_removed, 0);
}

#[test]
fn a_signature_whose_image_is_pushed_again_before_it_is_taken_stays() {
    let stage = Stage::new();
    let (builder, image) = (StoreBuilder::new(stage.root()), stage.versions[0].clone());
    let signature = stage.versions[0].companion_tag(".sig");
    sweep_and_push_before(&stage, Op::Rename, format!("_manifests/tags/{signature}"), move || {
        // Its signature is there, so the client leaves it alone.
        builder.push("app", "stable", &image, just_now());
    });
    assert_eq!(missing(stage.view(), "app", "stable"), Vec::<String>::new());
    assert_eq!(missing(stage.view(), "app", &signature), Vec::<String>::new());
}
