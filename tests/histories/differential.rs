//! The janitor's own collector against the stock one, on copies of the same store in which nobody pushes: it never
//! deletes what that one keeps, and it deletes the same but for what can be explained.

#![expect(clippy::disallowed_methods, reason = "the stock collector is a process of its own")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use janitor_testkit::{Digest, Image, StoreView, registry_bin, sha512};
use proptest::strategy::Strategy as _;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use registry_janitor::stop::Stop;
use registry_janitor::store::Store;
use registry_janitor::sweep::sweep_store;

use crate::model::Model;
use crate::operation::{MINUTE, Operation, histories};
use crate::settings::{Engine, Settings};
use crate::watch::Storage;
use crate::world::World;

/// Keeps every tag and every manifest, or prunes before it collects.
fn settings(engine: Engine, prunes: bool) -> Settings {
    let keep = if prunes { 1 } else { 1000 };
    Settings { keep, untagged_go: prunes, grace_ms: 0, settle_ms: 0, jobs: 4, engine }
}

/// A store, and what is known of it.
struct Copy {
    view: StoreView,
    directory: tempfile::TempDir,
}

impl Copy {
    fn of(world: &World) -> Self {
        let directory = tempfile::tempdir_in(world.root().parent().unwrap()).unwrap();
        let view = world.view.copy_to(&directory.path().join("store"));
        let config = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\n",
            view.root().display()
        );
        fs::write(directory.path().join("config.yml"), config).unwrap();
        Self { view, directory }
    }

    fn config(&self) -> std::path::PathBuf {
        self.directory.path().join("config.yml")
    }

    fn blobs(&self) -> BTreeSet<Digest> {
        self.view.blobs().into_keys().collect()
    }

    /// Runs the registry's collector as its documentation has it.
    fn collect_by_the_registry(&self) {
        let output = Command::new(registry_bin())
            .arg("garbage-collect")
            .arg(self.config())
            .env_clear()
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn sweep(&self, world: &World, settings: &Settings) {
        let root: &Path = self.view.root();
        let storage = Storage::new(root, world.clock(), None);
        let store = Store::open(root, settings.jobs, Some(Box::new(storage))).unwrap();
        let report = sweep_store(&store, &settings.config(root, &self.config(), false), &Stop::default());
        assert!([0, 3].contains(&report.unwrap().exit_code));
    }
}

/// What the stock collector deletes and the janitor keeps: what is reached only through a child of an index whose
/// revision was deleted over the API. One push of the child's manifest makes that image whole again.
fn kept_for_sparse_indexes(model: &Model) -> BTreeSet<Digest> {
    let (mut by_registry, mut all) = (BTreeSet::new(), BTreeSet::new());
    for repository in model.repositories.values() {
        for digest in repository.revisions.keys() {
            let document = &model.documents[digest];
            by_registry.insert(digest.clone());
            by_registry.extend(document.blobs.iter().chain(&document.children).cloned());
        }
        all.extend(model.needed_in(repository));
    }
    all.difference(&by_registry).cloned().collect()
}

fn compare(history: &[Operation]) {
    let mut world = World::new();
    for operation in history {
        world.step(operation);
    }
    world.model.now += 600 * MINUTE;
    // By now, an empty directory of a deleted revision holds nothing.
    for repository in world.model.repositories.values_mut() {
        repository.deleted.clear();
    }

    let (stock, native) = (Copy::of(&world), Copy::of(&world));
    let all = stock.blobs();
    stock.collect_by_the_registry();
    native.sweep(&world, &settings(Engine::Native, false));
    let (by_stock, by_native) = (&all - &stock.blobs(), &all - &native.blobs());
    let more: Vec<&Digest> = by_native.difference(&by_stock).collect();
    assert!(more.is_empty(), "the stock collector keeps {more:?}");
    let less: BTreeSet<Digest> = by_stock.difference(&by_native).cloned().collect();
    let sparse = kept_for_sparse_indexes(&world.model);
    assert!(
        less.is_subset(&sparse),
        "only the stock collector deletes {less:?}, of which {sparse:?} is known"
    );

    // With pruning: it deletes what the stock collector does once the same rules have taken tags and manifests away.
    let (stock, native) = (Copy::of(&world), Copy::of(&world));
    stock.sweep(&world, &settings(Engine::Off, true));
    stock.collect_by_the_registry();
    native.sweep(&world, &settings(Engine::Native, true));
    let more: Vec<Digest> = stock.blobs().difference(&native.blobs()).cloned().collect();
    assert!(more.is_empty(), "after pruning, the stock collector keeps {more:?}");
    // What pruning takes from one repository may still be needed by a sparse index of another.
    let mut pruned = world.model.clone();
    pruned.sweep(&settings(Engine::Off, true));
    let sparse = &sparse | &kept_for_sparse_indexes(&pruned);
    let less: BTreeSet<Digest> = native.blobs().difference(&stock.blobs()).cloned().collect();
    assert!(less.is_subset(&sparse), "after pruning, only the stock collector deletes {less:?}");
}

#[test]
fn it_deletes_nothing_that_the_stock_collector_keeps_and_as_much() {
    let asked = std::env::var("HISTORY_CASES").ok().map(|cases| cases.parse::<u32>().unwrap());
    let config = Config {
        cases: asked.map_or(10, |asked| asked.div_ceil(8)),
        rng_seed: if asked.is_some() { RngSeed::Random } else { RngSeed::Fixed(20_260_102) },
        failure_persistence: None,
        ..Config::default()
    };
    let only_clients = histories(Engine::Off, 40).prop_map(|history| {
        let is_clients =
            |it: &Operation| !matches!(it, Operation::Sweep(_) | Operation::Crash(..) | Operation::Audit(_));
        history.into_iter().filter(is_clients).collect::<Vec<_>>()
    });
    let result = TestRunner::new(config).run(&only_clients, |history| {
        compare(&history);
        Ok(())
    });
    assert!(result.is_ok(), "{result:?}");
}

#[test]
fn it_keeps_what_only_a_sparse_index_needs_once_pruning_has_taken_it_elsewhere() {
    let push = |repository, tag, family| Operation::Push { repository, tag, family, reuse: true };
    compare(&[
        push("app/web", "v10", 5),
        Operation::Delete { repository: "app/web", which: 13 },
        push("app", "v10", 0),
        push("app", "v1", 2),
    ]);
}

#[test]
fn it_keeps_live_blobs_that_the_stock_collector_deletes() {
    let mut world = World::new();
    let push = |repository, family| Operation::Push { repository, tag: "latest", family, reuse: false };
    world.step(&push("app", 0));
    world.step(&push("lib", 1));
    world.step(&push("app/web", 2));
    let image = |family: usize| crate::images::FAMILIES[family].image.clone();
    // A layer that its manifest names by a sha512 digest, behind a layer link of that name.
    let aliased = aliased(&world.view, &image(0));
    // A repository without `_layers`, which registry 2.8 does not take for one.
    let layers = world.view.repository("lib").join("_layers");
    fs::remove_dir_all(&layers).unwrap();
    world.stamp();
    let live = [aliased, image(1).digest()];
    let (stock, native) = (Copy::of(&world), Copy::of(&world));

    stock.collect_by_the_registry();
    native.sweep(&world, &settings(Engine::Native, false));

    for digest in &live {
        assert!(
            !stock.view.has_blob(digest),
            "the stock collector keeps {digest}: say so in the documentation"
        );
        assert!(native.view.has_blob(digest), "{digest} is live");
    }
    assert!(native.blobs().is_superset(&stock.blobs()), "the stock collector keeps more");
    let links =
        |copy: &Copy| crate::limbo::names(&copy.view.repository("app/web").join("_layers/sha256")).len();
    assert_eq!(links(&native), links(&stock), "links of a whole image stay");
}

/// Gives `app` a manifest that names a layer of an image by sha512; says which blob that is.
fn aliased(view: &StoreView, image: &Image) -> Digest {
    let text = String::from_utf8(image.document().bytes.clone()).unwrap();
    let bytes = b"a layer that is named by another algorithm";
    let (layer, long) = (Digest::of(bytes), sha512(bytes));
    let other = image.blobs().keys().find(|it| text.matches(it.as_str()).count() == 1).unwrap();
    let manifest = text.replace(other.as_str(), &long);
    let write = |path: std::path::PathBuf, bytes: &[u8]| {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    write(view.blob_data(&layer), bytes);
    write(view.layer_link("app", &layer), layer.as_str().as_bytes());
    let alias = view.repository("app").join("_layers/sha512").join(&long["sha512:".len()..]).join("link");
    write(alias, layer.as_str().as_bytes());
    let digest = Digest::of(manifest.as_bytes());
    write(view.blob_data(&digest), manifest.as_bytes());
    write(view.revision_link("app", &digest), digest.as_str().as_bytes());
    write(view.current_link("app", "other"), digest.as_str().as_bytes());
    layer
}
