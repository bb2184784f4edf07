//! Faults that a review found, or that nearly got through: each stays found.

mod beside;
mod collector;
mod disk;
mod leftovers;
mod odd_stores;
mod trash;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use janitor_testkit::{Collector, Damage, Digest, Image, Registry, StoreBuilder, ago, is_alive};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::stage::blobs_on_disk;

/// Far longer than anything here takes, and far shorter than what would be waited for in vain.
const SOON: Duration = Duration::from_secs(40);

/// The trash, as people see it.
fn trash(registry: &Registry) -> PathBuf {
    registry.store().join("janitor/trash")
}

/// Loose blobs that nothing references, put there a day ago.
fn loose_blobs(registry: &Registry, count: u8) -> BTreeSet<Digest> {
    let store = StoreBuilder::new(registry.store());
    let yesterday = ago(Duration::from_secs(24 * 3600));
    (0..count).map(|number| store.loose_blob(&[b'l', number], yesterday)).collect()
}

/// A shell command that makes a push appear in the registry's store, whenever it is run.
fn push_later(registry: &Registry, staged: impl FnOnce(&StoreBuilder)) -> String {
    let store = StoreBuilder::new(registry.scratch().join("coming"));
    staged(&store);
    format!("cp -r '{}/docker' '{}/'", store.root().display(), registry.store().display())
}

/// Whether the collector was asked, and whether it was let loose.
fn runs(scripts: &Collector, name: &str) -> (usize, usize) {
    let calls = scripts.calls(name);
    let asked = calls.iter().filter(|call| call.contains("--dry-run")).count();
    (asked, calls.len() - asked)
}

/// The findings of this severity.
fn findings(report: &Value, severity: &str) -> Vec<Value> {
    let all = report["findings"].as_array().unwrap();
    all.iter().filter(|finding| finding["severity"] == severity).cloned().collect()
}

/// Does something while these tags are pulled again and again; each pull has to bring everything.
fn pulled_all_along<T>(registry: &Registry, repository: &str, tags: &[&str], act: impl FnOnce() -> T) -> T {
    let is_over = AtomicBool::new(false);
    let pull = || {
        for tag in tags {
            if let Err(missing) = registry.client().pull(repository, tag) {
                return Some(format!("{repository}:{tag}: {missing}"));
            }
        }
        None
    };
    thread::scope(|scope| {
        let puller = scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                if let Some(missing) = pull() {
                    return Some(missing);
                }
            }
            pull()
        });
        // Also set when the test fails meanwhile, since the scope waits for the puller.
        let over = SetWhenDropped(&is_over);
        let done = act();
        drop(over);
        if let Some(missing) = puller.join().unwrap() {
            panic!("{missing}");
        }
        done
    })
}

struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A process that a script left, ended by its own id when the test is over.
#[derive(Debug)]
struct LeftBehind(u32);

impl LeftBehind {
    /// Takes charge of the process whose id stands in this file.
    fn named_in(pid_file: &Path) -> Self {
        Self(fs::read_to_string(pid_file).unwrap().trim().parse().unwrap())
    }

    fn is_alive(&self) -> bool {
        is_alive(self.0)
    }

    /// Ends it and waits for its end.
    fn end(&self) {
        self.kill();
        wait_until("the process has ended", || !self.is_alive());
    }

    /// The id may be another process's by now, so only a sleeper is ended.
    fn kill(&self) {
        if fs::read(format!("/proc/{}/cmdline", self.0)).is_ok_and(|it| it.starts_with(b"sleep\0")) {
            kill(self.0);
        }
    }
}

impl Drop for LeftBehind {
    fn drop(&mut self) {
        self.kill();
    }
}

/// SIGKILL to one process.
fn kill(id: u32) {
    let pid = Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
    // It may have ended in this very moment.
    kill_process(pid, Signal::KILL).ok();
}

#[track_caller]
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..400 {
        if holds() {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("waited in vain until {what}");
}

/// The one blob that only this image has, of those that are no manifest.
fn own_blob<'a>(image: &'a Image, others: &Image) -> &'a Digest {
    image.blobs().keys().find(|digest| !others.blobs().contains_key(digest)).unwrap()
}

/// Damages a registry's store.
fn damage(registry: &Registry) -> Damage {
    Damage::to(&registry.view())
}

#[track_caller]
fn assert_blobs(registry: &Registry, expected: &BTreeSet<Digest>) {
    assert_eq!(blobs_on_disk(registry), *expected);
}
