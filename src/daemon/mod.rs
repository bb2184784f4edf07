//! The loop: a sweep, a wait, a sweep; it outlives every sweep that fails.

#![expect(clippy::disallowed_methods, reason = "the loop waits on the monotonic clock")]

mod heartbeat;
mod signals;

use std::time::{Duration, Instant};

use jiff::Timestamp;

pub use heartbeat::{HealthError, Heartbeat};
pub use signals::listen;

use heartbeat::Doubt;

use crate::config::Config;
use crate::model::{Problem, Severity};
use crate::report::{self, SweepReport};
use crate::stop::{Interrupted, Stop};
use crate::store::{LockError, SeenEmpty};
use crate::sweep::{SweepError, sweep_again};

/// Sweeps until a stop is asked for. `tell` is shown every report, and why there is none.
///
/// The interval counts from the start of one sweep to the start of the next; a sweep that takes
/// longer is followed by the next at once, and two never overlap.
///
/// # Errors
/// [`Interrupted`], when a stop was asked for; nothing else ends the loop.
pub fn run(
    config: &Config,
    stop: &Stop,
    mut tell: impl FnMut(Result<&SweepReport, &SweepError>),
) -> Result<(), Interrupted> {
    let mut heartbeat = Heartbeat::new(&config.heartbeat);
    tracing::info!(
        "{}, every {}, in {}",
        config.policy,
        humantime::format_duration(config.interval),
        config.data_dir.display()
    );
    let mut seen = SeenEmpty::default();
    loop {
        let started = Instant::now();
        let swept = heartbeat.while_moving(|| stop.ticks(), || sweep_again(config, stop, &mut seen));
        stop.rest();
        match &swept {
            Ok(report) => report::log::log(report),
            Err(SweepError::Interrupted(_)) => {}
            Err(error @ SweepError::Lock(LockError::Held(_))) => {
                tracing::warn!("skipped this sweep: {error}");
            }
            Err(error) => tracing::error!("no sweep: {error}"),
        }
        tell(swept.as_ref());
        // A sweep without a report says nothing about it.
        if let Ok(report) = &swept {
            heartbeat.doubt = doubt(report, config);
        }
        let exit_code = match swept {
            Ok(report) => report.exit_code,
            Err(SweepError::Interrupted(interrupted)) => return Err(interrupted),
            Err(error) => error.exit_code(),
        };
        let wait = config.interval.saturating_sub(started.elapsed());
        heartbeat.asleep(exit_code, wait);
        let seconds = Duration::from_secs(wait.saturating_add(Duration::from_millis(999)).as_secs());
        tracing::info!("next sweep in {}", humantime::format_duration(seconds));
        stop.wait(wait)?;
    }
}

/// What keeps the store from being collected, for whoever asks how the loop is.
fn doubt(report: &SweepReport, config: &Config) -> Option<Doubt> {
    let since = report.in_doubt_since?;
    let mut doubts = report.findings.iter().filter(|it| it.severity >= Severity::Doubt);
    let [mut reason, hint] = doubts.next().map_or_else(
        || ["see the findings of the last sweep", "run janitor check"].map(String::from),
        Problem::lines,
    );
    let more = doubts.count();
    if more > 0 {
        reason = format!("{reason} (and {more} more)");
    }
    let unhealthy_from = since.saturating_add(config.doubt_max_age).unwrap_or(Timestamp::MAX);
    Some(Doubt { since, unhealthy_from, reason, hint })
}
