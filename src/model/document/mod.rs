//! A manifest as it is written, read by shape.

use std::fmt;

use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Digest, DigestError, excerpt};

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

/// A manifest or an index, as far as it references something.
///
/// Read by shape, not by media type: whatever has `manifests`, `config`, `layers`, `fsLayers`,
/// `blobs` or `subject` is followed, because the registry stores media types that it does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
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
    #[error("not the JSON of a manifest: {}", excerpt(.0))]
    Json(#[from] serde_json::Error),
    /// A reference is not a digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// Nothing in it says that it is a manifest.
    #[error("none of manifests, config, layers, fsLayers, blobs, subject is in it")]
    Shape,
}

/// A key as Go's decoder compares it with the ones it knows: by simple case folding, under which
/// two letters beyond ASCII are an `s` and a `k`. Not every key is valid UTF-8, nor need it be.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl Visitor<'_> for Keys {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_bytes<E>(self, key: &[u8]) -> Result<Key, E> {
                let folded = |letter: char| match letter {
                    '\u{17f}' => 's',
                    '\u{212a}' => 'k',
                    _ => letter.to_ascii_lowercase(),
                };
                Ok(Key(String::from_utf8_lossy(key).chars().map(folded).collect()))
            }
        }
        deserializer.deserialize_bytes(Keys)
    }
}

/// A size, if it is one: the registry takes others in places that it does not look at, and no
/// reference depends on them.
struct Size(Option<u64>);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_json::Value::deserialize(deserializer).map(|value| Self(value.as_u64()))
    }
}

/// A descriptor, with every digest that it was given: a key may be there more than once, and
/// decoders differ in which one they take.
#[derive(Default)]
struct RawDescriptor {
    digests: Vec<String>,
    size: Option<u64>,
    foreign: bool,
}

impl<'de> Deserialize<'de> for RawDescriptor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Descriptors;
        impl<'de> Visitor<'de> for Descriptors {
            type Value = RawDescriptor;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a descriptor")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawDescriptor, A::Error> {
                let mut raw = RawDescriptor::default();
                while let Some(Key(key)) = map.next_key()? {
                    match key.as_str() {
                        // `blobSum` is what schema 1 calls it.
                        "digest" | "blobsum" => raw.digests.extend(map.next_value::<Option<String>>()?),
                        "size" => raw.size = map.next_value::<Size>()?.0,
                        "urls" => {
                            let urls: Option<Vec<IgnoredAny>> = map.next_value()?;
                            raw.foreign = urls.is_some_and(|urls| !urls.is_empty());
                        }
                        _ => _ = map.next_value::<IgnoredAny>()?,
                    }
                }
                if raw.digests.is_empty() {
                    return Err(A::Error::missing_field("digest"));
                }
                Ok(raw)
            }
        }
        deserializer.deserialize_map(Descriptors)
    }
}

impl RawDescriptor {
    fn descriptors(self) -> impl Iterator<Item = Result<Descriptor, DigestError>> {
        let Self { digests, size, foreign } = self;
        // Nothing says which of several digests the size belongs to.
        let size_bytes = size.filter(|_| digests.len() == 1);
        let descriptor =
            move |digest: String| Ok(Descriptor { digest: digest.parse()?, size_bytes, foreign });
        digests.into_iter().map(descriptor)
    }
}

/// The known keys of a manifest, each with everything that it was given.
#[derive(Default)]
struct Raw {
    manifests: Option<Vec<RawDescriptor>>,
    config: Option<Vec<RawDescriptor>>,
    layers: Option<Vec<RawDescriptor>>,
    fs_layers: Option<Vec<RawDescriptor>>,
    blobs: Option<Vec<RawDescriptor>>,
    subject: Option<Vec<RawDescriptor>>,
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Raws;
        impl<'de> Visitor<'de> for Raws {
            type Value = Raw;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a manifest")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
                let mut raw = Raw::default();
                while let Some(Key(key)) = map.next_key()? {
                    let (given, is_list) = match key.as_str() {
                        "manifests" => (&mut raw.manifests, true),
                        "config" => (&mut raw.config, false),
                        "layers" => (&mut raw.layers, true),
                        "fslayers" => (&mut raw.fs_layers, true),
                        "blobs" => (&mut raw.blobs, true),
                        "subject" => (&mut raw.subject, false),
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    let more = if is_list {
                        map.next_value::<Option<Vec<RawDescriptor>>>()?
                    } else {
                        map.next_value::<Option<RawDescriptor>>()?.map(|one| vec![one])
                    };
                    if let Some(more) = more {
                        given.get_or_insert_default().extend(more);
                    }
                }
                Ok(raw)
            }
        }
        deserializer.deserialize_map(Raws)
    }
}

impl Document {
    /// Reads a manifest, as tolerantly as the registry does: keys in any case, a key that is there
    /// twice (everything that either names is referenced), sizes that are none.
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
        let descriptors =
            |raw: Option<Vec<RawDescriptor>>| raw.into_iter().flatten().flat_map(RawDescriptor::descriptors);
        let blobs = descriptors(raw.config).chain(descriptors(raw.layers));
        let blobs = blobs.chain(descriptors(raw.blobs)).chain(descriptors(raw.fs_layers));
        let subjects: Vec<Descriptor> = descriptors(raw.subject).collect::<Result<_, _>>()?;
        Ok(Self {
            size_bytes: content.len() as u64,
            children: descriptors(raw.manifests).collect::<Result<_, _>>()?,
            blobs: blobs.collect::<Result<_, _>>()?,
            // A subject holds no content; of several, the registry's decoder takes the last.
            subject: subjects.into_iter().next_back().map(|subject| subject.digest),
        })
    }
}

#[cfg(test)]
mod tests;
