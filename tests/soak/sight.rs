//! The soak sees: what is broken on purpose in the midst of it is found, and nothing else.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use janitor_testkit::{Format, Habits, Image, ImageSpec, Layer, Registry};

use crate::engine::Engine;
use crate::run::{Field, seconds, soak};

/// Nobody else pushes here.
const REPOSITORY: &str = "victims";

/// An image whose blobs no other has.
fn image_of_its_own(number: u64) -> Image {
    ImageSpec::new(&format!("victim {number}")).layer(Layer::seeded(9_000_000 + number, 2048)).build()
}

fn push(field: &Field<'_>, tag: &str, image: &Image) {
    let attempt = field.ledger.begin(REPOSITORY, tag).expect("nobody else pushes here");
    let pushed = field.client.push_like(Habits::Skopeo, REPOSITORY, tag, image, None);
    field.ledger.acknowledged(attempt, &image.digest(), pushed.expect("the registry takes it").is_put);
}

fn remove(path: &Path) {
    fs::remove_dir_all(path).expect("it is there to be removed");
}

/// Pushes four tags and breaks three of them, each in another way.
fn break_three(field: &Field<'_>) {
    let single = image_of_its_own(1);
    let index = Image::index(Format::Oci, &[&image_of_its_own(2), &image_of_its_own(3)]);
    push(field, "without-layer", &single);
    push(field, "without-child", &index);
    push(field, "without-tag", &image_of_its_own(4));
    push(field, "whole", &image_of_its_own(5));
    let promised = || field.ledger.promises().iter().filter(|it| it.repository == REPOSITORY).count();
    assert_eq!(promised(), 4, "all of them must stay");
    thread::sleep(Duration::from_secs(1));

    let view = field.registry.view();
    let layer = single.blobs().keys().next().expect("a layer or configuration");
    remove(view.blob_data(layer).parent().expect("a blob's directory"));
    let child = index.documents()[0].digest();
    remove(view.revision_link(REPOSITORY, &child).parent().expect("a revision's directory"));
    remove(&view.tag(REPOSITORY, "without-tag"));
}

#[test]
fn images_that_are_broken_on_purpose_are_found_and_no_others() {
    let registry = Registry::start();

    let found = soak(&registry, &Engine::prune_only(), seconds(8), break_three);

    let lost: Vec<&str> = found.tally.lost.keys().map(String::as_str).collect();
    let expected = ["victims:without-child", "victims:without-layer", "victims:without-tag"];
    assert_eq!(lost, expected, "{}", found.summary);
    assert_eq!(found.last.code, Some(3), "{}", found.summary);
    let still_tagged = ["without-child", "without-layer"].map(|tag| (REPOSITORY.to_owned(), tag.to_owned()));
    assert_eq!(found.last.broken, still_tagged.into(), "{}", found.summary);
    assert_eq!(found.unpullable, found.last.broken, "{}", found.summary);
}
