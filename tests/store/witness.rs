//! Whether an image is whole, read from the files and nothing else.

use std::fs;
use std::path::{Path, PathBuf};

use janitor_testkit::{Digest, StoreView};
use serde_json::Value;

/// What a pull of this tag would miss; empty when the image is whole.
pub(crate) fn missing(view: &StoreView, repository: &str, tag: &str) -> Vec<String> {
    let mut missing = Vec::new();
    let link = view.current_link(repository, tag);
    match linked(&link) {
        Ok(digest) => follow(view, repository, &digest, &mut missing),
        Err(why) => missing.push(why),
    }
    missing
}

/// What a pull of this manifest by digest would miss.
pub(crate) fn missing_of(view: &StoreView, repository: &str, digest: &Digest) -> Vec<String> {
    let mut missing = Vec::new();
    follow(view, repository, digest, &mut missing);
    missing
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

fn linked(path: &Path) -> Result<Digest, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Digest::try_parse(&text).ok_or_else(|| format!("{}: {text:?}", path.display()))
}

fn follow(view: &StoreView, repository: &str, digest: &Digest, missing: &mut Vec<String>) {
    match linked(&view.revision_link(repository, digest)) {
        Ok(linked) if linked == *digest => {}
        Ok(other) => missing.push(format!("the revision {digest} leads to {other}")),
        Err(why) => missing.push(why),
    }
    let bytes = fs::read(view.blob_data(digest)).unwrap_or_default();
    if Digest::of(&bytes) != *digest {
        return missing.push(format!("the bytes of {digest}"));
    }
    let document: Value = serde_json::from_slice(&bytes).unwrap();
    let listed = |key: &str| document[key].as_array().cloned().unwrap_or_default();
    for child in listed("manifests") {
        follow(view, repository, &Digest::parse(child["digest"].as_str().unwrap()), missing);
    }
    for blob in listed("layers").iter().chain(document.get("config")) {
        let digest = Digest::parse(blob["digest"].as_str().unwrap());
        if !view.has_blob(&digest) {
            missing.push(format!("the blob {digest}"));
        }
        if let Err(why) = linked(&view.layer_link(repository, &digest)) {
            missing.push(why);
        }
    }
}
