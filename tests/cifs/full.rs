//! A share without room.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use janitor_testkit::{Image, ImageSpec, Layer};

use crate::stage::{Stage, is_cifs};

/// Writes until nothing more fits.
fn fill(path: &Path) {
    let mut filler = File::create(path).unwrap();
    for size in [1 << 20, 1 << 16, 1 << 12] {
        let full = loop {
            // A network client may take it and fail only when it is to be on the disk.
            if let Err(error) = filler.write_all(&vec![b'f'; size]).and_then(|()| filler.sync_all()) {
                break error;
            }
        };
        assert_eq!(full.kind(), ErrorKind::StorageFull, "{full}");
    }
}

#[test]
#[ignore = "needs a network mount: make test-cifs"]
fn a_sweep_makes_room_on_a_full_share() {
    if !is_cifs() {
        return;
    }
    let stage = Stage::on("TEST_MOUNT_THAT_IS_SMALL");
    let client = stage.registry.client();
    let large = |number: u64| -> Image {
        ImageSpec::new(&format!("release {number}")).layer(Layer::seeded(number, 1 << 20)).build()
    };
    client.push("app", "v1", &large(1));
    stage.janitor().keep(1).run().assert_code(0);
    client.push("app", "v2", &large(2));
    let filler = stage.root().join("filler");
    fill(&filler);
    client.try_push("app", "v3", &large(3)).unwrap_err();

    let outcome = stage.janitor().keep(1).run();

    assert!(matches!(outcome.code, Some(0 | 3)), "{:?}\n{}", outcome.code, outcome.stderr);
    assert_eq!(outcome.total("tags_removed"), 1, "{}", outcome.stderr);
    assert!(outcome.total("bytes_freed") > 1 << 19, "{}", outcome.stderr);
    stage.assert_all_pull("app");
    client.push("app", "v3", &large(3));
    fs::remove_file(filler).unwrap();
    stage.janitor().keep(1).run().assert_code(0);
    stage.assert_all_pull("app");
}
