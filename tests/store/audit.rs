//! An audit: the same look, and not one operation that changes anything.

use std::collections::BTreeSet;
use std::sync::Arc;

use janitor_testkit::Tree;
use registry_janitor::report::{Outcome, Status, SweepReport};
use registry_janitor::stop::Stop;
use registry_janitor::store::Store;
use registry_janitor::sweep::sweep_store;

use crate::stage::Stage;
use crate::watch::{Hooks, Log, mutates};

fn tags_with(report: &SweepReport, outcome: Outcome) -> BTreeSet<String> {
    let tags = report.repositories.iter().flat_map(|repository| {
        repository
            .tags
            .iter()
            .filter(|tag| tag.outcome == outcome)
            .map(|tag| format!("{}:{}", repository.name, tag.tag))
    });
    tags.collect()
}

#[test]
fn an_audit_makes_no_operation_that_changes_anything() {
    let stage = Stage::new();
    let before = Tree::of(stage.root());
    let log = Arc::new(Log::default());
    let seen = Arc::clone(&log);
    let watch = Hooks::before(move |op, path| {
        seen.add(op, path);
        Ok(())
    });
    let mut config = stage.config();
    config.dry_run = true;
    let store = Store::open(stage.root(), 4, Some(watch)).unwrap();
    let report = sweep_store(&store, &config, &Stop::default()).unwrap();

    let counts = store.io_counts();
    assert_eq!((counts.make_dirs, counts.renames, counts.removes, counts.writes), (0, 0, 0, 0));
    assert!(!log.all().iter().any(|(op, _)| mutates(*op)));
    before.assert_unchanged(&Tree::of(stage.root()));
    assert_eq!((report.status, report.exit_code), (Status::Audit, 0));
    assert_eq!(report.totals.tags_removed, 3);
}

#[test]
fn what_an_audit_announces_is_what_a_sweep_does() {
    let stage = Stage::new();
    let mut config = stage.config();
    config.dry_run = true;
    let audit = stage.sweep_with(&config, None, &Stop::default()).unwrap();
    let sweep = stage.sweep(None).unwrap();

    assert_eq!(tags_with(&audit, Outcome::WouldRemove), tags_with(&sweep, Outcome::Removed));
    for (announced, done) in audit.repositories.iter().zip(&sweep.repositories) {
        assert_eq!(announced.manifests_removed, done.manifests_removed, "{}", done.name);
        assert_eq!(announced.bytes_reclaimable, done.bytes_reclaimable, "{}", done.name);
    }
    assert_eq!(audit.totals.manifests_removed, 5);
    assert_eq!(sweep.totals.manifests_removed, 5, "v1, v2, the signature of v1, two untagged ones");
    assert_eq!(audit.totals.repositories_removed, 1);
    assert_eq!(sweep.totals.repositories_removed, 1);
}
