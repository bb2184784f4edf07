//! Measures the janitor against `find` and the stock collector, and writes what it found as a page.
//!
//! Runs are paired: a round runs every command once, in turn, so that whatever else the machine does falls on
//! all of them alike. One round before the counted ones warms up. Nothing here judges a number.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark starts processes, times them, and ends when one of them fails"
)]

mod cases;
mod machine;
mod measure;
mod page;

use std::path::PathBuf;

use clap::Parser;

use cases::Bench;

/// Measures the janitor against `find` and the stock collector.
#[derive(Debug, Parser)]
struct Arguments {
    /// Counted rounds of the small store.
    #[arg(long, default_value_t = 11)]
    rounds: usize,
    /// Counted rounds of each large store.
    #[arg(long, default_value_t = 2)]
    large_rounds: usize,
    /// Tags of the largest store: 25000, 50000, 100000 or 200000; 0 for none. The largest takes 20 GB and 4.5
    /// million inodes.
    #[arg(long, default_value_t = 200_000)]
    max_tags: usize,
    /// A directory for the stores, on the disk to measure; a temporary one beside the build when not given.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Writes the page here.
    #[arg(long)]
    page: Option<PathBuf>,
    /// Something to say about this run, such as what else the machine did.
    #[arg(long)]
    note: Option<String>,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let near = arguments.dir.clone().unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")));
    let scratch =
        tempfile::Builder::new().prefix("bench-").tempdir_in(&near).expect("a directory for the stores");
    let bench = Bench::new(scratch.path(), arguments.rounds);
    let small = bench.small();
    let sweeps = bench.sweeps();
    let large = bench.large(arguments.large_rounds, arguments.max_tags);
    let text = page::render(
        &machine::describe(scratch.path()),
        arguments.note.as_deref().unwrap_or_default(),
        &small,
        &sweeps,
        &large,
    );
    println!("{text}");
    if let Some(path) = arguments.page {
        std::fs::write(&path, text).expect("the page is written");
    }
}
