//! Damages a store on purpose, as crashes, full disks and careless hands do.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::{Digest, StoreView};

/// Breaks single things in a store.
#[derive(Debug)]
pub struct Damage {
    view: StoreView,
}

impl Damage {
    /// Damages the store that this view shows.
    pub fn to(view: &StoreView) -> Self {
        Self { view: view.clone() }
    }

    /// Leaves a tag's link empty, as registry 2.8 does on a full disk.
    pub fn truncate_tag(&self, repository: &str, tag: &str) {
        overwrite(&self.view.current_link(repository, tag), b"");
    }

    /// Leaves a revision's link empty.
    pub fn truncate_revision(&self, repository: &str, digest: &Digest) {
        overwrite(&self.view.revision_link(repository, digest), b"");
    }

    /// Leaves a layer link empty.
    pub fn truncate_layer(&self, repository: &str, digest: &Digest) {
        overwrite(&self.view.layer_link(repository, digest), b"");
    }

    /// Leaves a blob (a manifest, a configuration, a layer) empty.
    pub fn truncate_blob(&self, digest: &Digest) {
        overwrite(&self.view.blob_data(digest), b"");
    }

    /// Overwrites a blob with other bytes of the same size.
    pub fn garble_blob(&self, digest: &Digest) {
        let path = self.view.blob_data(digest);
        let size = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).len();
        overwrite(&path, &vec![b'#'; size]);
    }

    /// Writes something else into a tag's link.
    pub fn garble_tag(&self, repository: &str, tag: &str, text: &str) {
        overwrite(&self.view.current_link(repository, tag), text.as_bytes());
    }

    /// Removes a blob's file and its directory.
    pub fn remove_blob(&self, digest: &Digest) {
        let path = self.view.blob_data(digest);
        remove_tree(path.parent().expect("a blob has a directory"));
    }

    /// Removes a blob's file and leaves its empty directory.
    pub fn remove_blob_data(&self, digest: &Digest) {
        let path = self.view.blob_data(digest);
        fs::remove_file(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Removes a tag by hand, so that its image is an untagged manifest.
    pub fn remove_tag(&self, repository: &str, tag: &str) {
        remove_tree(&self.view.tag(repository, tag));
    }

    /// Removes a revision by hand.
    pub fn remove_revision(&self, repository: &str, digest: &Digest) {
        let link = self.view.revision_link(repository, digest);
        remove_tree(link.parent().expect("a revision has a directory"));
    }

    /// Leaves a file empty.
    pub fn empty(&self, path: &Path) {
        overwrite(path, b"");
    }

    /// Leaves the first half of a file, as a crash within a write does.
    pub fn halve(&self, path: &Path) {
        let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        overwrite(path, &bytes[..bytes.len() / 2]);
    }

    /// Overwrites a file.
    pub fn overwrite(&self, path: &Path, bytes: &[u8]) {
        overwrite(path, bytes);
    }

    /// Removes a file, or a directory with everything in it.
    pub fn remove(&self, path: &Path) {
        if path.is_dir() {
            remove_tree(path);
        } else {
            fs::remove_file(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }

    /// Moves something to another place of the store's directory, and leaves a symbolic link to it.
    pub fn leave_a_symbolic_link(&self, path: &Path) {
        let elsewhere = self.view.root().join("elsewhere");
        let moved = fs::create_dir_all(&elsewhere)
            .and_then(|()| fs::rename(path, elsewhere.join("moved")))
            .and_then(|()| symlink(elsewhere.join("moved"), path));
        moved.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

/// Writes in place, so that the file keeps its inode.
fn overwrite(path: &Path, bytes: &[u8]) {
    assert!(path.exists(), "nothing to damage at {}", path.display());
    fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn remove_tree(path: &Path) {
    fs::remove_dir_all(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
