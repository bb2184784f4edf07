//! Pushes beside the stock collector, which knows no age: what comes in at the worst moment is held or missed aloud.

use std::time::{Duration, SystemTime};

use janitor_testkit::{Collector, Image, Registry, ago};

use super::{assert_blobs, findings, loose_blobs, own_blob, push_later, runs};
use crate::stage::{assert_all_pull, digests_of, janitor, names, push_versions};

fn now() -> SystemTime {
    ago(Duration::ZERO)
}

#[test]
fn a_blob_that_the_collector_deletes_without_having_proposed_it_is_an_error() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 3);
    let mut uploaded = None;
    let push = push_later(&registry, |store| uploaded = Some(store.loose_blob(b"on its way", now())));
    let uploaded = uploaded.unwrap();
    let scripts = Collector::scripts_in(registry.scratch());
    let racing = scripts.with_real_run("racing", &format!("{push}\nexec \"$REAL\" \"$@\""));

    let outcome = janitor(&registry).keep(1).collector(&racing).run().assert_code(3);

    assert!(!registry.view().has_blob(&uploaded), "the collector is what this test is about");
    let report = outcome.report();
    let errors = findings(&report, "error");
    assert!(errors.iter().any(|it| it["cause"].as_str().unwrap().contains(uploaded.hex())), "{report}");
    assert_blobs(&registry, &digests_of(&images[2..]));
    assert_all_pull(&registry, "app");
}

#[test]
fn a_young_blob_whose_pin_is_lost_is_told_when_the_collector_takes_it() {
    let registry = Registry::start();
    push_versions(&registry, "app", 1);
    loose_blobs(&registry, 1);
    // It comes in after the store was looked at, so that it is pinned in a further round.
    let mut uploaded = None;
    let push = push_later(&registry, |store| uploaded = Some(store.loose_blob(b"on its way", now())));
    let uploaded = uploaded.unwrap();
    let marker = registry.scratch().join("pushed");
    let revisions = registry.view().repository("app").join("_manifests/revisions/sha256");
    let kept = registry.view().tag_digest("app", "v1");
    let scripts = Collector::scripts_in(registry.scratch());
    let body = format!(
        "case \" $* \" in *' --dry-run '*) [ -e '{0}' ] || {{ {push}; : > '{0}'; }};;\n\
         *) for pin in '{1}'/*; do [ \"${{pin##*/}}\" = {2} ] || rm -r \"$pin\"; done;; esac\n\
         exec \"$REAL\" \"$@\"",
        marker.display(),
        revisions.display(),
        kept.hex()
    );
    let treacherous = scripts.script("treacherous", &body);

    let outcome = janitor(&registry).collector(&treacherous).run().assert_code(3);

    assert!(!registry.view().has_blob(&uploaded), "the collector is what this test is about");
    let report = outcome.report();
    let told = findings(&report, "error");
    assert!(told.iter().any(|it| it["cause"].as_str().unwrap().contains("it had not proposed")), "{report}");
    assert_all_pull(&registry, "app");
}

#[test]
fn an_image_pushed_beside_the_collection_that_loses_a_layer_is_reported_by_the_same_sweep() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 3);
    let coming = Image::small(77);
    let lost = own_blob(&coming, &images[2]);
    let push = push_later(&registry, |store| store.push("app", "fresh", &coming, now()));
    let remove = format!("rm -r \"$(dirname '{}')\"", registry.view().blob_data(lost).display());
    let scripts = Collector::scripts_in(registry.scratch());
    let racing = scripts.with_real_run("racing", &format!("{push}\n\"$REAL\" \"$@\" || exit\n{remove}"));

    let outcome = janitor(&registry).keep(1).collector(&racing).run().assert_code(3);

    let report = outcome.report();
    let broken = report["broken"].as_array().unwrap();
    assert_eq!(broken.len(), 1, "{report}");
    assert_eq!(broken[0]["repository"], "app", "{report}");
    assert_eq!(broken[0]["tag"], "fresh", "{report}");
    assert_eq!(broken[0]["missing"][0], lost.as_str(), "{report}");
    registry.client().pull("app", "v3").unwrap();
}

#[test]
fn a_blob_that_comes_in_before_the_collector_is_asked_is_held_and_the_collection_runs() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 3);
    let coming = Image::small(77);
    // Its blobs come first, as in any push; its manifest will.
    let mut uploaded = Vec::new();
    let push = push_later(&registry, |store| {
        uploaded.extend(coming.blobs().values().map(|bytes| store.loose_layer("app", bytes, now())));
    });
    let marker = registry.scratch().join("pushed");
    let body = format!("[ -e '{0}' ] || {{ {push}; : > '{0}'; }}\nexec \"$REAL\" \"$@\"", marker.display());
    let scripts = Collector::scripts_in(registry.scratch());
    let racing = scripts.script("racing", &body);

    let outcome = janitor(&registry).keep(1).collector(&racing).run().assert_code(0);

    let report = outcome.report();
    assert_eq!(report["collection"]["status"], "done", "{report}");
    assert_eq!(runs(&scripts, "racing"), (2, 1), "asked, asked anew with the pin, let loose");
    assert_eq!(registry.client().tags("app"), names(&["v3"]));
    let mut expected = digests_of(&images[2..]);
    expected.extend(uploaded);
    assert_blobs(&registry, &expected);
    registry.client().push("app", "fresh", &coming);
    assert_all_pull(&registry, "app");
}
