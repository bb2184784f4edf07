//! Files that another process has open: readers, a registry in the middle of a request, another janitor's audit.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;

use janitor_testkit::{Digest, Image, ImageSpec, Layer, StoreView};

use crate::stage::{ENGINES, Stage, codes, is_cifs, names};

#[test]
#[ignore = "needs a network mount: make test-cifs"]
fn a_tag_that_is_read_at_that_moment_goes_when_it_no_longer_is() {
    let (stage, images) = Stage::with_versions(2);
    let reader = File::open(stage.registry.view().current_link("app", "v1")).unwrap();

    let outcome = stage.janitor().keep(1).run().assert_code(0);

    if is_cifs() {
        assert_eq!(outcome.tag("app", "v1")["outcome"], "in-use", "{}", outcome.stdout);
        assert_eq!(codes(&outcome), ["in-use"], "{}", outcome.stdout);
        assert_eq!(stage.tags("app"), names(&["v1", "v2"]));
    }
    stage.assert_all_pull("app");
    drop(reader);
    stage.assert_ends_with(1, &["v2"], &[&images[1]]);
}

/// Everything of an image that a registry opens or lists, with the directories above it that a sweep moves.
fn opened_of(view: &StoreView, tag: &str, image: &Image) -> Vec<PathBuf> {
    let manifest = image.digest();
    let layer = image.blobs().keys().next().unwrap();
    vec![
        view.current_link("app", tag),
        view.index_link("app", tag, &manifest),
        view.tag("app", tag).join("index/sha256"),
        view.revision_link("app", &manifest),
        view.layer_link("app", layer),
        view.blob_data(&manifest),
        view.blob_data(layer),
    ]
}

/// Opens a file, or opens and lists a directory.
fn hold(path: &PathBuf) -> (Option<File>, Option<fs::ReadDir>) {
    if path.is_dir() {
        let mut listing = fs::read_dir(path).unwrap();
        listing.next();
        return (None, Some(listing));
    }
    let mut file = File::open(path).unwrap();
    file.read_exact(&mut [0]).unwrap();
    (Some(file), None)
}

#[test]
#[ignore = "needs a network mount: make test-cifs"]
fn whatever_a_registry_has_open_nothing_is_lost_and_the_next_sweep_takes_the_rest() {
    // Older than `v2`, and not so much that its clock seems behind.
    let before = janitor_testkit::ago(std::time::Duration::from_secs(60));
    let (stage, images) = Stage::with_versions(2);
    let steps = opened_of(&stage.registry.view(), "v1", &images[0]).len();
    for step in 0..steps {
        let path = &opened_of(&stage.registry.view(), "v1", &images[0])[step];
        let held = hold(path);

        let outcome = stage.janitor().keep(1).run();

        assert!(outcome.code == Some(0), "{}: {:?}\n{}", path.display(), outcome.code, outcome.stderr);
        assert!(!outcome.stderr.contains("check the storage"), "{}: {}", path.display(), outcome.stderr);
        stage.assert_all_pull("app");
        drop(held);
        stage.assert_ends_with(1, &["v2"], &[&images[1]]);
        // Push the removed image again for the next step.
        stage.registry.client().push("app", "v1", &images[0]);
        stage.registry.set_push_time("app", "v1", before);
    }
}

#[test]
#[ignore = "needs a network mount: make test-cifs"]
fn with_everything_open_at_once_either_engine_loses_nothing() {
    for engine in ENGINES {
        let (stage, images) = Stage::with_versions(2);
        let all = [("v1", &images[0]), ("v2", &images[1])];
        let paths: Vec<PathBuf> =
            all.iter().flat_map(|(tag, image)| opened_of(&stage.registry.view(), tag, image)).collect();
        let held: Vec<_> = paths.iter().map(hold).collect();

        let outcome = stage.janitor().env("GC_ENGINE", engine).keep(1).run();

        // The registry's own collector fails at a blob that it cannot remove at once.
        let is_stock_failure = engine == "registry" && outcome.code == Some(3);
        assert!(
            outcome.code == Some(0) || is_stock_failure,
            "{engine}: {:?}\n{}",
            outcome.code,
            outcome.stderr
        );
        stage.assert_all_pull("app");
        drop(held);
        stage.assert_ends_with(1, &["v2"], &[&images[1]]);
    }
}

#[test]
#[ignore = "needs a network mount: make test-cifs"]
fn a_slow_pull_of_what_goes_comes_to_its_end() {
    let stage = Stage::new();
    let client = stage.registry.client();
    let large = ImageSpec::new("large").layer(Layer::seeded(1, 8 << 20)).plain_layers().build();
    client.push("app", "v1", &large);
    client.push("app", "v2", &Image::small(2));
    let (digest, bytes) = large.blobs().iter().max_by_key(|(_, bytes)| bytes.len()).unwrap();
    let mut pull = TcpStream::connect(stage.registry.address()).unwrap();
    write!(pull, "GET /v2/app/blobs/{digest} HTTP/1.0\r\nHost: registry\r\n\r\n").unwrap();
    let mut answer = vec![0; 1 << 16];
    pull.read_exact(&mut answer).unwrap();

    stage.janitor().keep(1).run().assert_code(0);

    pull.read_to_end(&mut answer).unwrap();
    let body = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(answer.len() - body, bytes.len());
    assert_eq!(Digest::of(&answer[body..]), *digest);
    drop(pull);
    stage.assert_ends_with(1, &["v2"], &[&Image::small(2)]);
}

#[test]
#[ignore = "needs a network mount: make test-cifs"]
fn the_janitors_own_files_outlive_somebody_who_reads_them() {
    let (stage, _) = Stage::with_versions(3);
    stage.janitor().keep(2).run().assert_code(0);
    let own = ["last-sweep.json", "references", "holder.json"];
    let path = |name: &str| stage.root().join("janitor").join(name);
    stage.registry.client().push("app", "v4", &Image::small(4));
    let readers: Vec<File> = own.iter().map(|name| File::open(path(name)).unwrap()).collect();

    stage.janitor().keep(1).run().assert_code(0);

    drop(readers);
    assert_eq!(stage.tags("app"), names(&["v4"]));
    stage.assert_ends_with(1, &["v4"], &[&Image::small(4)]);
    for name in own {
        assert!(path(name).exists(), "{name}");
        for end in ["new", "old"] {
            assert!(!path(&format!("{name}.{end}")).exists(), "{name}.{end}");
        }
    }
}

#[test]
#[ignore = "needs a network mount: make test-cifs"]
fn a_heartbeat_that_is_read_is_never_gone() {
    let stage = Stage::new();
    stage.push_versions(1);
    let path = stage.root().join("heartbeat.json");
    let looping = stage.janitor().looping().env("JANITOR_INTERVAL_SECS", "1");
    let looping = looping.env("JANITOR_HEARTBEAT", &path.display().to_string());
    let mut running = looping.spawn();
    running.wait_until("there is a heartbeat", |_| path.exists());
    for _ in 0..3 {
        let reader = File::open(&path).unwrap();
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        drop(reader);
        running.wait_until("there is a new one", |_| {
            fs::metadata(&path).is_ok_and(|it| it.modified().unwrap() != before)
        });
    }
    stage.assert_all_pull("app");
}
