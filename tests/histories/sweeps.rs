//! Sweeps of a history, to their end and interrupted, and what has to be true after them.

use std::collections::BTreeSet;
use std::fs;
use std::time::SystemTime;

use janitor_testkit::{Digest, Tree};
use registry_janitor::model::Code;
use registry_janitor::report::SweepReport;
use registry_janitor::stop::Stop;
use registry_janitor::store::{Store, read_references};
use registry_janitor::sweep::{SweepError, sweep_store};

use crate::limbo::{Limbo, names};
use crate::model::{Document, Model, Remembered, Repository, Time};
use crate::operation::{MINUTE, Operation};
use crate::settings::{Engine, Settings};
use crate::watch::{End, Storage};
use crate::world::World;

/// Plays a history, and ends it with sweeps after which nothing is left that should be gone.
pub(crate) fn play(engine: Engine, history: &[Operation]) {
    let mut world = World::new();
    for operation in history {
        world.step(operation);
        match operation {
            Operation::Sweep(settings) => world.sweep_twice(settings),
            Operation::Crash(settings, at) => world.crash(settings, *at),
            Operation::Audit(settings) => world.audit(settings),
            _ => {}
        }
    }
    world.end(engine);
}

impl World {
    pub(crate) fn run(&mut self, settings: &Settings, storage: &Storage) -> Result<SweepReport, SweepError> {
        let config = settings.config(self.root(), &self.registry_config(), false);
        let store = Store::open(self.root(), settings.jobs, Some(Box::new(storage.clone()))).unwrap();
        let swept = sweep_store(&store, &config, &Stop::default());
        drop(store);
        self.stamp();
        swept
    }

    /// A sweep to its end, and right after it another one, which has nothing to do.
    pub(crate) fn sweep_twice(&mut self, settings: &Settings) {
        self.sweep(settings);
        let settled = Tree::without(self.root(), &["janitor"]);
        self.sweep(settings);
        settled.assert_unchanged(&Tree::without(self.root(), &["janitor"]));
    }

    /// A sweep to its end.
    fn sweep(&mut self, settings: &Settings) {
        self.model.now += 1;
        let expected = self.expected(settings);
        let swept = self.run(settings, &Storage::new(self.root(), self.clock(), None));
        self.compare(settings, expected, &swept.unwrap());
    }

    /// What the sweep has before it, and what it is to leave.
    pub(crate) fn expected(&mut self, settings: &Settings) -> Model {
        std::mem::take(&mut self.limbo).give_back(&mut self.model);
        self.recall();
        let mut expected = self.model.clone();
        expected.sweep(settings);
        expected
    }

    /// Reads what the janitor remembers about times.
    fn recall(&mut self) {
        let janitor = self.root().join("janitor");
        let mut remembered = Remembered::default();
        if let Ok(text) = fs::read_to_string(janitor.join("first-seen")) {
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            let time = |seen: &serde_json::Value, name: &str| {
                seen[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond()
            };
            for kind in ["tags", "others"] {
                for (key, seen) in value["first_seen"][kind].as_object().unwrap() {
                    let times = (time(seen, "dated"), time(seen, "first_seen"));
                    remembered.first_seen.insert(key.clone(), times);
                }
            }
        }
        if let Ok(bytes) = fs::read(janitor.join("references")) {
            let (digests, manifests) = read_references(&bytes[..], bytes.len() as u64).unwrap();
            let is_known = |digest: &&Digest| {
                let id = digests.id(&digest.as_str().parse().unwrap());
                id.is_some_and(|id| manifests.content(id).is_some())
            };
            remembered.known = self.model.documents.keys().filter(is_known).cloned().collect();
            let written = fs::metadata(janitor.join("references")).unwrap().modified().unwrap();
            let written = written.duration_since(SystemTime::UNIX_EPOCH).unwrap();
            let written = Time::try_from(written.as_nanos().div_ceil(1_000_000)).unwrap();
            remembered.last_look = (written > 0).then_some(written);
        }
        self.model.remembered = remembered;
        self.model.older.clear();
        for digest in self.model.blobs.keys() {
            let data = self.view.blob_data(digest);
            if data.exists() {
                let older = World::written(&data).min(World::written(data.parent().unwrap()));
                self.model.older.insert(digest.clone(), older);
            }
        }
    }

    pub(crate) fn compare(&mut self, settings: &Settings, expected: Model, report: &SweepReport) {
        self.model = expected;
        let told = || format!("after {settings:?}: {report:#?}");
        assert_eq!(self.trash(), Vec::<String>::new(), "{}", told());
        for (name, repository) in &self.model.repositories {
            let digest = |tag: &String| (tag.clone(), self.view.tag_digest(name, tag));
            let tags: Vec<_> = self.view.tags(name).iter().map(digest).collect();
            let expected: Vec<_> =
                repository.tags.iter().map(|(tag, (digest, _))| (tag.clone(), digest.clone())).collect();
            assert_eq!(tags, expected, "tags of {name} {}", told());
            let expected: BTreeSet<Digest> = repository.revisions.keys().cloned().collect();
            assert_eq!(self.view.revisions(name), expected, "manifests of {name} {}", told());
        }
        let blobs: BTreeSet<Digest> = self.view.blobs().into_keys().collect();
        let expected: BTreeSet<Digest> = self.model.blobs.keys().cloned().collect();
        assert_eq!(blobs, expected, "blobs {}", told());
        self.forget_layers_of_removed_repositories();
        self.see_when_blobs_were_touched();
        let broken = self.assert_whole();
        assert_eq!(report.exit_code, if broken { 3 } else { 0 }, "{}", told());
        assert_eq!(!report.broken.is_empty(), broken, "{}", told());
    }

    /// Only a repository that is empty loses layer links.
    fn forget_layers_of_removed_repositories(&mut self) {
        for (name, repository) in &mut self.model.repositories {
            let gone: Vec<Digest> = repository
                .layers
                .keys()
                .filter(|it| !self.view.layer_link(name, it).exists())
                .cloned()
                .collect();
            assert!(gone.is_empty() || is_empty(repository), "{name} lost {gone:?}");
            repository.layers.retain(|digest, _| !gone.contains(digest));
            let linked = names(&self.view.repository(name).join("_layers/sha256"));
            let unknown: Vec<&String> =
                linked.iter().filter(|hex| !repository.layers.contains_key(&of_hex(hex))).collect();
            assert!(unknown.is_empty(), "{name} has left {unknown:?}");
        }
    }

    /// Hiding a blob and bringing it back, or deleting what was hidden beside it, leaves it as young as new.
    fn see_when_blobs_were_touched(&mut self) {
        for (digest, at) in &mut self.model.blobs {
            let directory = self.view.blob_data(digest);
            *at = World::written(directory.parent().unwrap()).max(*at);
        }
    }

    /// Every tag is as whole as the registry's clients left it. Says whether they broke one.
    fn assert_whole(&self) -> bool {
        let mut broken = false;
        for (name, repository) in &self.model.repositories {
            for tag in repository.tags.keys() {
                let missing = self.view.lacks(name, tag);
                let is_whole = self.model.is_whole(name, tag);
                assert_eq!(missing.is_empty(), is_whole, "{name}:{tag} lacks {missing:#?}");
                broken |= !is_whole;
            }
        }
        broken
    }

    /// A look that changes nothing.
    fn audit(&mut self, settings: &Settings) {
        let before = Tree::of(self.root());
        let config = settings.config(self.root(), &self.registry_config(), true);
        let store = Store::open(self.root(), settings.jobs, None).unwrap();
        let report = sweep_store(&store, &config, &Stop::default()).unwrap();
        before.assert_unchanged(&Tree::of(self.root()));
        assert!(report.dry_run);
    }

    /// A sweep that ends before its time, unless it has fewer changes to make.
    fn crash(&mut self, settings: &Settings, at: usize) {
        self.model.now += 1;
        let before_limbo = Limbo::read(&self.view);
        let expected = self.expected(settings);
        let storage = Storage::new(self.root(), self.clock(), Some((End::PowerCut, at)));
        let swept = self.run(settings, &storage);
        match swept {
            Ok(report) if !storage.crashed() => self.compare(settings, expected, &report),
            swept => {
                // What comes last can be done without.
                let is_told = |report: SweepReport| {
                    report.exit_code != 0 || report.findings.iter().any(|it| it.code == Code::NoReferences)
                };
                assert!(swept.map_or_else(|error| error.exit_code() != 0, is_told));
                self.take_stock(&expected, &before_limbo);
            }
        }
    }

    /// Looks what a crash left: everything that was to stay is in its place, the rest may be anywhere.
    pub(crate) fn take_stock(&mut self, expected: &Model, before: &Limbo) {
        let limbo = Limbo::read(&self.view);
        for (name, repository) in &mut self.model.repositories {
            let stays = &expected.repositories[name];
            let tags = self.view.tags(name);
            let revisions = self.view.revisions(name);
            for tag in stays.tags.keys().filter(|tag| !tags.contains(*tag)) {
                let was_away = before.has_tag(name, tag) && limbo.has_tag(name, tag);
                assert!(was_away, "a crash took {name}:{tag}");
            }
            for digest in stays.revisions.keys().filter(|it| !revisions.contains(it)) {
                let was_away = before.has_revision(name, digest) && limbo.has_revision(name, digest);
                assert!(was_away, "a crash took {digest} of {name}");
            }
            assert!(tags.iter().all(|tag| repository.tags.contains_key(tag)), "{name} has {tags:?}");
            repository.tags.retain(|tag, _| tags.contains(tag));
            repository.revisions.retain(|digest, _| revisions.contains(digest));
            repository.layers.retain(|digest, _| self.view.layer_link(name, digest).exists());
            for pin in revisions {
                repository.revisions.entry(pin.clone()).or_insert_with(|| {
                    let text = fs::read_to_string(self.view.blob_data(&pin)).unwrap();
                    assert!(text.contains("holds young blobs"), "a crash made {pin} of {name}: {text}");
                    self.model.documents.insert(pin, Document::parse(text.as_bytes()));
                    self.model.now
                });
            }
        }
        let blobs = self.view.blobs();
        for digest in expected.blobs.keys() {
            let was_away = before.blobs.contains_key(digest) && limbo.blobs.contains_key(digest);
            assert!(was_away || blobs.contains_key(digest), "a crash took {digest}");
        }
        self.model.blobs.retain(|digest, _| blobs.contains_key(digest));
        for pin in blobs.into_keys() {
            self.model.blobs.entry(pin).or_insert(self.model.now);
        }
        self.see_when_blobs_were_touched();
        self.limbo = limbo;
    }

    /// Nothing happens any more but two sweeps, the second when all that the first touched is old.
    pub(crate) fn end(&mut self, engine: Engine) {
        let settings =
            Settings { keep: 2, untagged_go: true, grace_ms: 60 * MINUTE, settle_ms: 0, jobs: 4, engine };
        for _ in 0..2 {
            self.model.now += 600 * MINUTE;
            self.sweep_twice(&settings);
        }
        for (name, repository) in &self.model.repositories {
            let reached = self.model.reached(name);
            let unreached: Vec<&Digest> =
                repository.revisions.keys().filter(|it| !reached.contains(it)).collect();
            assert!(unreached.is_empty(), "{name} still has {unreached:?}");
            let directory = self.view.repository(name);
            let uploads = !names(&directory.join("_uploads")).is_empty();
            let inside = names(&directory).iter().any(|entry| !entry.starts_with('_'));
            assert!(
                !is_empty(repository) || uploads || inside || !directory.exists(),
                "{name} is empty and still there: {:?}",
                names(&directory)
            );
            for hex in names(&directory.join("_manifests/revisions/sha256")) {
                let digest = Digest::parse(&format!("sha256:{hex}"));
                assert!(
                    repository.revisions.contains_key(&digest),
                    "{name} has the empty directory of {digest}"
                );
            }
        }
        if engine != Engine::Off {
            let needed = self.model.needed_blobs();
            let unneeded: Vec<&Digest> = self.model.blobs.keys().filter(|it| !needed.contains(it)).collect();
            assert!(unneeded.is_empty(), "nothing needs {unneeded:?}");
            let blobs = self.view.v2().join("blobs/sha256");
            for shard in names(&blobs) {
                for hex in names(&blobs.join(&shard)) {
                    assert_eq!(names(&blobs.join(&shard).join(&hex)), ["data"], "{hex}");
                }
            }
        }
        if engine == Engine::Native {
            for (name, repository) in &self.model.repositories {
                let needed = self.model.needed_in(repository);
                for layer in repository.layers.keys() {
                    let leads = self.model.blobs.contains_key(layer) || needed.contains(layer);
                    assert!(leads, "the link of {layer} in {name} leads nowhere");
                    let link = self.view.layer_link(name, layer);
                    assert_eq!(names(link.parent().unwrap()), ["link"], "{name} {layer}");
                }
            }
        }
    }

    /// What is in the trash.
    fn trash(&self) -> Vec<String> {
        let trash = self.root().join("janitor/trash");
        ["pending", "condemned"].iter().flat_map(|part| names(&trash.join(part))).collect()
    }
}

fn of_hex(hex: &str) -> Digest {
    Digest::parse(&format!("sha256:{hex}"))
}

fn is_empty(repository: &Repository) -> bool {
    repository.tags.is_empty() && repository.revisions.is_empty()
}
