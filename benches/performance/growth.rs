//! Stores of more and more blobs on the local disk: whether the time for each of them grows.

use std::path::Path;

use janitor_testkit::{BulkSpec, BulkSummary};

use crate::cases::remove;
use crate::commands::{Commands, no_grace, with};
use crate::measure::{Candidate, Measured, paired};

/// Layers of each image, so that there are far more blobs than manifests.
const OWN_LAYERS: usize = 18;
const TAGS: usize = 50;
/// What one repository brings: for each tag a manifest, a configuration and its layers.
const BLOBS_EACH: usize = TAGS * (OWN_LAYERS + 2);

/// One size.
pub(crate) struct Grown {
    pub(crate) summary: BulkSummary,
    pub(crate) measured: Vec<Measured>,
}

/// One store that grows, measured at 10,000, 100,000 and 1,000,000 blobs, or as far as it may grow.
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
            untagged: 0,
            shared_layers: 0,
            own_layers: OWN_LAYERS,
            are_layers_hollow: true,
            ..BulkSpec::default()
        };
        spec.write(&store);
        first_repository = repositories;
        let tags = repositories * TAGS;
        let summary = BulkSummary { tags, manifests: tags, blobs: repositories * BLOBS_EACH };
        // Where nothing goes, an audit lists, reads and verifies; where most goes, it also asks for ages.
        let keeping = || with(no_grace(commands.audit(&store)), "KEEP_LAST_N", "1000");
        let removing = || no_grace(commands.audit(&store));
        let candidates: [Candidate<'_>; 2] =
            [("audit, nothing goes", &keeping), ("audit, four fifths go", &removing)];
        let measured = paired(&candidates, rounds, &scratch.join("output"), &|| ());
        done.push(Grown { summary, measured });
    }
    if !done.is_empty() {
        remove(&store);
    }
    done
}
