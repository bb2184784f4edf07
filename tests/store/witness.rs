//! Whether what is kept is whole, and what is left in the trash, read from the files and nothing else.

use std::fs;
use std::path::{Path, PathBuf};

use janitor_testkit::{Digest, StoreView};

/// What a pull of this tag would miss; empty when the image is whole.
pub(crate) fn missing(view: &StoreView, repository: &str, tag: &str) -> Vec<String> {
    view.lacks(repository, tag)
}

/// What a pull of this manifest by digest would miss.
pub(crate) fn missing_of(view: &StoreView, repository: &str, digest: &Digest) -> Vec<String> {
    view.lacks(repository, digest.as_str())
}

/// Fails unless each of these tags pulls whole.
#[track_caller]
pub(crate) fn assert_whole(view: &StoreView, tags: &[(&str, String)], when: &str) {
    for (repository, tag) in tags {
        let missing = missing(view, repository, tag);
        assert!(missing.is_empty(), "{when}: {repository}:{tag} lacks {missing:#?}");
    }
}

/// Everything below the trash, for tests that ask whether it is empty.
pub(crate) fn trash(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for part in ["pending", "condemned"] {
        if let Ok(entries) = fs::read_dir(root.join("janitor/trash").join(part)) {
            found.extend(entries.map(|entry| entry.unwrap().path()));
        }
    }
    found
}
