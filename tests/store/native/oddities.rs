//! What lies in the way of a collection: things that no registry makes, other names of a blob, a disk without room for
//! lists.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use janitor_testkit::{Digest, Image};
use registry_janitor::report::{CollectionStatus, SweepReport};
use rustix::io::Errno;

use super::crashes::make_good;
use super::stage::{NativeStage, links};
use crate::watch::Hooks;
use crate::witness::{assert_whole, missing, trash};

/// Sweeps twice: the first deletes what it may, the second finds nothing more to do, and both tell of this path.
fn sweep_around(stage: &NativeStage, path: &str) {
    let first = stage.sweep(None).unwrap();
    let second = stage.sweep(None).unwrap();
    for (report, status) in [(&first, CollectionStatus::Done), (&second, CollectionStatus::NothingToDo)] {
        assert_eq!(report.exit_code, 0, "{path}: {:#?}", report.findings);
        assert_eq!(report.collection.status, status, "{path}: {:?}", report.collection);
        assert!(tells_of(report, path), "{path}: {:#?}", report.findings);
    }
    assert_whole(stage.view(), &stage.kept(), path);
    assert_eq!(trash(stage.root()), Vec::<std::path::PathBuf>::new(), "{path}");
}

fn tells_of(report: &SweepReport, path: &str) -> bool {
    report.findings.iter().any(|it| it.path.ends_with(path))
}

#[test]
fn a_directory_where_data_should_be_stays_and_the_rest_goes() {
    let stage = NativeStage::new();
    let (layer, other) = (stage.layer(), stage.config_blob());
    let data = stage.view().blob_data(&layer);
    fs::remove_file(&data).unwrap();
    fs::create_dir(&data).unwrap();
    let first = stage.sweep(None).unwrap();
    assert_eq!(first.exit_code, 0, "{:#?}", first.findings);
    assert!(tells_of(&first, &format!("{}/data", layer.hex())), "{:#?}", first.findings);
    assert!(data.is_dir(), "it is not the janitor's");
    assert!(!stage.view().blob_data(&other).exists(), "the rest goes");
    assert_whole(stage.view(), &stage.kept(), "a directory");
}

#[test]
fn a_symbolic_link_where_data_should_be_stays() {
    let stage = NativeStage::new();
    let data = stage.view().blob_data(&stage.layer());
    let aside = stage.root().join("aside");
    fs::rename(&data, &aside).unwrap();
    std::os::unix::fs::symlink(&aside, &data).unwrap();
    let report = stage.sweep(None).unwrap();
    assert_eq!(report.exit_code, 0, "{:#?}", report.findings);
    assert!(data.is_symlink() && aside.exists());
    assert!(tells_of(&report, &format!("{}/data", stage.layer().hex())), "{:#?}", report.findings);
}

#[test]
fn a_directory_where_a_link_should_be_holds_its_blob_and_the_rest_goes() {
    let stage = NativeStage::new();
    let (layer, other) = (stage.layer(), stage.config_blob());
    let link = stage.view().layer_link("app", &layer);
    fs::remove_file(&link).unwrap();
    fs::create_dir(&link).unwrap();
    let report = stage.sweep(None).unwrap();
    assert_eq!(report.exit_code, 0, "{:#?}", report.findings);
    assert!(tells_of(&report, &format!("{}/link", layer.hex())), "{:#?}", report.findings);
    assert!(link.is_dir() && stage.view().has_blob(&layer));
    assert!(!stage.view().has_blob(&other), "the rest goes");
    assert_whole(stage.view(), &stage.kept(), "a directory");
}

#[test]
fn what_a_registry_left_of_writing_a_link_is_told_and_takes_no_further_sweep_to_collect() {
    let stage = NativeStage::new();
    let nowhere = Digest::of(b"a layer that is nowhere");
    let link = stage.view().layer_link("app", &nowhere);
    fs::rename(&link, link.with_file_name("link.0b1d7dc6.tmp")).unwrap();
    sweep_around(&stage, &format!("{}/link.0b1d7dc6.tmp", nowhere.hex()));
    assert!(links(stage.view(), "app").contains(nowhere.as_str()));
}

#[test]
fn a_blob_that_goes_from_beside_something_else_is_counted_as_gone() {
    let undisturbed = NativeStage::new().sweep(None).unwrap();
    let stage = NativeStage::new();
    let beside = stage.view().blob_data(&stage.layer()).with_file_name("notes.txt");
    fs::write(&beside, "mine").unwrap();
    let report = stage.sweep(None).unwrap();
    assert_eq!(report.totals.blobs_removed, undisturbed.totals.blobs_removed);
    assert_eq!(report.totals.bytes_freed, undisturbed.totals.bytes_freed);
    assert!(!stage.view().blob_data(&stage.layer()).exists() && beside.exists());
}

#[test]
fn a_blob_with_another_name_elsewhere_frees_nothing_on_disk() {
    let undisturbed = NativeStage::new().sweep(None).unwrap();
    let stage = NativeStage::new();
    let data = stage.view().blob_data(&stage.layer());
    let block = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(&data).unwrap()) * 512;
    fs::hard_link(&data, stage.root().join("backup")).unwrap();
    let report = stage.sweep(None).unwrap();
    assert_eq!(report.totals.blobs_removed, undisturbed.totals.blobs_removed);
    assert_eq!(report.totals.bytes_freed_on_disk + block, undisturbed.totals.bytes_freed_on_disk);
    assert!(block > 0);
}

#[test]
fn where_there_is_no_room_for_all_lists_the_largest_blobs_go() {
    let undisturbed = NativeStage::new();
    undisturbed.sweep(None).unwrap();
    for errno in [Errno::NOSPC, Errno::DQUOT] {
        let stage = NativeStage::new();
        let denied = AtomicUsize::new(0);
        let watch = Hooks::before(move |_, path| {
            // Each time also when the reserve has been given up, as where somebody else took that room.
            let is_list = path.ends_with("-blobs/hidden-1.new");
            if is_list && denied.fetch_add(1, Ordering::SeqCst) < 2 {
                return Err(io::Error::from(errno));
            }
            Ok(())
        });
        let report = stage.sweep(Some(watch)).unwrap();
        assert_eq!(report.exit_code, 0, "{:#?}", report.findings);
        assert_eq!(report.collection.status, CollectionStatus::Done, "{:?}", report.collection);
        let told = report.findings.iter().find(|it| it.path == "janitor/trash").unwrap();
        assert!(told.cause.contains("only the largest blobs"), "{told:?}");
        assert_eq!(stage.view().blobs(), undisturbed.view().blobs());
        make_good(&stage, "a full disk", 1, &undisturbed.content());
    }
}

#[test]
fn what_only_a_referrer_lacks_is_found_where_it_is_hidden_and_no_list_says_so() {
    let stage = NativeStage::new();
    let referrer = &stage.stage.referrer;
    let others = stage.stage.versions.iter().chain([&stage.stage.multi]);
    let shared: BTreeSet<Digest> = others.flat_map(Image::all_digests).collect();
    let alone: Vec<&Digest> = referrer.blobs().keys().filter(|blob| !shared.contains(*blob)).collect();
    assert_ne!(alone, Vec::<&Digest>::new());
    for data in alone.iter().map(|blob| stage.view().blob_data(blob)) {
        fs::rename(&data, data.with_file_name("data.janitor")).unwrap();
    }
    let report = stage.sweep(None).unwrap();
    assert_eq!(report.exit_code, 0, "{:#?}", report.findings);
    for blob in alone {
        assert!(stage.view().blob_data(blob).exists(), "{blob}");
    }
    assert_eq!(missing(stage.view(), "app", "v3"), Vec::<String>::new());
}
