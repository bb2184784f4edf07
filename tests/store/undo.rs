//! A crash at any point loses no removed tag that can be brought back, nor the image behind it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use janitor_testkit::{Digest, Image, Tree};
use jiff::SignedDuration;
use registry_janitor::config::{Config, Wanted};
use registry_janitor::report::restore::RestoreReport;
use registry_janitor::stop::Stop;
use registry_janitor::store::{Op, Store, Watch};
use registry_janitor::undo::{UndoError, restore_in};

use crate::crashes::each;
use crate::stage::{Stage, just_now};
use crate::watch::{Hooks, Log, Once, mutates};
use crate::witness::{assert_whole, missing, missing_of, trash};

/// A sweep that holds what it removes for an hour.
fn holding(stage: &Stage) -> Config {
    Config { undo_window: SignedDuration::from_hours(1), ..stage.config() }
}

/// What the sweep of a stage removes.
fn removed(stage: &Stage) -> [(String, Digest); 3] {
    let [v1, v2] = [&stage.versions[0], &stage.versions[1]];
    let signature = Image::cosign_signature_of(v1);
    [("v1".into(), v1.digest()), ("v2".into(), v2.digest()), (v1.companion_tag(".sig"), signature.digest())]
}

/// Where a tag of `app` is in the trash, and what it names.
fn in_trash(root: &Path, part: &str, tag: &str) -> Vec<Digest> {
    let Ok(sweeps) = fs::read_dir(root.join("janitor/trash").join(part)) else { return Vec::new() };
    let link = |sweep: PathBuf| sweep.join("repositories/app/_manifests/tags").join(tag).join("current/link");
    let links = sweeps.filter_map(|sweep| fs::read_to_string(link(sweep.unwrap().path())).ok());
    links.map(|text| Digest::parse(&text)).collect()
}

/// Fails at a change and at all that come after it.
fn crash_at(at: usize) -> Box<dyn Watch> {
    let made = AtomicUsize::new(0);
    Hooks::before(move |op, _| {
        let now = if mutates(op) { made.fetch_add(1, Ordering::SeqCst) } else { made.load(Ordering::SeqCst) };
        if now > at || (mutates(op) && now == at) {
            Err(io::Error::other("the power is gone"))
        } else {
            Ok(())
        }
    })
}

/// Fails at one change only.
fn fail_at(at: usize) -> Box<dyn Watch> {
    let made = AtomicUsize::new(0);
    Hooks::before(move |op, _| {
        let is_it = mutates(op) && made.fetch_add(1, Ordering::SeqCst) == at;
        if is_it { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    })
}

/// Each change twice: with a crash, and with a failure.
fn end(number: usize) -> (Box<dyn Watch>, usize) {
    let at = number / 2;
    (if number.is_multiple_of(2) { crash_at(at) } else { fail_at(at) }, at)
}

/// How many changes something makes.
fn changes(act: impl FnOnce(Box<dyn Watch>)) -> usize {
    let log = Arc::new(Log::default());
    let seen = Arc::clone(&log);
    act(Hooks::before(move |op, path| {
        seen.add(op, path);
        Ok(())
    }));
    log.all().iter().filter(|(op, _)| mutates(*op)).count()
}

#[test]
fn what_is_removed_is_in_its_place_or_in_the_trash_wherever_a_sweep_ends() {
    let count = changes(|watch| {
        let stage = Stage::new();
        stage.sweep_with(&holding(&stage), Some(watch), &Stop::default()).unwrap();
    });
    assert!(count > 30, "{count}");
    each(2 * count, |number| {
        let (end, at) = end(number);
        let stage = Stage::new();
        let _ended = stage.sweep_with(&holding(&stage), Some(end), &Stop::default());
        assert_whole(stage.view(), &stage.kept(), &format!("at change {at}"));
        for (tag, digest) in removed(&stage) {
            let there = stage.view().tags("app").contains(&tag);
            let parts = ["pending", "undo"].map(|part| in_trash(stage.root(), part, &tag));
            let found = usize::from(there) + parts.iter().map(Vec::len).sum::<usize>();
            assert_eq!(found, 1, "{tag} at change {at}");
            assert_eq!(
                missing_of(stage.view(), "app", &digest),
                Vec::<String>::new(),
                "{tag} at change {at}"
            );
        }

        let report = stage.sweep_with(&holding(&stage), None, &Stop::default()).unwrap();
        assert_eq!(report.exit_code, 0, "at change {at}: {:#?}", report.findings);
        assert_eq!(report.undo.unwrap().tags, 3, "at change {at}");
        assert_eq!(trash(stage.root()), Vec::<PathBuf>::new(), "at change {at}");
        for (tag, digest) in removed(&stage) {
            assert_eq!(in_trash(stage.root(), "undo", &tag), [digest], "{tag} at change {at}");
        }
        let settled = Tree::without(stage.root(), &["janitor"]);
        let held = Tree::of(&stage.root().join("janitor/trash"));
        stage.sweep_with(&holding(&stage), None, &Stop::default()).unwrap();
        settled.assert_unchanged(&Tree::without(stage.root(), &["janitor"]));
        held.assert_unchanged(&Tree::of(&stage.root().join("janitor/trash")));
    });
}

#[test]
fn what_has_outlived_its_window_is_whole_until_it_is_condemned() {
    let swept = || {
        let stage = Stage::new();
        stage.sweep_with(&holding(&stage), None, &Stop::default()).unwrap();
        stage
    };
    let plain = Stage::new();
    plain.sweep(None).unwrap();
    let content = |stage: &Stage| (stage.view().tags("app"), stage.view().revisions("app"));
    let count = changes(|watch| drop(swept().sweep(Some(watch)).unwrap()));
    each(count, |at| {
        let stage = swept();
        let _ended = stage.sweep(Some(crash_at(at)));
        assert_whole(stage.view(), &stage.kept(), &format!("at change {at}"));
        for (tag, digest) in removed(&stage) {
            assert!(!stage.view().tags("app").contains(&tag), "{tag} at change {at}");
            if !in_trash(stage.root(), "undo", &tag).is_empty() {
                let missing = missing_of(stage.view(), "app", &digest);
                assert_eq!(missing, Vec::<String>::new(), "{tag} at change {at}");
            }
        }
        let report = stage.sweep(None).unwrap();
        assert_eq!(report.exit_code, 0, "at change {at}: {:#?}", report.findings);
        assert_eq!(trash(stage.root()), Vec::<PathBuf>::new(), "at change {at}");
        assert_eq!(
            fs::read_dir(stage.root().join("janitor/trash/undo")).unwrap().count(),
            0,
            "at change {at}"
        );
        assert_eq!(content(&stage), content(&plain), "at change {at}");
    });
}

/// Restores `v1` over one that was pushed since.
fn restore(stage: &Stage, watch: Option<Box<dyn Watch>>) -> Result<RestoreReport, UndoError> {
    let store = Store::open(stage.root(), 1, watch).unwrap();
    let tags = vec![("app".parse().unwrap(), "v1".parse().unwrap())];
    restore_in(&store, &holding(stage), &Wanted { tags, sweep: None, overwrite: true }, &Stop::default())
}

#[test]
fn neither_the_old_tag_nor_the_new_one_is_lost_wherever_a_restore_ends() {
    let pushed = Image::small(99);
    let swept = || {
        let stage = Stage::new();
        stage.sweep_with(&holding(&stage), None, &Stop::default()).unwrap();
        stage.builder.push("app", "v1", &pushed, just_now());
        stage
    };
    let count = changes(|watch| assert_eq!(restore(&swept(), Some(watch)).unwrap().exit_code, 0));
    each(2 * count, |number| {
        let (end, at) = end(number);
        let stage = swept();
        let _ended = restore(&stage, Some(end));
        let both: BTreeSet<Digest> = [stage.versions[0].digest(), pushed.digest()].into();
        let found = |stage: &Stage| {
            let held = in_trash(stage.root(), "undo", "v1");
            let aside = in_trash(stage.root(), "pending", "v1");
            let there = stage.view().tags("app").contains("v1");
            there
                .then(|| stage.view().tag_digest("app", "v1"))
                .into_iter()
                .chain(held)
                .chain(aside)
                .collect::<Vec<_>>()
        };
        assert_eq!(found(&stage).len(), 2, "at change {at}");
        assert_eq!(found(&stage).into_iter().collect::<BTreeSet<_>>(), both, "at change {at}");

        let report = stage.sweep_with(&holding(&stage), None, &Stop::default()).unwrap();
        assert_eq!(report.exit_code, 0, "at change {at}: {:#?}", report.findings);
        assert_eq!(trash(stage.root()), Vec::<PathBuf>::new(), "at change {at}");
        for digest in &both {
            assert_eq!(missing_of(stage.view(), "app", digest), Vec::<String>::new(), "at change {at}");
        }
        // The one or the other: a tag that was there does not go for one that did not come.
        assert_eq!(missing(stage.view(), "app", "v1"), Vec::<String>::new(), "at change {at}");
    });
}

/// Moves a directory, as a sweep that was interrupted just then has left it.
#[expect(clippy::disallowed_methods, reason = "this plays an interrupted sweep")]
fn take_away(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::rename(from, to).unwrap();
}

#[test]
fn what_an_interrupted_sweep_has_taken_is_not_restored_but_put_back_by_the_next_one() {
    let stage = Stage::new();
    let pending = stage.root().join("janitor/trash/pending/s/repositories/app/_manifests/tags/v1");
    take_away(&stage.view().tag("app", "v1"), &pending);

    let told = restore(&stage, None).unwrap_err();

    assert_eq!(told.exit_code(), 1);
    assert!(told.to_string().contains("the next sweep puts it back"), "{told}");
    assert!(pending.exists());
}

#[test]
fn nothing_is_restored_beside_another_janitor() {
    let stage = Stage::new();
    stage.sweep_with(&holding(&stage), None, &Stop::default()).unwrap();
    let store = Store::open(stage.root(), 1, None).unwrap();
    let lock = store.lock(jiff::Timestamp::UNIX_EPOCH).unwrap();

    assert_eq!(restore(&stage, None).unwrap_err().exit_code(), 11);

    drop(lock);
    assert!(!stage.view().tags("app").contains("v1"));
    assert_eq!(restore(&stage, None).unwrap().exit_code, 0);
}

#[test]
fn a_tag_that_changes_in_the_trash_goes_back_and_is_not_held() {
    let stage = Stage::new();
    let root = stage.root().to_owned();
    let once = Once::default();
    let other = stage.versions[2].digest();
    let written = other.clone();
    // A registry that had the link open writes into it once the tag is in the trash.
    let watch = Hooks::after(move |op, path| {
        if op == Op::Rename && path.contains("/revisions/") && once.first() {
            let sweeps = fs::read_dir(root.join("janitor/trash/pending")).unwrap();
            let link = "repositories/app/_manifests/tags/v1/current/link";
            let links = sweeps.map(|sweep| sweep.unwrap().path().join(link));
            let link = links.into_iter().find(|link| link.exists()).unwrap();
            fs::write(link, written.as_str()).unwrap();
        }
    });

    let report = stage.sweep_with(&holding(&stage), Some(watch), &Stop::default()).unwrap();

    assert_eq!(stage.view().tag_digest("app", "v1"), other);
    assert_eq!(in_trash(stage.root(), "undo", "v1"), []);
    assert_eq!(report.undo.unwrap().tags, 2, "v2 and the signature");
    assert_eq!(trash(stage.root()), Vec::<PathBuf>::new());
    assert_eq!(missing(stage.view(), "app", "v1"), Vec::<String>::new());
}

#[test]
fn a_repository_that_is_gone_is_told_of_and_does_not_come_back() {
    let stage = Stage::new();
    stage.sweep_with(&holding(&stage), None, &Stop::default()).unwrap();
    let elsewhere = stage.root().join("elsewhere");
    take_away(&stage.view().repository("app"), &elsewhere);

    let report = stage.sweep_with(&holding(&stage), None, &Stop::default()).unwrap();

    assert!(report.findings.iter().any(|it| it.code.as_str() == "undo"), "{:#?}", report.findings);
    assert_eq!(report.exit_code, 3, "its tags are missing");
    let told = serde_json::to_value(restore(&stage, None).unwrap()).unwrap();
    assert_eq!(told["tags"][0]["outcome"], "not-whole", "{told}");
    take_away(&elsewhere, &stage.view().repository("app"));
    assert_eq!(restore(&stage, None).unwrap().exit_code, 0);
    assert_eq!(missing(stage.view(), "app", "v1"), Vec::<String>::new());
}
