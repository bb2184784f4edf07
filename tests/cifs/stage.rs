//! A registry whose store is on the mount, pushes to it, and the janitor beside it.

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use janitor_testkit::{Digest, Image, Janitor, Outcome, Registry, RegistryOptions, ago};
use tempfile::TempDir;

/// The engines that reclaim blobs.
pub(crate) const ENGINES: [&str; 2] = ["native", "registry"];

/// The kernel in which these tests run takes long to change from one thread to another.
const JOBS: &str = "4";

/// A registry on the mount, and its store, which is removed with the value.
pub(crate) struct Stage {
    pub(crate) registry: Registry,
    _store: TempDir,
}

fn mount(variable: &str) -> PathBuf {
    env::var_os(variable)
        .unwrap_or_else(|| panic!("{variable} names the mount; make test-cifs sets it"))
        .into()
}

/// Whether the mount is CIFS, and not NFS.
pub(crate) fn is_cifs() -> bool {
    env::var("TEST_MOUNT_KIND").unwrap() == "cifs"
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::on("TEST_MOUNT")
    }

    /// On another mount than the others.
    pub(crate) fn on(variable: &str) -> Self {
        let store = TempDir::with_prefix_in("store-", mount(variable)).unwrap();
        let options = RegistryOptions { store: Some(store.path().into()), ..RegistryOptions::default() };
        Self { registry: Registry::start_with(options), _store: store }
    }

    /// A store with `v1`, `v2` … of `app`, pushed a minute after each other.
    pub(crate) fn with_versions(count: u64) -> (Self, Vec<Image>) {
        let stage = Self::new();
        let images = stage.push_versions(count);
        (stage, images)
    }

    pub(crate) fn push_versions(&self, count: u64) -> Vec<Image> {
        let images: Vec<Image> = (1..=count).map(Image::small).collect();
        for (image, number) in images.iter().zip(1..) {
            let tag = format!("v{number}");
            self.registry.client().push("app", &tag, image);
            self.registry.set_push_time("app", &tag, ago(Duration::from_secs(60 * (count - number))));
        }
        images
    }

    /// One sweep, or whatever else is asked of it.
    pub(crate) fn janitor(&self) -> Janitor {
        // Another binary than the one that was built, to see these tests fail.
        let binary =
            env::var("TEST_JANITOR_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_janitor").to_owned());
        Janitor::for_registry(binary, &self.registry)
            .env("MAX_REMOVE_PERCENT", "100")
            .env("GC_ENGINE", "native")
            .env("JANITOR_JOBS", JOBS)
    }

    pub(crate) fn root(&self) -> &Path {
        self.registry.store()
    }

    pub(crate) fn tags(&self, repository: &str) -> BTreeSet<String> {
        self.registry.client().tags(repository)
    }

    pub(crate) fn blobs(&self) -> BTreeSet<Digest> {
        self.registry.view().blobs().into_keys().collect()
    }

    /// Fails unless every tag of the repository pulls, down to the last layer.
    #[track_caller]
    pub(crate) fn assert_all_pull(&self, repository: &str) {
        let client = self.registry.client();
        for tag in client.tags(repository) {
            if let Err(missing) = client.pull(repository, &tag) {
                panic!("{repository}:{tag}: {missing}");
            }
        }
    }

    /// Sweeps again, and fails unless these images alone are left and pull.
    #[track_caller]
    pub(crate) fn assert_ends_with(&self, keep: usize, tags: &[&str], images: &[&Image]) {
        self.janitor().keep(keep).run().assert_code(0);
        assert_eq!(self.tags("app"), names(tags));
        self.assert_all_pull("app");
        assert_eq!(self.blobs(), digests_of(images));
        let blobs = self.root().join("docker/registry/v2/blobs/sha256");
        let directories = std::fs::read_dir(blobs)
            .unwrap()
            .flat_map(|shard| std::fs::read_dir(shard.unwrap().path()).unwrap());
        assert_eq!(directories.count(), self.blobs().len(), "no empty directory of a blob is left");
    }
}

/// Everything that these images need.
pub(crate) fn digests_of(images: &[&Image]) -> BTreeSet<Digest> {
    images.iter().flat_map(|image| image.all_digests()).collect()
}

pub(crate) fn names(tags: &[&str]) -> BTreeSet<String> {
    tags.iter().map(|&tag| tag.to_owned()).collect()
}

/// The codes of a report's findings.
#[track_caller]
pub(crate) fn codes(outcome: &Outcome) -> Vec<String> {
    let report = outcome.report();
    let findings = report["findings"].as_array().unwrap();
    findings.iter().map(|it| it["code"].as_str().unwrap().to_owned()).collect()
}
