//! A directory in the OCI image layout, for tools that push from one.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::Image;

/// An OCI layout; images are named in it as skopeo's `oci:<directory>:<name>` names them. Images have to be in
/// OCI's format: skopeo finds no Docker manifest list in such a layout.
#[derive(Debug)]
pub struct OciLayout {
    directory: PathBuf,
    images: Vec<Value>,
}

impl OciLayout {
    /// Starts an empty layout in this directory.
    pub fn create(directory: impl Into<PathBuf>) -> Self {
        let directory = directory.into();
        fs::create_dir_all(directory.join("blobs/sha256")).expect("the layout's directory is made");
        fs::write(directory.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)
            .expect("the layout's marker is written");
        let layout = Self { directory, images: Vec::new() };
        layout.write_index();
        layout
    }

    /// Adds an image under a name.
    pub fn add(&mut self, name: &str, image: &Image) {
        for document in image.documents() {
            self.write_blob(document.digest().hex(), &document.bytes);
        }
        for (digest, bytes) in image.blobs() {
            self.write_blob(digest.hex(), bytes);
        }
        let mut entry = image.descriptor().to_json();
        entry["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
        self.images.push(entry);
        self.write_index();
    }

    /// The layout's directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn write_blob(&self, hex: &str, bytes: &[u8]) {
        fs::write(self.directory.join("blobs/sha256").join(hex), bytes).expect("a layout's blob is written");
    }

    fn write_index(&self) {
        let index = json!({ "schemaVersion": 2, "manifests": self.images });
        fs::write(self.directory.join("index.json"), index.to_string())
            .expect("the layout's index is written");
    }
}
