//! Writes large stores of deterministic content, for measuring.

use std::fs::File;
use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::image::random_bytes;
use crate::store_builder::{set_mtime, write_file, write_link};
use crate::{Descriptor, Digest, Document, Format, StoreView};

/// How large a store to write.
#[derive(Clone, Debug)]
pub struct BulkSpec {
    /// Repositories, named `team-<nn>/app-<nnnn>`.
    pub repositories: usize,
    /// Number of the first of them, to let a store grow.
    pub first_repository: usize,
    /// Tags in each repository, `v1` the oldest.
    pub tags: usize,
    /// Manifests in each repository that no tag holds.
    pub untagged: usize,
    /// Layers that every image of the store has.
    pub shared_layers: usize,
    /// Layers that only one image has.
    pub own_layers: usize,
    /// Bytes of each layer.
    pub layer_bytes: usize,
    /// Whether layers are holes: as long as they should be, without a block on the disk, and not of their digest.
    pub are_layers_hollow: bool,
    /// Blobs that nothing names.
    pub stray_blobs: usize,
    /// Push time of the newest tag; older tags and the untagged manifests go back from it.
    pub newest: SystemTime,
    /// Time between two pushes to a repository.
    pub step: Duration,
    /// Another seed gives other bytes.
    pub seed: u64,
}

impl Default for BulkSpec {
    fn default() -> Self {
        Self {
            repositories: 20,
            first_repository: 0,
            tags: 30,
            untagged: 10,
            shared_layers: 3,
            own_layers: 2,
            layer_bytes: 64,
            are_layers_hollow: false,
            stray_blobs: 0,
            newest: SystemTime::now() - Duration::from_secs(86_400),
            step: Duration::from_secs(60),
            seed: 1,
        }
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BulkSummary {
    /// Tags in the whole store.
    pub tags: usize,
    /// Manifests in the whole store, tagged or not.
    pub manifests: usize,
    /// Blobs in the whole store: layers, configurations, manifests.
    pub blobs: usize,
}

impl BulkSpec {
    /// Writes the store, or what it grows by; the repositories must not be there yet.
    pub fn write(&self, root: &Path) -> BulkSummary {
        let view = StoreView::new(root);
        let shared: Vec<Descriptor> =
            (0..self.shared_layers).map(|number| self.layer(&view, number as u64)).collect();
        side_by_side(self.repositories, |number| {
            self.write_repository(&view, self.first_repository + number, &shared);
        });
        side_by_side(self.stray_blobs, |number| {
            self.layer(&view, u64::MAX - number as u64);
        });
        let manifests = self.repositories * (self.tags + self.untagged);
        BulkSummary {
            tags: self.repositories * self.tags,
            manifests,
            blobs: self.shared_layers + manifests * (2 + self.own_layers) + self.stray_blobs,
        }
    }

    /// Name of a repository.
    pub fn repository_name(number: usize) -> String {
        format!("team-{:02}/app-{number:04}", number % 20)
    }

    fn write_repository(&self, view: &StoreView, number: usize, shared: &[Descriptor]) {
        let name = Self::repository_name(number);
        let images = self.tags + self.untagged;
        for layer in shared {
            let link = view.layer_link(&name, &layer.digest);
            write_link(&link, &layer.digest, self.newest);
        }
        for image in 0..images {
            let pushes_later = u32::try_from(images - 1 - image).expect("fewer than 2^32 pushes");
            let at = self.newest - self.step * pushes_later;
            let digest = self.write_image(view, &name, (number * images + image) as u64, shared, at);
            // The untagged manifests are the oldest pushes.
            if image >= self.untagged {
                let tag = format!("v{}", image - self.untagged + 1);
                write_link(&view.index_link(&name, &tag, &digest), &digest, at);
                write_link(&view.current_link(&name, &tag), &digest, at);
            }
        }
    }

    fn write_image(
        &self,
        view: &StoreView,
        repository: &str,
        number: u64,
        shared: &[Descriptor],
        at: SystemTime,
    ) -> Digest {
        let mut layers = shared.to_vec();
        for own in 0..self.own_layers {
            let identity = (number + 1) * 1_000_000 + own as u64;
            layers.push(self.layer(view, identity));
        }
        let config_bytes = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{}},"created_by":"bulk {} {number}"}}"#,
            self.seed
        );
        let config = Descriptor::of(Format::Docker.config(), config_bytes.as_bytes());
        self.blob(view, &config.digest, config_bytes.as_bytes());
        for owned in layers[shared.len()..].iter().chain([&config]) {
            let link = view.layer_link(repository, &owned.digest);
            write_link(&link, &owned.digest, at);
        }
        let manifest = Document::manifest(Format::Docker, &config, &layers, None, None);
        let digest = manifest.digest();
        self.blob(view, &digest, &manifest.bytes);
        write_link(&view.revision_link(repository, &digest), &digest, at);
        digest
    }

    fn layer(&self, view: &StoreView, identity: u64) -> Descriptor {
        let mut bytes =
            random_bytes(self.seed ^ identity.wrapping_mul(0x9E37_79B9_7F4A_7C15), self.layer_bytes);
        // Layers of a few bytes would else be equal by chance.
        bytes.extend_from_slice(format!("{}:{identity}", self.seed).as_bytes());
        let descriptor = Descriptor::of(Format::Docker.gzip_layer(), &bytes);
        if self.are_layers_hollow {
            self.blob(view, &descriptor.digest, b"");
            let data = File::options().write(true).open(view.blob_data(&descriptor.digest));
            let lengthened = data.and_then(|data| {
                data.set_len(bytes.len() as u64)?;
                data.set_modified(self.newest)
            });
            lengthened.expect("a layer is made as long as it should be");
        } else {
            self.blob(view, &descriptor.digest, &bytes);
        }
        descriptor
    }

    fn blob(&self, view: &StoreView, digest: &Digest, bytes: &[u8]) {
        let data = view.blob_data(digest);
        write_file(&data, bytes, self.newest);
        set_mtime(data.parent().expect("a blob has a directory"), self.newest);
    }
}

/// Calls with each number below a count, on every processor.
fn side_by_side(count: usize, act: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    let workers = thread::available_parallelism().map_or(2, NonZero::get);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        break;
                    }
                    act(number);
                }
            });
        }
    });
}
