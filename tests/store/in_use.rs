//! Files that a process has open, on a storage that does not permit everything then: CIFS refuses to rename a directory
//! with an open file in it, and of an open file that is to be replaced it deletes the old one and fails.
//!
//! The watch plays the storage. The same on a real mount is in tests/cifs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use janitor_testkit::{Damage, Image, StoreBuilder};
use registry_janitor::model::{Code, Severity};
use registry_janitor::report::check::RepairOutcome;
use registry_janitor::report::{Outcome, SweepReport};
use registry_janitor::store::Op;
use rustix::io::Errno;

use crate::check::check;
use crate::crashes::each;
use crate::stage::{Stage, hours_ago};
use crate::watch::{Hooks, Once};
use crate::witness::assert_whole;

/// Whether this process has a file open.
fn is_open_here(path: &Path) -> bool {
    let handles = fs::read_dir("/proc/self/fd").unwrap();
    handles.filter_map(|it| fs::read_link(it.ok()?.path()).ok()).any(|open| open == path)
}

/// As a CIFS client does with an open file that is to be replaced.
#[expect(clippy::disallowed_methods, reason = "the storage's part is played here")]
fn delete_and_refuse(path: &Path) -> io::Result<()> {
    fs::remove_file(path).unwrap();
    Err(Errno::ACCESS.into())
}

fn tag_outcome(report: &SweepReport, tag: &str) -> Outcome {
    let mut tags = report.repositories.iter().flat_map(|it| &it.tags);
    tags.find(|it| it.tag.as_str() == tag).unwrap().outcome
}

fn changed_links(stage: &Stage) -> [PathBuf; 3] {
    let view = stage.view();
    let (v3, layer) = (stage.versions[2].digest(), stage.versions[2].blobs().keys().next().unwrap().clone());
    [view.current_link("app", "v3"), view.revision_link("app", &v3), view.layer_link("app", &layer)]
}

#[test]
fn a_repair_has_no_link_open_that_it_replaces() {
    let stage = Stage::new();
    for link in changed_links(&stage) {
        Damage::to(stage.view()).empty(&link);
    }
    let root = stage.root().to_owned();
    let watch = Hooks::before(move |op, path| {
        let path = root.join(path);
        if op == Op::Rename && path.is_file() && is_open_here(&path) {
            return delete_and_refuse(&path);
        }
        Ok(())
    });

    let report = check(&stage, true, Some(watch)).unwrap();

    let outcomes: Vec<RepairOutcome> = report.repaired.iter().map(|it| it.outcome).collect();
    assert_eq!(outcomes, [RepairOutcome::Done; 3], "{:#?}", report.repaired);
    assert_eq!(stage.view().tag_digest("app", "v3"), stage.versions[2].digest());
    assert_whole(stage.view(), &stage.kept(), "after the repair");
}

/// Repairs a tag's link where names cannot be exchanged, and lets it end at the change of this number.
fn repair_without_exchange(stage: &Stage, end_at: usize) -> usize {
    let (once, changes) = (Once::default(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&changes);
    let watch = Hooks::before(move |op, path| {
        if !path.contains("/tags/v3/current/link") || !crate::watch::mutates(op) {
            return Ok(());
        }
        if counted.fetch_add(1, Ordering::SeqCst) >= end_at {
            return Err(Errno::IO.into());
        }
        if op == Op::Rename && once.first() { Err(Errno::INVAL.into()) } else { Ok(()) }
    });
    check(stage, true, Some(watch)).unwrap();
    changes.load(Ordering::SeqCst)
}

#[test]
fn a_repair_that_ends_anywhere_is_finished_by_the_next() {
    let stage = Stage::new();
    Damage::to(stage.view()).truncate_tag("app", "v3");
    let changes = repair_without_exchange(&stage, usize::MAX);
    assert_eq!(stage.view().tag_digest("app", "v3"), stage.versions[2].digest());
    assert!(changes > 5, "{changes}");
    each(changes, |end_at| {
        let stage = Stage::new();
        Damage::to(stage.view()).truncate_tag("app", "v3");
        repair_without_exchange(&stage, end_at);
        check(&stage, true, None).unwrap();
        assert_eq!(stage.view().tag_digest("app", "v3"), stage.versions[2].digest(), "{end_at}");
        assert_whole(stage.view(), &stage.kept(), &format!("a repair that ended at {end_at}"));
    });
}

#[test]
fn what_a_registry_writes_into_the_link_that_makes_way_counts() {
    let stage = Stage::new();
    Damage::to(stage.view()).truncate_tag("app", "v3");
    let link = stage.view().current_link("app", "v3");
    let opened = std::sync::Mutex::new(fs::OpenOptions::new().write(true).open(&link).unwrap());
    let pushed = stage.versions[0].digest();
    let text = pushed.as_str().to_owned();
    let (exchange, aside) = (Once::default(), Once::default());
    let watch = Hooks::before(move |op, path| {
        if op != Op::Rename || !path.ends_with("/tags/v3/current/link") {
            return Ok(());
        }
        if exchange.first() {
            return Err(Errno::INVAL.into());
        }
        if aside.first() {
            io::Write::write_all(&mut *opened.lock().unwrap(), text.as_bytes())?;
        }
        Ok(())
    });

    check(&stage, true, Some(watch)).unwrap();

    assert_eq!(stage.view().tag_digest("app", "v3"), pushed);
}

#[test]
fn a_file_of_the_janitors_own_that_somebody_reads_is_replaced_all_the_same() {
    for name in ["last-sweep.json", "references", "holder.json"] {
        let stage = Stage::new();
        stage.sweep_keeping_all();
        let path = stage.root().join("janitor").join(name);
        let before = fs::read(&path).unwrap();
        let (root, once) = (stage.root().to_owned(), Once::default());
        let end = format!("janitor/{name}");
        let watch = Hooks::before(move |op, path| {
            if op == Op::Rename && path.ends_with(&end) && once.first() {
                return delete_and_refuse(&root.join(path));
            }
            Ok(())
        });

        let report = stage.sweep(Some(watch)).unwrap();

        assert_eq!(report.exit_code, 0, "{name}: {:#?}", report.findings);
        assert_ne!(fs::read(&path).unwrap(), before, "{name}: it is the new one");
        let left: Vec<_> = fs::read_dir(stage.root().join("janitor")).unwrap().collect();
        let is_temporary = |it: &io::Result<fs::DirEntry>| {
            let name = it.as_ref().unwrap().file_name();
            [".new", ".old"].iter().any(|end| name.to_str().unwrap().ends_with(end))
        };
        assert!(!left.iter().any(is_temporary), "{name}: {left:?}");
    }
}

#[test]
fn the_new_content_of_a_file_is_not_deleted_when_the_old_one_went() {
    let stage = Stage::new();
    stage.sweep_keeping_all();
    let root = stage.root().to_owned();
    let watch = Hooks::before(move |op, path| {
        if op == Op::Rename && (path.ends_with("janitor/references") || path.ends_with("references.new")) {
            let old = root.join("janitor/references");
            return if old.exists() { delete_and_refuse(&old) } else { Err(Errno::ACCESS.into()) };
        }
        Ok(())
    });

    let report = stage.sweep(Some(watch)).unwrap();

    assert_eq!(report.exit_code, 0, "{:#?}", report.findings);
    assert!(stage.root().join("janitor/references.new").exists());
    let report = stage.sweep(None).unwrap();
    assert_eq!(report.exit_code, 0, "{:#?}", report.findings);
    assert!(stage.root().join("janitor/references").exists());
    assert!(!stage.root().join("janitor/references.new").exists());
}

#[test]
fn a_tag_that_is_open_for_a_moment_goes_and_nothing_is_said_of_it() {
    let stage = Stage::new();
    let refused = AtomicUsize::new(0);
    let watch = Hooks::before(move |op, path| {
        if op == Op::Rename && path.ends_with("/tags/v1") && refused.fetch_add(1, Ordering::SeqCst) < 2 {
            return Err(Errno::ACCESS.into());
        }
        Ok(())
    });

    let report = stage.sweep(Some(watch)).unwrap();

    assert_eq!(report.exit_code, 0, "{:#?}", report.findings);
    assert_eq!(tag_outcome(&report, "v1"), Outcome::Removed);
    assert!(report.findings.iter().all(|it| it.code != Code::InUse), "{:#?}", report.findings);
}

#[test]
fn a_tag_that_stays_open_is_kept_as_in_use_and_goes_with_the_next_sweep() {
    for errno in [Errno::ACCESS, Errno::BUSY] {
        let stage = Stage::new();
        let watch = Hooks::before(move |op, path| {
            if op == Op::Rename && path.ends_with("/tags/v1") { Err(errno.into()) } else { Ok(()) }
        });

        let report = stage.sweep(Some(watch)).unwrap();

        assert_eq!(report.exit_code, 0, "{:#?}", report.findings);
        assert_eq!(tag_outcome(&report, "v1"), Outcome::InUse);
        let told: Vec<_> = report.findings.iter().filter(|it| it.code == Code::InUse).collect();
        assert_eq!(told.len(), 1, "{:#?}", report.findings);
        assert_eq!((told[0].severity, &*told[0].path), (Severity::Warning, "app:v1"));
        assert!(told[0].cause.contains("in use"), "{}", told[0]);
        assert!(!told[0].remedy.contains("check the storage"), "{}", told[0]);
        assert!(stage.view().lacks("app", "v1").is_empty(), "its image is whole");
        assert_whole(stage.view(), &stage.kept(), "the sweep");

        let report = stage.sweep(None).unwrap();

        assert_eq!(tag_outcome(&report, "v1"), Outcome::Removed);
    }
}

#[test]
fn a_storage_that_refuses_every_rename_is_not_waited_for_each_time() {
    const TAGS: usize = 200;
    const JOBS: usize = 4;
    let stage = Stage::new();
    let builder = StoreBuilder::new(stage.root());
    let image = Image::small(1);
    for number in 0..TAGS {
        builder.push("many", &format!("b{number}"), &image, hours_ago(24 + number as u64));
    }
    let renames = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&renames);
    let watch = Hooks::before(move |op, path| {
        if op == Op::Rename && path.contains("/tags/") {
            count.fetch_add(1, Ordering::SeqCst);
            return Err(Errno::ACCESS.into());
        }
        Ok(())
    });
    let mut config = stage.config();
    config.guards.max_remove_percent = 100;
    config.jobs = JOBS;

    let report = stage.sweep_with(&config, Some(watch), &registry_janitor::stop::Stop::default()).unwrap();

    let refused = report.findings.iter().filter(|it| it.code == Code::ActionFailed).count();
    assert!(refused > TAGS / 2, "most of them are told as refused: {refused}");
    assert_eq!(report.exit_code, 3);
    let renames = renames.load(Ordering::SeqCst);
    // A handful of them are tried for about a second, seven times each, and as many at once as there are jobs.
    assert!(renames < TAGS + 6 * (8 + JOBS) + TAGS / 10, "{renames} tries for {TAGS} tags");
    assert_whole(stage.view(), &stage.kept(), "the sweep");
}

#[test]
fn a_file_that_an_nfs_client_keeps_until_it_is_closed_is_nothing_odd() {
    let stage = Stage::new();
    let [tag, revision, layer] = changed_links(&stage);
    let data = stage.view().blob_data(&stage.versions[2].digest());
    for beside in [tag, revision, layer, data] {
        fs::write(beside.with_file_name(".nfs00000000000c3a8b00000001"), "deleted").unwrap();
    }

    let report = check(&stage, false, None).unwrap();

    assert_eq!(report.findings, [], "a check");
    assert_eq!(stage.sweep(None).unwrap().exit_code, 0);
    assert_whole(stage.view(), &stage.kept(), "the sweep");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a person removes it")]
fn a_name_that_a_windows_server_made_up_is_explained() {
    let stage = Stage::new();
    let tags = stage.view().tag("app", "v3");
    fs::create_dir_all(tags.with_file_name("CSHOFG~F").join("current")).unwrap();

    let report = stage.sweep(None).unwrap();

    let told = report.findings.iter().find(|it| it.path.ends_with("CSHOFG~F")).unwrap();
    assert!(told.cause.contains("CON"), "{told}");
    assert!(told.remedy.contains("mangled names = no"), "{told}");
    let report = check(&stage, false, None).unwrap();
    let told = report.findings.iter().find(|it| it.path.ends_with("CSHOFG~F")).unwrap();
    assert!(told.remedy.contains("mangled names = no"), "{}", told.remedy);
    fs::remove_dir_all(tags.with_file_name("CSHOFG~F")).unwrap();
    assert_eq!(stage.sweep(None).unwrap().exit_code, 0);
}
