//! The store that the janitor's own collector is tried on, and what it has to leave.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use janitor_testkit::{Digest, Image, ImageSpec, Layer, StoreView, sha512};
use registry_janitor::cli::EngineChoice;
use registry_janitor::config::{Collection, Config, Guards, Quiet};
use registry_janitor::report::SweepReport;
use registry_janitor::stop::Stop;
use registry_janitor::store::Watch;
use registry_janitor::sweep::SweepError;
use tempfile::TempDir;

use crate::stage::{Stage, hours_ago};

/// A [`Stage`] with blobs that nothing references any more.
pub(crate) struct NativeStage {
    pub(crate) stage: Stage,
    /// Its blobs and layer links are there, in `app` and in `other`, and its manifest is a revision nowhere.
    pub(crate) gone: Image,
    /// What `other` keeps.
    pub(crate) stays: Image,
    config: TempDir,
}

impl NativeStage {
    /// With everything of [`Stage`], links under another algorithm, and links that lead nowhere.
    pub(crate) fn new() -> Self {
        Self::on(Stage::new())
    }

    fn on(stage: Stage) -> Self {
        // Its layers are nobody else's.
        let gone = ImageSpec::new("gone").layer(Layer::seeded(40, 256)).layer(Layer::seeded(41, 256)).build();
        let stays = Image::small(42);
        let builder = &stage.builder;
        for repository in ["app", "other"] {
            builder.push_untagged(repository, &gone, hours_ago(6));
            let revision = builder.view().revision_link(repository, &gone.digest());
            fs::remove_file(&revision).unwrap();
            fs::remove_dir(revision.parent().unwrap()).unwrap();
        }
        builder.push("other", "stays", &stays, hours_ago(6));
        let config = tempfile::tempdir().unwrap();
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\n",
            stage.root().display()
        );
        fs::write(config.path().join("config.yml"), text).unwrap();
        let made = Self { stage, gone, stays, config };
        fs::create_dir_all(made.alias(&made.layer()).parent().unwrap()).unwrap();
        fs::write(made.alias(&made.layer()), made.layer().as_str()).unwrap();
        let nowhere = made.view().layer_link("app", &Digest::of(b"a layer that is nowhere"));
        fs::create_dir_all(nowhere.parent().unwrap()).unwrap();
        fs::write(nowhere, Digest::of(b"a layer that is nowhere").as_str()).unwrap();
        made
    }

    pub(crate) fn view(&self) -> &StoreView {
        self.stage.view()
    }

    pub(crate) fn root(&self) -> &Path {
        self.stage.root()
    }

    /// A layer of what is gone.
    pub(crate) fn layer(&self) -> Digest {
        let config = self.config_blob();
        self.gone.blobs().keys().find(|blob| **blob != config).unwrap().clone()
    }

    /// Its configuration.
    pub(crate) fn config_blob(&self) -> Digest {
        let document: serde_json::Value = serde_json::from_slice(&self.gone.document().bytes).unwrap();
        Digest::parse(document["config"]["digest"].as_str().unwrap())
    }

    /// The sha512 digest of a blob of what is gone.
    pub(crate) fn long(&self, blob: &Digest) -> String {
        sha512(&self.gone.blobs()[blob])
    }

    /// The layer link in `app` that names a blob by a sha512 digest.
    pub(crate) fn alias(&self, blob: &Digest) -> PathBuf {
        let long = self.long(blob);
        self.view().repository("app").join("_layers/sha512").join(&long["sha512:".len()..]).join("link")
    }

    /// The tags that stay.
    pub(crate) fn kept(&self) -> Vec<(&'static str, String)> {
        let mut kept = self.stage.kept();
        kept.push(("other", "stays".into()));
        kept
    }

    /// Keeps two tags and collects by the janitor's own collector, one file operation at a time.
    pub(crate) fn config(&self) -> Config {
        Config {
            guards: Guards { max_remove_percent: 100, accept_losses: false },
            collection: Some(Collection {
                engine: EngineChoice::Native,
                binary: "no-such-registry".into(),
                is_binary_given: false,
                search: Vec::new(),
                config: self.config.path().join("config.yml"),
                environment: BTreeMap::new(),
                timeout: std::time::Duration::from_secs(60),
                quiet: Quiet { age: std::time::Duration::ZERO, patience: std::time::Duration::ZERO },
            }),
            ..self.stage.config()
        }
    }

    pub(crate) fn sweep(&self, watch: Option<Box<dyn Watch>>) -> Result<SweepReport, SweepError> {
        self.stage.sweep_with(&self.config(), watch, &Stop::default())
    }

    /// Tags, manifests, layer links and blobs: everything that a sweep is to decide on.
    pub(crate) fn content(&self) -> Content {
        let view = self.view();
        let of = |name| (name, (view.tags(name), view.revisions(name), links(view, name)));
        Content {
            repositories: ["app", "app/nested", "emptied", "busy", "other"].map(of).into(),
            blobs: view.blobs().into_keys().collect(),
        }
    }
}

/// Tags, manifests and layer links.
type Repository = (BTreeSet<String>, BTreeSet<Digest>, BTreeSet<String>);

/// What a store has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Content {
    repositories: BTreeMap<&'static str, Repository>,
    blobs: BTreeSet<Digest>,
}

/// The directories of a repository's layer links, whatever is in them.
pub(crate) fn links(view: &StoreView, repository: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for algorithm in ["sha256", "sha512"] {
        let below = view.repository(repository).join("_layers").join(algorithm);
        for entry in fs::read_dir(below).into_iter().flatten() {
            found.insert(format!("{algorithm}:{}", entry.unwrap().file_name().into_string().unwrap()));
        }
    }
    found
}

/// Everything that a collector leaves behind only when it was cut short: hidden files, directories of blobs and
/// layer links without a file, and what is in the trash.
pub(crate) fn leftovers(view: &StoreView) -> Vec<PathBuf> {
    let mut found = crate::witness::trash(view.root());
    let mut open = vec![view.v2()];
    while let Some(directory) = open.pop() {
        let mut is_empty = true;
        for entry in fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            is_empty = false;
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else if entry.path().extension().is_some_and(|extension| extension == "janitor") {
                found.push(entry.path());
            }
        }
        let name = directory.file_name().unwrap().len();
        if is_empty && [64, 128].contains(&name) {
            found.push(directory);
        }
    }
    found
}
