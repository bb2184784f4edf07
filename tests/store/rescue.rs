//! Putting back that fails: what could not be put back is never deleted.

use std::io;

use janitor_testkit::{Format, Image, StoreBuilder};
use registry_janitor::store::Op;

use crate::stage::{Stage, just_now, push_index_alone};
use crate::watch::Hooks;
use crate::witness::{assert_whole, missing, trash};

/// Runs a sweep in which nothing can be moved out of the trash, and a sweep after it.
fn sweep_without_way_back(stage: &Stage, before_rename: impl Fn(&str) + Send + Sync + 'static) {
    let watch = Hooks::before(move |op, path| {
        if op == Op::Rename && path.starts_with("janitor/trash/pending/") && path.contains("/repositories/") {
            return Err(io::Error::from_raw_os_error(5));
        }
        if op == Op::Rename {
            before_rename(path);
        }
        Ok(())
    });
    let report = stage.sweep(Some(watch)).unwrap();
    assert_eq!(report.exit_code, 3, "{:#?}", report.findings);
    assert_whole(stage.view(), &stage.kept(), "nothing can be put back");
    assert_ne!(trash(stage.root()), Vec::<std::path::PathBuf>::new(), "it waits for the next sweep");

    let report = stage.sweep(None).unwrap();
    assert_eq!(report.exit_code, 0, "{:#?}", report.findings);
    assert_eq!(trash(stage.root()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_pushed_tag_that_cannot_be_put_back_waits_for_the_next_sweep() {
    let stage = Stage::new();
    let image = Image::small(60);
    let (builder, pushed) = (StoreBuilder::new(stage.root()), image.clone());
    sweep_without_way_back(&stage, move |path| {
        if path.ends_with("v2/repositories/app/_manifests/tags/v1") {
            builder.push("app", "v1", &pushed, just_now());
        }
    });
    assert_eq!(stage.view().tag_digest("app", "v1"), image.digest());
    assert_eq!(missing(stage.view(), "app", "v1"), Vec::<String>::new());
}

#[test]
fn a_child_that_cannot_be_put_back_waits_for_the_next_sweep() {
    let stage = Stage::new();
    let index = Image::index(Format::Oci, &[&stage.untagged]);
    let (view, pushed) = (stage.view().clone(), index.clone());
    let moment = format!("v2/repositories/app/_manifests/revisions/sha256/{}", stage.untagged.digest().hex());
    sweep_without_way_back(&stage, move |path| {
        if path.ends_with(&moment) {
            push_index_alone(&view, "app", "index", &pushed);
        }
    });
    assert_eq!(missing(stage.view(), "app", "index"), Vec::<String>::new());
}
