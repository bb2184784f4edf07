//! A push after a collection, with the configuration this repository ships: what was collected comes back whole.

use std::path::Path;

use janitor_testkit::{Image, ImageSpec, Layer, OciLayout, Registry, RegistryOptions, Skopeo};

use crate::stage::{assert_all_pull, janitor, names, push_versions};

fn shipped() -> Registry {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/registry-config.yml");
    Registry::start_with(RegistryOptions { config: Some(config), ..RegistryOptions::default() })
}

#[test]
fn a_collected_image_can_be_pushed_again() {
    let registry = shipped();
    let images = push_versions(&registry, "app", 3);
    let client = registry.client();
    // The registry has been asked for every blob, so that a cache would know them all.
    assert_all_pull(&registry, "app");

    janitor(&registry).keep(1).run().assert_code(0);

    assert_eq!(client.tags("app"), names(&["v3"]));
    client.push("app", "v1", &images[0]);
    assert_eq!(client.tags("app"), names(&["v1", "v3"]));
    assert_all_pull(&registry, "app");
}

#[test]
fn skopeo_pushes_a_collected_image_again() {
    let registry = shipped();
    let skopeo = Skopeo::find();
    let mut layout = OciLayout::create(registry.scratch().join("layout"));
    for number in 1..=3 {
        let image = ImageSpec::new(&format!("release {number}"))
            .layer(Layer::seeded(1, 5000))
            .layer(Layer::seeded(10 + number, 5000))
            .build();
        let tag = format!("v{number}");
        layout.add(&tag, &image);
        skopeo.push(&layout, &tag, &registry, &format!("app:{tag}"));
    }
    janitor(&registry).keep(1).run().assert_code(0);
    assert_eq!(registry.client().tags("app"), names(&["v3"]));

    skopeo.push(&layout, "v1", &registry, "app:v1");

    assert_all_pull(&registry, "app");
    let into = registry.scratch().join("pulled");
    skopeo.pull(&registry, "app:v1", &into).unwrap();
}

#[test]
fn the_layers_of_a_collected_image_can_carry_a_new_one() {
    let registry = shipped();
    let client = registry.client();
    let old = ImageSpec::new("old").layer(Layer::seeded(1, 5000)).build();
    client.push("app", "latest", &old);
    client.push("app", "latest", &Image::small(2));
    janitor(&registry).run().assert_code(0);
    let layer = old.blobs().keys().find(|digest| registry.view().has_blob(digest));
    assert_eq!(layer, None, "the old image was not collected");

    let new = ImageSpec::new("new").layer(Layer::seeded(1, 5000)).build();
    client.push("app", "latest", &new);

    assert_all_pull(&registry, "app");
    janitor(&registry).run().assert_code(0);
    assert_all_pull(&registry, "app");
}
