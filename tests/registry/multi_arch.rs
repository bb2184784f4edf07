//! Multi-arch images: the children of an index have no tag and must live and go with it.

use janitor_testkit::{Format, Image, ImageSpec, Layer, OciLayout, Registry, Skopeo};

use crate::stage::{assert_all_pull, blobs_on_disk, digests_of, janitor, names, push_series};

#[test]
fn every_platform_of_a_kept_index_pulls_after_a_sweep() {
    for format in [Format::Docker, Format::Oci] {
        let registry = Registry::start();
        let (old, new) = (Image::multi_arch_in(format, 1), Image::multi_arch_in(format, 2));
        push_series(&registry, "app", &[("v1", &old), ("v2", &new)]);

        let outcome = janitor(&registry).keep(1).run().assert_code(0);

        let pulled = registry.client().pull("app", "v2").unwrap();
        assert_eq!(pulled.documents, 4, "the index and its three platforms");
        assert_eq!(blobs_on_disk(&registry), digests_of([&new]));
        assert_eq!(outcome.total("tags_removed"), 1);
        assert_eq!(outcome.total("manifests_removed"), 4);
    }
}

#[test]
fn skopeo_pulls_all_platforms_that_it_pushed() {
    let registry = Registry::start();
    let skopeo = Skopeo::find();
    let mut layout = OciLayout::create(registry.scratch().join("layout"));
    for (tag, seed) in [("v1", 1), ("v2", 2), ("v3", 3)] {
        layout.add(tag, &Image::multi_arch_in(Format::Oci, seed));
        skopeo.push(&layout, tag, &registry, &format!("app:{tag}"));
    }

    janitor(&registry).keep(2).run().assert_code(0);

    assert_eq!(registry.client().tags("app"), names(&["v2", "v3"]));
    for tag in ["v2", "v3"] {
        let into = registry.scratch().join(tag);
        skopeo.pull(&registry, &format!("app:{tag}"), &into).unwrap();
    }
}

#[test]
fn an_index_inside_an_index_is_followed_to_the_end() {
    let registry = Registry::start();
    let inner = Image::multi_arch_in(Format::Oci, 1);
    let middle = Image::index(Format::Oci, &[&inner, &Image::small(7)]);
    let outer = Image::index(Format::Oci, &[&middle]);
    registry.client().push("app", "deep", &outer);
    registry.client().push("app", "latest", &Image::small(8));
    registry.client().push("app", "latest", &Image::small(9));

    let outcome = janitor(&registry).run().assert_code(0);

    assert_eq!(outcome.total("manifests_removed"), 1);
    let pulled = registry.client().pull("app", "deep").unwrap();
    assert_eq!(pulled.digest, outer.digest());
    assert_eq!(blobs_on_disk(&registry), digests_of([&outer, &Image::small(9)]));
}

#[test]
fn a_platform_that_two_indexes_share_stays_with_the_kept_one() {
    let registry = Registry::start();
    let unchanged = ImageSpec::new("unchanged").architecture("arm64").layer(Layer::seeded(1, 700)).build();
    let old = Image::index(Format::Oci, &[&Image::small(1), &unchanged]);
    let new = Image::index(Format::Oci, &[&Image::small(2), &unchanged]);
    push_series(&registry, "app", &[("v1", &old), ("v2", &new)]);

    janitor(&registry).keep(1).run().assert_code(0);

    assert_all_pull(&registry, "app");
    assert_eq!(blobs_on_disk(&registry), digests_of([&new]));
}

#[test]
fn a_child_stays_when_only_its_own_old_tag_goes() {
    let registry = Registry::start();
    let child = Image::small(1);
    let index = Image::index(Format::Oci, &[&child, &Image::small(2)]);
    push_series(&registry, "app", &[("child", &child), ("index", &index)]);

    janitor(&registry).keep(1).run().assert_code(0);

    assert_eq!(registry.client().tags("app"), names(&["index"]));
    registry.client().pull("app", "index").unwrap();
    let by_digest = child.digest();
    registry.client().pull("app", by_digest.as_str()).unwrap();
}
