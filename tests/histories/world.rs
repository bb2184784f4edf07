//! A store on disk, written as the registry writes it, and a model of it that is told the same.

#![expect(clippy::disallowed_methods, reason = "the registry deletes, and time begins with the test")]

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use janitor_testkit::{Digest, Document as Written, Image, StoreView, scratch_directory};
use tempfile::TempDir;

use crate::images::{FAMILIES, Family};
use crate::limbo::Limbo;
use crate::model::{Document, Model, Time};
use crate::operation::{MINUTE, Operation, Serve};

/// The storage's clock is ahead by so much: whatever has a time before this was touched in the step that ends
/// now, and times of status changes, which cannot be set, never are the newest.
const AHEAD: Duration = Duration::from_secs(1000 * 86_400);

/// A repository with an image that no step touches, so that no store is ever emptied.
const ANCHOR: &str = "anchor";

/// A store, and what is known about it.
pub(crate) struct World {
    directory: TempDir,
    pub(crate) view: StoreView,
    pub(crate) model: Model,
    /// What an interrupted sweep has in the trash.
    pub(crate) limbo: Limbo,
    /// What has an earlier time was touched just now.
    threshold: SystemTime,
    uploads: usize,
}

impl World {
    pub(crate) fn new() -> Self {
        let directory = scratch_directory("janitor-history-");
        let store = directory.path().join("store");
        fs::create_dir(&store).unwrap();
        let config = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\n",
            store.display()
        );
        fs::write(directory.path().join("config.yml"), config).unwrap();
        let start = SystemTime::now() + AHEAD;
        let since = start.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let now = Time::try_from(since.as_secs() / 60).unwrap() * MINUTE;
        let mut world = Self {
            directory,
            view: StoreView::new(store),
            model: Model { now, ..Model::default() },
            limbo: Limbo::default(),
            threshold: start - AHEAD / 2,
            uploads: 0,
        };
        world.push(ANCHOR, Some("keep"), &Image::small(99), false);
        world.stamp();
        world
    }

    /// The directory of the store.
    pub(crate) fn root(&self) -> &Path {
        self.view.root()
    }

    /// The registry's configuration.
    pub(crate) fn registry_config(&self) -> PathBuf {
        self.directory.path().join("config.yml")
    }

    /// The storage's time.
    pub(crate) fn clock(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(self.model.now).unwrap())
    }

    /// Gives everything that was touched since the last call the storage's time.
    pub(crate) fn stamp(&self) {
        self.stamp_below(self.root());
    }

    fn stamp_below(&self, path: &Path) {
        let meta = fs::symlink_metadata(path).unwrap();
        if meta.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                self.stamp_below(&entry.unwrap().path());
            }
        }
        if meta.modified().unwrap() < self.threshold {
            fs::File::open(path).and_then(|file| file.set_modified(self.clock())).unwrap();
        }
    }

    /// The time of a file.
    pub(crate) fn written(path: &Path) -> Time {
        let meta = fs::metadata(path).unwrap();
        meta.mtime() * 1000 + meta.mtime_nsec() / 1_000_000
    }

    /// Makes one step that is the registry's or its clients'.
    pub(crate) fn step(&mut self, operation: &Operation) {
        self.model.now += MINUTE;
        match *operation {
            Operation::Push { repository, tag, family, reuse } => {
                self.push(repository, Some(tag), &FAMILIES[family].image, reuse);
            }
            Operation::Serve { repository, family, how } => self.serve(repository, &FAMILIES[family], how),
            Operation::HalfPush { repository, family, manifests } => {
                let image = &FAMILIES[family].image;
                self.push_blobs(repository, image, true);
                for document in image.documents().iter().take(manifests) {
                    self.put_manifest(repository, document, true);
                }
            }
            Operation::Mount { repository, family } => self.mount(repository, &FAMILIES[family].image),
            Operation::Delete { repository, which } => self.delete(repository, which),
            Operation::Upload { repository } => self.upload(repository),
            Operation::EndUploads { repository } => {
                let uploads = self.view.repository(repository).join("_uploads");
                for upload in fs::read_dir(uploads).into_iter().flatten() {
                    fs::remove_dir_all(upload.unwrap().path()).unwrap();
                }
            }
            Operation::Wait { minutes } => self.model.now += minutes * MINUTE,
            Operation::Sweep(_) | Operation::Crash(..) | Operation::Audit(_) => {}
        }
        self.stamp();
    }

    fn serve(&mut self, repository: &'static str, family: &Family, how: Serve) {
        match how {
            Serve::Referrer => self.push(repository, None, &family.referrer, true),
            Serve::TwoReferrers => {
                self.push(repository, None, &family.referrer, true);
                self.push(repository, None, &family.second, true);
            }
            Serve::Tagged => self.push(repository, Some("sbom"), &family.referrer, true),
            Serve::Fallback => {
                self.push(repository, Some(&family.image.companion_tag("")), &family.fallback, true);
            }
            Serve::Signature => {
                self.push(repository, Some(&family.image.companion_tag(".sig")), &family.signature, true);
            }
        }
    }

    fn push(&mut self, repository: &str, tag: Option<&str>, image: &Image, reuse: bool) {
        self.push_blobs(repository, image, reuse);
        let (last, before) = image.documents().split_last().unwrap();
        for document in before {
            self.put_manifest(repository, document, reuse);
        }
        // By tag, it is always sent.
        self.put_manifest(repository, last, reuse && tag.is_none());
        if let Some(tag) = tag {
            let digest = last.digest();
            write(&self.view.index_link(repository, tag, &digest), digest.as_str());
            write(&self.view.current_link(repository, tag), digest.as_str());
            let now = self.model.now;
            self.repository(repository).tags.insert(tag.to_owned(), (digest, now));
        }
    }

    fn push_blobs(&mut self, repository: &str, image: &Image, reuse: bool) {
        fs::create_dir_all(self.view.repository(repository).join("_uploads")).unwrap();
        for (digest, bytes) in image.blobs() {
            let has = self.view.layer_link(repository, digest).exists() && self.view.has_blob(digest);
            if !(reuse && has) {
                self.put_blob(digest, bytes);
                self.link_layer(repository, digest);
            }
        }
    }

    fn put_manifest(&mut self, repository: &str, document: &Written, reuse: bool) {
        let digest = document.digest();
        if reuse && self.view.has_revision(repository, &digest) && self.view.has_blob(&digest) {
            return;
        }
        self.put_blob(&digest, &document.bytes);
        write(&self.view.revision_link(repository, &digest), digest.as_str());
        self.model.documents.entry(digest.clone()).or_insert_with(|| Document::parse(&document.bytes));
        let now = self.model.now;
        let repository = self.repository(repository);
        repository.deleted.remove(&digest);
        repository.revisions.insert(digest, now);
    }

    /// The registry trusts a blob that is there and leaves it and its time alone.
    fn put_blob(&mut self, digest: &Digest, bytes: &[u8]) {
        let there = self.view.has_blob(digest);
        assert_eq!(there, self.model.blobs.contains_key(digest), "{digest}");
        if !there {
            let data = self.view.blob_data(digest);
            fs::create_dir_all(data.parent().unwrap()).unwrap();
            fs::write(data, bytes).unwrap();
            self.model.blobs.insert(digest.clone(), self.model.now);
        }
    }

    fn link_layer(&mut self, repository: &str, digest: &Digest) {
        write(&self.view.layer_link(repository, digest), digest.as_str());
        let now = self.model.now;
        self.repository(repository).layers.insert(digest.clone(), now);
    }

    fn mount(&mut self, repository: &str, image: &Image) {
        for digest in image.blobs().keys() {
            let elsewhere = |(name, it): (&String, &crate::model::Repository)| {
                name != repository && it.layers.contains_key(digest)
            };
            if self.view.has_blob(digest) && self.model.repositories.iter().any(elsewhere) {
                self.link_layer(repository, digest);
            }
        }
    }

    /// As the registry's API does it by digest: the link goes, its directory stays, and so go the tags.
    fn delete(&mut self, repository: &str, which: usize) {
        let revisions: Vec<Digest> = self.view.revisions(repository).into_iter().collect();
        let Some(digest) = revisions.get(which % revisions.len().max(1)) else { return };
        fs::remove_file(self.view.revision_link(repository, digest)).unwrap();
        let known = self.model.repositories.get_mut(repository).unwrap();
        known.revisions.remove(digest).unwrap();
        known.deleted.insert(digest.clone(), self.model.now);
        known.tags.retain(|tag, (tagged, _)| {
            if tagged == digest {
                fs::remove_dir_all(self.view.tag(repository, tag)).unwrap();
            }
            tagged != digest
        });
    }

    fn upload(&mut self, repository: &str) {
        self.uploads += 1;
        let uuid = format!("0b1d7dc6-8c46-4c6f-a0a9-{:012x}", self.uploads);
        let upload = self.view.repository(repository).join("_uploads").join(uuid);
        write(&upload.join("startedat"), "2024-01-01T00:00:00Z");
        write(&upload.join("hashstates/sha256/0"), "state");
        write(&upload.join("data"), "half a layer");
    }

    fn repository(&mut self, name: &str) -> &mut crate::model::Repository {
        self.model.repositories.entry(name.to_owned()).or_default()
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
