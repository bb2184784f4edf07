//! Writes a store as the registry writes it: the same directories, links and bytes, at times of the test's choice.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::{Digest, Image, StoreView};

/// So long before now.
pub fn ago(age: Duration) -> SystemTime {
    SystemTime::now() - age
}

/// Fills a store without a registry.
///
/// Every time is an mtime, of files and of blobs' directories; a file's ctime is always the moment it was
/// written and cannot be set.
#[derive(Debug)]
pub struct StoreBuilder {
    view: StoreView,
}

impl StoreBuilder {
    /// Builds in this directory, which becomes the registry's `rootdirectory`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        fs::create_dir_all(&root).expect("the store's directory is made");
        Self { view: StoreView::new(root) }
    }

    /// Where things lie in this store.
    pub fn view(&self) -> &StoreView {
        &self.view
    }

    /// The store's directory.
    pub fn root(&self) -> &Path {
        self.view.root()
    }

    /// Pushes an image under a tag, at a time. An earlier image of the tag stays as an untagged manifest.
    pub fn push(&self, repository: &str, tag: &str, image: &Image, at: SystemTime) {
        self.push_untagged(repository, image, at);
        let digest = image.digest();
        write_link(&self.view.index_link(repository, tag, &digest), &digest, at);
        write_link(&self.view.current_link(repository, tag), &digest, at);
    }

    /// Pushes an image by digest, as referrers and the children of an index are pushed.
    pub fn push_untagged(&self, repository: &str, image: &Image, at: SystemTime) {
        let uploads = self.view.repository(repository).join("_uploads");
        fs::create_dir_all(&uploads).expect("a repository's directory is made");
        for (digest, bytes) in image.blobs() {
            self.blob(digest, bytes, at);
            write_link(&self.view.layer_link(repository, digest), digest, at);
        }
        for document in image.documents() {
            self.manifest(repository, &document.bytes, at);
        }
    }

    /// Stores bytes as a manifest of the repository, whatever they are.
    pub fn manifest(&self, repository: &str, bytes: &[u8], at: SystemTime) -> Digest {
        let digest = Digest::of(bytes);
        self.blob(&digest, bytes, at);
        write_link(&self.view.revision_link(repository, &digest), &digest, at);
        digest
    }

    /// Stores a blob that no repository links to.
    pub fn loose_blob(&self, bytes: &[u8], at: SystemTime) -> Digest {
        let digest = Digest::of(bytes);
        self.blob(&digest, bytes, at);
        digest
    }

    /// Stores a layer of the repository that no manifest names.
    pub fn loose_layer(&self, repository: &str, bytes: &[u8], at: SystemTime) -> Digest {
        let digest = self.loose_blob(bytes, at);
        write_link(&self.view.layer_link(repository, &digest), &digest, at);
        digest
    }

    /// Starts an upload and leaves it there.
    pub fn upload(&self, repository: &str, uuid: &str, bytes: &[u8], started: SystemTime) {
        let directory = self.view.repository(repository).join("_uploads").join(uuid);
        let started_at = humantime::format_rfc3339_seconds(started).to_string();
        write_file(&directory.join("startedat"), started_at.as_bytes(), started);
        write_file(&directory.join("data"), bytes, started);
        write_file(&directory.join("hashstates/sha256/0"), &[0; 108], started);
    }

    /// Moves the push time of a tag.
    pub fn set_push_time(&self, repository: &str, tag: &str, at: SystemTime) {
        set_mtime(&self.view.current_link(repository, tag), at);
    }

    /// Moves the time of a revision link.
    pub fn set_revision_time(&self, repository: &str, digest: &Digest, at: SystemTime) {
        set_mtime(&self.view.revision_link(repository, digest), at);
    }

    /// Moves the time of a layer link.
    pub fn set_layer_time(&self, repository: &str, digest: &Digest, at: SystemTime) {
        set_mtime(&self.view.layer_link(repository, digest), at);
    }

    /// Moves the time of a blob and of its directory.
    pub fn set_blob_time(&self, digest: &Digest, at: SystemTime) {
        let data = self.view.blob_data(digest);
        set_mtime(&data, at);
        set_mtime(data.parent().expect("a blob has a directory"), at);
    }

    fn blob(&self, digest: &Digest, bytes: &[u8], at: SystemTime) {
        let path = self.view.blob_data(digest);
        // The registry trusts a blob that is there and leaves it and its time alone.
        if !path.exists() {
            write_file(&path, bytes, at);
            set_mtime(path.parent().expect("a blob has a directory"), at);
        }
    }
}

/// Sets the mtime of a file or directory.
pub(crate) fn set_mtime(path: &Path, at: SystemTime) {
    File::open(path)
        .and_then(|file| file.set_modified(at))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Writes a link in place, as registry 2.8 does, also where it stands already.
pub(crate) fn write_link(path: &Path, digest: &Digest, at: SystemTime) {
    write_file(path, digest.as_str().as_bytes(), at);
}

/// Writes a file with an mtime, making its directories where they are missing.
pub(crate) fn write_file(path: &Path, bytes: &[u8], at: SystemTime) {
    let write = || -> io::Result<()> {
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.set_modified(at)
    };
    write()
        .or_else(|error| match (error.kind(), path.parent()) {
            (io::ErrorKind::NotFound, Some(parent)) => {
                fs::create_dir_all(parent)?;
                write()
            }
            _ => Err(error),
        })
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
