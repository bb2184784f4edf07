//! The harness itself, held against the stock registry.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test of the harness starts processes, reads the clock, and fails by panicking"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use janitor_testkit::{
    BulkSpec, Damage, Digest, Format, Image, ImageSpec, Layer, OciLayout, Registry, RegistryOptions, Skopeo,
    StoreBuilder, StoreView, Tree, ago, registry_bin,
};
use tempfile::TempDir;

/// Every kind of image the harness can make, with the tag to push it under.
fn one_of_each() -> Vec<(&'static str, String, Image)> {
    let base = Image::small(1);
    let referrer = Image::referrer_of(&base, "application/vnd.example.sbom", "{\"sbom\":1}");
    let inner = Image::multi_arch_in(Format::Oci, 3);
    let plain =
        ImageSpec::new("plain").format(Format::Docker).layer(Layer::seeded(9, 300)).plain_layers().build();
    vec![
        ("app", "v1".to_owned(), base.clone()),
        ("app", "many".to_owned(), Image::multi_arch(2)),
        ("app/nested", "outer".to_owned(), Image::index(Format::Oci, &[&inner, &Image::small(4)])),
        ("app/nested", "plain".to_owned(), plain),
        ("app", base.companion_tag(".sig"), Image::cosign_signature_of(&base)),
        ("app", base.companion_tag(""), Image::fallback_index(&[&referrer])),
    ]
}

/// Every file's path and bytes below a store; a registry's own upload directories are empty when it is idle.
fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn walk(root: &Path, below: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(root.join(below)).unwrap() {
            let relative = below.join(entry.unwrap().file_name());
            if root.join(&relative).is_dir() {
                // A directory counts by its path, so that scaffolding is compared too.
                found.insert(relative.join("."), Vec::new());
                walk(root, &relative, found);
            } else {
                found.insert(relative.clone(), fs::read(root.join(&relative)).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(root, Path::new(""), &mut found);
    found
}

#[test]
fn the_builder_writes_the_same_files_as_the_registry() {
    let registry = Registry::start();
    let directory = TempDir::new().unwrap();
    let builder = StoreBuilder::new(directory.path());
    for (repository, tag, image) in one_of_each() {
        registry.client().push(repository, &tag, &image);
        builder.push(repository, &tag, &image, ago(Duration::from_secs(60)));
    }
    // A tag that is pushed twice remembers both images.
    registry.client().push("app", "v1", &Image::small(5));
    builder.push("app", "v1", &Image::small(5), SystemTime::now());
    let by_the_registry = files(registry.store());
    let by_the_builder = files(directory.path());
    let paths = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(paths(&by_the_builder), paths(&by_the_registry));
    assert!(by_the_builder == by_the_registry, "a file has other bytes");
}

#[test]
fn the_registry_serves_what_the_builder_wrote() {
    let directory = TempDir::new().unwrap();
    let builder = StoreBuilder::new(directory.path());
    for (repository, tag, image) in one_of_each() {
        builder.push(repository, &tag, &image, ago(Duration::from_secs(60)));
    }
    let registry = Registry::start_with(RegistryOptions {
        store: Some(directory.path().to_owned()),
        ..RegistryOptions::default()
    });
    for (repository, tag, image) in one_of_each() {
        let pulled = registry.client().pull(repository, &tag).unwrap();
        assert_eq!(pulled.digest, image.digest());
        let expected: std::collections::BTreeSet<Digest> = image.all_digests().into_iter().collect();
        assert_eq!(pulled.digests, expected);
    }
}

#[test]
fn a_pull_names_the_piece_that_is_missing() {
    let registry = Registry::start();
    let client = registry.client();
    let image = Image::multi_arch(1);
    client.push("app", "v1", &image);
    let damage = Damage::to(&registry.view());
    let layer = image.blobs().keys().next().unwrap();
    damage.remove_blob(layer);
    let missing = client.pull("app", "v1").unwrap_err();
    assert_eq!((missing.kind, missing.reference.as_str()), ("blob", layer.as_str()));
    let child = image.documents()[0].digest();
    damage.remove_revision("app", &child);
    let missing = client.pull("app", "v1").unwrap_err();
    assert_eq!((missing.kind, missing.reference.as_str()), ("manifest", child.as_str()));
    assert_eq!(client.pull("app", "v2").unwrap_err().kind, "manifest");
}

#[test]
fn skopeo_pushes_each_kind_of_image_as_it_is() {
    let registry = Registry::start();
    let skopeo = Skopeo::find();
    let mut layout = OciLayout::create(registry.scratch().join("layout"));
    let base = Image::small(1);
    let about = ImageSpec::new("about").layer(Layer::seeded(2, 100)).subject(&base).build();
    let images = [
        ("base", base.clone()),
        ("about", about),
        ("signature", Image::cosign_signature_of(&base)),
        ("index", Image::multi_arch_in(Format::Oci, 2)),
    ];
    for (name, image) in &images {
        layout.add(name, image);
        skopeo.push(&layout, name, &registry, &format!("app:{name}"));
        let pulled = registry.client().pull("app", name).unwrap();
        assert_eq!(pulled.digest, image.digest(), "{name}");
        let into = registry.scratch().join(name);
        skopeo.pull(&registry, &format!("app:{name}"), &into).unwrap();
    }
    Damage::to(&registry.view()).remove_blob(base.blobs().keys().next().unwrap());
    let into = registry.scratch().join("broken");
    assert!(skopeo.pull(&registry, "app:base", &into).is_err());
}

#[test]
fn a_bulk_store_is_whole_and_the_same_every_time() {
    let spec = BulkSpec {
        repositories: 3,
        tags: 4,
        untagged: 2,
        newest: ago(Duration::from_secs(3600)),
        ..BulkSpec::default()
    };
    let (first, second) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let summary = spec.write(first.path());
    spec.write(second.path());
    assert!(files(first.path()) == files(second.path()), "not deterministic");
    let view = StoreView::new(first.path());
    assert_eq!(summary.tags, 12);
    assert_eq!(view.blobs().len(), summary.blobs);
    let push_time = |tag: &str| {
        let link = view.current_link(&BulkSpec::repository_name(1), tag);
        fs::metadata(link).unwrap().modified().unwrap()
    };
    assert_eq!(push_time("v4"), spec.newest);
    assert_eq!(push_time("v1"), spec.newest - spec.step * 3);
    let registry = Registry::start_with(RegistryOptions {
        store: Some(first.path().to_owned()),
        ..RegistryOptions::default()
    });
    let client = registry.client();
    assert_eq!(client.catalog().len(), 3);
    for number in 0..3 {
        let name = BulkSpec::repository_name(number);
        assert_eq!(view.revisions(&name).len(), 6);
        for tag in client.tags(&name) {
            client.pull(&name, &tag).unwrap();
        }
    }
}

#[test]
fn the_stock_collector_finds_no_garbage_in_a_built_store_but_what_was_made_so() {
    let registry = Registry::start();
    let builder = StoreBuilder::new(registry.store());
    for (repository, tag, image) in one_of_each() {
        builder.push(repository, &tag, &image, ago(Duration::from_secs(60)));
    }
    let loose = builder.loose_layer("app", b"nobody wants me", SystemTime::now());
    let output = Command::new(registry_bin())
        .args(["garbage-collect", "--dry-run"])
        .arg(registry.config())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let eligible: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("blob eligible for deletion: ")).collect();
    assert_eq!(eligible, [loose.as_str()], "{text}");
}

#[test]
fn a_snapshot_shows_every_kind_of_change() {
    let directory = TempDir::new().unwrap();
    let root = directory.path();
    for name in ["a", "b", "c", "d"] {
        fs::write(root.join(name), name).unwrap();
    }
    let before = Tree::of(root);
    before.assert_unchanged(&Tree::of(root));
    // The same bytes at the same time in another inode.
    let modified = fs::metadata(root.join("a")).unwrap().modified().unwrap();
    fs::write(root.join("e"), "a").unwrap();
    fs::File::open(root.join("e")).unwrap().set_modified(modified).unwrap();
    fs::rename(root.join("e"), root.join("a")).unwrap();
    fs::File::open(root.join("b")).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    fs::write(root.join("c"), "x").unwrap();
    fs::write(root.join("new"), "n").unwrap();
    let changes = before.changes_to(&Tree::of(root)).join("\n");
    for expected in ["changed: a: inode", "changed: b: mtime", "changed: c: content", "new:     new"] {
        assert!(changes.contains(expected), "{expected} is not in\n{changes}");
    }
    assert!(!changes.contains("changed: d"), "{changes}");
    let left_out = Tree::without(root, &["new"]);
    assert!(left_out.changes_to(&Tree::of(root)).join("\n").contains("new:     new"));
}
