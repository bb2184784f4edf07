//! The lists of what is hidden: half written, garbled, gone, and two sweeps' worth of them.

use std::fs;
use std::io;
use std::path::PathBuf;

use registry_janitor::report::CollectionStatus;
use registry_janitor::store::Op;

use super::crashes::make_good;
use super::pushes::push_links_alone;
use super::stage::{Content, NativeStage};
use crate::watch::Hooks;
use crate::witness::{assert_whole, missing};

fn swept() -> Content {
    let stage = NativeStage::new();
    assert_eq!(stage.sweep(None).unwrap().exit_code, 0);
    stage.content()
}

/// A sweep that ends when everything is hidden; where its list is.
pub(crate) fn hide_and_end(stage: &NativeStage) -> PathBuf {
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let watch = Hooks::before(move |op, path| {
        let is_hiding = op == Op::Rename && path.contains("-blobs");
        if is_hiding && path.ends_with("-blobs") {
            is_over.store(true, std::sync::atomic::Ordering::SeqCst);
        }
        if is_over.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(io::Error::other("the power is gone"));
        }
        Ok(())
    });
    let _ended = stage.sweep(Some(watch));
    let pending = stage.root().join("janitor/trash/pending");
    let batch = fs::read_dir(pending).unwrap().map(|it| it.unwrap().path());
    let batch = batch.filter(|it| it.to_string_lossy().ends_with("-blobs")).last().unwrap();
    assert!(hidden(stage) > 0);
    batch.join("hidden-1")
}

fn hidden(stage: &NativeStage) -> usize {
    let digests = stage.gone.all_digests();
    let data = |digest| stage.view().blob_data(digest).with_file_name("data.janitor");
    digests.iter().filter(|digest| data(digest).exists()).count()
}

fn assert_hides_nothing(stage: &NativeStage, when: &str) {
    assert_eq!(hidden(stage), 0, "{when}");
}

#[test]
fn a_half_written_list_lists_nothing_and_goes() {
    let stage = NativeStage::new();
    let list = hide_and_end(&stage);
    // As the power goes while the list of the next part is written.
    fs::write(list.with_file_name("hidden-2.new"), "sha256:12").unwrap();
    make_good(&stage, "a half-written list", 1, &swept());
}

#[test]
fn a_garbled_list_is_told_and_stops_the_collection_and_moving_it_away_heals() {
    let half = |text: &str| text[..text.len() / 2].to_owned();
    let odd = |text: &str| format!("{text}../../../etc sha256:00\n");
    let nul = |text: &str| "\0".repeat(text.len());
    for (garble, name) in [(half as fn(&str) -> String, "half"), (odd, "odd"), (nul, "nul")] {
        let stage = NativeStage::new();
        let list = hide_and_end(&stage);
        push_links_alone(stage.view(), "other", "late", &stage.gone);
        let text = fs::read_to_string(&list).unwrap();
        fs::write(&list, garble(&text)).unwrap();

        let report = stage.sweep(None).unwrap();

        assert_eq!(report.exit_code, 3, "{name}: {:#?}", report.findings);
        let told = report.findings.iter().find(|it| it.path.ends_with("-blobs/hidden-1")).unwrap();
        assert!(told.cause.contains("garbled"), "{name}: {}", told.cause);
        assert!(told.remedy.contains("move the list out of the trash"), "{name}: {}", told.remedy);
        assert_ne!(report.collection.status, CollectionStatus::Done, "{name}");
        assert_whole(stage.view(), &stage.kept(), name);
        // What is missed is found without it, and at once.
        assert_eq!(missing(stage.view(), "other", "late"), Vec::<String>::new(), "{name}");

        fs::rename(&list, stage.root().join("moved-away")).unwrap();
        for _ in 0..2 {
            let report = stage.sweep(None).unwrap();
            assert_eq!(report.exit_code, 0, "{name}: {:#?}", report.findings);
        }
        assert_eq!(missing(stage.view(), "other", "late"), Vec::<String>::new(), "{name}");
        assert_hides_nothing(&stage, name);
    }
}

#[test]
fn an_empty_batch_goes() {
    let stage = NativeStage::new();
    fs::create_dir_all(stage.root().join("janitor/trash/pending/20260101T000000000Z-1-blobs")).unwrap();
    fs::create_dir_all(stage.root().join("janitor/trash/condemned/20260101T000000000Z-2-blobs")).unwrap();
    make_good(&stage, "empty batches", 1, &swept());
}

#[test]
fn a_list_of_what_is_not_hidden_hides_and_deletes_nothing() {
    // A crash after the list and before the first rename; and one that was condemned, after all of it went and came
    // again.
    for part in ["pending", "condemned"] {
        let stage = NativeStage::new();
        let batch = stage.root().join("janitor/trash").join(part).join("20260101T000000000Z-1-blobs");
        fs::create_dir_all(&batch).unwrap();
        let blobs: Vec<String> = stage.stays.all_digests().iter().map(ToString::to_string).collect();
        let links = stage.stays.blobs().keys().map(|digest| format!("other {digest}"));
        let text: String = links.chain(blobs).map(|line| line + "\n").collect();
        fs::write(batch.join("hidden-1"), text).unwrap();
        make_good(&stage, part, 1, &swept());
    }
}

#[test]
fn a_repair_after_a_crash_brings_back_what_was_hidden_before_it_moves_anything_aside() {
    let stage = NativeStage::new();
    hide_and_end(&stage);
    // Written anew, and cut short by a disk that was full.
    let manifest = stage.view().blob_data(&stage.gone.digest());
    assert!(!manifest.exists());
    push_links_alone(stage.view(), "other", "late", &stage.gone);
    fs::write(&manifest, "{").unwrap();

    let report = crate::check::check(&stage.stage, true, None).unwrap();

    assert_eq!(fs::read(&manifest).unwrap(), stage.gone.document().bytes, "{:#?}", report.repaired);
    assert_eq!(missing(stage.view(), "other", "late"), Vec::<String>::new(), "{:#?}", report.repaired);
    assert_hides_nothing(&stage, "the repair");
}
