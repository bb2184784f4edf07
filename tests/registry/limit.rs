//! A busy CI is never asked to confirm what it always does; a changed setting is, and a storage that goes away.

#![expect(clippy::disallowed_methods, reason = "this test is the storage that goes away")]

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, SystemTime};

use janitor_testkit::{Digest, Image, ImageSpec, Interrupt, Janitor, Layer, Registry, StoreBuilder, ago};

use crate::stage::{assert_all_pull, blobs_on_disk, digests_of, janitor};

/// A CI that pushes once a second to a store that no registry needs to run for.
struct Ci {
    registry: Registry,
    builder: StoreBuilder,
    pushed: u64,
}

impl Ci {
    fn new() -> Self {
        let registry = Registry::start();
        let builder = StoreBuilder::new(registry.store());
        Self { registry, builder, pushed: 0 }
    }

    fn image(number: u64) -> Image {
        ImageSpec::new(&format!("image {number}")).layer(Layer::seeded(number, 64)).build()
    }

    /// When the image of this number is pushed: in order, and none of up to 250 so long ago that its clock seems behind.
    fn at(number: u64) -> SystemTime {
        ago(Duration::from_secs(250)) + Duration::from_secs(number)
    }

    /// Pushes so many images, each with a tag of its own, or all with the same.
    fn push(&mut self, images: u64, tag: Option<&str>) {
        for _ in 0..images {
            self.pushed += 1;
            let own = format!("c{}", self.pushed);
            let image = Self::image(self.pushed);
            self.builder.push("app", tag.unwrap_or(&own), &image, Self::at(self.pushed));
        }
    }

    /// Everything that the newest images need.
    fn newest(&self, images: u64) -> BTreeSet<Digest> {
        let images: Vec<Image> = (self.pushed - images + 1..=self.pushed).map(Self::image).collect();
        digests_of(&images)
    }

    fn sweep(&self, engine: &str) -> Janitor {
        janitor(&self.registry).env("GC_ENGINE", engine)
    }
}

#[test]
fn forty_pushes_an_hour_of_which_five_are_kept_need_no_confirmation() {
    for engine in ["registry", "native"] {
        let mut ci = Ci::new();
        ci.push(1, None);
        ci.sweep(engine).keep(5).run().assert_code(0);
        for _ in 0..3 {
            ci.push(40, None);
            ci.sweep(engine).keep(5).audit().run().assert_code(0);
            ci.sweep(engine).keep(5).run().assert_code(0);
            assert_eq!(blobs_on_disk(&ci.registry), ci.newest(5), "{engine}");
        }
    }
}

#[test]
fn one_tag_that_is_pushed_thirty_times_an_hour_needs_no_confirmation() {
    for engine in ["registry", "native"] {
        let mut ci = Ci::new();
        ci.push(1, Some("latest"));
        ci.sweep(engine).run().assert_code(0);
        for _ in 0..3 {
            ci.push(30, Some("latest"));
            ci.sweep(engine).run().assert_code(0);
            assert_eq!(blobs_on_disk(&ci.registry), ci.newest(1), "{engine}");
        }
    }
}

#[test]
fn pushes_that_fail_before_their_manifest_need_no_confirmation() {
    for engine in ["registry", "native"] {
        let mut ci = Ci::new();
        ci.push(5, None);
        ci.sweep(engine).run().assert_code(0);
        for round in 0..2 {
            for layer in 0..60 {
                let bytes = format!("layer {layer} of round {round}");
                ci.builder.loose_layer("app", bytes.as_bytes(), ago(Duration::from_secs(7200)));
            }
            let outcome = ci.sweep(engine).run().assert_code(0);
            assert_eq!(outcome.total("blobs_removed"), 60, "{engine}: {}", outcome.report()["collection"]);
        }
    }
}

#[test]
fn a_lowered_setting_asks_however_much_came_in_until_it_is_confirmed() {
    let mut ci = Ci::new();
    ci.push(20, None);
    ci.sweep("native").keep(20).run().assert_code(0);
    for _ in 0..3 {
        ci.push(40, None);
        let told = ci.sweep("native").keep(5).run().assert_code(12).stderr;
        assert!(told.contains(&format!("{} of {} tags", ci.pushed - 5, ci.pushed)), "{told}");
    }
    let mut other = ci.sweep("native").keep(20).audit().run();
    assert_eq!(other.code.take(), Some(0), "as it was, nothing is asked");
    ci.sweep("native").keep(5).arg("--max-remove-percent=97").run().assert_code(0);
    ci.push(40, None);
    ci.sweep("native").keep(5).run().assert_code(0);
    // Keeping more is no reason to ask, either.
    ci.push(40, None);
    ci.sweep("native").keep(6).run().assert_code(0);
    assert_eq!(blobs_on_disk(&ci.registry), ci.newest(6));
}

#[test]
fn the_first_sweep_of_a_store_that_is_not_new_asks_once() {
    let mut ci = Ci::new();
    ci.push(40, None);
    for _ in 0..2 {
        ci.sweep("native").keep(5).run().assert_code(12);
        ci.push(1, None);
    }
    ci.sweep("native").keep(5).arg("--max-remove-percent=90").run().assert_code(0);
    ci.push(40, None);
    ci.sweep("native").keep(5).run().assert_code(0);
}

#[test]
fn a_doubt_at_the_first_sweep_does_not_spare_the_question() {
    let mut ci = Ci::new();
    ci.push(5, None);
    for number in 0..60 {
        let bytes = format!("layer {number}");
        ci.builder.loose_layer("app", bytes.as_bytes(), ago(Duration::from_secs(7200)));
    }
    let link = ci.registry.view().current_link("app", "c3");
    let good = fs::read(&link).unwrap();
    fs::write(&link, "").unwrap();
    ci.sweep("native").run().assert_code(3);
    fs::write(&link, good).unwrap();
    let told = ci.sweep("native").run().assert_code(12).stderr;
    assert!(told.contains("60 of 75 blobs"), "{told}");
}

#[test]
fn most_of_the_tags_that_vanish_are_missed_however_many_come_in() {
    for engine in ["registry", "native"] {
        let mut ci = Ci::new();
        ci.push(24, None);
        ci.sweep(engine).keep(24).run().assert_code(0);
        ci.push(30, None);
        for number in 1..=20 {
            let tag = ci.registry.view().repository("app").join(format!("_manifests/tags/c{number}"));
            fs::rename(tag, ci.registry.scratch().join(format!("c{number}"))).unwrap();
        }
        let blobs = blobs_on_disk(&ci.registry);
        for _ in 0..2 {
            let told = ci.sweep(engine).keep(24).run().assert_code(12).stderr;
            assert!(told.contains("4 of 24 tags are still there"), "{told}");
            assert_eq!(blobs_on_disk(&ci.registry), blobs);
        }
    }
}

#[test]
fn what_goes_away_while_a_sweep_of_a_busy_store_waits_loses_no_blob() {
    for engine in ["registry", "native"] {
        let mut ci = Ci::new();
        ci.push(24, None);
        ci.builder.push("busy", "v1", &Image::small(1), Ci::at(0));
        ci.sweep(engine).keep(24).run().assert_code(0);
        ci.push(20, None);
        let blobs = blobs_on_disk(&ci.registry);
        let mut sweep = ci.sweep(engine).keep(24).env("GC_SETTLE", "3s").spawn();
        sweep.wait_until("it waits", |it| it.stderr_so_far().contains("waiting 3s"));
        let repository = ci.registry.view().repository("app");
        let elsewhere = ci.registry.scratch().join("elsewhere");
        fs::rename(&repository, &elsewhere).unwrap();
        let outcome = sweep.end_within(Duration::from_secs(60)).assert_code(12);
        assert_eq!(outcome.report()["collection"]["status"], "refused");
        assert_eq!(blobs_on_disk(&ci.registry), blobs);
        fs::rename(&elsewhere, &repository).unwrap();
        ci.sweep(engine).keep(24).run().assert_code(0);
        assert_eq!(ci.registry.client().tags("app").len(), 24);
        assert_all_pull(&ci.registry, "app");
    }
}

/// A loop that finds no store, until one is moved to where it looks.
fn a_store_that_appears(moves_the_whole_directory: bool, until: &str) {
    let mut ci = Ci::new();
    let data = ci.registry.store().to_owned();
    let elsewhere = ci.registry.scratch().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let sweep = ci.sweep("native").looping().env("JANITOR_INTERVAL_SECS", "1");
    ci.builder = StoreBuilder::new(&elsewhere);
    ci.push(40, None);
    if data.join("docker").exists() {
        fs::remove_dir_all(data.join("docker")).unwrap();
    }
    let mut looping = sweep.spawn();
    looping.wait_until("it has found no store", |it| it.stderr_so_far().contains("no registry store at"));
    if moves_the_whole_directory {
        fs::rename(&data, ci.registry.scratch().join("before")).unwrap();
        fs::rename(&elsewhere, &data).unwrap();
    } else {
        fs::rename(elsewhere.join("docker"), data.join("docker")).unwrap();
    }
    looping.wait_until(until, |it| it.stderr_so_far().contains(until));
    looping.signal(Interrupt::Term);
    looping.end_within(Duration::from_secs(20)).assert_code(143);
}

#[test]
fn a_store_that_was_not_there_when_the_loop_began_needs_no_confirmation() {
    a_store_that_appears(false, "removed app:c1: ");
    // Another directory in its place is not new.
    a_store_that_appears(true, "would remove 30 of 40 tags");
}
