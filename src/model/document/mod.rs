//! A manifest as it is written: what it names, and what of that the registry looks at.
//!
//! Two sets are read from it. What it may *hold* is generous: whatever it names in any place that somebody may
//! follow, whichever of two equal keys that stands under, and whatever the media type. What it *needs* is exactly what
//! the registry's decoder (`encoding/json` of Go, distribution 2.8 and 3.x) reads for its media type: keys in any case,
//! the last of two equal keys, `null` as nothing, fields that it does not know as if they were not there. Nothing is
//! removed that something kept may hold; an image is broken, and links are repaired, only by what it needs.

mod go;
mod json;

use std::collections::HashSet;

use go::{Entries, Entry};
use json::Kind as Json;
use serde_json::value::RawValue;

use super::{Digest, DigestError, excerpt};

/// Raised whenever the same bytes may be read as something else than before. What an earlier sweep wrote down of
/// manifests is used only if it was written under the same number; a test of this module forces it up.
pub const MEANING: u32 = 2;

/// How a manifest stands to something that it names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// A pull fetches it, and whichever way the manifest was pushed, the registry first made sure that the repository
    /// has it.
    #[default]
    Verified,
    /// A pull fetches it. Nothing says that the registry looked for it when the manifest was pushed.
    Needed,
    /// It is named where the registry does not look. It is kept, and may be missing.
    Held,
}

/// A reference to something that is stored as a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// What it references.
    pub digest: Digest,
    /// The size in bytes that the manifest claims; schema 1 claims none.
    pub size_bytes: Option<u64>,
    /// Whether the content may legitimately live elsewhere (`urls`, a foreign layer).
    pub foreign: bool,
    /// Whether a pull needs it.
    pub standing: Standing,
    /// Whether its media type leaves open that it is a manifest, although it is named as a layer or a configuration.
    pub may_be_manifest: bool,
}

impl Descriptor {
    /// A reference that a pull needs, as nearly all of them are.
    pub const fn new(digest: Digest, size_bytes: Option<u64>, foreign: bool) -> Self {
        Self { digest, size_bytes, foreign, standing: Standing::Verified, may_be_manifest: false }
    }
}

/// A manifest or an index, as far as it references something.
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
    /// A reference that a pull needs is not a digest of an algorithm that the registry stores.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// A reference that a pull needs is of another type than the registry reads.
    #[error("{0} is of another type than the registry reads")]
    Type(&'static str),
    /// Nothing in it says that it is a manifest.
    #[error(
        "it has no known schemaVersion, and none of manifests, config, layers, fsLayers, blobs, subject names anything"
    )]
    Shape,
}

/// As which kind of manifest the registry serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Served {
    Schema1,
    Image,
    Index,
    /// The registry serves no such version or media type: it is read by its shape.
    Unknown,
}

/// The known keys of a manifest.
#[derive(Default)]
struct Raw<'a> {
    schema_version: Field<'a>,
    media_type: Field<'a>,
    /// Schema 1 alone has one, so its decoder may have taken whatever has one.
    name: Field<'a>,
    subject: Field<'a>,
    manifests: Entries,
    config: Entries,
    layers: Entries,
    fs_layers: Entries,
    blobs: Entries,
}

/// A plain field, with every value that it was given.
#[derive(Default)]
struct Field<'a>(Vec<&'a RawValue>);

impl Field<'_> {
    /// What is left of it after Go's decoder: the last value that is not null, or an error.
    fn decoded<T>(&self, read: impl Fn(&RawValue) -> Option<T>) -> Result<Option<T>, ()> {
        let mut decoded = None;
        for value in self.0.iter().filter(|value| json::kind(value) != Json::Null) {
            decoded = Some(read(value).ok_or(())?);
        }
        Ok(decoded)
    }
}

impl<'a> Raw<'a> {
    fn read(text: &'a str) -> Result<Self, serde_json::Error> {
        let mut raw = Self::default();
        json::each_field(text, |key, value| match key {
            "schemaversion" => raw.schema_version.0.push(value),
            "mediatype" => raw.media_type.0.push(value),
            "name" => raw.name.0.push(value),
            "subject" => raw.subject.0.push(value),
            "manifests" => raw.manifests.list(value),
            "config" => raw.config.object(value),
            "layers" => raw.layers.list(value),
            "fslayers" => raw.fs_layers.list(value),
            "blobs" => raw.blobs.list(value),
            _ => {}
        })?;
        Ok(raw)
    }

    /// As the registry's `manifestStore.Get` decides.
    fn served(&self) -> Served {
        let Ok(version) = self.schema_version.decoded(json::number) else { return Served::Unknown };
        let Ok(media_type) = self.media_type.decoded(json::text) else { return Served::Unknown };
        match (version, media_type.as_deref().unwrap_or_default()) {
            (Some(1), _) => Served::Schema1,
            (
                Some(2),
                "application/vnd.docker.distribution.manifest.list.v2+json"
                | "application/vnd.oci.image.index.v1+json",
            ) => Served::Index,
            (Some(2), "") if self.manifests.is_list() => Served::Index,
            (
                Some(2),
                "application/vnd.docker.distribution.manifest.v2+json"
                | "application/vnd.oci.image.manifest.v1+json"
                | "",
            ) => Served::Image,
            _ => Served::Unknown,
        }
    }

    /// Whether it says the same to every decoder that may have taken it when it was pushed, so that the registry has
    /// made sure that the repository has all that it needs. Decoders differ in what they check: one that reads any
    /// value takes `null` behind an object for nothing, one that reads a struct for no change.
    fn is_plain(&self, served: Served) -> bool {
        let once = [&self.schema_version, &self.media_type, &self.subject].iter().all(|it| it.0.len() <= 1);
        let Self { manifests, config, layers, fs_layers, blobs, name, .. } = self;
        let (ours, others): (&[&Entries], &[&Entries]) = match served {
            Served::Schema1 => (&[fs_layers], &[manifests, config, layers, blobs]),
            Served::Image => (&[config, layers], &[manifests, fs_layers, blobs]),
            Served::Index => (&[manifests], &[config, layers, fs_layers, blobs]),
            Served::Unknown => return false,
        };
        once && (name.0.is_empty() || (served == Served::Schema1 && name.0.len() == 1))
            && ours.iter().all(|it| it.is_plain())
            && others.iter().all(|it| it.is_absent())
    }
}

impl Document {
    /// Reads a manifest, as tolerantly as the registry does.
    ///
    /// # Errors
    /// When the bytes are not JSON, nothing in them says that they are a manifest, or a pull needs a reference that
    /// cannot be read. A caller must then take everything the manifest might reference for referenced.
    pub fn parse(content: &[u8]) -> Result<Self, ManifestError> {
        // Where bytes are not UTF-8, Go's decoder reads the same replacements.
        let text = String::from_utf8_lossy(content);
        let raw = Raw::read(&text)?;
        let served = raw.served();
        let subjects = subjects(&raw.subject);
        let lists = [&raw.manifests, &raw.config, &raw.layers, &raw.fs_layers, &raw.blobs];
        let has_shape = lists.iter().any(|it| it.has_shape()) || !subjects.is_empty();
        if served == Served::Unknown && !has_shape {
            return Err(ManifestError::Shape);
        }
        let standing = if raw.is_plain(served) { Standing::Verified } else { Standing::Needed };
        let needed_by =
            |kinds: &[Served]| (served == Served::Unknown || kinds.contains(&served)).then_some(standing);
        let digest: fn(&Entry) -> &str = |entry| &entry.digest;
        let blob_sum: fn(&Entry) -> &str = |entry| &entry.blob_sum;

        let mut children = Vec::new();
        raw.manifests.read("manifests", needed_by(&[Served::Index]), digest, &mut children)?;
        let mut blobs = Vec::new();
        raw.config.read("config", needed_by(&[Served::Image]), digest, &mut blobs)?;
        raw.layers.read("layers", needed_by(&[Served::Image]), digest, &mut blobs)?;
        raw.blobs.read("blobs", needed_by(&[]), digest, &mut blobs)?;
        raw.fs_layers.read("fsLayers", needed_by(&[Served::Schema1]), blob_sum, &mut blobs)?;
        // Of several subjects, decoders take the last. The others are kept with it, as children are.
        let mut subjects = subjects.into_iter();
        let subject = subjects.next_back();
        children.extend(
            subjects.filter(|it| Some(it) != subject.as_ref()).map(|digest| Descriptor {
                standing: Standing::Held,
                ..Descriptor::new(digest, None, false)
            }),
        );
        Ok(Self { size_bytes: content.len() as u64, children: children.into(), blobs: blobs.into(), subject })
    }
}

/// Every subject that is a digest: the registry does not look at them.
fn subjects(field: &Field<'_>) -> Vec<Digest> {
    let mut entries = Entries::default();
    field.0.iter().for_each(|value| entries.object(value));
    entries.held().map(|held| held.digest.clone()).collect()
}

impl Entries {
    /// Adds what these entries reference. What is `needed` comes first, as the registry reads it; then what is only
    /// held.
    fn read(
        &self,
        key: &'static str,
        needed: Option<Standing>,
        digest_of: impl Fn(&Entry) -> &str,
        to: &mut Vec<Descriptor>,
    ) -> Result<(), ManifestError> {
        let begin = to.len();
        if let Some(standing) = needed {
            if self.is_of_other_type() {
                return Err(ManifestError::Type(key));
            }
            for entry in self.decoded() {
                let digest = digest_of(entry);
                // The registry takes a manifest with these only where it does not look for them.
                if digest.is_empty() {
                    continue;
                }
                match digest.parse() {
                    Ok(digest) => to.push(Descriptor {
                        digest,
                        size_bytes: entry.size,
                        foreign: entry.has_urls,
                        standing,
                        may_be_manifest: entry.may_be_manifest(key),
                    }),
                    Err(_) if entry.has_urls => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        let held = || self.held().map(|held| &held.digest);
        if held().eq(to[begin..].iter().map(|it| &it.digest)) {
            return Ok(());
        }
        let mut seen: HashSet<Digest> = to[begin..].iter().map(|it| it.digest.clone()).collect();
        for held in self.held().filter(|held| seen.insert(held.digest.clone())) {
            to.push(Descriptor {
                digest: held.digest.clone(),
                size_bytes: held.size,
                foreign: false,
                standing: Standing::Held,
                may_be_manifest: held.may_be_manifest(key),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod odd;
#[cfg(test)]
mod tests;
