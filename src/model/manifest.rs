//! What a manifest references, read by shape.

use serde::Deserialize;

use super::{Digest, DigestError};

/// A reference to something that is stored as a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// What it references.
    pub digest: Digest,
    /// The size in bytes that the manifest claims; schema 1 claims none.
    pub size_bytes: Option<u64>,
    /// Whether the content may legitimately live elsewhere (`urls`, a foreign layer).
    pub foreign: bool,
}

/// What a manifest or an index references.
///
/// Read by shape, not by media type: whatever has `manifests`, `config`, `layers`, `fsLayers`,
/// `blobs` or `subject` is followed, because the registry stores media types that it does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Size of the manifest itself, in bytes.
    pub size_bytes: u64,
    /// Entries of `manifests`: other manifests, or plain blobs (`BuildKit` caches are such indexes).
    pub children: Box<[Descriptor]>,
    /// Entries of `config`, `layers`, `fsLayers` and `blobs`.
    pub blobs: Box<[Descriptor]>,
    /// The manifest that this one refers to; it makes this one a referrer.
    pub subject: Option<Digest>,
}

/// Why bytes are not a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not the JSON of a manifest.
    #[error("not the JSON of a manifest: {0}")]
    Json(#[from] serde_json::Error),
    /// A reference is not a digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// Nothing in it says that it is a manifest.
    #[error("none of manifests, config, layers, fsLayers, blobs, subject is in it")]
    Shape,
}

#[derive(Deserialize)]
struct RawDescriptor {
    digest: String,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    urls: Option<Vec<serde::de::IgnoredAny>>,
}

#[derive(Deserialize)]
struct RawFsLayer {
    #[serde(rename = "blobSum")]
    blob_sum: String,
}

#[derive(Deserialize)]
struct Raw {
    manifests: Option<Vec<RawDescriptor>>,
    config: Option<RawDescriptor>,
    layers: Option<Vec<RawDescriptor>>,
    #[serde(rename = "fsLayers")]
    fs_layers: Option<Vec<RawFsLayer>>,
    blobs: Option<Vec<RawDescriptor>>,
    subject: Option<RawDescriptor>,
}

impl TryFrom<RawDescriptor> for Descriptor {
    type Error = DigestError;

    fn try_from(raw: RawDescriptor) -> Result<Self, DigestError> {
        Ok(Self {
            digest: raw.digest.parse()?,
            size_bytes: raw.size,
            foreign: raw.urls.is_some_and(|urls| !urls.is_empty()),
        })
    }
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// When the bytes are not JSON, have none of the known shapes, or hold a reference that is not
    /// a digest. A caller must then take everything the manifest might reference for referenced.
    pub fn parse(content: &[u8]) -> Result<Self, ManifestError> {
        let raw: Raw = serde_json::from_slice(content)?;
        let shapes = [
            raw.manifests.is_some(),
            raw.config.is_some(),
            raw.layers.is_some(),
            raw.fs_layers.is_some(),
            raw.blobs.is_some(),
            raw.subject.is_some(),
        ];
        if !shapes.contains(&true) {
            return Err(ManifestError::Shape);
        }
        let children = raw.manifests.into_iter().flatten().map(Descriptor::try_from);
        let blobs = raw.config.into_iter().chain(raw.layers.into_iter().flatten());
        let blobs = blobs.chain(raw.blobs.into_iter().flatten()).map(Descriptor::try_from);
        let fs_layers = raw.fs_layers.into_iter().flatten().map(|layer| {
            let digest = layer.blob_sum.parse()?;
            Ok(Descriptor { digest, size_bytes: None, foreign: false })
        });
        Ok(Self {
            size_bytes: content.len() as u64,
            children: children.collect::<Result<_, _>>()?,
            blobs: blobs.chain(fs_layers).collect::<Result<_, _>>()?,
            subject: raw.subject.map(|subject| subject.digest.parse()).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn digest(letter: char) -> Digest {
        format!("sha256:{}", letter.to_string().repeat(64)).parse().unwrap()
    }

    #[test]
    fn every_shape_is_followed_whatever_the_media_type() {
        let json = format!(
            r#"{{"mediaType":"application/x-unheard-of","manifests":[{{"digest":"{a}","size":1}}],
                "config":{{"digest":"{b}","size":2}},"layers":[{{"digest":"{c}","size":3,"urls":["u"]}}],
                "fsLayers":[{{"blobSum":"{d}"}}],"blobs":[{{"digest":"{e}"}}],"subject":{{"digest":"{f}"}}}}"#,
            a = digest('a'),
            b = digest('b'),
            c = digest('c'),
            d = digest('d'),
            e = digest('e'),
            f = digest('f'),
        );
        let manifest = Manifest::parse(json.as_bytes()).unwrap();
        assert_eq!(manifest.size_bytes, json.len() as u64);
        let children: Vec<_> = manifest.children.iter().map(|child| child.digest.clone()).collect();
        assert_eq!(children, [digest('a')]);
        let blobs: Vec<_> =
            manifest.blobs.iter().map(|blob| (blob.digest.clone(), blob.size_bytes, blob.foreign)).collect();
        assert_eq!(
            blobs,
            [
                (digest('b'), Some(2), false),
                (digest('c'), Some(3), true),
                (digest('e'), None, false),
                (digest('d'), None, false)
            ]
        );
        assert_eq!(manifest.subject, Some(digest('f')));
    }

    #[test]
    fn an_empty_index_is_a_manifest_but_an_empty_object_is_not() {
        assert!(Manifest::parse(br#"{"manifests":[]}"#).is_ok());
        assert!(matches!(Manifest::parse(b"{}"), Err(ManifestError::Shape)));
    }

    #[test]
    fn what_cannot_be_understood_is_an_error_and_never_an_empty_manifest() {
        for bad in [
            "",
            "{",
            "[]",
            "null",
            r#"{"manifests":{}}"#,
            r#"{"layers":[{"size":1}]}"#,
            r#"{"layers":[{"digest":"sha256:12"}]}"#,
            r#"{"config":"x"}"#,
            r#"{"subject":{"digest":""}}"#,
            r#"{"layers":[],"layers":[]}"#,
        ] {
            assert!(Manifest::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _parsed = Manifest::parse(&bytes);
        }
    }
}
