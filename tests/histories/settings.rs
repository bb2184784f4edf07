//! What a sweep of a history is told.

use std::path::Path;
use std::time::Duration;

use janitor_testkit::registry_bin;
use jiff::SignedDuration;
use registry_janitor::cli::{EngineChoice, LogFormat, LogLevel, OutputFormat};
use registry_janitor::config::{Collection, Config, Guards, Quiet};
use registry_janitor::policy::Policy;

/// What reclaims blobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// Nothing.
    Off,
    /// The stock collector.
    Registry,
    /// The janitor's own collector.
    Native,
}

/// The settings that a history varies.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) keep: usize,
    pub(crate) untagged_go: bool,
    pub(crate) grace_ms: i64,
    pub(crate) settle_ms: u64,
    pub(crate) jobs: usize,
    pub(crate) engine: Engine,
}

impl Settings {
    /// For a store; the registry's configuration is at `registry_config`.
    pub(crate) fn config(&self, store: &Path, registry_config: &Path, dry_run: bool) -> Config {
        let grace = SignedDuration::from_millis(self.grace_ms);
        Config {
            probe: None,
            policy: Policy {
                keep_last: u32::try_from(self.keep).unwrap(),
                grace,
                untagged_stay: !self.untagged_go,
                trust_equal_push_times: true,
            },
            guards: Guards { max_remove_percent: 100, accept_losses: true },
            undo_window: SignedDuration::ZERO,
            delete_untagged: self.untagged_go,
            grace,
            dry_run,
            run_once: true,
            interval: Duration::from_secs(3600),
            // A collector that another test starts holds every lock of this process until it has begun.
            lock_wait: Duration::from_secs(60),
            jobs: self.jobs,
            data_dir: store.into(),
            settle: Duration::from_millis(self.settle_ms),
            collection: (self.engine != Engine::Off).then(|| Collection {
                engine: if self.engine == Engine::Native {
                    EngineChoice::Native
                } else {
                    EngineChoice::Registry
                },
                binary: registry_bin(),
                is_binary_given: false,
                search: Vec::new(),
                config: registry_config.into(),
                environment: std::collections::BTreeMap::new(),
                timeout: Duration::from_secs(60),
                quiet: Quiet { age: Duration::ZERO, patience: Duration::ZERO },
            }),
            output: OutputFormat::None,
            log_format: LogFormat::Text,
            log_level: LogLevel::Error,
            heartbeat: store.join("unused"),
            doubt_max_age: jiff::SignedDuration::from_hours(7 * 24),
            skip_second_look: false,
        }
    }
}
