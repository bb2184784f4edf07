//! How far it is: a bar on a terminal, a line in the log every so often elsewhere.

#![expect(clippy::disallowed_methods, reason = "lines are told by the monotonic clock")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::terminal;

/// Between two lines in the log.
const EVERY: Duration = Duration::from_secs(30);

/// Bytes that were read, of all that are to be.
#[derive(Debug)]
pub(super) struct Progress {
    total: u64,
    done: AtomicU64,
    bar: Option<ProgressBar>,
    told: Mutex<Instant>,
}

impl Progress {
    pub(super) fn of(total: u64) -> Self {
        let bar = terminal::is_stderr_terminal().then(|| {
            let bar = ProgressBar::new(total);
            let style = "{bar:40} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left";
            // A style that did not parse would leave the plain one.
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style);
            }
            bar
        });
        Self { total, done: AtomicU64::new(0), bar, told: Mutex::new(Instant::now()) }
    }

    pub(super) fn add(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
            return;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() >= EVERY {
            *told = Instant::now();
            let size = |bytes| humansize::format_size(bytes, humansize::BINARY);
            tracing::info!("read {} of {}", size(done), size(self.total));
        }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
