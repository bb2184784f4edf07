//! One soak: pushers and pullers beside sweeps in a tight loop, then everything looked at once more in peace.

use std::collections::BTreeSet;
use std::env;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use janitor_testkit::{Client, Registry};

use crate::engine::Engine;
use crate::ledger::Ledger;
use crate::pullers::{pull_at_the_end, pull_on};
use crate::pushers::{Shop, push_on};
use crate::sweeps::{Sweeps, Told};
use crate::tally::{Summary, Tag, Tally};

/// Tags that stay in each repository.
pub(crate) const KEEP: usize = 4;
const PUSHERS: usize = 5;
const PULLERS: usize = 2;
/// Younger things that nothing reaches stay.
const GRACE: Duration = Duration::from_secs(3);
/// Well above what a registry takes for one request; a request that takes longer is told apart.
const SETTLE: Duration = Duration::from_secs(2);

/// Pushes that a soak makes at least, within this time.
const BUSY: usize = 120;
const PATIENCE: Duration = Duration::from_secs(300);

/// Where everybody meets.
pub(crate) struct Field<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) client: Client,
    pub(crate) ledger: Ledger,
    pub(crate) sweeps: Sweeps,
    pub(crate) pushing: AtomicBool,
    pub(crate) began: Instant,
    pub(crate) grace: Duration,
    pub(crate) settle: Duration,
    tally: Mutex<Tally>,
}

/// What came of it.
pub(crate) struct Found {
    pub(crate) tally: Tally,
    pub(crate) sweeps: Vec<Told>,
    /// The last sweep, in peace.
    pub(crate) last: Told,
    /// Repository and tag of everything that is still tagged and does not pull.
    pub(crate) unpullable: BTreeSet<Tag>,
    /// All of it in words.
    pub(crate) summary: String,
}

impl Field<'_> {
    /// The counts.
    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long it is to last: `SOAK_SECS`, or this long.
pub(crate) fn seconds(default: u64) -> Duration {
    let given = env::var("SOAK_SECS").ok();
    Duration::from_secs(
        given.map_or(default, |given| given.parse().expect("SOAK_SECS is a number of seconds")),
    )
}

/// Lets everybody loose for so long. `meanwhile` runs beside them.
pub(crate) fn soak(
    registry: &Registry,
    engine: &Engine,
    duration: Duration,
    meanwhile: impl FnOnce(&Field<'_>),
) -> Found {
    soak_until(registry, engine, duration, meanwhile, |_| false)
}

/// The same until something has been seen, which `is_over` tells.
pub(crate) fn soak_until(
    registry: &Registry,
    engine: &Engine,
    duration: Duration,
    meanwhile: impl FnOnce(&Field<'_>),
    is_over: impl Fn(&Field<'_>) -> bool,
) -> Found {
    let seed = env::var("SOAK_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().expect("a seed"));
    let mut random = Rng::with_seed(seed);
    let field = Field {
        registry,
        client: registry.client(),
        ledger: Ledger::new(KEEP),
        sweeps: Sweeps::default(),
        pushing: AtomicBool::new(true),
        began: Instant::now(),
        grace: GRACE,
        settle: SETTLE,
        tally: Mutex::default(),
    };
    let sweeper = engine.sweeper(registry, GRACE, SETTLE, KEEP);
    let sweeping = AtomicBool::new(true);
    let shop = Shop::stocked();
    thread::scope(|scope| {
        let sweeper = scope.spawn(|| {
            // One at least begins after the store has something in it.
            while field.client.catalog().is_empty() {
                thread::sleep(Duration::from_millis(20));
            }
            while sweeping.load(Ordering::Relaxed) {
                field.sweeps.one(&sweeper);
            }
        });
        let mut clients = Vec::new();
        for _ in 0..PUSHERS {
            let random = random.fork();
            clients.push(scope.spawn(|| push_on(&field, &shop, random)));
        }
        for _ in 0..PULLERS {
            let random = random.fork();
            clients.push(scope.spawn(|| pull_on(&field, random)));
        }
        let apart = panic::catch_unwind(panic::AssertUnwindSafe(|| {
            meanwhile(&field);
            let is_long_enough = || field.began.elapsed() >= duration || is_over(&field);
            // A slow machine takes longer to do something worth looking at.
            let is_busy_enough = || field.tally().acknowledged >= BUSY || field.began.elapsed() >= PATIENCE;
            while !(is_long_enough() && (is_busy_enough() || is_over(&field))) {
                thread::sleep(Duration::from_millis(50));
            }
        }));
        // Whoever fails must not leave the others running for ever.
        field.pushing.store(false, Ordering::Relaxed);
        let ended: Vec<_> = clients.into_iter().map(thread::ScopedJoinHandle::join).collect();
        sweeping.store(false, Ordering::Relaxed);
        let swept = sweeper.join();
        if let Some(panic) = ended.into_iter().chain([apart, swept]).find_map(Result::err) {
            panic::resume_unwind(panic);
        }
    });
    let last = sweep_in_peace(&field, engine);
    pull_at_the_end(&field);
    let tally = field.tally().clone();
    let sweeps = field.sweeps.all();
    let title = format!("soak beside {} for {} s, SOAK_SEED={seed}", engine.name, duration.as_secs());
    let summary = Summary { title, tally: &tally, sweeps: &sweeps }.to_string();
    println!("{summary}");
    Found { tally, sweeps, last, unpullable: unpullable(registry), summary }
}

/// The last sweep, when everything that may go is old enough.
fn sweep_in_peace(field: &Field<'_>, engine: &Engine) -> Told {
    thread::sleep(field.grace + Duration::from_millis(500));
    field.sweeps.one(&engine.sweeper(field.registry, Duration::from_secs(1), Duration::ZERO, KEEP))
}

/// Every tag that the registry still has and cannot serve whole.
fn unpullable(registry: &Registry) -> BTreeSet<Tag> {
    let client = registry.client();
    let mut found = BTreeSet::new();
    for repository in client.catalog() {
        for tag in client.tags(&repository) {
            if client.pull(&repository, &tag).is_err() {
                found.insert((repository.clone(), tag));
            }
        }
    }
    found
}
