//! What `janitor du` tells of the disk, against the files themselves and what really comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use janitor_testkit::{
    Damage, Digest, Image, ImageSpec, Janitor, Layer, Registry, StoreBuilder, Tree, ago, registry_bin,
};
use serde_json::Value;

use crate::stage::{assert_all_pull, blobs_on_disk, janitor, push_series, push_versions};

fn du(registry: &Registry, arguments: &[&str]) -> Janitor {
    arguments.iter().fold(janitor(registry).arg("du"), |janitor, argument| janitor.arg(argument))
}

fn told(registry: &Registry, arguments: &[&str]) -> Value {
    du(registry, arguments).run().assert_code(0).report()
}

/// What the file system has set aside for each blob.
fn allocated(registry: &Registry) -> BTreeMap<Digest, u64> {
    let view = registry.view();
    let blocks = |digest: &Digest| fs::metadata(view.blob_data(digest)).unwrap().blocks() * 512;
    blobs_on_disk(registry).into_iter().map(|digest| (digest.clone(), blocks(&digest))).collect()
}

fn sum<'a>(sizes: &BTreeMap<Digest, u64>, of: impl IntoIterator<Item = &'a Digest>) -> u64 {
    of.into_iter().map(|digest| sizes[digest]).sum()
}

fn bytes(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

fn row<'a>(list: &'a Value, keys: &[(&str, &str)]) -> &'a Value {
    let is_it = |row: &&Value| keys.iter().all(|(key, value)| row[*key] == **value);
    list.as_array().unwrap().iter().find(is_it).unwrap_or_else(|| panic!("no {keys:?} in {list}"))
}

/// Images with layers that are theirs alone, their repository's, and everybody's.
fn some_images() -> Vec<(&'static str, &'static str, Image)> {
    let image = |name: &str, layers: &[(u64, usize)]| {
        let spec = layers
            .iter()
            .fold(ImageSpec::new(name), |spec, (seed, size)| spec.layer(Layer::seeded(*seed, *size)));
        spec.build()
    };
    let base = (1, 90_000);
    vec![
        ("team/app", "v1", image("app 1", &[base, (2, 40_000), (3, 20_000)])),
        ("team/app", "v2", image("app 2", &[base, (2, 40_000), (4, 30_000)])),
        ("team/web", "v1", image("web", &[base, (5, 10_000)])),
        ("multi", "v1", Image::multi_arch(7)),
    ]
}

fn push_all(registry: &Registry, images: &[(&str, &str, Image)]) {
    for (repository, tag, image) in images {
        registry.client().push(repository, tag, image);
    }
}

#[test]
fn the_figures_are_those_of_the_files() {
    let registry = Registry::start();
    let images = some_images();
    push_all(&registry, &images);
    let sizes = allocated(&registry);
    let before = Tree::of(registry.store());

    let report = told(&registry, &["--tags"]);

    before.assert_unchanged(&Tree::of(registry.store()));
    assert_eq!(report["sizes"], "allocated");
    let needed: Vec<BTreeSet<Digest>> =
        images.iter().map(|(_, _, image)| image.all_digests().into_iter().collect()).collect();
    let others = |is_own: &dyn Fn(usize) -> bool| -> BTreeSet<&Digest> {
        (0..images.len()).filter(|at| !is_own(*at)).flat_map(|at| &needed[at]).collect()
    };
    for (at, (repository, tag, image)) in images.iter().enumerate() {
        let row = row(&report["tags"], &[("repository", repository), ("tag", tag)]);
        let others = others(&|other| other == at);
        let (total, alone) =
            (sum(&sizes, &needed[at]), sum(&sizes, needed[at].iter().filter(|it| !others.contains(it))));
        assert_eq!(bytes(&row["total_bytes"]), total, "{repository}:{tag}");
        assert_eq!(bytes(&row["alone_bytes"]), alone, "{repository}:{tag}");
        assert_eq!(bytes(&row["shared_bytes"]), total - alone, "{repository}:{tag}");
        assert_eq!(row["digest"], image.digest().as_str());
        assert!(row["pushed_at"].is_string(), "{row}");
    }
    for name in ["team/app", "team/web", "multi"] {
        let own = |at: usize| images[at].0 == name;
        let held: BTreeSet<&Digest> =
            (0..images.len()).filter(|at| own(*at)).flat_map(|at| &needed[at]).collect();
        let others = others(&own);
        let row = row(&report["repositories"], &[("name", name)]);
        assert_eq!(bytes(&row["total_bytes"]), sum(&sizes, held.iter().copied()), "{name}");
        let alone = held.iter().copied().filter(|it| !others.contains(it));
        assert_eq!(bytes(&row["alone_bytes"]), sum(&sizes, alone), "{name}");
        assert_eq!((bytes(&row["untagged_bytes"]), &row["in_doubt"]), (0, &Value::Bool(false)));
    }
    let totals = &report["totals"];
    assert_eq!(bytes(&totals["total_bytes"]), sizes.values().sum::<u64>());
    assert_eq!(totals["tags_bytes"], totals["total_bytes"]);
    assert_eq!(bytes(&totals["reclaimable_bytes"]) + bytes(&totals["waiting_bytes"]), 0);
    assert_eq!(bytes(&totals["blobs"]), sizes.len() as u64);

    let apparent = told(&registry, &["--apparent-size"]);
    assert_eq!(apparent["sizes"], "apparent");
    assert_eq!(bytes(&apparent["totals"]["total_bytes"]), registry.view().blob_bytes());
    assert!(apparent.get("tags").is_none());
}

#[expect(clippy::disallowed_methods, reason = "it is the registry's collector that this is measured against")]
fn collect(registry: &Registry) {
    let mut collector = Command::new(registry_bin());
    let output = collector.arg("garbage-collect").arg(registry.config()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_a_tag_or_a_repository_holds_alone_comes_back_when_it_is_deleted() {
    let registry = Registry::start();
    let images = some_images();
    push_all(&registry, &images);
    let allocated_bytes = || allocated(&registry).values().sum::<u64>();

    let before = allocated_bytes();
    let report = told(&registry, &["team/app:v1"]);
    assert_eq!(report["tags"].as_array().unwrap().len(), 1);
    registry.client().delete("team/app", &images[0].2.digest());
    collect(&registry);
    assert_eq!(before - allocated_bytes(), bytes(&report["tags"][0]["alone_bytes"]));

    // A repository goes with all of its manifests; those of an index one by one, through this API.
    for name in ["multi", "team/app"] {
        let before = allocated_bytes();
        let report = told(&registry, &[]);
        let alone = bytes(&row(&report["repositories"], &[("name", name)])["alone_bytes"]);
        for (_, _, image) in images.iter().skip(1).filter(|(repository, ..)| *repository == name) {
            for document in image.documents().iter().rev() {
                registry.client().delete(name, &document.digest());
            }
        }
        collect(&registry);
        assert_eq!(before - allocated_bytes(), alone, "{name}");
        assert!(alone > 0);
    }
    assert_all_pull(&registry, "team/web");
}

/// A store in which a tag was pushed again, a layer was never used, and the registry deleted an image.
fn with_garbage(registry: &Registry) {
    let versions = push_versions(registry, "app", 3);
    push_series(registry, "app", &[("v2", &Image::small(20))]);
    registry.client().push_untagged("other", &Image::multi_arch(9));
    registry.client().push("other", "v1", &versions[0]);
    registry.client().push("deleted", "v1", &Image::small(30));
    registry.client().push("deleted", "v2", &Image::small(31));
    registry.client().delete("deleted", &Image::small(30).digest());
    StoreBuilder::new(registry.store()).loose_layer("app", &[7; 9000], ago(std::time::Duration::ZERO));
}

#[test]
fn what_is_reclaimable_is_what_an_audit_foretells_and_a_sweep_frees_without_taking_a_tag() {
    let registry = Registry::start();
    with_garbage(&registry);
    let before: u64 = allocated(&registry).values().sum();

    let totals = told(&registry, &[])["totals"].clone();
    let sweep = || janitor(&registry).keep(100).env("MAX_REMOVE_PERCENT", "100");
    let audit = sweep().audit().run().assert_code(0);
    sweep().run().assert_code(0);
    let after: u64 = allocated(&registry).values().sum();

    assert!(before - after > 9000);
    assert_eq!(bytes(&totals["reclaimable_bytes"]), audit.total("bytes_freed_on_disk"));
    assert_eq!(bytes(&totals["reclaimable_bytes"]), before - after);
    assert_eq!(bytes(&totals["tags_bytes"]), after);
    assert_eq!(bytes(&totals["waiting_bytes"]), 0);
    assert!(totals.get("waiting_for").is_none());
    let parts = ["tags_bytes", "undo_bytes", "untagged_bytes", "unreferenced_bytes"];
    assert_eq!(parts.map(|part| bytes(&totals[part])).iter().sum::<u64>(), before);
    let swept = told(&registry, &[])["totals"].clone();
    assert_eq!((bytes(&swept["total_bytes"]), bytes(&swept["reclaimable_bytes"])), (after, 0));
}

#[test]
fn what_is_too_young_or_stays_by_a_setting_waits() {
    let registry = Registry::start();
    with_garbage(&registry);
    let reclaimable = bytes(&told(&registry, &[])["totals"]["reclaimable_bytes"]);

    let young = du(&registry, &[]).env("GC_GRACE", "1h").run().assert_code(0).report();
    assert_eq!(bytes(&young["totals"]["reclaimable_bytes"]), 0);
    assert_eq!(bytes(&young["totals"]["waiting_bytes"]), reclaimable);
    assert_eq!(young["totals"]["waiting_for"], "age");
    assert!(young["totals"]["waiting_until"].is_string(), "{young}");

    let staying = du(&registry, &[]).env("GC_DELETE_UNTAGGED", "false").run().assert_code(0).report();
    let totals = &staying["totals"];
    assert_eq!(totals["waiting_for"], "setting");
    assert_eq!(bytes(&totals["waiting_bytes"]), bytes(&totals["untagged_bytes"]));
    assert_eq!(
        bytes(&totals["waiting_bytes"]) + bytes(&totals["reclaimable_bytes"]),
        reclaimable,
        "{totals}"
    );
}

#[test]
fn removed_tags_hold_what_can_be_brought_back_until_their_window_is_over() {
    let registry = Registry::start();
    push_versions(&registry, "app", 3);
    let swept = janitor(&registry).env("UNDO_WINDOW", "1h").keep(1).run().assert_code(0).report();

    let held = du(&registry, &["--apparent-size"]).env("UNDO_WINDOW", "1h").run().assert_code(0).report();
    let over = du(&registry, &["--apparent-size"]).env("UNDO_WINDOW", "0s").run().assert_code(0).report();

    let (held, over) = (&held["totals"], &over["totals"]);
    assert_eq!(held["undo_bytes"], swept["undo"]["bytes"]);
    assert_eq!((bytes(&held["undo_tags"]), bytes(&held["undo_tags_expired"])), (2, 0));
    assert_eq!(bytes(&held["reclaimable_bytes"]), 0);
    assert_eq!(over["reclaimable_bytes"], held["undo_bytes"]);
    assert_eq!((bytes(&over["undo_tags"]), bytes(&over["undo_tags_expired"])), (0, 2));
    assert_eq!(held["total_bytes"], over["total_bytes"]);
}

#[test]
fn what_sweeps_and_repairs_have_taken_away_is_told_apart() {
    let registry = Registry::start();
    push_versions(&registry, "app", 1);
    for (kind, size) in [("pending", 100), ("condemned", 20), ("mended", 3)] {
        let blobs = registry.store().join("janitor/trash").join(kind).join("run/blobs/sha256/ab");
        fs::create_dir_all(&blobs).unwrap();
        fs::write(blobs.join("data"), vec![1; size]).unwrap();
    }
    // A blob that a sweep has hidden lies beside where its data was.
    let hidden = registry.view().blob_data(&Digest::of(b"hidden"));
    fs::create_dir_all(hidden.parent().unwrap()).unwrap();
    fs::write(hidden.with_extension("janitor"), vec![1; 4000]).unwrap();
    let totals = told(&registry, &["--apparent-size"])["totals"].clone();
    let parts = ["trash_pending_bytes", "trash_condemned_bytes", "trash_mended_bytes"];
    assert_eq!(parts.map(|part| bytes(&totals[part])), [4100, 20, 3]);
    assert_eq!(bytes(&totals["total_bytes"]), registry.view().blob_bytes());
}

#[test]
fn what_cannot_be_read_is_told_and_nothing_is_called_reclaimable() {
    let registry = Registry::start();
    with_garbage(&registry);
    Damage::to(&registry.view()).truncate_tag("app", "v1");
    let before = Tree::of(registry.store());

    let outcome = du(&registry, &["app"]).run().assert_code(3);
    let text = du(&registry, &["app", "--output=text"]).run().assert_code(3);

    before.assert_unchanged(&Tree::of(registry.store()));
    let report = outcome.report();
    assert_eq!(report["exit_code"], 3);
    assert_eq!(bytes(&report["totals"]["reclaimable_bytes"]), 0);
    assert_eq!(report["totals"]["waiting_for"], "doubt");
    assert_eq!(report["repositories"][0]["in_doubt"], true);
    let doubtful = row(&report["tags"], &[("tag", "v1")]);
    assert!(doubtful.get("digest").is_none() && doubtful.get("total_bytes").is_none(), "{doubtful}");
    assert!(!report["findings"].as_array().unwrap().is_empty());
    assert!(text.stdout.contains("in doubt  app:v1\n"), "{}", text.stdout);
    assert!(text.stdout.contains("\ndoubt: docker/registry/v2/"), "{}", text.stdout);
}

#[test]
fn the_largest_come_first_and_the_rest_is_counted() {
    let registry = Registry::start();
    for (number, size) in [(1, 10_000), (2, 50_000), (3, 30_000)] {
        let spec = ImageSpec::new(&format!("{number}")).layer(Layer::seeded(number, size));
        registry.client().push(&format!("app{number}"), "v1", &spec.build());
    }
    let names = |arguments: &[&str]| -> Vec<String> {
        let outcome = du(&registry, arguments).run().assert_code(0);
        let rows = outcome.report()["repositories"].clone();
        rows.as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&[]), ["app2", "app3", "app1"]);
    assert_eq!(names(&["--sort", "alone", "--top", "2"]), ["app2", "app3"]);
    assert_eq!(names(&["--sort", "name"]), ["app1", "app2", "app3"]);

    let text = du(&registry, &["--top=1", "--output=text"]).run().assert_code(0).stdout;
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].ends_with("TAGS  REPOSITORY"), "{text}");
    assert!(lines[1].ends_with("   1  app2"), "{text}");
    assert_eq!(lines[2], "... and 2 repositories more (--top all)");
    assert!(!text.contains('█'), "no bars where nobody looks: {text}");
    let tags = du(&registry, &["--tags", "--top=2", "--output=text"]).run().assert_code(0).stdout;
    assert!(tags.contains("app3:v1\n... and 1 tag more (--top all)"), "{tags}");
}

#[test]
fn what_is_not_there_or_cannot_be_is_an_error() {
    let registry = Registry::start();
    push_versions(&registry, "team/app", 1);
    let error = |arguments: &[&str]| du(&registry, arguments).run().assert_code(2).stderr;
    assert_eq!(error(&["team"]), "error: there is no repository team (but team/app) in this store\n");
    assert_eq!(error(&["team/app:v9"]), "error: there is no tag team/app:v9 in this store\n");
    assert!(error(&["Team"]).contains("expected a repository, or a tag of one"), "{}", error(&["Team"]));
    assert!(error(&["--top=0"]).contains("'--top <N>': expected a whole number, 1 or more, or 'all'"));
    assert!(error(&["--sort=age"]).contains("[possible values: size, alone, name]"));

    let nowhere = registry.scratch().join("nowhere").display().to_string();
    let outcome = du(&registry, &[]).env("JANITOR_DATA_DIR", &nowhere).run().assert_code(10);
    assert_eq!(outcome.report()["status"], "no-store");
}
