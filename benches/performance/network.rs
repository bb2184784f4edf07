//! The small store again, on a file system on which each request takes a fixed time and nothing is remembered at first.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use janitor_testkit::{BulkSpec, Requests, SlowFs, SlowFsOptions, registry_bin};

use crate::cases::{Told, read, remove};
use crate::commands::{Commands, find, no_grace, with};
use crate::floor::Floor;
use crate::measure::{Measured, run};

/// Operations in flight that are compared.
const JOBS: [&str; 5] = ["8", "16", "32", "64", "128"];

/// What was measured.
pub(crate) struct Network {
    pub(crate) delay: Duration,
    pub(crate) floor: Floor,
    pub(crate) rows: Vec<Row>,
}

/// One command, with what the file system counted.
pub(crate) struct Row {
    pub(crate) measured: Measured,
    pub(crate) kind: Kind,
    /// Of the last round.
    pub(crate) requests: Requests,
    /// The most that were under way together in the last round.
    pub(crate) at_once: usize,
}

/// What a row is set against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The janitor, which has never seen the store.
    Cold,
    /// The janitor, which has swept the store before.
    Warm,
    /// The stock collector.
    Stock,
    /// Something else.
    Other,
}

struct Candidate<'a> {
    name: String,
    kind: Kind,
    command: Box<dyn Fn() -> Command + 'a>,
}

/// Measures everything on a store of its own.
pub(crate) fn measure(scratch: &Path, rounds: usize, delay: Duration) -> Network {
    eprintln!("the small store on network storage");
    let (disk, mounted) = (scratch.join("network-disk"), scratch.join("network"));
    let spec = BulkSpec::default();
    let summary = spec.write(&disk);
    let commands = Commands::new(scratch);
    let output = scratch.join("output");
    let told = told(&commands, &disk, &output);
    let floor = Floor::of(&spec, &summary, &told.totals, &disk);
    let mut slow = SlowFs::mount(&disk, &mounted, SlowFsOptions { delay, ..SlowFsOptions::default() })
        .expect("FUSE: root mounts itself, other users need fusermount3");
    let candidates = candidates(&commands, &mounted);
    let mut rows: Vec<Row> = candidates.iter().map(Row::of).collect();
    for round in 1..=rounds {
        for (candidate, row) in candidates.iter().zip(&mut rows) {
            eprintln!("round {round}: {}", candidate.name);
            prepare(candidate.kind, &commands, &disk, &output);
            slow.remount().expect("what was mounted can be mounted again");
            let before = slow.requests();
            row.measured.runs.push(run(&mut (candidate.command)(), &output));
            (row.requests, row.at_once) = (slow.requests().since(&before), slow.most_at_once());
        }
    }
    drop(slow);
    drop(candidates);
    remove(&disk);
    Network { delay, floor, rows }
}

fn candidates<'a>(commands: &'a Commands, store: &'a Path) -> Vec<Candidate<'a>> {
    let audit = move || no_grace(commands.audit(store));
    let mut candidates = vec![
        Candidate::new("find <store> -type f", Kind::Other, move || find(store)),
        Candidate::new("registry 2.8 garbage-collect --dry-run", Kind::Stock, move || {
            commands.collector(&registry_bin(), store, &["--dry-run"])
        }),
    ];
    if let Some(binary) = env::var_os("TEST_REGISTRY3_BIN").map(PathBuf::from) {
        candidates.push(Candidate::new("registry 3 garbage-collect --dry-run", Kind::Stock, move || {
            commands.collector(&binary, store, &["--dry-run"])
        }));
    }
    candidates.push(Candidate::new("audit", Kind::Cold, audit));
    candidates.push(Candidate::new("audit after a sweep", Kind::Warm, audit));
    for jobs in JOBS {
        let name = format!("audit, JANITOR_JOBS={jobs}");
        candidates.push(Candidate::new(&name, Kind::Cold, move || with(audit(), "JANITOR_JOBS", jobs)));
    }
    candidates
}

impl<'a> Candidate<'a> {
    fn new(name: &str, kind: Kind, command: impl Fn() -> Command + 'a) -> Self {
        Self { name: name.to_owned(), kind, command: Box::new(command) }
    }
}

impl Row {
    fn of(candidate: &Candidate<'_>) -> Self {
        let measured = Measured::new(&candidate.name);
        Self { measured, kind: candidate.kind, requests: Requests::default(), at_once: 0 }
    }
}

/// Has the store remember no sweep, or one that found nothing to remove; on the disk itself, and untimed.
fn prepare(kind: Kind, commands: &Commands, disk: &Path, output: &Path) {
    let remembered = disk.join("janitor");
    if remembered.exists() {
        fs::remove_dir_all(&remembered).expect("what a sweep wrote down is removed");
    }
    if kind == Kind::Warm {
        let keeping = [("KEEP_LAST_N", "1000000"), ("GC_DELETE_UNTAGGED", "false"), ("RUN_GC", "false")];
        let sweep =
            keeping.into_iter().fold(commands.janitor(disk), |it, (name, value)| with(it, name, value));
        run(&mut no_grace(sweep), output);
    }
}

fn told(commands: &Commands, store: &Path, output: &Path) -> Told {
    run(&mut with(no_grace(commands.audit(store)), "JANITOR_OUTPUT", "json"), output);
    read(output)
}
