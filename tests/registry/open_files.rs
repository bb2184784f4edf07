//! A process that may have few files open, and a store with more directories than that.

use janitor_testkit::{BulkSpec, Registry};

use crate::stage::{assert_all_pull, janitor};

const REPOSITORIES: usize = 600;
/// Systems that set no other limit allow 1024. With fewer, fewer repositories show that they are not all open together.
const OPEN_FILES: usize = 400;

#[test]
fn a_sweep_has_only_so_many_of_them_open_at_a_time() {
    let registry = Registry::start();
    let spec = BulkSpec {
        repositories: REPOSITORIES,
        tags: 2,
        untagged: 1,
        shared_layers: 1,
        own_layers: 0,
        ..BulkSpec::default()
    };
    spec.write(registry.store());
    let limit = [format!("--nofile={OPEN_FILES}")];

    let outcome = janitor(&registry)
        .env("GC_ENGINE", "native")
        .env("MAX_REMOVE_PERCENT", "100")
        .under("prlimit", &limit)
        .keep(1)
        .run()
        .assert_code(0);

    let repositories = REPOSITORIES as u64;
    assert_eq!(outcome.total("tags_removed"), repositories);
    assert_eq!(outcome.total("manifests_removed"), 2 * repositories);
    // A manifest and a configuration for each of these.
    assert_eq!(outcome.total("blobs_removed"), 4 * repositories);
    assert_all_pull(&registry, &BulkSpec::repository_name(0));
}
