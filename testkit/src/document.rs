//! Manifests and indexes as the clients write them.

use serde_json::{Value, json};

use crate::Digest;

/// Whose media types a manifest carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Docker schema 2 and manifest lists.
    Docker,
    /// OCI image manifests and indexes.
    Oci,
}

impl Format {
    /// Media type of an image manifest.
    pub fn manifest(self) -> &'static str {
        match self {
            Self::Docker => "application/vnd.docker.distribution.manifest.v2+json",
            Self::Oci => "application/vnd.oci.image.manifest.v1+json",
        }
    }

    /// Media type of an index (manifest list).
    pub fn index(self) -> &'static str {
        match self {
            Self::Docker => "application/vnd.docker.distribution.manifest.list.v2+json",
            Self::Oci => "application/vnd.oci.image.index.v1+json",
        }
    }

    /// Media type of an image's configuration.
    pub fn config(self) -> &'static str {
        match self {
            Self::Docker => "application/vnd.docker.container.image.v1+json",
            Self::Oci => "application/vnd.oci.image.config.v1+json",
        }
    }

    /// Media type of a gzip layer.
    pub fn gzip_layer(self) -> &'static str {
        match self {
            Self::Docker => "application/vnd.docker.image.rootfs.diff.tar.gzip",
            Self::Oci => "application/vnd.oci.image.layer.v1.tar+gzip",
        }
    }

    /// Media type of an uncompressed layer.
    pub fn plain_layer(self) -> &'static str {
        match self {
            Self::Docker => "application/vnd.docker.image.rootfs.diff.tar",
            Self::Oci => "application/vnd.oci.image.layer.v1.tar",
        }
    }
}

/// What an image runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// For instance `linux`.
    pub os: String,
    /// For instance `arm64`.
    pub architecture: String,
}

impl Platform {
    /// Linux on the given architecture.
    pub fn linux(architecture: &str) -> Self {
        Self { os: "linux".to_owned(), architecture: architecture.to_owned() }
    }
}

/// How one document points at another document or blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Media type of what is pointed at.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Only on an index's children.
    pub platform: Option<Platform>,
    /// Only on a referrer in a fallback index.
    pub artifact_type: Option<String>,
}

impl Descriptor {
    /// Points at these bytes.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: Digest::of(bytes),
            size_bytes: bytes.len() as u64,
            platform: None,
            artifact_type: None,
        }
    }

    /// As it stands in a document.
    pub fn to_json(&self) -> Value {
        let mut value = json!({
            "mediaType": self.media_type,
            "digest": self.digest.as_str(),
            "size": self.size_bytes,
        });
        if let Some(platform) = &self.platform {
            value["platform"] = json!({ "architecture": platform.architecture, "os": platform.os });
        }
        if let Some(artifact_type) = &self.artifact_type {
            value["artifactType"] = json!(artifact_type);
        }
        value
    }
}

/// A manifest or an index: its bytes and the media type it is pushed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Media type.
    pub media_type: String,
    /// Exactly what is stored.
    pub bytes: Vec<u8>,
}

impl Document {
    /// An image manifest.
    pub fn manifest(
        format: Format,
        config: &Descriptor,
        layers: &[Descriptor],
        subject: Option<&Descriptor>,
        artifact_type: Option<&str>,
    ) -> Self {
        let mut value = json!({
            "schemaVersion": 2,
            "mediaType": format.manifest(),
            "config": config.to_json(),
            "layers": layers.iter().map(Descriptor::to_json).collect::<Vec<_>>(),
        });
        if let Some(subject) = subject {
            value["subject"] = subject.to_json();
        }
        if let Some(artifact_type) = artifact_type {
            value["artifactType"] = json!(artifact_type);
        }
        Self::of(format.manifest(), &value)
    }

    /// An index of these children.
    pub fn index(format: Format, children: &[Descriptor]) -> Self {
        let value = json!({
            "schemaVersion": 2,
            "mediaType": format.index(),
            "manifests": children.iter().map(Descriptor::to_json).collect::<Vec<_>>(),
        });
        Self::of(format.index(), &value)
    }

    /// Digest of the bytes.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    /// The configuration and the layers of an image manifest; none for an index.
    pub fn references(&self) -> Vec<Digest> {
        let value: Value = serde_json::from_slice(&self.bytes).expect("a document is JSON");
        let layers = value["layers"].as_array().into_iter().flatten();
        let named = std::iter::once(&value["config"]).chain(layers);
        named.filter_map(|blob| blob["digest"].as_str()).map(Digest::parse).collect()
    }

    /// Points at this document.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::of(&self.media_type, &self.bytes)
    }

    fn of(media_type: &str, value: &Value) -> Self {
        Self {
            media_type: media_type.to_owned(),
            bytes: serde_json::to_vec(value).expect("a JSON value serialises"),
        }
    }
}
