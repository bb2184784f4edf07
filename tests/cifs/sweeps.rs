//! What a sweep, an undo and a check do anywhere, they do here.

use std::fs;

use janitor_testkit::{Image, Tree};

use crate::stage::{ENGINES, Stage, codes, digests_of, names};

#[test]
#[ignore = "needs a network mount: make test-cifs"]
fn both_engines_remove_what_should_go_and_nothing_else() {
    for engine in ENGINES {
        let stage = Stage::new();
        let multi = Image::multi_arch(7);
        let images = stage.push_versions(3);
        let signature = Image::cosign_signature_of(&images[2]);
        let client = stage.registry.client();
        client.push("app", "multi", &multi);
        client.push("app", &images[2].companion_tag(".sig"), &signature);
        client.push("app/nested", "n1", &images[2]);
        let before = Tree::of(stage.root());
        let audit = stage.janitor().keep(2).audit().run().assert_code(0);
        before.assert_unchanged(&Tree::of(stage.root()));

        let outcome = stage.janitor().env("GC_ENGINE", engine).keep(2).run().assert_code(0);

        assert_eq!(outcome.total("tags_removed"), audit.total("tags_removed"));
        assert_eq!(stage.tags("app"), names(&["multi", "v3", &images[2].companion_tag(".sig")]), "{engine}");
        assert_eq!(stage.blobs(), digests_of(&[&multi, &images[2], &signature]), "{engine}");
        for repository in ["app", "app/nested"] {
            stage.assert_all_pull(repository);
        }
        // What was removed can be pushed again, and the next sweep changes nothing.
        client.push("other", "v1", &images[0]);
        stage.assert_all_pull("other");
        let again = stage.janitor().env("GC_ENGINE", engine).keep(2).run().assert_code(0);
        assert_eq!((again.total("tags_removed"), again.total("blobs_removed")), (0, 0), "{engine}");
    }
}

#[test]
#[ignore = "needs a network mount: make test-cifs"]
fn a_removed_tag_comes_back_whole() {
    let (stage, images) = Stage::with_versions(3);
    let holding = || stage.janitor().env("UNDO_WINDOW", "1h");
    holding().keep(1).run().assert_code(0);
    assert_eq!(stage.tags("app"), names(&["v3"]));

    holding().arg("restore").arg("app:v1").run().assert_code(0);

    assert_eq!(stage.tags("app"), names(&["v1", "v3"]));
    assert_eq!(stage.registry.client().pull("app", "v1").unwrap().digest, images[0].digest());
    holding().arg("trash").arg("empty").arg("--yes").run().assert_code(0);
    stage.assert_ends_with(2, &["v1", "v3"], &[&images[0], &images[2]]);
}

#[test]
#[ignore = "needs a network mount: make test-cifs"]
fn checks_find_nothing_in_a_good_store_and_a_flipped_byte_in_a_bad_one() {
    let (stage, images) = Stage::with_versions(1);
    assert_eq!(codes(&stage.janitor().arg("check").run().assert_code(0)), [""; 0]);
    assert_eq!(codes(&stage.janitor().arg("check").arg("--deep").run().assert_code(0)), [""; 0]);
    stage.janitor().arg("du").run().assert_code(0);
    let layer = images[0].blobs().keys().next().unwrap();
    let path = stage.registry.view().blob_data(layer);
    let mut bytes = fs::read(&path).unwrap();
    bytes[7] ^= 1;
    fs::write(&path, bytes).unwrap();

    let outcome = stage.janitor().arg("check").arg("--deep").run().assert_code(4);
    assert_eq!(codes(&outcome), ["blob-wrong-hash"]);

    stage.janitor().arg("check").arg("--deep").arg("--repair").arg("--yes").run().assert_code(4);
    stage.registry.client().push("app", "v1", &images[0]);
    stage.assert_all_pull("app");
    assert_eq!(codes(&stage.janitor().arg("check").arg("--deep").run().assert_code(0)), [""; 0]);
}
