//! The descriptors in a manifest, decoded as Go does it, beside every digest that is named on the way.

use serde_json::value::RawValue;

use super::json::{self, Kind};
use crate::model::Digest;

/// A descriptor after Go's decoder has gone over it, perhaps more than once.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    pub(super) digest: String,
    pub(super) blob_sum: String,
    pub(super) size: Option<u64>,
    pub(super) has_urls: bool,
    has_media_type: bool,
    content: Content,
}

/// A digest that a descriptor names, whether or not a decoder takes it.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) digest: Digest,
    pub(super) size: Option<u64>,
    content: Content,
}

/// What a media type says of the content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Content {
    /// Nothing, or that it is a manifest.
    #[default]
    MayBeManifest,
    /// Nothing, in a layer; old clients give a configuration this type.
    LayerMayBeManifest,
    /// It is no manifest.
    Plain,
}

/// What stands under one key of a manifest, with everything that it was given.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one key")]
pub(super) struct Entries {
    /// Go decodes an element of a second list over the one that is there, and a shorter list leaves the rest of the
    /// first in memory.
    memory: Vec<Entry>,
    length: usize,
    is_null: bool,
    held: Vec<Held>,
    /// How often the key is there.
    times: usize,
    /// Whether the registry, if it looks here, finds something that is no descriptor.
    is_of_other_type: bool,
    /// Whether an entry has a key twice, or one that belongs to another kind of manifest.
    is_odd: bool,
    has_list: bool,
}

impl Entries {
    /// Decodes a list of descriptors.
    pub(super) fn list(&mut self, value: &RawValue) {
        self.times += 1;
        match json::kind(value) {
            Kind::List => {
                (self.is_null, self.has_list) = (false, true);
                let mut length = 0;
                let elements = json::each_element(value.get(), |element| {
                    if length >= self.memory.len() {
                        self.memory.push(Entry::default());
                    }
                    self.element(length, element);
                    length += 1;
                });
                self.is_of_other_type |= elements.is_err();
                self.length = length;
                if length == 0 {
                    self.memory.clear();
                }
            }
            Kind::Null => {
                (self.is_null, self.length) = (true, 0);
                self.memory.clear();
            }
            Kind::Object | Kind::Text | Kind::Other => {
                self.is_of_other_type = true;
                self.hold(value);
            }
        }
    }

    /// Decodes one descriptor.
    pub(super) fn object(&mut self, value: &RawValue) {
        self.times += 1;
        if self.memory.is_empty() {
            self.memory.push(Entry::default());
        }
        self.length = 1;
        if json::kind(value) == Kind::List {
            self.is_of_other_type = true;
            // It cannot fail: the text was gone through before.
            json::each_element(value.get(), |element| self.hold(element)).ok();
        } else {
            self.element(0, value);
        }
    }

    fn element(&mut self, at: usize, value: &RawValue) {
        match json::kind(value) {
            Kind::Object => {
                let mut entry = std::mem::take(&mut self.memory[at]);
                self.fields(value, Some(&mut entry));
                self.memory[at] = entry;
            }
            // A struct stays as it is.
            Kind::Null => self.is_odd = true,
            Kind::List | Kind::Text | Kind::Other => {
                self.is_of_other_type = true;
                self.hold(value);
            }
        }
    }

    /// Takes down what is named where a descriptor should be and is none.
    fn hold(&mut self, value: &RawValue) {
        match json::kind(value) {
            Kind::Object => self.fields(value, None),
            Kind::Text => {
                let digest = json::text(value).and_then(|text| text.parse().ok());
                self.held.extend(digest.map(|digest| Held {
                    digest,
                    size: None,
                    content: Content::MayBeManifest,
                }));
            }
            Kind::List | Kind::Null | Kind::Other => {}
        }
    }

    fn fields(&mut self, value: &RawValue, entry: Option<&mut Entry>) {
        let mut unseen = Entry::default();
        let is_decoded = entry.is_some();
        let entry = entry.unwrap_or(&mut unseen);
        let mut named: Vec<Digest> = Vec::new();
        let (mut digests, mut sums, mut urls, mut others) = (0, 0, 0, 0);
        let mut is_of_other_type = false;
        let mut set_text = |to: &mut String, value: &RawValue| match (json::text(value), json::kind(value)) {
            (Some(text), _) => *to = text,
            (None, Kind::Null) => {}
            (None, _) => is_of_other_type = true,
        };
        let read = json::each_field(value.get(), |key, value| match key {
            "digest" => {
                digests += 1;
                set_text(&mut entry.digest, value);
                named.extend(json::text(value).and_then(|text| text.parse().ok()));
            }
            // What schema 1 calls it.
            "blobsum" => {
                sums += 1;
                set_text(&mut entry.blob_sum, value);
                named.extend(json::text(value).and_then(|text| text.parse().ok()));
            }
            "mediatype" => {
                others += usize::from(entry.has_media_type);
                entry.has_media_type = true;
                entry.content = Content::of(&json::text(value).unwrap_or_default());
            }
            "size" => {
                others += usize::from(entry.size.is_some());
                entry.size = json::number(value);
            }
            "urls" => {
                urls += 1;
                match json::kind(value) {
                    Kind::List => {
                        entry.has_urls = false;
                        json::each_element(value.get(), |_| entry.has_urls = true).ok();
                    }
                    _ => entry.has_urls = false,
                }
            }
            _ => {}
        });
        self.is_of_other_type |= is_decoded && (is_of_other_type || read.is_err());
        self.is_odd |= digests > 1 || sums > 1 || urls > 1 || others > 0 || (digests > 0 && sums > 0);
        // Nothing says which of several digests the size belongs to.
        let size = entry.size.filter(|_| named.len() == 1);
        let content = entry.content;
        self.held.extend(named.into_iter().map(|digest| Held { digest, size, content }));
    }

    /// What Go's decoder is left with.
    pub(super) fn decoded(&self) -> &[Entry] {
        &self.memory[..self.length.min(self.memory.len())]
    }

    /// Every digest that is named.
    pub(super) fn held(&self) -> impl Iterator<Item = &Held> {
        self.held.iter()
    }

    pub(super) const fn is_of_other_type(&self) -> bool {
        self.is_of_other_type
    }

    /// Whether Go's decoder is left with a list, be it empty.
    pub(super) const fn is_list(&self) -> bool {
        self.has_list && !self.is_null
    }

    /// Whether it makes JSON of no known version look like a manifest.
    pub(super) fn has_shape(&self) -> bool {
        self.has_list || !self.held.is_empty() || self.decoded().iter().any(|it| !it.digest.is_empty())
    }

    pub(super) const fn is_absent(&self) -> bool {
        self.times == 0
    }

    /// Whether it says the same to every decoder.
    pub(super) const fn is_plain(&self) -> bool {
        self.times <= 1 && !self.is_odd && !self.is_of_other_type
    }
}

impl Entry {
    pub(super) fn may_be_manifest(&self, key: &str) -> bool {
        self.content.may_be_manifest(key)
    }
}

impl Held {
    pub(super) fn may_be_manifest(&self, key: &str) -> bool {
        self.content.may_be_manifest(key)
    }
}

impl Content {
    /// The usual types of layers and configurations are no manifests, so that nothing more of an ordinary image is read.
    fn of(media_type: &str) -> Self {
        match media_type {
            "" | "application/json" => Self::MayBeManifest,
            "application/octet-stream" => Self::LayerMayBeManifest,
            _ if media_type.contains("manifest") || media_type.contains("index") => Self::MayBeManifest,
            _ => Self::Plain,
        }
    }

    fn may_be_manifest(self, key: &str) -> bool {
        match self {
            // Schema 1 gives its layers no media type.
            Self::MayBeManifest => key != "fsLayers",
            Self::LayerMayBeManifest => !["config", "fsLayers"].contains(&key),
            Self::Plain => false,
        }
    }
}
