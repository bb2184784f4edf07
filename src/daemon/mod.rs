//! The loop: a sweep, a wait, a sweep; it outlives every sweep that fails.

#![expect(clippy::disallowed_methods, reason = "the loop waits on the monotonic clock")]

mod heartbeat;
mod signals;

use std::time::{Duration, Instant};

pub use heartbeat::{HealthError, Heartbeat};
pub use signals::listen;

use crate::config::Config;
use crate::report::{self, SweepReport};
use crate::stop::{Interrupted, Stop};
use crate::store::LockError;
use crate::sweep::{SweepError, sweep};

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
    let heartbeat = Heartbeat::new(&config.heartbeat);
    tracing::info!(
        "{}, every {}, in {}",
        config.policy,
        humantime::format_duration(config.interval),
        config.data_dir.display()
    );
    loop {
        let started = Instant::now();
        let swept = heartbeat.while_moving(|| stop.ticks(), || sweep(config, stop));
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
