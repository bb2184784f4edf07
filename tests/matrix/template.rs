//! The store that every cell copies, written by the real registry.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use janitor_testkit::{
    Digest, Format, Image, ImageSpec, Janitor, Layer, Registry, StoreView, ago, scratch_directory,
};

/// What each repository keeps.
pub(crate) const KEEP: usize = 2;

/// The repositories, one of them inside another.
pub(crate) const REPOSITORIES: [&str; 3] = ["app", "app/nested", "lib"];

/// What manifests reference, below the store's directory.
const REFERENCES: &str = "janitor/references";

/// In the name of everything that a cell adds.
pub(crate) const STRAY: &str = "stray";

/// A store with something of everything, of which a sweep that keeps two tags takes a part.
///
/// - `app`: `multi`, a multi-arch image, and `v3` stay; `v2` and `v1` go. `v3` has a referrer and a signature under a
///   companion tag, `v1` as well. `v3` held another image before, which is untagged now.
/// - `app/nested`: `n3`, which is `v3` of `app`, and `n2` stay; `n1` goes.
/// - `lib`: `l3` and `l2` stay; `l1` goes.
///
/// All single images share a layer.
pub(crate) struct Template {
    pub(crate) children: Vec<Image>,
    pub(crate) multi: Image,
    pub(crate) versions: Vec<Image>,
    pub(crate) overwritten: Image,
    pub(crate) referrer: Image,
    pub(crate) signature_tag: String,
    pub(crate) nested: Vec<Image>,
    pub(crate) lib: Vec<Image>,
    /// Every tag, and the referrer of the image that stays by its digest.
    pub(crate) references: Vec<(&'static str, String)>,
    /// What an undisturbed sweep leaves.
    pub(crate) swept: Content,
    /// The file in which an earlier sweep wrote down what manifests reference.
    remembered: Vec<u8>,
    registry: Registry,
}

/// What a store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) tags: BTreeMap<&'static str, BTreeSet<String>>,
    pub(crate) revisions: BTreeMap<&'static str, BTreeSet<Digest>>,
    pub(crate) blobs: BTreeSet<Digest>,
}

impl Content {
    pub(crate) fn of(view: &StoreView) -> Self {
        Self {
            tags: REPOSITORIES.iter().map(|&name| (name, tags(view, name))).collect(),
            revisions: REPOSITORIES.iter().map(|&name| (name, view.revisions(name))).collect(),
            blobs: view.blobs().into_keys().collect(),
        }
    }
}

/// The tags of a repository, without what a cell has put among them.
fn tags(view: &StoreView, repository: &str) -> BTreeSet<String> {
    view.tags(repository).into_iter().filter(|tag| !tag.contains(STRAY)).collect()
}

impl Template {
    pub(crate) fn new() -> Self {
        let children: Vec<Image> = ["amd64", "arm64"]
            .iter()
            .zip(70..)
            .map(|(architecture, seed)| {
                ImageSpec::new("multi-arch")
                    .format(Format::Docker)
                    .architecture(architecture)
                    .layer(Layer::seeded(70, 900))
                    .layer(Layer::seeded(seed + 1, 900))
                    .build()
            })
            .collect();
        let multi = Image::index(Format::Docker, &children.iter().collect::<Vec<_>>());
        let versions: Vec<Image> = (1..=3).map(Image::small).collect();
        let nested = vec![Image::small(20), Image::small(21), versions[2].clone()];
        let lib: Vec<Image> = (31..=33).map(Image::small).collect();
        let overwritten = Image::small(4);
        let referrer = Image::referrer_of(&versions[2], "application/spdx+json", "sbom of v3");

        let mut registry = Registry::start();
        let client = registry.client();
        client.push("app", "v3", &overwritten);
        let series: [(&str, &str, &[Image]); 3] =
            [("app", "v", &versions), ("app/nested", "n", &nested), ("lib", "l", &lib)];
        for (repository, prefix, images) in series {
            for (image, number) in images.iter().zip(1_u64..) {
                let tag = format!("{prefix}{number}");
                client.push(repository, &tag, image);
                registry.set_push_time(repository, &tag, ago(Duration::from_secs(3600 * (10 - number))));
            }
        }
        client.push("app", "multi", &multi);
        for image in [&versions[0], &versions[2]] {
            client.push("app", &image.companion_tag(".sig"), &Image::cosign_signature_of(image));
        }
        client.push_untagged("app", &referrer);
        client.push_untagged("app", &Image::referrer_of(&versions[0], "application/spdx+json", "sbom of v1"));
        registry.stop();

        let signature_tag = versions[2].companion_tag(".sig");
        let view = registry.view();
        let tags = |name| view.tags(name).into_iter().map(move |tag| (name, tag));
        let references =
            REPOSITORIES.into_iter().flat_map(tags).chain([("app", referrer.digest().to_string())]).collect();
        let swept = Content::of(&view);
        let mut template = Self {
            children,
            multi,
            versions,
            overwritten,
            referrer,
            signature_tag,
            nested,
            lib,
            references,
            swept,
            remembered: Vec::new(),
            registry,
        };
        template.swept = template.expected();
        let directory = scratch_directory("janitor-cell-");
        let view = template.copy(directory.path());
        template
            .janitor(&view)
            .keep(100)
            .env("RUN_GC", "false")
            .env("GC_DELETE_UNTAGGED", "false")
            .run()
            .assert_code(0);
        template.remembered = std::fs::read(view.root().join(REFERENCES)).unwrap();
        template
    }

    pub(crate) fn view(&self) -> StoreView {
        self.registry.view()
    }

    /// A copy of the store.
    pub(crate) fn copy(&self, directory: &Path) -> StoreView {
        self.view().copy_to(&directory.join("store"))
    }

    /// A copy of the store as it is when a sweep has read it all, and has not taken anything yet.
    pub(crate) fn copy_remembered(&self, directory: &Path) -> StoreView {
        let view = self.copy(directory);
        let file = view.root().join(REFERENCES);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, &self.remembered).unwrap();
        view
    }

    /// One sweep of a copy.
    pub(crate) fn janitor(&self, view: &StoreView) -> Janitor {
        let root = view.root().display().to_string();
        Janitor::once(env!("CARGO_BIN_EXE_janitor"), view.root(), self.registry.config())
            .env("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", &root)
            .env("JANITOR_JOBS", "4")
            .keep(KEEP)
    }

    /// Whether an undisturbed sweep keeps what this reference names.
    pub(crate) fn keeps(&self, repository: &str, reference: &str) -> bool {
        reference == self.referrer.digest().as_str() || self.swept.tags[repository].contains(reference)
    }

    /// What the policy leaves, in the words of the images and not of a sweep.
    fn expected(&self) -> Content {
        let signature = Image::cosign_signature_of(&self.versions[2]);
        let app = [&self.multi, &self.versions[2], &self.referrer, &signature];
        let nested = [&self.nested[1], &self.nested[2]];
        let lib = [&self.lib[1], &self.lib[2]];
        let documents = |images: &[&Image]| -> BTreeSet<Digest> {
            images.iter().flat_map(|image| image.documents()).map(janitor_testkit::Document::digest).collect()
        };
        let tags = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Content {
            tags: BTreeMap::from([
                ("app", tags(&["multi", "v3", &self.signature_tag])),
                ("app/nested", tags(&["n2", "n3"])),
                ("lib", tags(&["l2", "l3"])),
            ]),
            revisions: BTreeMap::from([
                ("app", documents(&app)),
                ("app/nested", documents(&nested)),
                ("lib", documents(&lib)),
            ]),
            blobs: app.iter().chain(&nested).chain(&lib).flat_map(|image| image.all_digests()).collect(),
        }
    }
}
