//! Whether an image is whole, read from the files and nothing else.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::{Digest, StoreView};

impl StoreView {
    /// What a pull of this tag would miss; empty when the image is whole.
    pub fn missing(&self, repository: &str, tag: &str) -> Vec<String> {
        let mut missing = Vec::new();
        match linked(&self.current_link(repository, tag)) {
            Ok(digest) => self.follow(repository, &digest, &mut missing),
            Err(why) => missing.push(why),
        }
        missing
    }

    /// What a pull of this manifest by digest would miss.
    pub fn missing_of(&self, repository: &str, digest: &Digest) -> Vec<String> {
        let mut missing = Vec::new();
        self.follow(repository, digest, &mut missing);
        missing
    }

    fn follow(&self, repository: &str, digest: &Digest, missing: &mut Vec<String>) {
        match linked(&self.revision_link(repository, digest)) {
            Ok(linked) if linked == *digest => {}
            Ok(other) => missing.push(format!("the revision {digest} leads to {other}")),
            Err(why) => missing.push(why),
        }
        let bytes = fs::read(self.blob_data(digest)).unwrap_or_default();
        if Digest::of(&bytes) != *digest {
            return missing.push(format!("the bytes of {digest}"));
        }
        let document: Value = serde_json::from_slice(&bytes).expect("a manifest is JSON");
        let listed = |key: &str| document[key].as_array().cloned().unwrap_or_default();
        let named = |descriptor: &Value| {
            Digest::parse(descriptor["digest"].as_str().expect("a descriptor has a digest"))
        };
        for child in listed("manifests") {
            self.follow(repository, &named(&child), missing);
        }
        for blob in listed("layers").iter().chain(document.get("config")) {
            let digest = named(blob);
            if !self.has_blob(&digest) {
                missing.push(format!("the blob {digest}"));
            }
            if let Err(why) = linked(&self.layer_link(repository, &digest)) {
                missing.push(why);
            }
        }
    }
}

fn linked(path: &Path) -> Result<Digest, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Digest::try_parse(&text).ok_or_else(|| format!("{}: {text:?}", path.display()))
}
