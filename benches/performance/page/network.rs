//! The section on network storage.

use std::fmt::Write as _;
use std::num::NonZero;
use std::time::Duration;

use janitor_testkit::RequestKind;

use super::{fill, millis, times_alone};
use crate::floor::Part;
use crate::network::{Kind, Network, Row};

pub(super) fn render(network: &Network) -> String {
    let rounds = network.rows.first().map_or(0, |row| row.measured.runs.len());
    fill(
        include_str!("network.md"),
        &[
            ("delay", humantime::format_duration(network.delay).to_string()),
            ("rounds", rounds.to_string()),
            ("times", times_alone(network.rows.iter().map(|row| &row.measured))),
            ("requests", requests(&network.rows)),
            ("floor", floor(network)),
            ("ratio", ratio(network)),
            ("processors", processors(network)),
        ],
    )
}

/// A column for each kind that anybody made, and one for the closes that nobody waited for.
fn requests(rows: &[Row]) -> String {
    let is_used = |kind: &RequestKind| rows.iter().any(|row| row.requests.of(*kind) > 0);
    let kinds: Vec<RequestKind> = RequestKind::ALL.into_iter().filter(is_used).collect();
    let (waited, free): (Vec<_>, Vec<_>) = kinds.into_iter().partition(|kind| kind.is_waited_for());
    let mut text = String::from("| | requests |");
    for kind in &waited {
        write!(text, " {} |", kind.name()).expect("a string takes every write");
    }
    text.push_str(" at once |");
    for kind in &free {
        write!(text, " {} (not waited for) |", kind.name()).expect("a string takes every write");
    }
    text.push_str("\n|---|--:|");
    text.push_str(&"--:|".repeat(waited.len() + 1 + free.len()));
    text.push('\n');
    for row in rows {
        write!(text, "| {} | {} |", row.measured.name, row.requests.total())
            .expect("a string takes every write");
        for kind in &waited {
            write!(text, " {} |", row.requests.of(*kind)).expect("a string takes every write");
        }
        write!(text, " {} |", row.at_once).expect("a string takes every write");
        for kind in &free {
            write!(text, " {} |", row.requests.of(*kind)).expect("a string takes every write");
        }
        text.push('\n');
    }
    text
}

fn floor(network: &Network) -> String {
    let floor = &network.floor;
    let mut text = String::from("| for each | how many | requests for one | requests |\n|---|--:|---|--:|\n");
    let add = |text: &mut String, parts: &[Part]| {
        for part in parts {
            let (what, count, each) = (part.what, part.count, part.each);
            let times = part.requests_each;
            writeln!(text, "| {what} | {count} | {times}: {each} | {} |", part.requests())
                .expect("a string takes every write");
        }
    };
    add(&mut text, &floor.decide);
    writeln!(text, "| **all, to decide** | | | **{}** |", floor.to_decide())
        .expect("a string takes every write");
    add(&mut text, &floor.verify);
    writeln!(text, "| **all, to decide and to verify what stays** | | | **{}** |", floor.to_verify())
        .expect("a string takes every write");
    text
}

/// The janitor's rows against the floor and the stock collectors.
fn ratio(network: &Network) -> String {
    let stock: Vec<&Row> = network.rows.iter().filter(|row| row.kind == Kind::Stock).collect();
    let mut text = String::from(
        "| | requests | of the floor to decide | of that to verify as well | floor in time (decide, verify) | median | of the floor in time (decide, verify) |",
    );
    for row in &stock {
        write!(text, " {} takes |", row.measured.name.split(" garbage").next().unwrap_or_default())
            .expect("a string takes every write");
    }
    text.push_str("\n|---|--:|--:|--:|--:|--:|--:|");
    text.push_str(&"--:|".repeat(stock.len()));
    text.push('\n');
    for row in network.rows.iter().filter(|row| matches!(row.kind, Kind::Cold | Kind::Warm)) {
        let (decide, verify) = (network.floor.to_decide(), network.floor.to_verify());
        let made = row.requests.total();
        let share = |floor: usize| made as f64 / floor as f64;
        let at_best = |requests: usize| in_time(requests, network.delay, row.at_once);
        let median = row.measured.wall().0;
        write!(
            text,
            "| {} | {made} | {:.2} | {:.2} | {}, {} | {} | {:.2}, {:.2} |",
            row.measured.name,
            share(decide),
            share(verify),
            millis(at_best(decide)),
            millis(at_best(verify)),
            millis(median),
            median / at_best(decide),
            median / at_best(verify),
        )
        .expect("a string takes every write");
        for stock in &stock {
            write!(text, " {:.0} times as long |", stock.measured.wall().0 / median)
                .expect("a string takes every write");
        }
        text.push('\n');
    }
    text
}

/// What the janitor's rows, and the file system that serves them, take of the processors.
fn processors(network: &Network) -> String {
    let count = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut text = format!(
        "| | a request costs the audit | a request costs the file system | all of both, on {count} processors | median |\n|---|--:|--:|--:|--:|\n"
    );
    for row in network.rows.iter().filter(|row| matches!(row.kind, Kind::Cold | Kind::Warm)) {
        let (own, served) = (row.measured.cpu(), row.measured.served());
        let micros = |millis: f64| millis * 1e3 / row.requests.total() as f64;
        writeln!(
            text,
            "| {} | {:.0} µs | {:.0} µs | {} | {} |",
            row.measured.name,
            micros(own),
            micros(served),
            millis((own + served) / count as f64),
            millis(row.measured.wall().0),
        )
        .expect("a string takes every write");
    }
    text
}

/// Milliseconds for so many requests.
fn in_time(requests: usize, delay: Duration, at_once: usize) -> f64 {
    requests as f64 * delay.as_secs_f64() * 1e3 / at_once.max(1) as f64
}
