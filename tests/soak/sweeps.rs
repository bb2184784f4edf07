//! Sweeps back to back, and what each of them told.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use janitor_testkit::{Janitor, Outcome};
use serde_json::Value;

use crate::tally::Tag;

/// A sweep that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(180);

/// What one sweep told.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) code: Option<i32>,
    pub(crate) collection: String,
    pub(crate) tags_removed: u64,
    pub(crate) manifests_removed: u64,
    pub(crate) blobs_removed: u64,
    /// Repository and tag of each image that it found broken.
    pub(crate) broken: BTreeSet<Tag>,
    /// What was in the trash already and went back, because a push had come to need it.
    pub(crate) put_back: usize,
    /// Findings that are doubts or errors, as text.
    pub(crate) troubles: Vec<String>,
}

/// The sweeps of one soak.
#[derive(Default)]
pub(crate) struct Sweeps {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    begun: usize,
    told: Vec<Told>,
}

impl Sweeps {
    /// Makes one sweep.
    pub(crate) fn one(&self, janitor: &Janitor) -> Told {
        self.lock().begun += 1;
        let told = Told::of(&janitor.spawn().end_within(PATIENCE));
        self.lock().told.push(told.clone());
        told
    }

    /// Waits until a sweep that had not begun yet has ended.
    pub(crate) fn wait_for_a_whole_one(&self) {
        let next = self.lock().begun + 1;
        let mut waited = Duration::ZERO;
        while self.lock().told.len() < next {
            assert!(waited < PATIENCE * 2, "no sweep ended in {waited:?}");
            thread::sleep(Duration::from_millis(50));
            waited += Duration::from_millis(50);
        }
    }

    /// The last one that ended.
    pub(crate) fn last(&self) -> Option<Told> {
        self.lock().told.last().cloned()
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Told> {
        self.lock().told.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    fn of(outcome: &Outcome) -> Self {
        let report = outcome.report();
        let list = |name: &str| report[name].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let total = |name: &str| report["totals"][name].as_u64().unwrap_or_default();
        let is_trouble = |finding: &&Value| matches!(finding["severity"].as_str(), Some("doubt" | "error"));
        let is_put_back = |finding: &&Value| text(&finding["cause"]).contains("was put back");
        Self {
            code: outcome.code,
            collection: text(&report["collection"]["status"]),
            tags_removed: total("tags_removed"),
            manifests_removed: total("manifests_removed"),
            blobs_removed: total("blobs_removed"),
            broken: list("broken").iter().map(|it| (text(&it["repository"]), text(&it["tag"]))).collect(),
            put_back: list("findings").iter().filter(is_put_back).count(),
            troubles: list("findings").iter().filter(is_trouble).map(ToString::to_string).collect(),
        }
    }
}
