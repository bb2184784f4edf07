//! Every doubt can end: what the janitor says to do about it is done, on a store of the real registry, and the next sweep
//! collects.

#![expect(clippy::disallowed_methods, reason = "a test damages its own store")]

use std::fs;
use std::time::Duration;

use janitor_testkit::{Damage, Digest, Document, Image, Registry, StoreBuilder, ago};

use crate::stage::{blobs_on_disk, janitor, push_versions};

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
/// A manifest whose layers nobody can read: the registry itself takes none, but a disk may have one.
const UNREADABLE: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","layers":[{"digest":"blake3:00"}]}"#;

type Act = fn(&Registry, &Image);

struct Case {
    code: &'static str,
    hurt: Act,
    /// Of the hint, each part that `heal` goes by.
    told: &'static [&'static str],
    heal: Act,
}

fn manifest_directory(registry: &Registry, image: &Image) -> std::path::PathBuf {
    registry.view().blob_data(&image.digest()).parent().unwrap().to_owned()
}

fn push_again(registry: &Registry, image: &Image) {
    registry.client().push("hurt", "v1", image);
}

fn remove_tag(registry: &Registry, _: &Image) {
    Damage::to(&registry.view()).remove_tag("hurt", "v1");
}

fn unreadable(registry: &Registry, repository: &str) -> Digest {
    StoreBuilder::new(registry.store()).manifest(
        repository,
        UNREADABLE.as_bytes(),
        ago(Duration::from_secs(7200)),
    )
}

fn tag_unreadable(registry: &Registry, _: &Image) {
    let digest = unreadable(registry, "hurt");
    fs::write(registry.view().current_link("hurt", "v1"), digest.as_str()).unwrap();
}

const CASES: [Case; 14] = [
    Case {
        code: "bad-manifest",
        hurt: tag_unreadable,
        told: &["delete the tags", "GC_GRACE"],
        heal: remove_tag,
    },
    Case {
        code: "bad-manifest",
        hurt: tag_unreadable,
        told: &["registry's API"],
        heal: |registry, _| registry.client().delete("hurt", &Digest::of(UNREADABLE.as_bytes())),
    },
    Case {
        code: "wrong-hash",
        hurt: |registry, image| Damage::to(&registry.view()).garble_blob(&image.digest()),
        told: &["janitor check --repair", "push the image again"],
        heal: |registry, image| {
            janitor(registry).arg("check").arg("--repair").arg("--yes").run();
            push_again(registry, image);
        },
    },
    Case {
        code: "manifest-missing",
        hurt: |registry, image| fs::remove_dir_all(manifest_directory(registry, image)).unwrap(),
        told: &["push the image again"],
        heal: push_again,
    },
    Case {
        code: "manifest-missing",
        hurt: |registry, image| fs::remove_dir_all(manifest_directory(registry, image)).unwrap(),
        told: &["delete the tag"],
        heal: remove_tag,
    },
    Case {
        code: "unreadable",
        hurt: |registry, image| Damage::to(&registry.view()).remove_blob_data(&image.digest()),
        told: &["push the image again"],
        heal: push_again,
    },
    Case {
        code: "bad-link",
        hurt: |registry, _| Damage::to(&registry.view()).truncate_tag("hurt", "v1"),
        told: &["push the tag again"],
        heal: push_again,
    },
    Case {
        code: "bad-link",
        hurt: |registry, _| Damage::to(&registry.view()).garble_tag("hurt", "v1", "sha256:12"),
        told: &["push the tag again"],
        heal: push_again,
    },
    Case {
        code: "bad-link",
        hurt: |registry, image| Damage::to(&registry.view()).truncate_revision("hurt", &image.digest()),
        told: &["push the image again"],
        heal: push_again,
    },
    Case {
        code: "tag-without-link",
        hurt: |registry, _| fs::remove_file(registry.view().current_link("hurt", "v1")).unwrap(),
        told: &["push the tag again"],
        heal: push_again,
    },
    Case {
        code: "tag-without-link",
        hurt: |registry, _| fs::remove_file(registry.view().current_link("hurt", "v1")).unwrap(),
        told: &["delete its directory"],
        heal: |registry, _| fs::remove_dir_all(registry.view().tag("hurt", "v1")).unwrap(),
    },
    Case {
        code: "odd-name",
        hurt: |registry, _| {
            fs::create_dir_all(registry.view().repository("SHOUTING").join("_manifests/tags")).unwrap();
        },
        told: &["move it out of the store"],
        heal: |registry, _| {
            fs::rename(registry.view().repository("SHOUTING"), registry.scratch().join("shouting")).unwrap();
        },
    },
    Case {
        code: "odd-name",
        hurt: |registry, _| fs::create_dir(registry.view().tag("hurt", "a tag")).unwrap(),
        told: &["move it out of the store"],
        heal: |registry, _| {
            fs::rename(registry.view().tag("hurt", "a tag"), registry.scratch().join("tag")).unwrap();
        },
    },
    Case {
        code: "odd-kind",
        hurt: |registry, _| {
            let link = registry.view().repository("link");
            std::os::unix::fs::symlink("hurt", link).unwrap();
        },
        told: &["move it out of the store"],
        heal: |registry, _| fs::remove_file(registry.view().repository("link")).unwrap(),
    },
];

#[test]
fn what_is_said_to_help_against_a_doubt_helps() {
    for Case { code, hurt, told, heal } in CASES {
        let registry = Registry::start();
        let image = Image::small(100);
        registry.client().push("hurt", "v1", &image);
        push_versions(&registry, "well", 3);
        hurt(&registry, &image);
        let blobs = blobs_on_disk(&registry);

        let outcome = janitor(&registry).keep(1).run().assert_code(3);

        let what = format!("{code} {told:?}");
        let report = outcome.report();
        let findings = report["findings"].as_array().unwrap();
        let doubt = findings.iter().find(|it| it["severity"] == "doubt" && it["code"] == code);
        let doubt = doubt.unwrap_or_else(|| panic!("{what}: {report:#}"));
        for told in told {
            assert!(doubt["remedy"].as_str().unwrap().contains(told), "{what}: {doubt:#}");
        }
        assert_eq!(blobs_on_disk(&registry), blobs, "{what}: nothing goes");
        heal(&registry, &image);
        // One sweep may still remove what a registry's delete has left.
        janitor(&registry).keep(1).run();
        let outcome = janitor(&registry).keep(1).run();
        assert_eq!(outcome.code, Some(0), "{what}: {}\n{}", outcome.stdout, outcome.stderr);
        assert!(!blobs_on_disk(&registry).contains(&Image::small(1).digest()), "{what}: garbage stays");
        registry.client().pull("well", "v3").unwrap();
    }
}

#[test]
fn an_untagged_manifest_that_cannot_be_read_goes_once_it_is_old_and_is_a_doubt_until_then() {
    for engine in ["registry", "native"] {
        let registry = Registry::start();
        push_versions(&registry, "app", 2);
        let old = unreadable(&registry, "app");
        let sweep =
            |grace: &str| janitor(&registry).env("GC_ENGINE", engine).env("GC_GRACE", grace).keep(2).run();
        // The times of the blobs themselves cannot be set back, so that only a short grace is ever over.
        let young = sweep("3h").assert_code(3);
        assert!(young.report()["findings"].to_string().contains("bad-manifest"), "{}", young.stdout);
        assert!(registry.view().has_revision("app", &old), "{engine}");

        sweep("0s").assert_code(0);

        assert!(!registry.view().has_revision("app", &old), "{engine}");
        sweep("0s").assert_code(0);
        assert!(!registry.view().has_blob(&old), "{engine}");
        assert_eq!(registry.client().tags("app").len(), 2, "{engine}");
    }
}

#[test]
fn an_unreadable_manifest_that_something_kept_leads_to_stays_a_doubt() {
    let index = |digest: &Digest| {
        let child = format!(r#"{{"mediaType":"{IMAGE}","digest":"{digest}"}}"#);
        let media_type = "application/vnd.oci.image.index.v1+json".to_owned();
        let json = format!(r#"{{"schemaVersion":2,"mediaType":"{media_type}","manifests":[{child}]}}"#);
        Document { media_type, bytes: json.into_bytes() }
    };
    for tag in [true, false] {
        let registry = Registry::start();
        push_versions(&registry, "app", 2);
        let old = unreadable(&registry, "app");
        let reference = if tag { "index".to_owned() } else { index(&old).digest().to_string() };
        registry.client().put_manifest("app", &reference, &index(&old)).unwrap();

        let grace = if tag { "0s" } else { "1h" };
        let outcome = janitor(&registry).env("GC_GRACE", grace).keep(3).run().assert_code(3);

        assert!(outcome.report()["findings"].to_string().contains("bad-manifest"), "{tag}");
        assert!(registry.view().has_revision("app", &old), "{tag}");
        // Once nothing leads to it, it goes.
        if tag {
            registry.client().delete("app", &index(&old).digest());
        }
        janitor(&registry).keep(3).run().assert_code(0);
        assert!(!registry.view().has_revision("app", &old), "{tag}");
    }
}

#[test]
fn without_removal_of_untagged_manifests_an_unreadable_one_is_a_doubt_until_it_is_deleted_over_the_api() {
    let registry = Registry::start();
    push_versions(&registry, "app", 3);
    let old = unreadable(&registry, "app");
    let sweep = || janitor(&registry).env("GC_DELETE_UNTAGGED", "false").run();
    assert!(sweep().assert_code(3).report()["findings"].to_string().contains("registry's API"));

    registry.client().delete("app", &old);

    sweep().assert_code(0);
}
