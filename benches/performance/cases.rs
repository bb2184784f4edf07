//! What is measured on a local disk: a small store, whole sweeps of it, large stores.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::Command;

use janitor_testkit::{BulkSpec, BulkSummary, registry_bin};
use serde::Deserialize;

use crate::commands::{Commands, find, no_grace, with};
use crate::measure::{Candidate, Measured, paired, run};

/// Tags in each repository of a large store.
const LARGE_TAGS_EACH: usize = 100;
const SIZES: [usize; 4] = [25_000, 50_000, 100_000, 200_000];

/// The audit of one store, told by the janitor itself.
#[derive(Debug, Deserialize)]
pub(crate) struct Told {
    pub(crate) totals: Totals,
    pub(crate) stages: Vec<Stage>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Totals {
    pub(crate) tags: usize,
    pub(crate) tags_removed: usize,
    pub(crate) manifests_removed: usize,
    pub(crate) blobs_removed: usize,
    pub(crate) blobs_held: usize,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Stage {
    pub(crate) name: String,
    pub(crate) operations: u64,
}

/// What was measured on the small store.
pub(crate) struct Small {
    pub(crate) spec: BulkSpec,
    pub(crate) summary: BulkSummary,
    pub(crate) files: usize,
    pub(crate) rounds: usize,
    pub(crate) warm: Vec<Measured>,
    /// Absent where the kernel's caches may not be dropped.
    pub(crate) cold: Option<Vec<Measured>>,
    pub(crate) told: Told,
    pub(crate) scan_operations: u64,
}

/// One large store.
pub(crate) struct Large {
    pub(crate) repositories: usize,
    pub(crate) summary: BulkSummary,
    pub(crate) measured: Vec<Measured>,
    pub(crate) told: Told,
}

/// Whole sweeps of the small store.
pub(crate) struct Sweeps {
    pub(crate) rounds: usize,
    pub(crate) measured: Vec<Measured>,
    pub(crate) blobs_removed: usize,
}

pub(crate) struct Bench {
    scratch: PathBuf,
    commands: Commands,
    rounds: usize,
}

impl Bench {
    pub(crate) fn new(scratch: &Path, rounds: usize) -> Self {
        Self { scratch: scratch.to_owned(), commands: Commands::new(scratch), rounds }
    }

    /// 20 repositories with 30 tags and 10 untagged manifests each.
    pub(crate) fn small(&self) -> Small {
        eprintln!("the small store");
        let spec = BulkSpec::default();
        let store = self.store("small");
        let summary = spec.write(&store);
        let told = self.told(&store);
        assert_eq!(told.totals.tags, summary.tags, "every tag is seen");
        assert_eq!(told.totals.tags_removed, spec.repositories * (spec.tags - 10), "all but ten go");
        let find = || find(&store);
        let defaults = || self.commands.audit(&store);
        let audit = || no_grace(self.commands.audit(&store));
        let one_job = || with(no_grace(self.commands.audit(&store)), "JANITOR_JOBS", "1");
        let collector = || self.commands.collector(&registry_bin(), &store, &["--dry-run"]);
        let candidates: [Candidate<'_>; 5] = [
            ("find <store> -type f", &find),
            ("audit", &audit),
            ("audit, GC_GRACE=1h (the default)", &defaults),
            ("audit, JANITOR_JOBS=1", &one_job),
            ("registry garbage-collect --dry-run", &collector),
        ];
        let output = self.output();
        let warm = paired(&candidates, self.rounds, &output, &|| ());
        let rounds = self.rounds.min(5);
        let cold = drop_caches().is_ok().then(|| {
            paired(&candidates, rounds, &output, &|| drop_caches().expect("caches could be dropped before"))
        });
        run(&mut find(), &output);
        let files = fs::read_to_string(&output).expect("the list of files").lines().count();
        let scan_operations = expected_scan(&spec, &summary);
        remove(&store);
        Small { spec, summary, files, rounds: self.rounds, warm, cold, told, scan_operations }
    }

    /// Sweeps that change the store, each of a fresh one.
    pub(crate) fn sweeps(&self) -> Sweeps {
        eprintln!("sweeps of the small store");
        let rounds = self.rounds.min(5);
        let names = [
            "sweep, with the collector",
            "the collector alone, on what the sweep leaves it",
            "audit of the same store",
        ];
        let mut measured: Vec<Measured> = names.map(Measured::new).into();
        let mut blobs_removed = 0;
        for round in 0..=rounds {
            let store = self.store("swept");
            let output = self.output();
            BulkSpec::default().write(&store);
            let audit = run(&mut no_grace(self.commands.audit(&store)), &output);
            let sweep = || {
                with(
                    with(no_grace(self.commands.janitor(&store)), "GC_SETTLE", "0s"),
                    "JANITOR_OUTPUT",
                    "json",
                )
            };
            let whole = run(&mut sweep(), &output);
            blobs_removed = read(&output).totals.blobs_removed;
            remove(&store);

            BulkSpec::default().write(&store);
            run(&mut with(sweep(), "RUN_GC", "false"), &output);
            let collector = run(&mut self.commands.collector(&registry_bin(), &store, &[]), &output);
            remove(&store);
            if round > 0 {
                for (measured, run) in measured.iter_mut().zip([whole, collector, audit]) {
                    measured.runs.push(run);
                }
            }
        }
        Sweeps { rounds, measured, blobs_removed }
    }

    /// One store that grows, measured at each size.
    pub(crate) fn large(&self, rounds: usize, max_tags: usize) -> Vec<Large> {
        let store = self.store("large");
        let mut done = Vec::new();
        let mut first_repository = 0;
        for tags in SIZES.into_iter().filter(|tags| *tags <= max_tags) {
            eprintln!("a store with {tags} tags");
            let repositories = tags / LARGE_TAGS_EACH;
            let spec = BulkSpec {
                repositories: repositories - first_repository,
                first_repository,
                tags: LARGE_TAGS_EACH,
                untagged: 0,
                shared_layers: 2,
                own_layers: 1,
                ..BulkSpec::default()
            };
            spec.write(&store);
            first_repository = repositories;
            let summary = BulkSummary {
                tags,
                manifests: tags,
                blobs: spec.shared_layers + tags * (2 + spec.own_layers),
            };
            let told = self.told(&store);
            assert_eq!(told.totals.tags, tags, "every tag is seen");
            let audit = || no_grace(self.commands.audit(&store));
            let json = || with(no_grace(self.commands.audit(&store)), "JANITOR_OUTPUT", "json");
            let defaults = || self.commands.audit(&store);
            let candidates: [Candidate<'_>; 3] = [
                ("audit", &audit),
                ("audit, JSON report", &json),
                ("audit, GC_GRACE=1h (the default)", &defaults),
            ];
            let measured = paired(&candidates, rounds, &self.output(), &|| ());
            done.push(Large { repositories, summary, measured, told });
        }
        if !done.is_empty() {
            remove(&store);
        }
        done
    }

    fn store(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    fn output(&self) -> PathBuf {
        self.scratch.join("output")
    }

    fn told(&self, store: &Path) -> Told {
        run(&mut with(no_grace(self.commands.audit(store)), "JANITOR_OUTPUT", "json"), &self.output());
        read(&self.output())
    }
}

/// Reads a report without its list of tags, so that the benchmark itself stays small.
pub(crate) fn read(output: &Path) -> Told {
    let file = File::open(output).expect("a report");
    serde_json::from_reader(BufReader::new(file)).expect("a report in JSON")
}

/// What the scan of a store costs by the module's own words, to set against what it counted.
fn expected_scan(spec: &BulkSpec, summary: &BulkSummary) -> u64 {
    let opening = 11;
    let directories = 1 + 20.min(spec.repositories) + spec.repositories;
    let parts = 5 * spec.repositories;
    let shards = 257;
    let files = summary.tags + summary.manifests;
    opening + 2 * (directories + parts + shards + files) as u64
}

/// Has the kernel forget what it read from disks; only root may.
fn drop_caches() -> std::io::Result<()> {
    let synced = Command::new("sync").status()?;
    assert!(synced.success(), "sync ends");
    fs::write("/proc/sys/vm/drop_caches", "3")
}

pub(crate) fn remove(store: &Path) {
    fs::remove_dir_all(store).expect("a store of the benchmark's own is removed");
}
