//! Whether an image is whole, read from a store's files and nothing else.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::{Digest, StoreView};

impl StoreView {
    /// What a pull of this tag or digest would miss; empty when the image is whole.
    pub fn lacks(&self, repository: &str, reference: &str) -> Vec<String> {
        let mut missing = Vec::new();
        let digest = match Digest::try_parse(reference) {
            Some(digest) => Ok(digest),
            None => linked(&self.current_link(repository, reference)),
        };
        match digest {
            Ok(digest) => self.follow(repository, &digest, &mut missing),
            Err(why) => missing.push(why),
        }
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
        let document: Value = serde_json::from_slice(&bytes).expect("what has its digest is a manifest");
        let listed = |key: &str| document[key].as_array().cloned().unwrap_or_default();
        let named = |descriptor: &Value| Digest::parse(descriptor["digest"].as_str().expect("a digest"));
        for child in listed("manifests") {
            self.follow(repository, &named(&child), missing);
        }
        for blob in listed("layers").iter().chain(document.get("config")) {
            let digest = named(blob);
            if !fs::read(self.blob_data(&digest)).is_ok_and(|bytes| Digest::of(&bytes) == digest) {
                missing.push(format!("the blob {digest}"));
            }
            missing.extend(linked(&self.layer_link(repository, &digest)).err());
        }
    }
}

fn linked(path: &Path) -> Result<Digest, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Digest::try_parse(&text).ok_or_else(|| format!("{}: {text:?}", path.display()))
}
