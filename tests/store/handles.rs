//! Registry 2.8 opens a link, truncates it and writes it: a handle that it had open before a rename writes
//! into the trash, and that push was acknowledged.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use janitor_testkit::{Image, StoreBuilder};
use registry_janitor::report::SweepReport;
use registry_janitor::store::Op;

use crate::stage::{Stage, just_now};
use crate::watch::{Hooks, Once};
use crate::witness::{assert_whole, missing, missing_of, trash};

/// The trash's copy of something in `app`.
fn in_trash(root: &Path, below: &str) -> PathBuf {
    let sweep = fs::read_dir(root.join("janitor/trash/pending")).unwrap().next().unwrap().unwrap().path();
    sweep.join("repositories/app").join(below)
}

/// Sweeps, and once, just before (or just after) an operation on a path that ends so, writes a link in the trash.
fn sweep_and_write(stage: &Stage, late: bool, moment: String, link: String, text: String) -> SweepReport {
    let written = Arc::new(Once::default());
    let done = Arc::clone(&written);
    let root = stage.root().to_owned();
    let write = move |op: Op, path: &str| {
        if op == Op::Rename && path.ends_with(&moment) && done.first() {
            fs::write(in_trash(&root, &link), &text).unwrap();
        }
    };
    let watch = if late {
        Hooks::before(move |op, path| {
            write(op, path);
            Ok(())
        })
    } else {
        Hooks::after(write)
    };
    let report = stage.sweep(Some(watch)).unwrap();
    assert!(written.has_been(), "the sweep never came to the moment of the write");
    assert_whole(stage.view(), &stage.kept(), "a write into the trash");
    assert_eq!(trash(stage.root()), Vec::<PathBuf>::new());
    report
}

#[test]
fn a_tag_written_right_after_its_rename_comes_back() {
    let stage = Stage::new();
    let image = Image::small(60);
    StoreBuilder::new(stage.root()).push_untagged("app", &image, just_now());
    let digest = image.digest();
    let report = sweep_and_write(
        &stage,
        false,
        "v2/repositories/app/_manifests/tags/v1".into(),
        "_manifests/tags/v1/current/link".into(),
        digest.to_string(),
    );
    assert_eq!(report.exit_code, 0, "{:#?}", report.findings);
    assert_eq!(stage.view().tag_digest("app", "v1"), digest);
    assert_eq!(missing(stage.view(), "app", "v1"), Vec::<String>::new());
}

#[test]
fn a_tag_written_long_after_its_rename_comes_back_with_its_manifests() {
    let stage = Stage::new();
    // The manifest was pushed long before, and goes in the same sweep.
    let digest = stage.untagged.digest();
    let report = sweep_and_write(
        &stage,
        false,
        format!("v2/repositories/app/_manifests/revisions/sha256/{}", digest.hex()),
        "_manifests/tags/v1/current/link".into(),
        digest.to_string(),
    );
    assert_eq!(report.exit_code, 0, "{:#?}", report.findings);
    assert_eq!(stage.view().tag_digest("app", "v1"), digest);
    assert_eq!(missing(stage.view(), "app", "v1"), Vec::<String>::new());
}

#[test]
fn a_tag_that_stays_truncated_after_its_rename_comes_back_and_is_in_doubt() {
    let stage = Stage::new();
    let report = sweep_and_write(
        &stage,
        false,
        "v2/repositories/app/_manifests/tags/v1".into(),
        "_manifests/tags/v1/current/link".into(),
        String::new(),
    );
    assert!(stage.view().tags("app").contains("v1"));
    assert_eq!(report.exit_code, 3);
    let path = "docker/registry/v2/repositories/app/_manifests/tags/v1/current/link";
    assert!(report.findings.iter().any(|it| path.ends_with(&it.path)), "{:#?}", report.findings);
}

#[test]
fn a_manifest_written_right_after_its_rename_comes_back() {
    let stage = Stage::new();
    let digest = stage.untagged.digest();
    let report = sweep_and_write(
        &stage,
        false,
        format!("v2/repositories/app/_manifests/revisions/sha256/{}", digest.hex()),
        format!("_manifests/revisions/sha256/{}/link", digest.hex()),
        digest.to_string(),
    );
    assert_eq!(report.exit_code, 0, "{:#?}", report.findings);
    assert_eq!(missing_of(stage.view(), "app", &digest), Vec::<String>::new());
}

#[test]
fn a_manifest_written_long_after_its_rename_comes_back() {
    let stage = Stage::new();
    let mut going = [&stage.untagged, &stage.versions[0], &stage.versions[1]].map(Image::digest);
    going.sort();
    let [first, .., last] = going;
    let report = sweep_and_write(
        &stage,
        true,
        format!("v2/repositories/app/_manifests/revisions/sha256/{}", last.hex()),
        format!("_manifests/revisions/sha256/{}/link", first.hex()),
        first.to_string(),
    );
    assert_eq!(report.exit_code, 0, "{:#?}", report.findings);
    assert_eq!(missing_of(stage.view(), "app", &first), Vec::<String>::new());
}
