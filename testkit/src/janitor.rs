//! Runs the janitor's binary as a user would, in an environment of only what the test sets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::process::{Drain, Interrupt, end, poll, signal, wait};
use crate::registry::find_program;
use crate::{Registry, registry_bin};

/// No test's sweep takes longer than this on any machine; a janitor that does hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// A command line of the janitor: settings by environment, and flags.
#[derive(Clone, Debug)]
pub struct Janitor {
    binary: PathBuf,
    environment: BTreeMap<String, String>,
    arguments: Vec<String>,
}

impl Janitor {
    /// The janitor with no settings at all. Pass `env!("CARGO_BIN_EXE_janitor")`.
    pub fn bare(binary: impl Into<PathBuf>) -> Self {
        let environment = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
        Self { binary: binary.into(), environment, arguments: Vec::new() }
    }

    /// One sweep of a directory, with a JSON report and no waiting: nothing is too young to go.
    ///
    /// `TEST_GC_ENGINE` has the tests that do not name an engine run with another one than the registry's.
    pub fn once(binary: impl Into<PathBuf>, store: &Path, config: &Path) -> Self {
        let engine = std::env::var("TEST_GC_ENGINE").unwrap_or_else(|_| "auto".to_owned());
        Self::bare(binary)
            .env("GC_ENGINE", &engine)
            .env("RUN_ONCE", "true")
            .env("GC_GRACE", "0s")
            .env("GC_SETTLE", "0s")
            .env("GC_QUIET", "0s")
            .env("JANITOR_OUTPUT", "json")
            .env("JANITOR_DATA_DIR", &store.display().to_string())
            .env("JANITOR_REGISTRY_CONFIG", &config.display().to_string())
            .env("JANITOR_REGISTRY_BIN", &registry_bin().display().to_string())
    }

    /// One sweep of a running registry's store.
    pub fn for_registry(binary: impl Into<PathBuf>, registry: &Registry) -> Self {
        let mut janitor = Self::once(binary, registry.store(), registry.config());
        janitor.environment.extend(registry.environment());
        let heartbeat = registry.scratch().join("heartbeat.json");
        janitor.env("JANITOR_HEARTBEAT", &heartbeat.display().to_string())
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Takes a variable away.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Runs it under another program, whose own arguments come first.
    #[must_use]
    pub fn under(mut self, program: &str, arguments: &[String]) -> Self {
        let janitor = std::mem::replace(&mut self.binary, program.into()).display().to_string();
        self.arguments.splice(0..0, arguments.iter().cloned().chain([janitor]));
        self
    }

    /// The newest N tags stay.
    #[must_use]
    pub fn keep(self, newest: usize) -> Self {
        self.env("KEEP_LAST_N", &newest.to_string())
    }

    /// Says what would go and changes nothing.
    #[must_use]
    pub fn audit(self) -> Self {
        self.env("DRY_RUN", "true")
    }

    /// Another program in the place of the registry's collector, which is the engine then.
    #[must_use]
    pub fn collector(self, binary: &Path) -> Self {
        self.env("GC_ENGINE", "registry").env("JANITOR_REGISTRY_BIN", &binary.display().to_string())
    }

    /// Each rename takes this much longer, as on storage behind a network, so that more happens in between.
    #[must_use]
    pub fn with_slow_renames(mut self, delay: Duration) -> Self {
        let program = self.binary.display().to_string();
        let delayed = format!("inject=/^rename:delay_enter={}", delay.as_micros());
        let tracer =
            ["-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=/^rename", "-e", &delayed];
        let command = tracer.into_iter().chain([program.as_str()]).map(ToOwned::to_owned);
        self.arguments = command.chain(self.arguments).collect();
        self.binary = find_program(&["strace"]).expect("strace is installed");
        self
    }

    /// Sweeps again and again, an hour apart.
    #[must_use]
    pub fn looping(self) -> Self {
        self.env("RUN_ONCE", "false").env("JANITOR_INTERVAL_SECS", "3600")
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(&self) -> Outcome {
        self.spawn().end_within(PATIENCE)
    }

    /// Starts it.
    pub fn spawn(&self) -> Running {
        let mut child = Command::new(&self.binary)
            .args(&self.arguments)
            .env_clear()
            .envs(&self.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.binary.display()));
        let stdout = Drain::of(child.stdout.take().expect("stdout is a pipe"));
        let stderr = Drain::of(child.stderr.take().expect("stderr is a pipe"));
        Running { child: Some(child), pipes: Some((stdout, stderr)) }
    }
}

/// A janitor at work; ends with the value.
#[derive(Debug)]
pub struct Running {
    child: Option<Child>,
    pipes: Option<(Drain, Drain)>,
}

impl Running {
    /// Sends it a signal.
    pub fn signal(&self, interrupt: Interrupt) {
        signal(self.child.as_ref().expect("the janitor runs"), interrupt);
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.as_ref().expect("the janitor runs").id()
    }

    /// What it has written to stdout so far.
    pub fn stdout_so_far(&self) -> String {
        self.pipes.as_ref().map(|(stdout, _)| stdout.so_far()).unwrap_or_default()
    }

    /// What it has written to stderr so far.
    pub fn stderr_so_far(&self) -> String {
        self.pipes.as_ref().map(|(_, stderr)| stderr.so_far()).unwrap_or_default()
    }

    /// Waits until the test's condition holds; fails the test when the janitor ends before, or it never does.
    #[track_caller]
    pub fn wait_until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let met = poll(PATIENCE, || {
            if holds(self) {
                return Some(true);
            }
            let child = self.child.as_mut().expect("the janitor runs");
            let ended = child.try_wait().expect("a child can be waited for");
            // What it wrote last is still looked at once more.
            ended.map(|_| holds(self))
        });
        assert!(met == Some(true), "waited in vain until {what}\n{}", self.stderr_so_far());
    }

    /// Waits for its end; fails the test when it has not ended after this long.
    #[track_caller]
    pub fn end_within(mut self, patience: Duration) -> Outcome {
        let mut child = self.child.take().expect("the janitor runs");
        let status = wait(&mut child, patience);
        if status.is_none() {
            end(&mut child);
        }
        let (stdout, stderr) = self.pipes.take().expect("its output is read");
        let stdout = stdout.all(Duration::from_secs(5));
        let stderr = stderr.all(Duration::from_secs(5));
        let Some(status) = status else {
            panic!("the janitor still ran after {patience:?}\n{stderr}\n{stdout}");
        };
        Outcome { code: status.code(), stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            end(child);
        }
    }
}

/// How a run of the janitor ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// The asked-for report.
    pub stdout: String,
    /// The log.
    pub stderr: String,
}

impl Outcome {
    /// Fails the test, showing the log, unless the exit code is this one.
    #[expect(clippy::return_self_not_must_use, reason = "many tests ask for the code only")]
    #[track_caller]
    pub fn assert_code(self, code: i32) -> Self {
        assert!(
            self.code == Some(code),
            "exit code {:?} instead of {code}\n--- stderr\n{}\n--- stdout\n{}",
            self.code,
            self.stderr,
            self.stdout
        );
        self
    }

    /// The JSON report of a single sweep.
    #[track_caller]
    pub fn report(&self) -> Value {
        let lines: Vec<&str> = self.stdout.lines().collect();
        assert!(
            lines.len() == 1,
            "one report on one line was expected\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout,
            self.stderr
        );
        serde_json::from_str(lines[0]).unwrap_or_else(|error| panic!("{error} in the report {}", lines[0]))
    }

    /// A number of the report's totals.
    #[track_caller]
    pub fn total(&self, name: &str) -> u64 {
        let report = self.report();
        report["totals"][name]
            .as_u64()
            .unwrap_or_else(|| panic!("no total named {name} in {}", report["totals"]))
    }

    /// What the report says about one repository.
    #[track_caller]
    pub fn repository(&self, name: &str) -> Value {
        let report = self.report();
        find(&report["repositories"], "name", name)
            .unwrap_or_else(|| panic!("no repository {name} in {}", report["repositories"]))
    }

    /// What the report says about one tag.
    #[track_caller]
    pub fn tag(&self, repository: &str, tag: &str) -> Value {
        let repository = self.repository(repository);
        find(&repository["tags"], "tag", tag).unwrap_or_else(|| panic!("no tag {tag} in {repository}"))
    }
}

fn find(list: &Value, key: &str, value: &str) -> Option<Value> {
    list.as_array()?.iter().find(|entry| entry[key] == value).cloned()
}
