//! What one look at the store costs: every operation is counted, and none is made twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use janitor_testkit::Image;
use registry_janitor::stop::Stop;
use registry_janitor::store::{Op, Store};

use crate::stage::{Stage, hours_ago};
use crate::watch::{Hooks, Log};

/// The operations of opening the store and looking at it once.
fn look_at(stage: &Stage, jobs: usize) -> Arc<Log> {
    let log = Arc::new(Log::default());
    let seen = Arc::clone(&log);
    let watch = Hooks::before(move |op, path| {
        seen.add(op, path);
        Ok(())
    });
    let store = Store::open(stage.root(), jobs, Some(watch)).unwrap();
    let inventory = store.scan(&Stop::default()).unwrap();
    assert_eq!(inventory.problems, []);
    assert_eq!(inventory.repositories.len(), 3, "busy has nothing but an upload, and is no repository yet");
    log
}

#[test]
fn a_look_costs_what_its_module_says() {
    let stage = Stage::new();
    let log = look_at(&stage, 1);

    let blobs = stage.view().blobs();
    let shards: BTreeSet<&str> = blobs.keys().map(|digest| &digest.hex()[..2]).collect();
    // repositories, app, app/nested, busy, emptied
    let walked = 5;
    // tags, revisions, revisions/sha256, _layers, _layers/sha256 of three repositories; `emptied` has no tags
    let inside = 3 * 5 - 1;
    // blobs/sha256 beside its shards
    let blob_dirs = 1 + shards.len();
    let tags = 7;
    // v1, v2, v3, multi with three children, two signatures, the referrer, the untagged ones of both
    let manifests = 3 + 4 + 2 + 1 + 1 + 1;
    // `emptied`'s tags are not found, so the listing of what should hold them is asked.
    let asked = 1;

    assert_eq!(log.count(Op::List), walked + inside + asked + blob_dirs);
    assert_eq!(log.count(Op::Read), tags + manifests);
    // The root and docker/registry/v2, one open for `emptied`'s tags that finds nothing, one for the undo trash,
    // one for what is remembered.
    assert_eq!(log.count(Op::Open), 2 + walked + inside + 1 + asked + 2 + blob_dirs + tags + manifests);
    // Whether it is one whole store: repositories, blobs, the root, a pull-through cache's file.
    assert_eq!(log.count(Op::Stat), 4);
    assert_eq!(log.all().len(), log.count(Op::List) + log.count(Op::Read) + log.count(Op::Open) + 4);
}

#[test]
fn nothing_is_opened_twice_whatever_the_concurrency() {
    let stage = Stage::new();
    for jobs in [1, 16] {
        let mut times: BTreeMap<(String, String), usize> = BTreeMap::new();
        for (op, path) in look_at(&stage, jobs).all() {
            *times.entry((format!("{op:?}"), path)).or_default() += 1;
        }
        let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "{jobs} jobs: {twice:?}");
    }
}

#[test]
fn uploads_layers_and_links_that_say_nothing_new_are_left_alone() {
    let stage = Stage::new();
    stage.builder.upload("app", "11111111-8c46-4c6f-a0a9-4a7b6cbd7f0e", b"half", hours_ago(1));
    let images = [&stage.multi, &stage.untagged, &stage.emptied, &stage.referrer];
    let blobs: BTreeSet<String> = images
        .into_iter()
        .chain(&stage.versions)
        .flat_map(Image::blobs)
        .map(|(digest, _)| digest.hex().to_owned())
        .collect();
    for (op, path) in look_at(&stage, 4).all() {
        assert!(!path.contains("_uploads"), "{op:?} {path}");
        assert!(!path.contains("/index/"), "{op:?} {path}");
        assert!(!path.contains("/link") || path.contains("/_manifests/tags/"), "{op:?} {path}");
        assert!(!blobs.iter().any(|hex| path.contains(hex)), "{op:?} {path}");
    }
}

#[test]
fn a_manifest_that_repositories_share_is_read_once() {
    let stage = Stage::new();
    let shared = stage.versions[2].digest();
    let reads = look_at(&stage, 4)
        .all()
        .into_iter()
        .filter(|(op, path)| *op == Op::Read && path.contains(shared.hex()));
    assert_eq!(reads.count(), 1);
}

#[test]
fn a_further_tag_costs_one_file_and_a_further_image_two() {
    let stage = Stage::new();
    let before = look_at(&stage, 1);
    stage.builder.push("app/nested", "again", &stage.versions[2], hours_ago(1));
    let with_tag = look_at(&stage, 1);
    assert_eq!(with_tag.all().len(), before.all().len() + 2, "an open and a read");

    let shards = |stage: &Stage| {
        stage.view().blobs().keys().map(|it| it.hex()[..2].to_owned()).collect::<BTreeSet<_>>().len()
    };
    let shards_before = shards(&stage);
    stage.builder.push("app/nested", "other", &Image::small(70), hours_ago(1));
    let with_image = look_at(&stage, 1);
    let more_shards = shards(&stage) - shards_before;
    assert_eq!(
        with_image.all().len(),
        with_tag.all().len() + 4 + 2 * more_shards,
        "two files, whatever its layers"
    );
}
