//! The quiet moment: the stock collector is unsafe beside a push, so it waits until nobody pushes.

use std::time::Duration;

use jiff::SignedDuration;

use super::Sweep;
use crate::config::Quiet;
use crate::model::{Code, Inventory, Problem, Severity, TagState};
use crate::stop::Interrupted;
use crate::store::Trace;

/// What is dated further ahead than this was left by a clock gone wrong, not by a push.
const AHEAD: SignedDuration = SignedDuration::from_mins(1);
/// A wait is no shorter, so that a clock that stands still costs few looks.
const LEAST_WAIT: Duration = Duration::from_millis(100);

impl Sweep<'_> {
    /// Waits until the last push is old enough, or for as long as is allowed.
    pub(super) fn wait_for_quiet(&mut self, inventory: &Inventory) -> Result<(), Interrupted> {
        let Some(Quiet { age, patience }) = self.config.collection.as_ref().map(|it| it.quiet) else {
            return Ok(());
        };
        if age.is_zero() {
            return Ok(());
        }
        let mut left = patience;
        while let Some((trace, wait)) = self.disturbed(inventory, age)? {
            if left.is_zero() {
                self.findings.push(noise(&trace, age, patience));
                break;
            }
            let wait = wait.max(LEAST_WAIT).min(left);
            let told = humantime::format_duration(Duration::from_secs(wait.as_secs() + 1));
            tracing::info!("waiting {told} for a quiet moment: there was a push at {}", trace.path);
            self.stop.wait(wait)?;
            left = left.saturating_sub(wait);
        }
        self.lap("quiet");
        Ok(())
    }

    /// A trace of a push that is too fresh, and how long it stays so.
    fn disturbed(
        &self,
        inventory: &Inventory,
        age: Duration,
    ) -> Result<Option<(Trace, Duration)>, Interrupted> {
        let now = self.clock.now();
        let youngest = now.saturating_add(AHEAD).unwrap_or(now);
        let on_disk =
            self.store.last_push(&inventory.repositories, &self.own_touches, youngest, self.stop)?;
        // A push of what is there already writes nothing but its tag's link.
        let tags = inventory.repositories.iter().flat_map(|repository| {
            repository.tags.iter().filter_map(move |tag| match &tag.state {
                TagState::Linked { pushed_at, .. } if *pushed_at <= youngest => {
                    Some((*pushed_at, &repository.name, &tag.name))
                }
                _ => None,
            })
        });
        let tag = tags.max_by_key(|(at, ..)| *at);
        let tag = tag.map(|(at, name, tag)| Trace { at, path: format!("{name}:{tag}") });
        let Some(trace) = on_disk.into_iter().chain(tag).max_by_key(|trace| trace.at) else {
            return Ok(None);
        };
        let age = SignedDuration::try_from(age).unwrap_or(SignedDuration::MAX);
        let left = age.saturating_sub(now.duration_since(trace.at));
        Ok(Duration::try_from(left).ok().filter(|left| !left.is_zero()).map(|left| (trace, left)))
    }
}

fn noise(trace: &Trace, age: Duration, patience: Duration) -> Problem {
    let (age, patience) = (humantime::format_duration(age), humantime::format_duration(patience));
    Problem {
        severity: Severity::Warning,
        code: Code::NotQuiet,
        repository: None,
        path: trace.path.clone(),
        cause: format!(
            "somebody pushed here at {:.0}, and within GC_QUIET_WAIT={patience} nobody paused for GC_QUIET={age}, so blobs were collected beside pushes",
            trace.at
        ),
        remedy: "see that what was pushed meanwhile pulls, and let sweeps run in quiet hours".into(),
    }
}
