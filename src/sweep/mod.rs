//! One sweep: the one place that knows the order of things.
//!
//! ```text
//! lock -> look -> decide -> tags -> manifests -> settle, second look -> blobs -> verify -> report
//! ```
//!
//! An audit takes the same steps up to the acting, and holds no lock, so nothing that changes the
//! store can be called from it: every such call asks for the lock.

mod act;
mod aliases;
mod audit;
mod collect;
mod doubt;
mod empty;
mod engine;
mod first_seen;
mod guard;
mod hollow;
mod laps;
mod manifests;
mod memory;
mod missed;
mod native;
mod outcome;
mod probe;
mod quiet;
mod reclaim;
mod references;
mod settle;
mod stock;
mod undo;
mod verify;

use std::cell::OnceCell;
use std::io;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::config::Config;
use crate::model::{Code, FirstSeen, Inventory, Known, Place, Problem, Severity, UndoTrash};
use crate::plan::{self, Grace, Remains};
use crate::policy::Verdict;
use crate::report::{CollectionStatus, SweepReport};
use crate::stop::{Interrupted, Length, Stop};
use crate::store::{LockError, Memory, OpenError, OwnTouches, SeenEmpty, StorageClock, Store, StoreLock};
pub(crate) use aliases::alias_doubts;
use engine::Engine;
use guard::Losses;
use hollow::Hollow;
use laps::Laps;

/// A difference of clocks that is worth telling.
const SKEW_TOLD: SignedDuration = SignedDuration::from_mins(5);
/// How often a sweep that waits for the lock tries again.
const LOCK_POLL: Duration = Duration::from_millis(500);

/// Why a sweep could not be made, or was not finished.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The store cannot be worked on.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The lock could not be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A guard refused, before anything was removed.
    #[error("refused: {0}")]
    Refused(String),
    /// The storage's clock could not be read.
    #[error("cannot read the storage's clock (is the storage full or read-only?): {0}")]
    Clock(#[source] io::Error),
    /// A stop was asked for.
    #[error("{0}; the next sweep tidies up")]
    Interrupted(#[from] Interrupted),
}

impl SweepError {
    /// The exit code that says the same.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Open(OpenError::NoStore { .. }) => 10,
            Self::Lock(LockError::Held(_)) => 11,
            Self::Open(OpenError::Refused(_)) | Self::Refused(_) => 12,
            Self::Interrupted(Interrupted { signal }) => {
                128_u8.saturating_add(u8::try_from(*signal).unwrap_or(0))
            }
            Self::Open(_) | Self::Lock(_) | Self::Clock(_) => 1,
        }
    }
}

/// Makes one sweep, or one audit.
///
/// # Errors
/// [`SweepError`]. Troubles with parts of the store are not errors; they are in the report.
pub fn sweep(config: &Config, stop: &Stop) -> Result<SweepReport, SweepError> {
    let store = Store::open(&config.data_dir, config.jobs, None)?;
    sweep_store(&store, config, stop)
}

/// Makes one of several sweeps, which know of a store that was not there before.
///
/// # Errors
/// As [`sweep`].
pub fn sweep_again(config: &Config, stop: &Stop, seen: &mut SeenEmpty) -> Result<SweepReport, SweepError> {
    let store = match Store::open(&config.data_dir, config.jobs, None) {
        Ok(store) => store,
        Err(error) => {
            seen.look(&config.data_dir, &error);
            return Err(error.into());
        }
    };
    let swept = sweep_store_of(&store, config, stop, seen.has_become(&store));
    if swept.is_ok() {
        seen.forget();
    }
    swept
}

/// Makes one sweep, or one audit, of a store that is open already.
///
/// # Errors
/// As [`sweep`].
pub fn sweep_store(store: &Store, config: &Config, stop: &Stop) -> Result<SweepReport, SweepError> {
    sweep_store_of(store, config, stop, false)
}

fn sweep_store_of(
    store: &Store,
    config: &Config,
    stop: &Stop,
    is_new: bool,
) -> Result<SweepReport, SweepError> {
    let engine = Engine::prepare(config, store);
    if let Engine::Elsewhere(why) = engine {
        return Err(SweepError::Refused(why));
    }
    if config.dry_run {
        let clock = StorageClock::of_host();
        return Sweep { is_new, ..Sweep::new(store, config, stop, clock, engine) }.audit();
    }
    if config.grace.is_zero() || config.settle.is_zero() {
        tracing::warn!("with GC_GRACE=0s or GC_SETTLE=0s, nothing protects pushes that are under way");
    }
    let wait = if config.run_once { config.lock_wait } else { Duration::ZERO };
    let lock = take_lock(store, wait, stop)?;
    let clock = store.clock(&lock).map_err(SweepError::Clock)?;
    Sweep { is_new, ..Sweep::new(store, config, stop, clock, engine) }.act(&lock)
}

/// The name of what begins at a time, for the trash.
pub(crate) fn name_of_run(now: Timestamp) -> String {
    format!("{}-{}", now.strftime("%Y%m%dT%H%M%S%3fZ"), std::process::id())
}

/// Why there is no lock.
pub(crate) enum NoLock {
    /// It could not be had.
    Lock(LockError),
    /// A stop was asked for.
    Interrupted(Interrupted),
}

impl From<LockError> for NoLock {
    fn from(error: LockError) -> Self {
        Self::Lock(error)
    }
}

impl From<Interrupted> for NoLock {
    fn from(error: Interrupted) -> Self {
        Self::Interrupted(error)
    }
}

impl From<NoLock> for SweepError {
    fn from(error: NoLock) -> Self {
        match error {
            NoLock::Lock(error) => Self::Lock(error),
            NoLock::Interrupted(error) => Self::Interrupted(error),
        }
    }
}

/// Takes the lock, and waits for it as long as it may take.
pub(crate) fn take_lock(store: &Store, wait: Duration, stop: &Stop) -> Result<StoreLock, NoLock> {
    let mut waited = Duration::ZERO;
    loop {
        match store.lock(StorageClock::of_host().now()) {
            Err(LockError::Held(holder)) if waited < wait => {
                if waited.is_zero() {
                    tracing::info!("waiting for the lock: {}", LockError::Held(holder));
                }
                stop.wait(LOCK_POLL)?;
                waited += LOCK_POLL;
            }
            taken => return Ok(taken?),
        }
    }
}

/// What a look found and what was decided on it: verdicts by repository, what is lost, and removed tags that go for good.
type Decided = (Inventory, Vec<Vec<Verdict>>, Losses, UndoTrash);

#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the store or the sweep")]
struct Sweep<'a> {
    store: &'a Store,
    config: &'a Config,
    stop: &'a Stop,
    clock: StorageClock,
    engine: Engine,
    laps: Laps,
    id: String,
    started_at: Timestamp,
    findings: Vec<Problem>,
    /// What this sweep has changed itself.
    own_touches: OwnTouches,
    /// Whether the store came into being since the janitor runs.
    is_new: bool,
    /// What is written down of what the last sweep, or this one, leaves.
    memory: Option<Memory>,
    /// When things whose times cannot be true were first seen.
    first_seen: FirstSeen,
    /// Whether what earlier sweeps remembered of that could not be read.
    is_first_seen_damaged: bool,
    /// Blobs that went out of use in earlier sweeps and are still there: for their age, for undo, or
    /// because they could not be collected. Nobody has to be told of them twice.
    told_blobs: usize,
    /// What is remembered of repositories and tags once this sweep has ended.
    known: Known,
    /// Whether the last sweep collected blobs by the same settings, so that whatever it left unreferenced, or went
    /// out of use since, may go.
    collects_as_before: bool,
    /// How much of what this sweep keeps was still there before it went for the blobs.
    meanwhile: Remains,
    /// Whether a guard would refuse the sweep that this audit foretells.
    is_refused: bool,
    /// Whether something is hidden and no list says so: then nothing is remembered, so that the next sweep looks for it.
    hides_unlisted: bool,
    /// Whether something is in the trash that should have been put back or deleted.
    trash_in_doubt: bool,
    /// Whether an earlier sweep wrote down since when doubt keeps the store from being collected.
    has_doubt_record: bool,
    /// Since when it does, after this sweep.
    in_doubt_since: Option<Timestamp>,
    hollow: Hollow,
    /// What came of asking the registries, once they were asked.
    probed: OnceCell<Option<(CollectionStatus, String)>>,
    /// When the last of the manifests that are held for their age may go.
    held_until: Option<Timestamp>,
    /// When what is held for undo goes, for each sweep that removed some of it.
    undo_due: Vec<Timestamp>,
    /// How many removed tags have outlived their window.
    undo_expired: usize,
}

impl<'a> Sweep<'a> {
    fn new(
        store: &'a Store,
        config: &'a Config,
        stop: &'a Stop,
        clock: StorageClock,
        engine: Engine,
    ) -> Self {
        let started_at = clock.now();
        let mut sweep = Self {
            store,
            config,
            stop,
            clock,
            engine,
            laps: Laps::start(),
            id: name_of_run(started_at),
            started_at,
            findings: Vec::new(),
            own_touches: OwnTouches::default(),
            is_new: false,
            memory: None,
            first_seen: FirstSeen::default(),
            is_first_seen_damaged: false,
            told_blobs: 0,
            known: Known::default(),
            collects_as_before: false,
            meanwhile: Remains::default(),
            is_refused: false,
            hides_unlisted: false,
            trash_in_doubt: false,
            has_doubt_record: false,
            in_doubt_since: None,
            hollow: Hollow::default(),
            probed: OnceCell::new(),
            held_until: None,
            undo_due: Vec::new(),
            undo_expired: 0,
        };
        sweep.findings.extend(Engine::missing_binary(config));
        if clock.skew().abs() > SKEW_TOLD {
            sweep.findings.push(Problem {
                severity: Severity::Warning,
                code: Code::ClockSkew,
                repository: None,
                path: "clock".into(),
                cause: format!("this host's clock and the storage's differ by {:#}", clock.skew()),
                remedy: "set the clocks; ages are measured by the storage's".into(),
            });
        }
        sweep
    }

    /// Ends the sweep without a report; what was found until then is logged.
    fn refuse(&self, refusals: &[Problem]) -> SweepError {
        for found in &self.findings {
            tracing::warn!("{found}");
        }
        SweepError::Refused(refusals.iter().map(Problem::to_string).collect::<Vec<_>>().join("; and "))
    }

    /// Puts back what an interrupted sweep had taken away; it is decided on anew.
    fn tidy_up(&mut self, lock: &StoreLock) -> Result<(), Interrupted> {
        let left = self.store.settle_leftovers(lock, self.stop)?;
        self.own_touches.add(left.put_back.iter().chain(&left.superseded));
        let told = |places: Vec<Place>, cause: &'static str| {
            places.into_iter().map(move |place| Problem {
                severity: Severity::Note,
                code: Code::PutBack,
                repository: Some(place.repository().clone()),
                path: place.to_string(),
                cause: cause.into(),
                remedy: "nothing; it is decided on anew".into(),
            })
        };
        self.findings.extend(told(left.put_back, "an interrupted sweep had taken it away; it was put back"));
        self.findings.extend(told(
            left.superseded,
            "an interrupted sweep had taken it away; it was pushed again since, and the new one stays",
        ));
        self.findings.extend(told(
            left.removed,
            "an interrupted sweep had taken it away, and somebody has removed its directory since; it was deleted",
        ));
        if left.shown > 0 {
            self.tell_of_shown(left.shown, "an interrupted sweep had hidden");
        }
        // While the trash holds what it should not, nothing more is put there but tags.
        self.trash_in_doubt = !left.problems.is_empty();
        self.has_doubt_record = left.has_doubt_record;
        self.findings.extend(left.problems);
        self.lap("tidy up");
        Ok(())
    }

    fn look_and_decide(&mut self, lock: Option<&StoreLock>) -> Result<Decided, Interrupted> {
        self.recall_first_seen();
        let inventory = self.store.scan(self.stop)?;
        let inventory = self.with_missed_manifests(lock, inventory)?;
        self.lap("scan");
        let inventory = self.without_scratches(lock, inventory)?;
        let inventory = self.judge_unread(inventory)?;
        let mut inventory = self.without_hollow_revisions(inventory)?;
        let expired = self.expired(&mut inventory);
        let now = self.clock.now();
        let odd = self.odd_times(&inventory, now);
        let losses = self.look_for_losses(&mut inventory);
        let verdicts = self.config.policy.evaluate(&inventory, &odd, now);
        self.tell_of_equal_times(&inventory, &verdicts);
        self.tell_of_incomplete(&inventory, &verdicts);
        Ok((inventory, verdicts, losses, expired))
    }

    /// Looks at the whole store once more; what was found before is still told.
    fn look_anew(&mut self, mut inventory: Inventory) -> Result<Inventory, Interrupted> {
        let problems = std::mem::take(&mut inventory.problems);
        let mut inventory = self.judge_unread(self.store.scan_again(inventory, self.stop)?)?;
        inventory.problems.extend(problems);
        Ok(inventory)
    }

    /// Decides which revisions that cannot be read are a doubt.
    fn judge_unread(&mut self, inventory: Inventory) -> Result<Inventory, Interrupted> {
        let (grace, is_on) = (self.grace(), self.config.delete_untagged);
        let (store, stop) = (self.store, self.stop);
        let link_ages = |places: Vec<Place>| {
            let ages = store.link_ages(places.iter().cloned(), stop)?;
            Ok(places.iter().zip(ages).map(|(place, age)| self.counted(place, age)).collect())
        };
        plan::judge_unread(inventory, link_ages, |from| is_on && grace.is_over(from))
    }

    /// Whether any root is in doubt: what is still in the trash counts as one.
    fn in_doubt(&self, inventory: &Inventory) -> bool {
        self.trash_in_doubt || inventory.in_doubt()
    }

    fn grace(&self) -> Grace {
        Grace { age: self.config.grace, now: self.clock.now() }
    }

    fn failed(&mut self, path: String, error: &io::Error) {
        self.findings.push(Problem::of_failed_step(path, error));
    }

    fn begin(&self, stage: &'static str, steps: usize) {
        self.stop.begin(stage, Length::Steps(steps as u64));
    }

    fn lap(&mut self, name: &'static str) {
        self.laps.lap(name, self.store.io_counts().total());
    }
}
