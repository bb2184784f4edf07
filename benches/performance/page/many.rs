//! The sections on many blobs: how the time grows with them, and how fast they go.

use std::fmt::Write as _;

use super::{fill, millis, peak, times, times_alone};
use crate::growth::Grown;
use crate::measure::Measured;
use crate::removal::Removal;

pub(super) fn growth(grown: &[Grown]) -> String {
    let mut text =
        String::from("| blobs | manifests | | median | least – most | for each blob | peak memory |\n");
    text.push_str("|--:|--:|---|--:|--:|--:|--:|\n");
    for store in grown {
        for it in &store.measured {
            let (median, least, most) = it.wall();
            writeln!(
                text,
                "| {} | {} | {} | {} | {} – {} | {:.1} µs | {} |",
                store.summary.blobs,
                store.summary.manifests,
                it.name,
                millis(median),
                millis(least),
                millis(most),
                per_blob(store, it),
                peak(it)
            )
            .expect("a string takes every write");
        }
    }
    fill(include_str!("growth.md"), &[("growth", text), ("linear", linear(grown))])
}

fn linear(grown: &[Grown]) -> String {
    let (Some(first), Some(last)) = (grown.first(), grown.last()) else { return String::new() };
    let factors = first.measured.iter().zip(&last.measured).map(|(before, after)| {
        format!("{} ({})", format_args!("{:.2}", per_blob(last, after) / per_blob(first, before)), after.name)
    });
    format!(
        "From {} to {} blobs, the time for each of them changes by a factor of {}.",
        first.summary.blobs,
        last.summary.blobs,
        factors.collect::<Vec<_>>().join(" and ")
    )
}

/// Microseconds.
fn per_blob(store: &Grown, measured: &Measured) -> f64 {
    measured.wall().0 * 1e3 / store.summary.blobs as f64
}

pub(super) fn removal(removal: &Removal) -> String {
    let mut at_delay = times_alone(removal.slow.iter().map(|(measured, _)| measured));
    at_delay.push_str("\nThe requests of the last round:\n\n");
    for (measured, requests) in &removal.slow {
        writeln!(at_delay, "- {}: {} ({requests})", measured.name, requests.total())
            .expect("a string takes every write");
    }
    fill(
        include_str!("removal.md"),
        &[
            ("blobs", removal.blobs.to_string()),
            ("rounds", removal.rounds.to_string()),
            ("local", times(&removal.local)),
            ("delay", humantime::format_duration(removal.delay).to_string()),
            ("slow", at_delay),
        ],
    )
}
