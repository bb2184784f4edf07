//! The engines that a soak can run beside, as settings of the janitor.

use std::time::Duration;

use janitor_testkit::{Janitor, Registry};

/// What reclaims blobs, if anything does.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    pub(crate) name: &'static str,
    settings: &'static [(&'static str, &'static str)],
}

impl Engine {
    /// Tags and manifests go, blobs stay.
    pub(crate) fn prune_only() -> Self {
        Self { name: "prune only", settings: &[("RUN_GC", "false")] }
    }

    /// The registry's own collector, which is not made to run beside pushes.
    pub(crate) fn stock() -> Self {
        let settings = &[("RUN_GC", "true"), ("GC_ENGINE", "registry")];
        Self { name: "stock collector", settings }
    }

    /// A sweep of this registry's store, slowed down: the time between its look at a repository and its renames
    /// there is when pushes are in danger.
    pub(crate) fn janitor(&self, registry: &Registry, grace: Duration, settle: Duration) -> Janitor {
        let janitor = Janitor::for_registry(env!("CARGO_BIN_EXE_janitor"), registry)
            .env("GC_GRACE", &format!("{}ms", grace.as_millis()))
            .env("GC_SETTLE", &format!("{}ms", settle.as_millis()))
            .env("JANITOR_JOBS", "2")
            // The pushers bring repositories and let them fade: a sweep may take most of what is there.
            .env("MAX_REMOVE_PERCENT", "100")
            .env("JANITOR_ACCEPT_LOSSES", "true")
            .with_slow_renames(Duration::from_millis(60));
        self.settings.iter().fold(janitor, |janitor, (name, value)| janitor.env(name, value))
    }
}
