//! SIGTERM and SIGINT end the janitor between two actions, whatever it is waiting for.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use janitor_testkit::{Collector, Interrupt, Janitor, Registry, Running, is_alive};

use crate::stage::{assert_all_pull, binary, blobs_on_disk, digests_of, janitor, names, push_versions};

/// The promise is two seconds; a loaded machine gets more, and still far less than what is waited for.
const SOON: Duration = Duration::from_secs(20);

/// A collector whose real run never ends, and the file that it writes its process id to.
fn hanging_collector(registry: &Registry, body: &str) -> (PathBuf, PathBuf) {
    let pid_file = registry.scratch().join("collector.pid");
    let scripts = Collector::scripts_in(registry.scratch());
    let body = format!("echo $$ > '{0}.new'; mv '{0}.new' '{0}'; {body}", pid_file.display());
    (scripts.with_real_run("hanging", &body), pid_file)
}

fn wait_for_collector(running: &mut Running, pid_file: &Path) -> u32 {
    running.wait_until("the collector hangs", |_| pid_file.exists());
    let text = fs::read_to_string(pid_file).unwrap();
    text.trim().parse().unwrap()
}

fn wait_for_first_sweep(running: &mut Running, registry: &Registry, expected: usize) {
    running.wait_until("the first sweep has collected", |_| blobs_on_disk(registry).len() == expected);
}

#[test]
fn the_loop_ends_on_sigterm_and_on_sigint() {
    for (interrupt, code) in [(Interrupt::Term, 143), (Interrupt::Int, 130)] {
        let registry = Registry::start();
        let images = push_versions(&registry, "app", 3);
        let kept = digests_of(&images[2..]);
        let mut running = janitor(&registry).keep(1).looping().spawn();
        wait_for_first_sweep(&mut running, &registry, kept.len());

        running.signal(interrupt);
        running.end_within(SOON).assert_code(code);

        assert_eq!(blobs_on_disk(&registry), kept);
        assert_all_pull(&registry, "app");
    }
}

#[test]
fn a_signal_ends_the_collector_too() {
    for (interrupt, code) in [(Interrupt::Term, 143), (Interrupt::Int, 130)] {
        let registry = Registry::start();
        let images = push_versions(&registry, "app", 3);
        let (collector, pid_file) = hanging_collector(&registry, "exec sleep 600");
        let mut running = janitor(&registry).keep(1).collector(&collector).spawn();
        let pid = wait_for_collector(&mut running, &pid_file);

        running.signal(interrupt);
        running.end_within(SOON).assert_code(code);

        assert!(!is_alive(pid), "the collector outlived the janitor");
        assert_all_pull(&registry, "app");
        janitor(&registry).keep(1).run().assert_code(0);
        assert_eq!(blobs_on_disk(&registry), digests_of(&images[2..]));
    }
}

#[test]
fn a_collector_that_will_not_hear_is_ended_all_the_same() {
    let registry = Registry::start();
    push_versions(&registry, "app", 3);
    let deaf = "trap '' TERM INT HUP; while :; do sleep 1; done";
    let (collector, pid_file) = hanging_collector(&registry, deaf);
    let mut running = janitor(&registry).keep(1).collector(&collector).spawn();
    let pid = wait_for_collector(&mut running, &pid_file);

    running.signal(Interrupt::Term);
    running.end_within(SOON).assert_code(143);

    assert!(!is_alive(pid), "the collector outlived the janitor");
    assert_all_pull(&registry, "app");
}

#[test]
fn a_sweep_interrupted_while_it_settles_is_finished_by_the_next() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 3);
    let mut running = janitor(&registry).keep(1).env("GC_SETTLE", "1h").spawn();
    running.wait_until("the tags are in the trash", |_| registry.view().tags("app") == names(&["v3"]));

    running.signal(Interrupt::Term);
    running.end_within(SOON).assert_code(143);

    assert_all_pull(&registry, "app");
    janitor(&registry).keep(1).run().assert_code(0);
    assert_eq!(registry.client().tags("app"), names(&["v3"]));
    assert_all_pull(&registry, "app");
    assert_eq!(blobs_on_disk(&registry), digests_of(&images[2..]));
}

#[test]
fn the_loop_outlives_a_sweep_that_fails_and_tries_again() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 3);
    let marker = registry.scratch().join("repaired");
    let scripts = Collector::scripts_in(registry.scratch());
    let body = format!("[ -e '{}' ] || exit 1\nexec \"$REAL\" \"$@\"", marker.display());
    let failing = scripts.with_real_run("failing", &body);
    let mut running =
        janitor(&registry).keep(1).collector(&failing).looping().env("JANITOR_INTERVAL_SECS", "1").spawn();
    running.wait_until("two collections failed", |_| {
        scripts.calls("failing").iter().filter(|call| !call.contains("--dry-run")).count() >= 2
    });
    fs::write(&marker, "").unwrap();
    wait_for_first_sweep(&mut running, &registry, digests_of(&images[2..]).len());

    running.signal(Interrupt::Term);
    running.end_within(SOON).assert_code(143);

    assert_all_pull(&registry, "app");
}

#[test]
fn the_loop_waits_for_a_store_that_is_not_there_yet() {
    let registry = Registry::start();
    let mut running = janitor(&registry).keep(1).looping().env("JANITOR_INTERVAL_SECS", "1").spawn();
    running.wait_until("it has said that there is no store", |running| !running.stderr_so_far().is_empty());
    push_versions(&registry, "app", 3);
    running.wait_until("the tags are gone", |_| registry.view().tags("app") == names(&["v3"]));

    running.signal(Interrupt::Term);
    running.end_within(SOON).assert_code(143);
}

#[test]
fn health_follows_the_loops_heartbeat() {
    let registry = Registry::start();
    push_versions(&registry, "app", 1);
    let heartbeat = registry.scratch().join("heartbeat.json");
    let health =
        Janitor::bare(binary()).env("JANITOR_HEARTBEAT", &heartbeat.display().to_string()).arg("health");
    health.run().assert_code(1);
    let mut running = janitor(&registry).looping().spawn();
    running.wait_until("the heart beats", |_| heartbeat.exists());

    health.run().assert_code(0);

    running.signal(Interrupt::Term);
    running.end_within(SOON).assert_code(143);
}
