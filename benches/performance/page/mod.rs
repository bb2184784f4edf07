//! Puts the numbers into the page: a text for each section, with places for them.

#![expect(clippy::cast_precision_loss, reason = "counts and sizes here are far below 2^52")]

mod local;
mod many;
mod network;

use std::fmt::Write as _;

use crate::cases::{Large, Small, Sweeps};
use crate::growth::Grown;
use crate::measure::Measured;
use crate::network::Network;
use crate::removal::Removal;

/// What was measured.
#[derive(Default)]
pub(crate) struct Results {
    pub(crate) local: Option<(Small, Sweeps, Vec<Large>)>,
    pub(crate) network: Option<Network>,
    pub(crate) growth: Vec<Grown>,
    pub(crate) removal: Option<Removal>,
}

pub(crate) fn render(machine: &[(&'static str, String)], note: &str, results: &Results) -> String {
    let head = [
        ("machine", machine_table(machine)),
        ("duration", DURATION.to_owned()),
        ("note", note.to_owned()),
        ("disk", DISK.to_owned()),
    ];
    let mut page = vec![fill(include_str!("head.md"), &head)];
    page.extend(results.local.as_ref().map(|(small, sweeps, large)| local::render(small, sweeps, large)));
    page.extend(results.network.as_ref().map(network::render));
    page.extend(results.removal.as_ref().map(many::removal));
    if !results.growth.is_empty() {
        page.push(many::growth(&results.growth));
    }
    let mut page = page.join("\n\n");
    page.push('\n');
    page
}

/// Puts values into the places that a text has for them.
fn fill(text: &str, values: &[(&str, String)]) -> String {
    let mut text = text.trim_end().to_owned();
    for (name, value) in values {
        let place = format!("{{{name}}}");
        assert!(text.contains(&place), "the page has a place for {name}");
        text = text.replace(&place, value.trim_end());
    }
    text
}

/// Told in round numbers, since they are of the machine as well.
const DURATION: &str = "an hour and a half";

const DISK: &str = "25 GB";

fn machine_table(machine: &[(&'static str, String)]) -> String {
    let mut text = String::from("| measured on | |\n|---|---|\n");
    for (name, value) in machine {
        writeln!(text, "| {name} | {value} |").expect("a string takes every write");
    }
    text
}

/// One row for each command; the first is what the others are set against.
fn times(measured: &[Measured]) -> String {
    let mut text =
        String::from("| | median | least – most | processor | peak memory | time of the first |\n");
    text.push_str("|---|--:|--:|--:|--:|--:|\n");
    let base = measured.first().map_or(1.0, |first| first.wall().0);
    for it in measured {
        let (median, time, cpu) = (it.wall().0, time(it), millis(it.cpu()));
        writeln!(text, "| {} | {time} | {cpu} | {} | {:.2} |", it.name, peak(it), median / base)
            .expect("a string takes every write");
    }
    text
}

/// The same without the memory: where the benchmark serves the files itself, it is too large itself to tell.
fn times_alone<'a>(measured: impl IntoIterator<Item = &'a Measured>) -> String {
    let mut text = String::from("| | median | least – most | processor |\n|---|--:|--:|--:|\n");
    for it in measured {
        writeln!(text, "| {} | {} | {} |", it.name, time(it), millis(it.cpu()))
            .expect("a string takes every write");
    }
    text
}

/// Two columns: the median, and the least and the most.
fn time(measured: &Measured) -> String {
    let (median, least, most) = measured.wall();
    format!("{} | {} – {}", millis(median), millis(least), millis(most))
}

fn millis(millis: f64) -> String {
    if millis < 1000.0 { format!("{millis:.0} ms") } else { format!("{:.2} s", millis / 1e3) }
}

fn peak(measured: &Measured) -> String {
    let (peak, floor) = measured.peak_bytes();
    let mb = |bytes: u64| bytes.div_ceil(100_000) as f64 / 10.0;
    if peak <= floor { format!("≤ {:.1} MB", mb(floor)) } else { format!("{:.1} MB", mb(peak)) }
}
