//! Deleting many blobs: a sweep with the janitor's own collector, against `rm -rf` of the same directories.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use janitor_testkit::{BulkSpec, Requests, SlowFs, SlowFsOptions};

use crate::cases::remove;
use crate::commands::Commands;
use crate::measure::{Measured, run};

/// What was measured.
pub(crate) struct Removal {
    pub(crate) blobs: usize,
    pub(crate) rounds: usize,
    pub(crate) local: Vec<Measured>,
    pub(crate) delay: Duration,
    pub(crate) slow: Vec<(Measured, Requests)>,
}

/// A name, and a command for a store.
type Candidate<'a> = (&'a str, &'a dyn Fn(&Path) -> Command);

/// Each run on a store of its own, in which nothing but one image is to stay.
pub(crate) fn measure(scratch: &Path, rounds: usize, blobs: usize, delay: Duration) -> Removal {
    let (disk, mounted, output) =
        (scratch.join("removed-disk"), scratch.join("removed"), scratch.join("output"));
    let commands = Commands::new(scratch);
    let sweep = |store: &Path| commands.native_sweep(store);
    let candidates: [Candidate<'_>; 2] =
        [("rm -rf <the blobs>", &remove_recursively), ("sweep, GC_ENGINE=native", &sweep)];
    let named = || candidates.iter().map(|(name, _)| Measured::new(name));
    let mut local: Vec<Measured> = named().collect();
    let mut slow: Vec<(Measured, Requests)> = named().map(|it| (it, Requests::default())).collect();
    for round in 1..=rounds {
        for (at, (name, command)) in candidates.iter().enumerate() {
            eprintln!("round {round}: {name}, {blobs} blobs");
            write(&disk, blobs);
            local[at].runs.push(run(&mut command(&disk), &output));
            remove(&disk);

            write(&disk, blobs);
            let options = SlowFsOptions { delay, ..SlowFsOptions::default() };
            let fs = SlowFs::mount(&disk, &mounted, options).expect("FUSE can be mounted");
            slow[at].0.runs.push(run(&mut command(&mounted), &output));
            slow[at].1 = fs.requests();
            drop(fs);
            remove(&disk);
        }
    }
    Removal { blobs, rounds, local, delay, slow }
}

fn write(store: &Path, blobs: usize) {
    let spec = BulkSpec { repositories: 1, tags: 1, untagged: 0, stray_blobs: blobs, ..BulkSpec::default() };
    spec.write(store);
}

/// The blobs that are to stay, less than ten, go with the others.
fn remove_recursively(store: &Path) -> Command {
    let mut remove = Command::new("rm");
    remove.arg("-rf").arg(store.join("docker/registry/v2/blobs/sha256"));
    remove
}
