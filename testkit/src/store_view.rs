//! Where things lie in a store, and what lies there, read without the janitor's help.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::Digest;

/// A store's directory (the registry's `rootdirectory`).
#[derive(Clone, Debug)]
pub struct StoreView {
    root: PathBuf,
}

impl StoreView {
    /// Looks at the store in this directory.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The registry's `rootdirectory`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `docker/registry/v2`.
    pub fn v2(&self) -> PathBuf {
        self.root.join("docker/registry/v2")
    }

    /// Directory of a repository.
    pub fn repository(&self, name: &str) -> PathBuf {
        self.v2().join("repositories").join(name)
    }

    /// Directory of a tag.
    pub fn tag(&self, repository: &str, tag: &str) -> PathBuf {
        self.repository(repository).join("_manifests/tags").join(tag)
    }

    /// The link that says which image a tag holds; its mtime is the push time.
    pub fn current_link(&self, repository: &str, tag: &str) -> PathBuf {
        self.tag(repository, tag).join("current/link")
    }

    /// The link that remembers that a tag once held this image.
    pub fn index_link(&self, repository: &str, tag: &str, digest: &Digest) -> PathBuf {
        self.tag(repository, tag).join("index/sha256").join(digest.hex()).join("link")
    }

    /// The link that says that a repository has a manifest.
    pub fn revision_link(&self, repository: &str, digest: &Digest) -> PathBuf {
        self.repository(repository).join("_manifests/revisions/sha256").join(digest.hex()).join("link")
    }

    /// The link that says that a repository may serve a blob.
    pub fn layer_link(&self, repository: &str, digest: &Digest) -> PathBuf {
        self.repository(repository).join("_layers/sha256").join(digest.hex()).join("link")
    }

    /// The bytes of a blob.
    pub fn blob_data(&self, digest: &Digest) -> PathBuf {
        self.v2().join("blobs/sha256").join(&digest.hex()[..2]).join(digest.hex()).join("data")
    }

    /// Whether the blob's bytes are there.
    pub fn has_blob(&self, digest: &Digest) -> bool {
        self.blob_data(digest).is_file()
    }

    /// Whether this repository has the manifest.
    pub fn has_revision(&self, repository: &str, digest: &Digest) -> bool {
        self.revision_link(repository, digest).is_file()
    }

    /// Names of a repository's tags.
    pub fn tags(&self, repository: &str) -> BTreeSet<String> {
        names(&self.repository(repository).join("_manifests/tags"))
    }

    /// Digests of a repository's manifests.
    pub fn revisions(&self, repository: &str) -> BTreeSet<Digest> {
        let directory = self.repository(repository).join("_manifests/revisions/sha256");
        names(&directory)
            .into_iter()
            .filter(|hex| directory.join(hex).join("link").exists())
            .map(|hex| Digest::parse(&format!("sha256:{hex}")))
            .collect()
    }

    /// Every blob with its size in bytes.
    pub fn blobs(&self) -> BTreeMap<Digest, u64> {
        let blobs = self.v2().join("blobs/sha256");
        let mut found = BTreeMap::new();
        for shard in names(&blobs) {
            for hex in names(&blobs.join(&shard)) {
                let data = blobs.join(&shard).join(&hex).join("data");
                if let Ok(meta) = fs::metadata(&data) {
                    let digest = Digest::parse(&format!("sha256:{hex}"));
                    assert!(found.insert(digest, meta.size()).is_none(), "blob {hex} lies in two places");
                }
            }
        }
        found
    }

    /// Bytes of all blobs together.
    pub fn blob_bytes(&self) -> u64 {
        self.blobs().values().sum()
    }

    /// Digest of the image a tag holds.
    pub fn tag_digest(&self, repository: &str, tag: &str) -> Digest {
        let path = self.current_link(repository, tag);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Digest::parse(&text)
    }
}

fn names(directory: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(directory) else {
        return BTreeSet::new();
    };
    entries
        .map(|entry| {
            let name = entry.expect("a directory is listed").file_name();
            name.into_string().expect("a store's names are UTF-8")
        })
        .collect()
}
