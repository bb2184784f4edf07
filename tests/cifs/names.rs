//! Names that Windows reserves, which Samba lists under others unless told otherwise.

use std::fs;

use janitor_testkit::Image;

use crate::stage::{Stage, is_cifs, names};

#[test]
#[ignore = "needs a network mount: make test-cifs"]
fn a_mangled_name_is_explained_and_renaming_it_helps() {
    if !is_cifs() {
        return;
    }
    let (stage, images) = Stage::with_versions(2);
    stage.registry.client().push("app", "CON", &images[0]);

    let outcome = stage.janitor().keep(1).run().assert_code(3);

    let report = outcome.report();
    let findings = report["findings"].as_array().unwrap();
    let finding = findings.iter().find(|it| it["code"] == "odd-name").unwrap();
    assert!(finding["cause"].as_str().unwrap().contains("CON"), "{finding}");
    assert!(finding["remedy"].as_str().unwrap().contains("mangled names = no"), "{finding}");
    assert_eq!(stage.tags("app").len(), 3, "nothing is removed in doubt");
    let listed = stage.root().join(finding["path"].as_str().unwrap());
    fs::rename(&listed, listed.with_file_name("con-")).unwrap();
    assert_eq!(stage.registry.client().pull("app", "con-").unwrap().digest, images[0].digest());
    stage.janitor().keep(2).run().assert_code(0);
    stage.assert_all_pull("app");
}

#[test]
#[ignore = "needs a network mount: make test-cifs"]
fn a_share_that_mangles_no_names_has_them_all() {
    if !is_cifs() {
        return;
    }
    let stage = Stage::on("TEST_MOUNT_OF_PLAIN_NAMES");
    for (tag, number) in ["CON", "nul", "com1.txt"].into_iter().zip(1..) {
        stage.registry.client().push("aux/prn", tag, &Image::small(number));
    }

    stage.janitor().keep(2).run().assert_code(0);

    let left = stage.tags("aux/prn");
    assert!(left.len() == 2 && left.is_subset(&names(&["CON", "nul", "com1.txt"])), "{left:?}");
    stage.assert_all_pull("aux/prn");
}
