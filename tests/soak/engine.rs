//! The engines that a soak can run beside, as settings of the janitor.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use janitor_testkit::{Janitor, Registry};
use jiff::SignedDuration;
use registry_janitor::cli::{EngineChoice, LogFormat, LogLevel, OutputFormat};
use registry_janitor::config::{Collection, Config, Guards, Quiet};
use registry_janitor::policy::Policy;
use registry_janitor::store::{Op, Watch};

use crate::sweeps::Sweeper;

/// What reclaims blobs, if anything does.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    pub(crate) name: &'static str,
    settings: &'static [(&'static str, &'static str)],
    /// How much longer each rename takes.
    delay: Duration,
    looks_again: bool,
}

impl Engine {
    /// Tags and manifests go, blobs stay.
    pub(crate) fn prune_only() -> Self {
        Self {
            name: "prune only",
            settings: &[("RUN_GC", "false")],
            delay: Duration::from_millis(60),
            looks_again: true,
        }
    }

    /// The registry's own collector, which is not made to run beside pushes.
    pub(crate) fn stock() -> Self {
        let settings = &[("RUN_GC", "true"), ("GC_ENGINE", "registry")];
        Self { name: "stock collector", settings, ..Self::prune_only() }
    }

    /// The janitor's own collector, which is made to. A sweep of it makes many more renames.
    pub(crate) fn native() -> Self {
        let settings = &[("RUN_GC", "true"), ("GC_ENGINE", "native")];
        Self {
            name: "the janitor's own collector",
            settings,
            delay: Duration::from_millis(8),
            ..Self::prune_only()
        }
    }

    /// The same without the look that permits deleting, which no setting can take away.
    pub(crate) fn native_without_second_look() -> Self {
        Self {
            name: "the janitor's own collector without a second look",
            looks_again: false,
            ..Self::native()
        }
    }

    /// Sweeps of this registry's store, slowed down: the time between its look at a repository and its renames
    /// there is when pushes are in danger.
    pub(crate) fn sweeper(
        &self,
        registry: &Registry,
        grace: Duration,
        settle: Duration,
        keep: usize,
    ) -> Sweeper {
        if self.looks_again {
            Sweeper::Binary(self.janitor(registry, grace, settle).keep(keep))
        } else {
            Sweeper::InProcess(Box::new(without_second_look(registry, grace, settle, keep)), self.delay)
        }
    }

    fn janitor(&self, registry: &Registry, grace: Duration, settle: Duration) -> Janitor {
        let janitor = Janitor::for_registry(env!("CARGO_BIN_EXE_janitor"), registry)
            .env("GC_GRACE", &format!("{}ms", grace.as_millis()))
            .env("GC_SETTLE", &format!("{}ms", settle.as_millis()))
            .env("JANITOR_JOBS", "2")
            // The pushers bring repositories and let them fade: a sweep may take most of what is there.
            .env("MAX_REMOVE_PERCENT", "100")
            .env("JANITOR_ACCEPT_LOSSES", "true")
            .with_slow_renames(self.delay);
        self.settings.iter().fold(janitor, |janitor, (name, value)| janitor.env(name, value))
    }
}

fn without_second_look(registry: &Registry, grace: Duration, settle: Duration, keep: usize) -> Config {
    let grace = SignedDuration::try_from(grace).expect("a short time");
    Config {
        policy: Policy {
            keep_last: u32::try_from(keep).expect("a small number"),
            grace,
            trust_equal_push_times: false,
            untagged_stay: false,
        },
        delete_untagged: true,
        grace,
        guards: Guards { max_remove_percent: 100, accept_losses: true },
        undo_window: SignedDuration::ZERO,
        dry_run: false,
        run_once: true,
        interval: Duration::from_secs(3600),
        lock_wait: Duration::from_secs(60),
        jobs: 2,
        data_dir: registry.store().into(),
        settle,
        collection: Some(Collection {
            engine: EngineChoice::Native,
            binary: "no-such-registry".into(),
            is_binary_given: false,
            search: Vec::new(),
            config: registry.config().into(),
            environment: BTreeMap::new(),
            timeout: Duration::from_secs(60),
            quiet: Quiet { age: Duration::ZERO, patience: Duration::ZERO },
        }),
        probe: None,
        output: OutputFormat::None,
        log_format: LogFormat::Text,
        log_level: LogLevel::Error,
        heartbeat: registry.scratch().join("heartbeat.json"),
        doubt_max_age: jiff::SignedDuration::from_hours(7 * 24),
        skip_second_look: true,
    }
}

/// A storage whose renames take a while.
pub(crate) struct SlowRenames(pub(crate) Duration);

impl Watch for SlowRenames {
    fn before(&self, op: Op, _: &Path) -> io::Result<()> {
        if op == Op::Rename {
            thread::sleep(self.0);
        }
        Ok(())
    }
}
