//! Directories that somebody removed by hand after a sweep was cut short: what recovery was to do there is done with.
//! Storage that merely does not show them is no reason to forget anything.

#![expect(clippy::disallowed_methods, reason = "what people do to a store is done here")]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use registry_janitor::config::{Config, Guards};
use registry_janitor::report::SweepReport;
use registry_janitor::stop::Stop;
use registry_janitor::store::Op;

use crate::native::{NativeStage, hide_and_end};
use crate::stage::Stage;
use crate::watch::Hooks;
use crate::witness::{assert_whole, trash};

/// Sweeps twice after somebody removed something: neither fails, and nothing is left to do for a third.
#[track_caller]
fn assert_goes_on(stage: &NativeStage, kept: &[(&str, String)], when: &str) {
    for _ in 0..2 {
        let report = stage.sweep(None).unwrap();
        assert_eq!(report.exit_code, 0, "{when}: {:#?}", report.findings);
    }
    assert_eq!(trash(stage.root()), Vec::<PathBuf>::new(), "{when}");
    assert_whole(stage.view(), kept, when);
    for digest in stage.gone.all_digests() {
        assert!(!stage.view().blob_data(&digest).parent().unwrap().exists(), "{when}: {digest} is collected");
    }
}

/// One sweep after somebody removed a repository and says so.
#[track_caller]
fn accept_losses(stage: &Stage, config: &Config) -> SweepReport {
    let guards = Guards { accept_losses: true, max_remove_percent: 100 };
    let config = Config { guards, ..config.clone() };
    let report = stage.sweep_with(&config, None, &Stop::default()).unwrap();
    assert_eq!(report.exit_code, 0, "{:#?}", report.findings);
    report
}

/// Moves the list of what is hidden to where what is on it is deleted.
fn condemn(list: &Path) {
    let batch = list.parent().unwrap();
    let condemned = batch.ancestors().nth(2).unwrap().join("condemned");
    fs::create_dir_all(&condemned).unwrap();
    fs::rename(batch, condemned.join(batch.file_name().unwrap())).unwrap();
}

#[test]
fn a_list_of_what_was_hidden_in_a_repository_that_somebody_removed_is_done_with() {
    for is_condemned in [false, true] {
        let stage = NativeStage::new();
        let list = hide_and_end(&stage);
        if is_condemned {
            condemn(&list);
        }
        fs::remove_dir_all(stage.view().repository("other")).unwrap();
        accept_losses(&stage.stage, &stage.config());
        assert_goes_on(&stage, &stage.stage.kept(), &format!("condemned: {is_condemned}"));
    }
}

#[test]
fn a_list_of_what_was_hidden_in_layers_or_a_shard_that_somebody_removed_is_done_with() {
    for is_condemned in [false, true] {
        let stage = NativeStage::new();
        let list = hide_and_end(&stage);
        if is_condemned {
            condemn(&list);
        }
        let shard = |digest: &janitor_testkit::Digest| {
            stage.view().blob_data(digest).ancestors().nth(2).unwrap().to_owned()
        };
        let mut shards = stage.gone.all_digests().into_iter().map(|digest| shard(&digest));
        let alone = shards.find(|it| fs::read_dir(it).unwrap().count() == 1).unwrap();
        fs::remove_dir_all(alone).unwrap();
        fs::remove_dir_all(stage.view().repository("app").join("_layers/sha512")).unwrap();
        assert_goes_on(&stage, &stage.kept(), &format!("condemned: {is_condemned}"));
    }
}

#[test]
fn a_list_of_what_was_hidden_where_something_else_is_now_is_done_with() {
    for is_condemned in [false, true] {
        let stage = NativeStage::new();
        let list = hide_and_end(&stage);
        if is_condemned {
            condemn(&list);
        }
        let algorithm = stage.view().repository("app").join("_layers/sha512");
        fs::remove_dir_all(&algorithm).unwrap();
        fs::write(&algorithm, "no directory").unwrap();
        let link = stage.view().layer_link("other", &stage.layer()).parent().unwrap().to_owned();
        fs::remove_dir_all(&link).unwrap();
        fs::write(&link, "no directory").unwrap();

        let report = stage.sweep(None).unwrap();
        let failed = report.findings.iter().find(|it| it.code.as_str() == "action-failed");
        assert!(failed.is_none(), "{failed:?}");
        assert_eq!(trash(stage.root()), Vec::<PathBuf>::new());
        assert_whole(stage.view(), &stage.kept(), "something else");
    }
}

#[test]
fn a_directory_that_is_listed_and_cannot_be_found_is_not_taken_for_removed() {
    let stage = NativeStage::new();
    let list = hide_and_end(&stage);
    let watch = Hooks::before(|op, path| {
        let is_it = op == Op::Open && path.ends_with("repositories/other/_layers/sha256");
        if is_it { Err(io::Error::from_raw_os_error(2)) } else { Ok(()) }
    });
    let report = stage.sweep(Some(watch)).unwrap();
    assert_eq!(report.exit_code, 3, "{:#?}", report.findings);
    assert!(list.exists(), "{:#?}", report.findings);
    assert_goes_on(&stage, &stage.kept(), "listed, and found again");
}

#[test]
fn storage_that_shows_no_repository_at_all_is_not_taken_for_removed() {
    let stage = NativeStage::new();
    let list = hide_and_end(&stage);
    let repositories = stage.view().v2().join("repositories");
    let aside = stage.view().v2().join("aside");
    fs::rename(&repositories, &aside).unwrap();
    fs::create_dir(&repositories).unwrap();
    // Whether it refuses or keeps, it forgets nothing.
    let _ended = stage.sweep(None);
    assert!(list.exists());
    fs::remove_dir(&repositories).unwrap();
    fs::rename(&aside, &repositories).unwrap();
    assert_goes_on(&stage, &stage.kept(), "shown again");
}

/// A sweep that ends when it has taken the tags that go.
fn take_tags_and_end(stage: &Stage) {
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let watch = Hooks::before(move |op, path| {
        if op == Op::Rename && path.contains("/revisions/") {
            is_over.store(true, std::sync::atomic::Ordering::SeqCst);
        }
        if is_over.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(io::Error::other("the power is gone"));
        }
        Ok(())
    });
    let _ended = stage.sweep(Some(watch));
    assert_ne!(trash(stage.root()), Vec::<PathBuf>::new());
}

#[test]
fn a_tag_that_a_sweep_took_from_a_repository_that_somebody_removed_does_not_come_back() {
    let stage = Stage::new();
    take_tags_and_end(&stage);
    fs::remove_dir_all(stage.view().repository("app")).unwrap();

    let report = accept_losses(&stage, &stage.config());

    assert!(report.findings.iter().any(|it| it.path == "app:v1"), "{:#?}", report.findings);
    assert!(!stage.view().repository("app").exists());
    assert_eq!(trash(stage.root()), Vec::<PathBuf>::new());
}

#[test]
fn a_tag_that_a_sweep_took_is_not_forgotten_where_the_storage_shows_no_repository() {
    let stage = Stage::new();
    take_tags_and_end(&stage);
    let repositories = stage.view().v2().join("repositories");
    let aside = stage.view().v2().join("aside");
    fs::rename(&repositories, &aside).unwrap();
    fs::create_dir(&repositories).unwrap();
    let _ended = stage.sweep(None);
    // Whatever it did in what it took for a store, what it had taken is somewhere.
    let is_back = repositories.join("app/_manifests/tags/v1/current/link").exists();
    let is_in_trash = trash(stage.root()).iter().any(|it| it.join("repositories/app").exists());
    assert!(is_back || is_in_trash);
}
