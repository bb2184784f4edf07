//! Shows how far a sweep is: a bar on a terminal, elsewhere a line in the log every so often.

#![expect(clippy::disallowed_methods, reason = "lines are told by the monotonic clock")]

use std::fmt::Write;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};

use crate::stop::{Length, Stage, Stop};
use crate::terminal;

/// How often a bar is drawn anew.
const REDRAWN: Duration = Duration::from_millis(200);
/// A stage that is shorter has no bar.
const WORTH_A_BAR: Duration = Duration::from_millis(500);
/// Between two lines in the log.
const TOLD: Duration = Duration::from_secs(30);

/// Shows how far some work is for as long as it lasts. Whatever else is written to a terminal goes through
/// [`MultiProgress::suspend`] of `bars`.
pub fn shown<T>(stop: &Stop, bars: &MultiProgress, work: impl FnOnce() -> T) -> T {
    let (working, ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            if terminal::is_stderr_terminal() {
                draw(stop, bars, &ended);
            } else {
                tell(stop, &ended);
            }
        });
        let done = work();
        drop(working);
        done
    })
}

fn draw(stop: &Stop, bars: &MultiProgress, ended: &Receiver<()>) {
    let mut drawn: Option<(u64, Instant, Option<ProgressBar>)> = None;
    while ended.recv_timeout(REDRAWN) == Err(RecvTimeoutError::Timeout) {
        let stage = stop.stage();
        let (number, since, bar) =
            drawn.get_or_insert_with(|| (stage.map_or(0, |it| it.number), Instant::now(), None));
        match stage {
            Some(stage) if stage.number == *number => {
                if since.elapsed() >= WORTH_A_BAR && !is_over(&stage) {
                    bar.get_or_insert_with(|| bars.add(bar_of(&stage))).set_position(stage.done);
                }
            }
            _ => {
                if let Some(bar) = bar {
                    bar.finish_and_clear();
                }
                drawn = None;
            }
        }
    }
    if let Some((_, _, Some(bar))) = drawn {
        bar.finish_and_clear();
    }
}

fn bar_of(stage: &Stage) -> ProgressBar {
    let (bar, style) = match stage.length {
        Length::Unknown => (ProgressBar::no_length(), "{spinner} {msg}: {human_pos} ({rate})"),
        Length::Steps(all) => {
            (ProgressBar::new(all), "{msg}: {bar:30} {human_pos} of {human_len}, {rate}, {eta} left")
        }
        Length::Seconds(all) => (ProgressBar::new(all), "{msg}: {bar:30} {eta} left"),
    };
    // A style that did not parse would leave the plain one.
    if let Ok(style) = ProgressStyle::with_template(style) {
        let rate = |state: &ProgressState, out: &mut dyn Write| {
            // There is nobody to tell where the bar cannot be written.
            write!(out, "{:.0}/s", state.per_sec()).ok();
        };
        bar.set_style(style.with_key("rate", rate));
    }
    bar.with_message(stage.name)
}

fn tell(stop: &Stop, ended: &Receiver<()>) {
    let mut before: Option<Stage> = None;
    while ended.recv_timeout(TOLD) == Err(RecvTimeoutError::Timeout) {
        let stage = stop.stage();
        if let (Some(is), Some(was)) = (stage, before)
            && is.number == was.number
            && !is_over(&is)
        {
            tracing::info!("{}", line(&is, &was, TOLD));
        }
        before = stage;
    }
}

/// A stage whose steps are all made may be followed by something that is none.
fn is_over(stage: &Stage) -> bool {
    matches!(stage.length, Length::Steps(all) | Length::Seconds(all) if stage.done >= all)
}

/// A stage in words, by what it was a while ago.
fn line(is: &Stage, was: &Stage, apart: Duration) -> String {
    let steps = is.done.saturating_sub(was.done);
    let seconds = apart.as_secs().max(1);
    let left = |all: u64| {
        let left = all.saturating_sub(is.done).saturating_mul(seconds) / steps.max(1);
        humantime::format_duration(Duration::from_secs(left))
    };
    match is.length {
        Length::Unknown => format!("{}: {}, {} a second", is.name, is.done, steps / seconds),
        Length::Steps(all) if steps == 0 => format!("{}: {} of {all}", is.name, is.done),
        Length::Steps(all) => format!(
            "{}: {} of {all}, {} a second, about {} left",
            is.name,
            is.done,
            steps / seconds,
            left(all)
        ),
        Length::Seconds(all) => {
            let left = Duration::from_secs(all.saturating_sub(is.done));
            format!("{}: {} left", is.name, humantime::format_duration(left))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_how_far_it_is_how_fast_and_what_is_left() {
        let stage = |done, length| Stage { number: 1, name: "reading manifests", done, length };
        let line = |was, is, length| line(&stage(is, length), &stage(was, length), Duration::from_secs(30));
        assert_eq!(
            line(100, 3100, Length::Steps(9100)),
            "reading manifests: 3100 of 9100, 100 a second, about 1m left"
        );
        assert_eq!(line(100, 100, Length::Steps(900)), "reading manifests: 100 of 900");
        assert_eq!(line(0, 60, Length::Unknown), "reading manifests: 60, 2 a second");
        assert_eq!(line(0, 30, Length::Seconds(90)), "reading manifests: 1m left");
        assert!(is_over(&stage(9, Length::Steps(9))) && !is_over(&stage(9, Length::Unknown)));
    }

    #[test]
    fn what_the_work_comes_to_is_handed_on() {
        assert_eq!(shown(&Stop::default(), &MultiProgress::new(), || 7), 7);
    }
}
