//! A store that was copied without its times: which tag is the newest is unknown, so none goes for its age.

#![expect(clippy::disallowed_methods, reason = "this test copies a store as people do")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use janitor_testkit::{Janitor, Registry, StoreView};

use crate::stage::{binary, push_versions};

struct Copy {
    registry: Registry,
    store: PathBuf,
}

impl Copy {
    /// Sixteen versions, as `cp -r` brings them along.
    fn new() -> Self {
        let registry = Registry::start();
        push_versions(&registry, "app", 16);
        let store = registry.scratch().join("copy");
        let status = Command::new("cp").arg("-r").arg(registry.store()).arg(&store).status().unwrap();
        assert!(status.success(), "cp: {status}");
        Self { registry, store }
    }

    fn janitor(&self) -> Janitor {
        let config = self.registry.scratch().join("copy.yml");
        let root = self.store.display();
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {root}\nhttp:\n  addr: 127.0.0.1:0\n"
        );
        fs::write(&config, text).unwrap();
        Janitor::once(binary(), &self.store, &config).keep(3)
    }

    fn tags(&self) -> usize {
        StoreView::new(&self.store).tags("app").len()
    }
}

#[test]
fn nothing_goes_by_the_order_of_copying() {
    let copy = Copy::new();

    let outcome = copy.janitor().run().assert_code(0);

    assert_eq!(copy.tags(), 16);
    assert_eq!(outcome.total("tags_removed"), 0);
    let report = outcome.report();
    let told = report["findings"].as_array().unwrap();
    let told: Vec<_> = told.iter().filter(|finding| finding["code"] == "equal-push-times").collect();
    assert_eq!(told.len(), 1, "{report}");
    assert_eq!((&told[0]["repository"], &told[0]["severity"]), (&"app".into(), &"warning".into()));
    assert!(told[0]["remedy"].as_str().unwrap().contains("--trust-equal-push-times"), "{told:?}");
    let tags = report["repositories"][0]["tags"].as_array().unwrap();
    let held = tags.iter().filter(|tag| tag["reasons"][0]["code"] == "equal-push-time").count();
    assert_eq!(held, 13, "{report}");
}

#[test]
fn a_person_may_have_the_order_trusted() {
    let copy = Copy::new();
    let outcome = copy.janitor().arg("--trust-equal-push-times").run().assert_code(0);
    assert_eq!((outcome.total("tags_removed"), copy.tags()), (13, 3));
}
