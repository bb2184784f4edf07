//! The trash cannot be used as it should be: what is in it may come back, so nothing that it needs goes.

#![expect(clippy::disallowed_methods, reason = "somebody clears the trash by hand")]

use std::fs;

use janitor_testkit::{Collector, Registry};

use super::{assert_blobs, findings, pulled_all_along, runs, trash};
use crate::stage::{assert_all_pull, digests_of, janitor, names, push_versions};

#[test]
fn tags_that_cannot_be_condemned_are_failed_and_come_back_before_any_blob_goes() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 4);
    fs::create_dir_all(trash(&registry)).unwrap();
    let condemned = trash(&registry).join("condemned");
    fs::write(&condemned, "in the way").unwrap();
    let scripts = Collector::scripts_in(registry.scratch());
    let recording = scripts.recording("recording");
    let sweep = janitor(&registry).keep(2).collector(&recording);

    let outcome = pulled_all_along(&registry, "app", &["v3", "v4"], || sweep.run().assert_code(3));

    assert_eq!(runs(&scripts, "recording"), (0, 0), "{}", outcome.stderr);
    for (tag, expected) in [("v1", "failed"), ("v2", "failed"), ("v3", "kept"), ("v4", "kept")] {
        assert_eq!(outcome.tag("app", tag)["outcome"], expected, "{tag}");
    }
    assert_eq!(outcome.total("tags_removed"), 0);
    assert_eq!(outcome.total("bytes_freed"), 0);
    assert_blobs(&registry, &digests_of(&images));

    fs::remove_file(&condemned).unwrap();
    let outcome = pulled_all_along(&registry, "app", &["v3", "v4"], || sweep.run().assert_code(0));

    let report = outcome.report();
    let back = findings(&report, "note").iter().filter(|finding| finding["code"] == "put-back").count();
    assert_eq!(back, 2, "{report}");
    assert_eq!(outcome.total("tags_removed"), 2);
    assert!(outcome.total("bytes_freed") > 0);
    assert_eq!(registry.client().tags("app"), names(&["v3", "v4"]));
    assert_blobs(&registry, &digests_of(&images[2..]));
    assert_all_pull(&registry, "app");
}

#[test]
fn something_unknown_in_the_trash_is_kept_and_told_and_no_blob_goes_until_it_is_out() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 3);
    let strange = trash(&registry).join("pending/old/strange/file");
    fs::create_dir_all(strange.parent().unwrap()).unwrap();
    fs::write(&strange, "of another version").unwrap();
    let scripts = Collector::scripts_in(registry.scratch());
    let recording = scripts.recording("recording");
    let sweep = janitor(&registry).keep(1).collector(&recording);

    for _ in 0..2 {
        let outcome = pulled_all_along(&registry, "app", &["v3"], || sweep.run().assert_code(3));

        assert_eq!(fs::read_to_string(&strange).unwrap(), "of another version");
        let report = outcome.report();
        let doubts = findings(&report, "doubt");
        assert!(
            doubts.iter().any(|doubt| doubt["path"] == "janitor/trash/pending/old/strange/file"),
            "{report}"
        );
        assert_eq!(runs(&scripts, "recording"), (0, 0), "{report}");
        assert_blobs(&registry, &digests_of(&images));
    }

    fs::rename(&strange, registry.scratch().join("out")).unwrap();
    sweep.run().assert_code(0);

    assert_eq!(registry.client().tags("app"), names(&["v3"]));
    assert_blobs(&registry, &digests_of(&images[2..]));
    assert_all_pull(&registry, "app");
}
