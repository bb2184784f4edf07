//! Sweeps back to back, and what each of them told.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use janitor_testkit::Janitor;
use registry_janitor::config::Config;
use registry_janitor::stop::Stop;
use registry_janitor::store::Store;
use registry_janitor::sweep::sweep_store;
use serde_json::Value;

use crate::engine::SlowRenames;
use crate::tally::Tag;

/// A sweep that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(180);

/// How sweeps are made.
pub(crate) enum Sweeper {
    /// By the binary, as a user does.
    Binary(Janitor),
    /// By the library, with what no user can ask for, and renames that take so much longer.
    InProcess(Box<Config>, Duration),
}

impl Sweeper {
    fn sweep(&self) -> Told {
        match self {
            Self::Binary(janitor) => {
                let outcome = janitor.spawn().end_within(PATIENCE);
                Told::of(outcome.code, &outcome.report())
            }
            Self::InProcess(config, delay) => {
                let watch = Box::new(SlowRenames(*delay));
                let store = Store::open(&config.data_dir, config.jobs, Some(watch)).expect("a store");
                let report = sweep_store(&store, config, &Stop::default()).expect("a sweep");
                let json = serde_json::to_value(&report).expect("a report");
                Told::of(Some(report.exit_code.into()), &json)
            }
        }
    }
}

/// What one sweep told.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) code: Option<i32>,
    pub(crate) collection: String,
    pub(crate) tags_removed: u64,
    pub(crate) manifests_removed: u64,
    pub(crate) blobs_removed: u64,
    /// Blobs that a push had come to need between the two looks, and that came back.
    pub(crate) blobs_rescued: u64,
    /// Repository and tag of each image that it found broken.
    pub(crate) broken: BTreeSet<Tag>,
    /// What was in the trash already and went back, because a push had come to need it.
    pub(crate) put_back: usize,
    /// What each broken image lacks, as text.
    pub(crate) lacks: Vec<String>,
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
    pub(crate) fn one(&self, sweeper: &Sweeper) -> Told {
        self.lock().begun += 1;
        let told = sweeper.sweep();
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
    fn of(code: Option<i32>, report: &Value) -> Self {
        let list = |name: &str| report[name].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let total = |name: &str| report["totals"][name].as_u64().unwrap_or_default();
        let is_trouble = |finding: &&Value| matches!(finding["severity"].as_str(), Some("doubt" | "error"));
        let is_put_back = |finding: &&Value| text(&finding["cause"]).contains("was put back");
        Self {
            code,
            collection: text(&report["collection"]["status"]),
            tags_removed: total("tags_removed"),
            manifests_removed: total("manifests_removed"),
            blobs_removed: total("blobs_removed"),
            blobs_rescued: report["collection"]["blobs_rescued"].as_u64().unwrap_or_default(),
            broken: list("broken").iter().map(|it| (text(&it["repository"]), text(&it["tag"]))).collect(),
            put_back: list("findings").iter().filter(is_put_back).count(),
            lacks: list("broken").iter().map(ToString::to_string).collect(),
            troubles: list("findings").iter().filter(is_trouble).map(ToString::to_string).collect(),
        }
    }
}
