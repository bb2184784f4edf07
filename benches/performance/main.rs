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
mod commands;
mod floor;
mod growth;
mod machine;
mod measure;
mod network;
mod page;
mod removal;

use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};

use cases::Bench;
use page::Results;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Section {
    /// The small store, whole sweeps of it, and large stores, on the local disk.
    Local,
    /// The small store on a file system on which each request takes a while. Needs FUSE.
    Network,
    /// A sweep that deletes many blobs, with `GC_ENGINE=native`. Needs FUSE.
    Removal,
    /// Stores of up to a million blobs on the local disk, the largest of which is swept. Takes 20 GB and 5 million inodes.
    Growth,
}

/// Measures the janitor against `find` and the stock collector.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Section::value_variants().to_vec())]
    sections: Vec<Section>,
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
    /// Rounds on network storage; each takes about a minute and a half, for the stock collector's sake.
    #[arg(long, default_value_t = 3)]
    network_rounds: usize,
    /// How long a request to network storage takes.
    #[arg(long, default_value = "1ms", value_parser = humantime::parse_duration)]
    delay: std::time::Duration,
    /// Blobs of the largest store of the section `growth`: 10000, 100000 or 1000000.
    #[arg(long, default_value_t = 1_000_000)]
    max_blobs: usize,
    /// Counted rounds of each store of the section `growth`.
    #[arg(long, default_value_t = 3)]
    growth_rounds: usize,
    /// Blobs that the section `removal` deletes.
    #[arg(long, default_value_t = 100_000)]
    removed_blobs: usize,
    /// Rounds of the section `removal`; at 1 ms, one takes ten minutes with 100,000 blobs.
    #[arg(long, default_value_t = 1)]
    removal_rounds: usize,
    /// A directory for the stores, on the disk to measure; a temporary one beside the build when not given.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Writes the page here. Sections that are not measured are left out of it.
    #[arg(long)]
    page: Option<PathBuf>,
    /// Something to say about this run, such as what else the machine did.
    #[arg(long)]
    note: Option<String>,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    /// Those that make this run another one than `make bench`, as they were typed.
    fn told() -> Option<String> {
        let mut told = Vec::new();
        let mut typed = std::env::args().skip(1);
        while let Some(argument) = typed.next() {
            let (name, value) = argument.split_once('=').unzip();
            match name.unwrap_or(&argument) {
                "--bench" => {}
                // Where it is written makes no difference, and what is noted stands on the page.
                "--page" | "--note" | "--dir" if value.is_some() => {}
                "--page" | "--note" | "--dir" => drop(typed.next()),
                _ => told.push(argument),
            }
        }
        (!told.is_empty()).then(|| format!("`{}`", told.join(" ")))
    }
}

fn main() {
    let arguments = Arguments::parse();
    let near = arguments.dir.clone().unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")));
    let scratch =
        tempfile::Builder::new().prefix("bench-").tempdir_in(&near).expect("a directory for the stores");
    let mut machine = machine::describe(scratch.path());
    machine.extend(Arguments::told().map(|told| ("arguments", told)));
    let note = arguments.note.as_deref().unwrap_or_default();
    let mut results = Results::default();
    let mut text = String::new();
    for section in Section::value_variants().iter().filter(|it| arguments.sections.contains(it)) {
        measure(*section, &arguments, scratch.path(), &mut results);
        // After each, so that a run that is ended early has not been for nothing.
        text = page::render(&machine, note, &results);
        if let Some(path) = &arguments.page {
            std::fs::write(path, &text).expect("the page is written");
        }
    }
    println!("{text}");
}

fn measure(section: Section, arguments: &Arguments, scratch: &Path, results: &mut Results) {
    match section {
        Section::Local => {
            let bench = Bench::new(scratch, arguments.rounds);
            let (small, sweeps) = (bench.small(), bench.sweeps());
            results.local = Some((small, sweeps, bench.large(arguments.large_rounds, arguments.max_tags)));
        }
        Section::Network => {
            results.network = Some(network::measure(scratch, arguments.network_rounds, arguments.delay));
        }
        Section::Removal => {
            let (rounds, blobs) = (arguments.removal_rounds, arguments.removed_blobs);
            results.removal = Some(removal::measure(scratch, rounds, blobs, arguments.delay));
        }
        Section::Growth => {
            results.growth = growth::measure(scratch, arguments.growth_rounds, arguments.max_blobs);
        }
    }
}
