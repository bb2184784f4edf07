//! Times that cannot be true: a clock that was ahead or behind for a while costs nobody a tag, and keeps nothing forever.

#![expect(clippy::disallowed_methods, reason = "a test moves files, and counts its times from now")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use janitor_testkit::{Damage, Digest, Image, StoreBuilder, Tree, scratch_directory};
use jiff::SignedDuration;
use registry_janitor::cli::{EngineChoice, UsageOrder};
use registry_janitor::config::{Collection, Config, Guards, Quiet, UsageQuery, Wanted};
use registry_janitor::model::Measure;
use registry_janitor::report::SweepReport;
use registry_janitor::stop::Stop;
use registry_janitor::store::{Op, Store};
use registry_janitor::sweep::{SweepError, sweep_store};
use registry_janitor::undo::restore_in;
use registry_janitor::usage;
use tempfile::TempDir;

use crate::stage::Stage;
use crate::watch::{Hooks, Log};

/// The storage's clock at the start of each test: later than every time that cannot be set, such as that of a change
/// of status.
static START: LazyLock<SystemTime> = LazyLock::new(|| SystemTime::now() + Duration::from_secs(10 * 86_400));

/// So many hours later, or earlier.
fn at(hours: f64) -> SystemTime {
    let distance = Duration::from_secs_f64(hours.abs() * 3600.0);
    if hours < 0.0 { *START - distance } else { *START + distance }
}

/// A store whose clock a test sets.
struct Scene {
    builder: StoreBuilder,
    config: Config,
    images: u64,
    _directory: TempDir,
}

impl Scene {
    /// Keeps two tags, with a grace period of an hour.
    fn new() -> Self {
        let directory = scratch_directory("janitor-times-");
        let root = directory.path().join("store");
        fs::create_dir(&root).unwrap();
        let registry = directory.path().join("config.yml");
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\n",
            root.display()
        );
        fs::write(&registry, text).unwrap();
        let config = Config {
            grace: SignedDuration::from_hours(1),
            guards: Guards { max_remove_percent: 100, accept_losses: false },
            collection: Some(Collection {
                engine: EngineChoice::Native,
                binary: "no-such-registry".into(),
                is_binary_given: false,
                search: Vec::new(),
                config: registry,
                environment: BTreeMap::new(),
                timeout: Duration::from_secs(60),
                quiet: Quiet { age: Duration::ZERO, patience: Duration::ZERO },
            }),
            data_dir: root.clone(),
            ..Stage::new().config()
        };
        Self { builder: StoreBuilder::new(root), config, images: 0, _directory: directory }
    }

    /// With two tags and a sweep that knows them.
    fn swept() -> Self {
        let mut scene = Self::new();
        scene.push("v1", -3.0);
        scene.push("v2", -2.0);
        scene.sweep(0.0);
        scene
    }

    /// Pushes an image of its own.
    fn push(&mut self, tag: &str, hours: f64) -> Digest {
        self.images += 1;
        let image = Image::small(self.images);
        self.builder.push("app", tag, &image, at(hours));
        image.digest()
    }

    fn link(&self, tag: &str) -> PathBuf {
        self.builder.view().current_link("app", tag)
    }

    fn memory(&self) -> PathBuf {
        self.config.data_dir.join("janitor/first-seen")
    }

    fn tags(&self) -> BTreeSet<String> {
        self.builder.view().tags("app")
    }

    /// A store whose storage has this time.
    fn store(&self, hours: f64) -> Store {
        let probe = self.config.data_dir.join("janitor/probe");
        let watch = Hooks::after(move |op, path| {
            if op == Op::Write && path.ends_with("janitor/probe") {
                set_time(&probe, at(hours));
            }
        });
        Store::open(&self.config.data_dir, 1, Some(watch)).unwrap()
    }

    fn try_sweep(&self, config: &Config, hours: f64) -> Result<SweepReport, SweepError> {
        sweep_store(&self.store(hours), config, &Stop::default())
    }

    fn sweep(&self, hours: f64) -> SweepReport {
        let report = self.try_sweep(&self.config, hours).unwrap();
        assert_eq!(report.exit_code, 0, "{report:#?}");
        report
    }
}

fn set_time(path: &std::path::Path, at: SystemTime) {
    File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
}

/// Sets the time of everything in a store.
fn set_times(path: &std::path::Path, at: SystemTime) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            set_times(&entry.unwrap().path(), at);
        }
    }
    File::open(path).unwrap().set_modified(at).unwrap();
}

fn names<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

/// The findings, without those about clocks that differ, which is how these tests work.
fn codes(report: &SweepReport) -> BTreeSet<&'static str> {
    let codes = report.findings.iter().map(|finding| finding.code.as_str());
    codes.filter(|code| *code != "clock-skew").collect()
}

#[test]
fn tags_ahead_stay_and_later_pushes_stay_beside_them() {
    let mut scene = Scene::swept();
    for tag in ["ahead1", "ahead2", "ahead3"] {
        scene.push(tag, 6.0);
    }
    let report = scene.sweep(1.0);
    assert_eq!(codes(&report), BTreeSet::from(["time-ahead"]));
    let finding = report.findings.iter().find(|it| it.code.as_str() == "time-ahead").unwrap();
    assert_eq!(finding.repository.as_ref().unwrap().as_str(), "app");
    assert_eq!(finding.path, "docker/registry/v2/repositories/app/_manifests/tags/ahead1/current/link");
    assert!(finding.remedy.ends_with(&format!("touch {}", scene.link("ahead1").display())), "{finding}");
    assert_eq!(scene.tags(), names(["ahead1", "ahead2", "ahead3", "v1", "v2"]));

    // Before, each later push was removed by the next sweep.
    for (number, hours) in [(3, 1.5), (4, 2.5), (5, 3.5)] {
        let tag = format!("v{number}");
        scene.push(&tag, hours);
        scene.sweep(hours + 0.5);
        let older = format!("v{}", number - 1);
        assert_eq!(scene.tags(), names(["ahead1", "ahead2", "ahead3", &older, &tag]));
    }
    // Nor do those that were ahead take the places of the others once their time has come.
    scene.sweep(8.0);
    assert_eq!(scene.tags(), names(["v4", "v5"]));
    scene.sweep(9.0);
    assert!(!scene.memory().exists(), "nothing is left to remember");
}

#[test]
fn the_hint_about_a_tag_ahead_gives_it_its_rank() {
    let mut scene = Scene::swept();
    scene.push("ahead", 5000.0);
    scene.sweep(1.0);
    assert_eq!(scene.tags(), names(["ahead", "v1", "v2"]));
    set_time(&scene.link("ahead"), at(1.5));
    let report = scene.sweep(2.0);
    assert_eq!((codes(&report), scene.tags()), (BTreeSet::new(), names(["ahead", "v2"])));
}

#[test]
fn a_tag_pushed_with_a_clock_that_is_behind_stays_as_long_as_any_other() {
    let mut scene = Scene::swept();
    scene.push("behind", -10.0);
    scene.push("v3", 0.5);
    let report = scene.sweep(1.0);
    assert_eq!(codes(&report), BTreeSet::from(["time-behind"]));
    assert_eq!(scene.tags(), names(["behind", "v2", "v3"]));
    let memory = fs::read(scene.memory()).unwrap();
    let report = scene.sweep(2.0);
    assert_eq!(codes(&report), BTreeSet::from(["time-behind"]));
    assert_eq!(
        scene.tags(),
        names(["behind", "v2", "v3"]),
        "it is remembered, now that its manifest is known"
    );
    assert_eq!(fs::read(scene.memory()).unwrap(), memory);
    scene.push("v4", 3.0);
    scene.push("v5", 4.0);
    scene.sweep(5.0);
    assert_eq!(scene.tags(), names(["v4", "v5"]));
    scene.sweep(6.0);
    assert!(!scene.memory().exists());
}

#[test]
fn a_sweep_that_was_refused_failed_or_only_audited_is_not_the_last_one() {
    let mut scene = Scene::swept();
    scene.push("behind", -10.0);
    scene.push("v3", 0.5);
    let mut audit = scene.config.clone();
    audit.dry_run = true;
    // An audit goes by this host's clock, which is far behind the storage's.
    let before = Tree::of(&scene.config.data_dir);
    scene.try_sweep(&audit, 1.0).unwrap();
    before.assert_unchanged(&Tree::of(&scene.config.data_dir));
    let repositories = scene.config.data_dir.join("docker/registry/v2/repositories");
    let away = scene.config.data_dir.join("away");
    fs::rename(&repositories, &away).unwrap();
    assert!(Store::open(&scene.config.data_dir, 1, None).is_err());
    fs::rename(&away, &repositories).unwrap();
    assert_eq!(codes(&scene.sweep(1.0)), BTreeSet::from(["time-behind"]));
    assert_eq!(scene.tags(), names(["behind", "v2", "v3"]));
}

#[test]
fn an_audit_reads_the_memory_and_writes_nothing() {
    let mut scene = Scene::swept();
    scene.push("behind", -10.0);
    scene.push("v3", 0.5);
    scene.sweep(1.0);
    // By this host's clock everything here is ahead, so give the store the times of this host.
    let text = fs::read(scene.memory()).unwrap();
    let mut audit = scene.config.clone();
    audit.dry_run = true;
    let before = Tree::of(&scene.config.data_dir);
    let report = scene.try_sweep(&audit, 2.0).unwrap();
    before.assert_unchanged(&Tree::of(&scene.config.data_dir));
    assert!(codes(&report).contains("time-ahead"));
    assert_eq!(fs::read(scene.memory()).unwrap(), text);
}

#[test]
fn a_look_that_did_not_see_everything_makes_nothing_behind() {
    let mut scene = Scene::swept();
    let damaged = scene.push("v3", 0.2);
    let manifest = scene.builder.view().blob_data(&damaged);
    let whole = fs::read(&manifest).unwrap();
    Damage::to(scene.builder.view()).garble_blob(&damaged);
    scene.push("v4", 0.3);
    assert_eq!(scene.try_sweep(&scene.config, 1.0).unwrap().exit_code, 3);
    // What the last sweep could not read is mended: it is no new push.
    fs::write(&manifest, whole).unwrap();
    set_times(manifest.parent().unwrap(), at(0.2));
    scene.push("v5", 1.5);
    let report = scene.sweep(2.0);
    assert_eq!((codes(&report), scene.tags()), (BTreeSet::new(), names(["v4", "v5"])));
    // From then on it can be told again.
    scene.push("behind", -10.0);
    assert_eq!(codes(&scene.sweep(3.0)), BTreeSet::from(["time-behind"]));
}

#[test]
fn what_cannot_be_remembered_is_not_forgotten() {
    let mut scene = Scene::swept();
    scene.push("behind", -10.0);
    scene.push("v3", 0.5);
    let probe = scene.config.data_dir.join("janitor/probe");
    for hours in [1.0, 2.0] {
        let (probe, clock) = (probe.clone(), at(hours));
        let watch = Hooks::before(move |op, path| {
            if op == Op::Stat && path.ends_with("janitor/probe") {
                set_time(&probe, clock);
            }
            let is_it = op == Op::Write && path.contains("first-seen");
            if is_it { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        });
        let store = Store::open(&scene.config.data_dir, 1, Some(watch)).unwrap();
        let report = sweep_store(&store, &scene.config, &Stop::default()).unwrap();
        assert_eq!(codes(&report), BTreeSet::from(["time-behind", "no-first-seen"]), "{hours}");
        assert_eq!(scene.tags(), names(["behind", "v2", "v3"]), "{hours}");
    }
    scene.sweep(3.0);
    assert_eq!(scene.tags(), names(["behind", "v2", "v3"]));
}

#[test]
fn a_damaged_memory_is_reported_and_as_good_as_none() {
    let mut scene = Scene::swept();
    scene.push("ahead", 5000.0);
    scene.sweep(1.0);
    let good = fs::read_to_string(scene.memory()).unwrap();
    let other = good.replacen("\"format\":1", "\"format\":2", 1);
    let changed = good.replacen("first_seen\":\"2", "first_seen\":\"1", 1);
    for bad in ["", "{}", &good[..good.len() / 2], &other, &changed] {
        assert_ne!(bad, good);
        fs::write(scene.memory(), bad).unwrap();
        assert_eq!(codes(&scene.sweep(2.0)), BTreeSet::from(["time-ahead", "no-first-seen"]), "{bad}");
        assert_eq!(codes(&scene.sweep(2.0)), BTreeSet::from(["time-ahead"]), "{bad}");
    }
}

#[test]
fn removed_tags_that_are_restored_are_no_news() {
    let mut scene = Scene::swept();
    scene.config.undo_window = SignedDuration::from_hours(100);
    scene.push("v3", 0.5);
    scene.push("ahead", 3.0);
    scene.sweep(1.0);
    assert_eq!(scene.tags(), names(["ahead", "v2", "v3"]));
    let tags = vec![("app".parse().unwrap(), "v1".parse().unwrap())];
    let wanted = Wanted { tags, sweep: None, overwrite: false };
    restore_in(&scene.store(2.0), &scene.config, &wanted, &Stop::default()).unwrap();
    let report = scene.sweep(2.5);
    assert_eq!(codes(&report), BTreeSet::from(["time-ahead"]), "of the one that is ahead");
    assert_eq!(scene.tags(), names(["ahead", "v1", "v3"]));
}

#[test]
fn garbage_dated_years_ahead_goes_when_it_was_first_seen_a_grace_period_ago() {
    let scene = Scene::swept();
    let view = scene.builder.view();
    let years = at(50_000.0);
    let loose = scene.builder.loose_blob(b"a blob that nothing references", years);
    let layer = scene.builder.loose_layer("app", b"a layer that no manifest names", years);
    let untagged = Image::small(77);
    scene.builder.push_untagged("app", &untagged, years);
    scene.builder.push_untagged("emptied", &Image::small(78), years);
    // What an interrupted collector leaves of a blob, and the registry's own delete of a manifest.
    let hollow = view.blob_data(&Digest::of(b"hollow")).parent().unwrap().to_owned();
    let deleted = view.revision_link("app", &Digest::of(b"deleted")).parent().unwrap().to_owned();
    let dangling = view.layer_link("app", &Digest::of(b"dangling"));
    let bare = view.repository("bare/below");
    for directory in [&hollow, &deleted, &dangling.parent().unwrap().to_owned(), &bare] {
        fs::create_dir_all(directory).unwrap();
    }
    fs::write(&dangling, Digest::of(b"dangling").as_str()).unwrap();
    for path in [&hollow, &deleted, &dangling, &bare, &view.repository("bare"), &view.repository("emptied")] {
        set_times(path, years);
    }
    let is_there = || {
        let blobs = [&loose, &layer, &untagged.digest()].into_iter().all(|blob| view.has_blob(blob));
        let paths = [&hollow, &deleted, &dangling, &bare].into_iter().all(|path| path.exists());
        blobs && paths && view.has_revision("app", &untagged.digest()) && view.repository("emptied").exists()
    };
    for hours in [1.0, 1.9] {
        let report = scene.sweep(hours);
        assert_eq!(codes(&report), BTreeSet::from(["time-ahead"]), "{hours}");
        assert!(is_there(), "{hours}");
    }
    // Without the memory it counts anew.
    fs::rename(scene.memory(), scene.config.data_dir.join("aside")).unwrap();
    scene.sweep(2.1);
    assert!(is_there());
    fs::rename(scene.config.data_dir.join("aside"), scene.memory()).unwrap();

    // An empty directory and a repository may need a sweep more each, as what was in it goes first.
    for hours in [2.2, 4.4, 6.6] {
        scene.sweep(hours);
    }
    for blob in [&loose, &layer, &untagged.digest()] {
        assert!(!view.has_blob(blob), "{blob}");
    }
    for path in [&hollow, &deleted, &dangling, &bare, &view.repository("emptied")] {
        assert!(!path.exists(), "{}", path.display());
    }
    assert!(!view.has_revision("app", &untagged.digest()));
    let report = scene.sweep(8.0);
    assert_eq!((codes(&report), scene.tags()), (BTreeSet::new(), names(["v1", "v2"])));
    assert!(!scene.memory().exists());
}

#[test]
fn removed_tags_are_held_for_their_window_even_if_the_clock_was_years_ahead_when_they_went() {
    let mut scene = Scene::swept();
    scene.config.undo_window = SignedDuration::from_hours(1);
    let old = scene.push("v3", 0.5);
    scene.push("v4", 0.6);
    scene.push("v5", 0.7);
    scene.sweep(50_000.0);
    assert_eq!(scene.tags(), names(["v4", "v5"]));
    for (hours, stays) in [(1.0, true), (1.9, true), (2.1, false)] {
        scene.sweep(hours);
        assert_eq!(scene.builder.view().has_revision("app", &old), stays, "{hours}");
    }
}

#[test]
fn what_du_promises_does_not_move() {
    let stage = Stage::new();
    let ahead = SystemTime::now() + Duration::from_secs(400 * 86_400);
    stage.builder.loose_layer("app", b"a layer that no manifest names", ahead);
    let mut config = stage.config();
    config.grace = SignedDuration::from_hours(1);
    stage.sweep_with(&config, None, &Stop::default()).unwrap();
    let waiting_until = || {
        let query = UsageQuery {
            names: Vec::new(),
            tags: false,
            top: 10,
            order: UsageOrder::Size,
            measure: Measure::Allocated,
        };
        let store = Store::open(stage.root(), 1, None).unwrap();
        let report = usage::of_store(&store, &config, &query, &Stop::default()).unwrap();
        serde_json::to_value(&report).unwrap()["totals"]["waiting_until"].clone()
    };
    let promised = waiting_until();
    assert!(promised.is_string(), "{promised}");
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(waiting_until(), promised);
}

#[test]
fn where_every_time_can_be_true_it_costs_one_open() {
    let stage = Stage::new();
    stage.sweep(None).unwrap();
    let log = Arc::new(Log::default());
    let seen = Arc::clone(&log);
    let watch = Hooks::before(move |op, path| {
        seen.add(op, path);
        Ok(())
    });
    stage.sweep(Some(watch)).unwrap();
    let of_it: Vec<Op> =
        log.all().into_iter().filter(|(_, path)| path.contains("first-seen")).map(|(op, _)| op).collect();
    assert_eq!(of_it, [Op::Open]);
}
