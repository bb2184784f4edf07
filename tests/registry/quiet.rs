//! The registry's collector waits for a moment in which nobody pushes, and no longer than it may.

#![expect(clippy::disallowed_methods, reason = "this test leaves traces of pushes at times of its own")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use janitor_testkit::{Collector, Image, Interrupt, Janitor, Outcome, Registry, ago};
use serde_json::Value;

use crate::stage::{blobs_on_disk, digests_of, janitor, push_versions, registry_part};

const LONG_AGO: Duration = Duration::from_secs(7200);

/// Everything below a directory, as if nobody had been there for two hours.
fn make_old(path: &Path) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            make_old(&entry.unwrap().path());
        }
    }
    touch(path, ago(LONG_AGO));
}

fn touch(path: &Path, at: SystemTime) {
    File::open(path).unwrap().set_modified(at).unwrap();
}

/// Only the registry's collector needs a quiet moment.
fn by_the_registry(registry: &Registry) -> Janitor {
    janitor(registry).env("GC_ENGINE", "registry").keep(1)
}

/// One sweep that has blobs to reclaim, in a registry that nobody pushed to for two hours.
struct Stage {
    registry: Registry,
    repository: PathBuf,
}

impl Stage {
    fn new() -> Self {
        let registry = Registry::start();
        push_versions(&registry, "app", 2);
        make_old(&registry_part(&registry));
        registry.set_push_time("app", "v1", ago(LONG_AGO + Duration::from_secs(60)));
        let repository = registry_part(&registry).join("registry/v2/repositories/app");
        Self { registry, repository }
    }

    /// With a quiet moment of an hour, and no patience.
    fn janitor(&self) -> Janitor {
        by_the_registry(&self.registry).env("GC_QUIET", "1h").env("GC_QUIET_WAIT", "0s")
    }
}

fn warnings(outcome: &Outcome) -> Vec<Value> {
    let report = outcome.report();
    assert_eq!(report["collection"]["status"], "done", "{report}");
    let findings = report["findings"].as_array().unwrap();
    findings.iter().filter(|finding| finding["code"] == "not-quiet").cloned().collect()
}

#[test]
fn what_the_sweep_itself_moves_is_no_push() {
    let stage = Stage::new();
    let outcome = stage.janitor().run().assert_code(0);
    assert_eq!(warnings(&outcome), Vec::<Value>::new());
    assert_eq!(outcome.total("tags_removed"), 1);
    assert!(!outcome.stderr.contains("quiet"), "{}", outcome.stderr);
}

#[test]
fn every_trace_of_a_push_is_seen() {
    type Leave = fn(&Stage);
    let traces: [(&str, Leave); 5] = [
        ("_uploads", |stage| touch(&stage.repository.join("_uploads"), ago(Duration::ZERO))),
        ("_uploads/0b1d7dc6-8c46-4c6f-a0a9-4a7b6cbd7f0e/data", |stage| {
            let upload = stage.repository.join("_uploads/0b1d7dc6-8c46-4c6f-a0a9-4a7b6cbd7f0e");
            fs::create_dir(&upload).unwrap();
            fs::write(upload.join("data"), "half a layer").unwrap();
            touch(&stage.repository.join("_uploads"), ago(LONG_AGO));
        }),
        ("_layers/sha256", |stage| touch(&stage.repository.join("_layers/sha256"), ago(Duration::ZERO))),
        ("_manifests/revisions/sha256", |stage| {
            // It is a directory of the sweep's own, so it must be touched after the sweep has done its part:
            // here the sweep removes no manifest.
            touch(&stage.repository.join("_manifests/revisions/sha256"), ago(Duration::ZERO));
        }),
        ("app:v2", |stage| stage.registry.set_push_time("app", "v2", ago(Duration::ZERO))),
    ];
    for (path, leave) in traces {
        let stage = Stage::new();
        if path.contains("revisions") {
            // Nothing goes but the blobs of a manifest that was deleted before.
            janitor(&stage.registry).keep(1).env("RUN_GC", "false").run().assert_code(0);
            make_old(&registry_part(&stage.registry));
        }
        leave(&stage);
        let told = warnings(&stage.janitor().run().assert_code(0));
        assert_eq!(told.len(), 1, "{path}");
        assert!(told[0]["path"].as_str().unwrap().ends_with(path), "{path}: {told:?}");
    }
}

#[test]
fn what_is_old_or_dated_ahead_is_no_push() {
    let stage = Stage::new();
    // The tag that is dated ahead takes no place, so it needs a third one for anything to go.
    stage.registry.client().push("app", "v0", &Image::small(9));
    make_old(&registry_part(&stage.registry));
    stage.registry.set_push_time("app", "v0", ago(3 * LONG_AGO));
    let upload = stage.repository.join("_uploads/0b1d7dc6-8c46-4c6f-a0a9-4a7b6cbd7f0e");
    fs::create_dir(&upload).unwrap();
    fs::write(upload.join("data"), "half a layer").unwrap();
    make_old(&stage.repository);
    let ahead = SystemTime::now() + LONG_AGO;
    stage.registry.set_push_time("app", "v2", ahead);
    touch(&stage.repository.join("_layers/sha256"), ahead);
    stage.registry.set_push_time("app", "v1", ago(2 * LONG_AGO));
    assert_eq!(warnings(&stage.janitor().run().assert_code(0)), Vec::<Value>::new());
}

#[test]
fn it_waits_for_a_while_by_default_and_then_goes_on_with_a_warning() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 3);

    // A minute would be as good as an hour here.
    let outcome =
        by_the_registry(&registry).without("GC_QUIET").env("GC_QUIET_WAIT", "1s").run().assert_code(0);

    assert_eq!(warnings(&outcome).len(), 1);
    assert!(outcome.stderr.contains("for a quiet moment"), "{}", outcome.stderr);
    assert_eq!(blobs_on_disk(&registry), digests_of(&images[2..]));
}

#[test]
fn a_moment_that_comes_in_time_is_used() {
    let registry = Registry::start();
    push_versions(&registry, "app", 3);
    let outcome = by_the_registry(&registry).env("GC_QUIET", "2s").run().assert_code(0);
    assert_eq!(warnings(&outcome), Vec::<Value>::new());
    assert!(outcome.stderr.contains("for a quiet moment"), "{}", outcome.stderr);
}

#[test]
fn a_stop_ends_the_wait_and_an_audit_does_not_wait() {
    let registry = Registry::start();
    push_versions(&registry, "app", 3);
    let scripts = Collector::scripts_in(registry.scratch());
    let recording = scripts.recording("recording");
    let patient =
        janitor(&registry).keep(1).env("GC_QUIET", "1h").env("GC_QUIET_WAIT", "1h").collector(&recording);

    let audit = patient.clone().audit().run().assert_code(0);
    assert!(!audit.stderr.contains("quiet"), "{}", audit.stderr);

    let mut sweep = patient.spawn();
    sweep.wait_until("it waits", |it| it.stderr_so_far().contains("for a quiet moment"));
    sweep.signal(Interrupt::Term);
    sweep.end_within(Duration::from_secs(20)).assert_code(143);
    assert_eq!(scripts.calls("recording"), Vec::<String>::new());
}
