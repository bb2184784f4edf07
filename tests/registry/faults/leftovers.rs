//! Processes that outlive the janitor or the collector, and those that must not.

use std::path::{Path, PathBuf};

use janitor_testkit::{Collector, Interrupt, Registry, Running};

use super::{LeftBehind, SOON, assert_blobs, kill, wait_until};
use crate::stage::{assert_all_pull, digests_of, janitor, names, push_versions};

/// Shell code that writes a process id to a file in one step.
fn note(pid: &str, file: &Path) -> String {
    format!("echo {pid} > '{0}.new'; mv '{0}.new' '{0}'", file.display())
}

/// A janitor whose collector sleeps and does not hear when it is told to end.
fn janitor_with_deaf_collector(registry: &Registry) -> (Running, PathBuf) {
    let pid_file = registry.scratch().join("collector.pid");
    let scripts = Collector::scripts_in(registry.scratch());
    // What is ignored stays ignored in the program that takes the shell's place.
    let body = format!("trap '' TERM INT HUP\n{}\nexec sleep 600", note("$$", &pid_file));
    let deaf = scripts.with_real_run("deaf", &body);
    let mut running = janitor(registry).keep(1).collector(&deaf).spawn();
    running.wait_until("the collector sleeps", |_| pid_file.exists());
    (running, pid_file)
}

#[test]
fn a_collector_that_outlives_a_killed_janitor_keeps_the_next_one_out() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 3);
    let (running, pid_file) = janitor_with_deaf_collector(&registry);
    let collector = LeftBehind::named_in(&pid_file);

    kill(running.id());
    let outcome = running.end_within(SOON);
    assert_eq!(outcome.code, None, "it was killed");
    assert!(collector.is_alive(), "the collector is what this test is about");

    janitor(&registry).keep(1).run().assert_code(11);
    assert_all_pull(&registry, "app");

    collector.end();
    janitor(&registry).keep(1).run().assert_code(0);
    assert_eq!(registry.client().tags("app"), names(&["v3"]));
    assert_blobs(&registry, &digests_of(&images[2..]));
    assert_all_pull(&registry, "app");
}

#[test]
fn who_asks_twice_gets_out_at_once_and_leaves_no_collector_and_no_child_of_it() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 3);
    let [own_file, child_file] = ["own.pid", "child.pid"].map(|name| registry.scratch().join(name));
    let scripts = Collector::scripts_in(registry.scratch());
    let body = format!(
        "trap '' TERM INT HUP\nsleep 600 &\n{}\n{}\nexec sleep 600",
        note("$!", &child_file),
        note("$$", &own_file)
    );
    let deaf = scripts.with_real_run("deaf", &body);
    let mut running = janitor(&registry).keep(1).collector(&deaf).spawn();
    running.wait_until("the collector hangs", |_| own_file.exists());
    let [collector, child] = [&own_file, &child_file].map(|file| LeftBehind::named_in(file));

    running.signal(Interrupt::Term);
    // Two signals that come at the same moment are one.
    running.wait_until("it has heard the first", |running| running.stderr_so_far().contains("once more"));
    running.signal(Interrupt::Term);
    running.end_within(SOON).assert_code(143);

    wait_until("the collector has ended", || !collector.is_alive());
    wait_until("its child has ended", || !child.is_alive());
    assert_all_pull(&registry, "app");
    janitor(&registry).keep(1).run().assert_code(0);
    assert_blobs(&registry, &digests_of(&images[2..]));
}

#[test]
fn a_collector_that_leaves_a_child_with_its_output_open_does_not_hold_the_sweep() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 3);
    let pid_file = registry.scratch().join("sleeper.pid");
    let scripts = Collector::scripts_in(registry.scratch());
    let body = format!("setsid sleep 60 &\n{}\nexec \"$REAL\" \"$@\"", note("$!", &pid_file));
    let leaving = scripts.with_real_run("leaving", &body);

    let mut running = janitor(&registry).keep(1).collector(&leaving).spawn();
    running.wait_until("it has left the sleeper", |_| pid_file.exists());
    let sleeper = LeftBehind::named_in(&pid_file);
    let outcome = running.end_within(SOON).assert_code(3);

    assert!(sleeper.is_alive(), "the sweep waited for the sleeper");
    let report = outcome.report();
    assert_eq!(report["collection"]["status"], "failed", "{report}");
    assert!(report["collection"]["detail"].to_string().contains("output"), "{report}");
    assert_all_pull(&registry, "app");
    // The sleeper does not hold the lock.
    janitor(&registry).keep(1).run().assert_code(0);
    assert_blobs(&registry, &digests_of(&images[2..]));
}
