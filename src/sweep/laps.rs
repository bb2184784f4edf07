//! How long each stage takes, and how many file operations.

#![expect(clippy::disallowed_methods, reason = "timing is the sweep's business")]

use std::time::Instant;

use crate::report::Stage;

#[derive(Debug)]
pub(super) struct Laps {
    since: Instant,
    operations: u64,
    stages: Vec<Stage>,
}

impl Laps {
    /// Opening the store was before, and counts as a part of the first stage.
    pub(super) fn start() -> Self {
        Self { since: Instant::now(), operations: 0, stages: Vec::new() }
    }

    pub(super) fn lap(&mut self, name: &'static str, operations: u64) {
        let now = Instant::now();
        self.stages.push(Stage {
            name,
            millis: u64::try_from(now.duration_since(self.since).as_millis()).unwrap_or(u64::MAX),
            operations: operations - self.operations,
        });
        self.since = now;
        self.operations = operations;
    }

    pub(super) fn into_stages(self) -> Vec<Stage> {
        self.stages
    }
}
