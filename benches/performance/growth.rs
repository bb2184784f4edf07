//! Stores of more and more blobs on the local disk: whether the time for each of them grows.

use std::path::Path;

use janitor_testkit::{BulkSpec, BulkSummary};

use crate::commands::{Commands, no_grace, with};
use crate::measure::{Candidate, Measured, paired, run};

/// Layers that each image has for itself: a million blobs are 200,000 images.
const OWN_LAYERS: usize = 3;
const TAGS: usize = 20;
const UNTAGGED: usize = 30;
/// What one repository brings: for each image a manifest, a configuration and its layers.
const BLOBS_EACH: usize = (TAGS + UNTAGGED) * (OWN_LAYERS + 2);

/// One size.
pub(crate) struct Grown {
    pub(crate) summary: BulkSummary,
    pub(crate) measured: Vec<Measured>,
}

/// One store that grows, measured at 10,000, 100,000 and 1,000,000 blobs, or as far as it may grow; at last it is swept.
pub(crate) fn measure(scratch: &Path, rounds: usize, max_blobs: usize) -> Vec<Grown> {
    let store = scratch.join("grown");
    let commands = Commands::new(scratch);
    let (mut done, mut first_repository) = (Vec::new(), 0);
    for blobs in [10_000, 100_000, 1_000_000].into_iter().filter(|blobs| *blobs <= max_blobs) {
        eprintln!("a store with {blobs} blobs");
        let repositories = blobs / BLOBS_EACH;
        let spec = BulkSpec {
            repositories: repositories - first_repository,
            first_repository,
            tags: TAGS,
            untagged: UNTAGGED,
            shared_layers: 0,
            own_layers: OWN_LAYERS,
            are_layers_hollow: true,
            ..BulkSpec::default()
        };
        spec.write(&store);
        first_repository = repositories;
        let summary = BulkSummary {
            tags: repositories * TAGS,
            manifests: repositories * (TAGS + UNTAGGED),
            blobs: repositories * BLOBS_EACH,
        };
        // Where nothing goes, an audit lists, reads and verifies; where most goes, it also asks for ages; the janitor's own
        // collector also asks for those of layer links.
        let keeping = || {
            let tags_stay = with(no_grace(commands.audit(&store)), "KEEP_LAST_N", "1000");
            with(tags_stay, "GC_DELETE_UNTAGGED", "false")
        };
        let removing = || no_grace(commands.audit(&store));
        let natively = || with(removing(), "GC_ENGINE", "native");
        let candidates: [Candidate<'_>; 3] = [
            ("audit, nothing goes", &keeping),
            ("audit, four fifths go", &removing),
            ("audit, GC_ENGINE=native, four fifths go", &natively),
        ];
        let measured = paired(&candidates, rounds, &scratch.join("output"), &|| ());
        done.push(Grown { summary, measured });
    }
    if let Some(largest) = done.last_mut() {
        eprintln!("the largest of them is swept");
        let mut swept = Measured::new("sweep, GC_ENGINE=native, four fifths go");
        swept.runs.push(run(&mut commands.native_sweep(&store), &scratch.join("output")));
        largest.measured.push(swept);
    }
    // The store is left to whoever made `scratch`: so many files take minutes to remove, and the page should not wait.
    done
}
