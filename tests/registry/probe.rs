//! A registry whose address is known is asked whether it looks at the disk, before blobs go.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use janitor_testkit::{Gate, Image, Interrupt, Janitor, Outcome, Registry, RegistryOptions, Verdict};

use crate::stage::{assert_all_pull, blobs_on_disk, digests_of, janitor, push_versions};

/// A sweep that asks there.
pub(crate) fn asking(registry: &Registry, url: &str) -> Janitor {
    janitor(registry).keep(1).env("JANITOR_REGISTRY_URL", url)
}

/// The registry ends, and another one begins on its store, with these variables of its own.
pub(crate) fn again_with(mut registry: Registry, variables: &[(&str, &str)]) -> (Registry, Registry) {
    registry.stop();
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let options = RegistryOptions {
        store: Some(registry.store().to_owned()),
        variables: variables.collect::<BTreeMap<_, _>>(),
        ..RegistryOptions::default()
    };
    // The first one is kept for the sake of its directory.
    (Registry::start_with(options), registry)
}

/// Every file and directory of the registry's part of a store.
fn paths(registry: &Registry) -> BTreeSet<PathBuf> {
    fn add(dir: &Path, paths: &mut BTreeSet<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                add(&path, paths);
            }
            paths.insert(path);
        }
    }
    let mut paths = BTreeSet::new();
    add(&registry.view().v2(), &mut paths);
    paths
}

/// Nothing of a probe is in this store, neither for a client nor on the disk.
#[track_caller]
pub(crate) fn assert_nothing_left(registry: &Registry) {
    let left: Vec<PathBuf> =
        paths(registry).into_iter().filter(|path| path.to_string_lossy().contains("janitor-probe")).collect();
    assert!(left.is_empty(), "{left:?}");
    let trash = registry.store().join("janitor/trash/condemned");
    let trash: Vec<_> = fs::read_dir(trash).into_iter().flatten().collect();
    assert!(trash.is_empty(), "{trash:?}");
}

/// No blob went, the three tags' images apart from what the policy takes; the report says so.
#[track_caller]
pub(crate) fn assert_not_collected(outcome: &Outcome, registry: &Registry, images: &[Image], status: &str) {
    let report = outcome.report();
    assert_eq!(report["collection"]["status"], status, "{report}");
    assert_eq!(outcome.total("blobs_removed"), 0);
    assert_eq!(blobs_on_disk(registry), digests_of(images), "blobs went, or something was left");
    assert_nothing_left(registry);
}

/// What the report says of the collection.
pub(crate) fn detail(outcome: &Outcome) -> String {
    outcome.report()["collection"]["detail"].as_str().unwrap().to_owned()
}

#[test]
fn a_registry_that_looks_at_the_disk_is_collected_beside_and_nothing_of_the_probe_is_left() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 3);
    // The same sweep without a probe, of a store that was made the same way, tells what there is to be afterwards.
    let other = Registry::start();
    push_versions(&other, "app", 3);
    janitor(&other).keep(1).run().assert_code(0);
    let gate = Gate::open(&registry);

    let outcome = asking(&registry, &gate.url()).run().assert_code(0);

    assert_eq!(outcome.report()["collection"]["status"], "done");
    assert_eq!(outcome.total("repositories"), 1);
    assert_eq!(blobs_on_disk(&registry), digests_of(&images[2..]));
    assert_all_pull(&registry, "app");
    let below = |registry: &Registry| -> BTreeSet<PathBuf> {
        let root = registry.store();
        paths(registry).iter().map(|path| path.strip_prefix(root).unwrap().to_owned()).collect()
    };
    assert_eq!(below(&registry), below(&other));
    assert_nothing_left(&registry);
    assert_eq!(registry.client().catalog(), BTreeSet::from(["app".to_owned()]));
    let methods: Vec<String> =
        gate.requests().iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(methods, ["POST", "PUT", "HEAD", "HEAD"]);
}

#[test]
fn beside_a_registry_with_a_cache_that_no_configuration_tells_of_no_blob_goes() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 3);
    let (registry, _kept) = again_with(registry, &[("REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR", "inmemory")]);

    let outcome = asking(&registry, &registry.url()).run().assert_code(12);

    assert_not_collected(&outcome, &registry, &images, "refused");
    assert_eq!(registry.client().catalog(), BTreeSet::from(["app".to_owned()]));
    let told = detail(&outcome);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 3, "{told}");
    assert!(lines[0].contains(&registry.url()) && lines[0].contains("remembers blobs"), "{told}");
    assert!(lines[1].contains("REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR=''"), "{told}");
    assert!(lines[2].contains("restart"), "{told}");
    for line in lines {
        assert!(outcome.stderr.contains(line), "{line}\n{}", outcome.stderr);
    }
    let text = asking(&registry, &registry.url()).env("JANITOR_OUTPUT", "text").run().assert_code(12);
    assert!(text.stdout.contains("\n           then restart"), "{}", text.stdout);
}

#[test]
fn beside_a_registry_with_a_cache_an_emptied_repository_keeps_the_links_that_it_believes_in() {
    let registry = Registry::start();
    push_versions(&registry, "app", 1);
    let image = Image::small(7);
    registry.client().push("emptied", "v1", &image);
    registry.client().delete("emptied", &image.digest());
    let (registry, _kept) = again_with(registry, &[("REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR", "inmemory")]);

    let outcome = asking(&registry, &registry.url()).run().assert_code(12);

    assert_eq!(outcome.total("repositories_removed"), 0);
    for digest in image.blobs().keys() {
        assert!(registry.view().layer_link("emptied", digest).exists(), "{digest}");
    }
}

#[test]
fn one_of_several_registries_with_a_cache_is_enough_to_refuse() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 2);
    let cached = Registry::start_with(RegistryOptions {
        store: Some(registry.store().to_owned()),
        variables: BTreeMap::from([(
            "REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR".to_owned(),
            "inmemory".to_owned(),
        )]),
        ..RegistryOptions::default()
    });
    let both = format!("{}, {}", registry.url(), cached.url());

    let outcome = asking(&registry, &both).run().assert_code(12);

    assert_not_collected(&outcome, &registry, &images, "refused");
    assert!(detail(&outcome).contains(&cached.url()), "{}", detail(&outcome));
}

#[test]
fn the_registry_of_another_store_is_told_apart_and_keeps_nothing_of_the_probe() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 2);
    let other = Registry::start();
    push_versions(&other, "app", 2);
    let before = blobs_on_disk(&other);

    let outcome = asking(&registry, &other.url()).run().assert_code(12);

    assert_not_collected(&outcome, &registry, &images, "refused");
    assert!(detail(&outcome).contains(&other.url()), "{}", detail(&outcome));
    assert_eq!(blobs_on_disk(&other), before);
    assert_eq!(other.client().catalog(), BTreeSet::from(["app".to_owned()]));
    let uploads: Vec<PathBuf> = paths(&other)
        .into_iter()
        .filter(|path| path.is_file() && path.to_string_lossy().contains("janitor-probe"))
        .collect();
    let started = |path: &PathBuf| path.ends_with("startedat");
    assert_eq!(
        uploads.iter().filter(|path| started(path)).count(),
        1,
        "the registry could not purge it: {uploads:?}"
    );
}

#[test]
fn a_registry_that_cannot_be_asked_is_not_collected_beside() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 2);
    let url = registry.url();
    let (registry, _kept) =
        again_with(registry, &[("REGISTRY_STORAGE_MAINTENANCE_READONLY", "{\"enabled\":true}")]);

    let down = asking(&registry, &url).run().assert_code(3);
    assert_not_collected(&down, &registry, &images, "failed");
    assert!(detail(&down).contains(&url) && detail(&down).contains("did not answer"), "{}", detail(&down));

    let read_only = asking(&registry, &registry.url()).run().assert_code(3);
    assert_not_collected(&read_only, &registry, &images, "failed");
    assert!(detail(&read_only).contains("read-only"), "{}", detail(&read_only));

    let moved = Gate::before(&registry, |_| {
        Verdict::Answer(
            "301 Moved Permanently",
            "Location: https://hub.example.com/v2/\r\n".into(),
            String::new(),
        )
    });
    let moved = asking(&registry, &moved.url()).run().assert_code(3);
    assert_not_collected(&moved, &registry, &images, "failed");
    assert!(detail(&moved).contains("https://hub.example.com"), "{}", detail(&moved));
}

#[test]
fn a_janitor_that_dies_in_a_probe_leaves_what_the_next_sweep_removes() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 2);
    let held = |what: &'static str| {
        Gate::before(
            &registry,
            move |asked| {
                if asked.line.starts_with(what) { Verdict::Hold } else { Verdict::Pass }
            },
        )
    };
    for what in ["PUT", "HEAD"] {
        let gate = held(what);
        let mut janitor = asking(&registry, &gate.url()).spawn();
        janitor.wait_until("the probe is held", |_| gate.requests().iter().any(|it| it.starts_with(what)));
        drop(janitor);
    }
    let scratches = fs::read_dir(registry.view().repository("janitor-probe")).unwrap().count();
    assert_eq!(scratches, 1, "the first was removed by the second sweep, whose own is left");
    assert!(registry.client().catalog().iter().any(|name| name.starts_with("janitor-probe/")));

    let audit = asking(&registry, &registry.url()).audit().run().assert_code(0);
    assert_eq!(audit.total("repositories"), 1);

    // The cleaning needs no registry, and no age.
    let outcome = janitor(&registry).keep(1).env("GC_GRACE", "1h").run().assert_code(0);

    assert_eq!(outcome.total("repositories"), 1);
    assert_nothing_left(&registry);
    assert_eq!(blobs_on_disk(&registry), digests_of(&images));
    assert_eq!(registry.client().catalog(), BTreeSet::from(["app".to_owned()]));
}

#[test]
fn what_somebody_pushed_under_the_reserved_name_stays() {
    let registry = Registry::start();
    push_versions(&registry, "app", 2);
    let theirs = "janitor-probe/0123456789abcdef0123456789abcdef";
    registry.client().push(theirs, "v1", &Image::small(7));

    let outcome = asking(&registry, &registry.url()).run().assert_code(0);

    assert_eq!(outcome.total("repositories"), 2);
    assert_all_pull(&registry, theirs);
    assert_all_pull(&registry, "app");
}

#[test]
fn a_stop_in_the_middle_of_a_probe_leaves_nothing() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 2);
    let gate = Gate::before(&registry, |asked| {
        if asked.line.starts_with("HEAD") {
            std::thread::sleep(Duration::from_secs(3));
        }
        Verdict::Pass
    });
    let mut janitor = asking(&registry, &gate.url()).spawn();
    janitor
        .wait_until("the canary is asked for", |_| gate.requests().iter().any(|it| it.starts_with("HEAD")));
    janitor.signal(Interrupt::Term);

    janitor.end_within(Duration::from_secs(60)).assert_code(143);

    assert_nothing_left(&registry);
    assert_eq!(blobs_on_disk(&registry), digests_of(&images));
}

#[test]
fn an_audit_and_a_sweep_with_nothing_to_collect_ask_nothing() {
    let registry = Registry::start();
    push_versions(&registry, "app", 2);
    let gate = Gate::open(&registry);

    let audit = asking(&registry, &gate.url()).audit().run().assert_code(0);
    assert_eq!(audit.report()["collection"]["status"], "would-run");
    asking(&registry, &gate.url()).keep(5).run().assert_code(0);
    asking(&registry, &gate.url()).env("RUN_GC", "false").run().assert_code(0);
    asking(&registry, "none").run().assert_code(0);

    assert_eq!(gate.requests(), Vec::<String>::new());
}
