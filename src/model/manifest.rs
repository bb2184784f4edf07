//! What a manifest references, as a sweep remembers it.

use super::{Descriptor, Digests, Document, Id};

/// A reference to a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The blob.
    pub blob: Id,
    /// Whether the content may legitimately live elsewhere (`urls`, a foreign layer).
    pub foreign: bool,
}

/// What a manifest or an index references.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Other manifests, or plain blobs (`BuildKit` caches are such indexes).
    pub children: Box<[Id]>,
    /// Configuration and layers.
    pub blobs: Box<[Reference]>,
    /// The manifest that this one refers to; it makes this one a referrer.
    pub subject: Option<Id>,
}

impl Manifest {
    /// A document's references by number.
    pub fn of(document: &Document, digests: &mut Digests) -> Self {
        let mut intern = |it: &Descriptor| digests.intern(&it.digest);
        let children = document.children.iter().map(&mut intern).collect();
        let blobs = document.blobs.iter().map(|it| Reference { blob: intern(it), foreign: it.foreign });
        let blobs = blobs.collect();
        let subject = document.subject.as_ref().map(|subject| digests.intern(subject));
        Self { children, blobs, subject }
    }

    /// Whether it has the shape of an index: it lists manifests or nothing at all, and no blobs.
    pub fn is_index(&self) -> bool {
        self.blobs.is_empty() && (!self.children.is_empty() || self.subject.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Digest;

    #[test]
    fn an_index_is_told_by_its_shape() {
        let d = format!(r#"{{"digest":"{}"}}"#, Digest::of(b"d"));
        for (json, is_index) in [
            (r#"{"manifests":[]}"#.to_owned(), true),
            (format!(r#"{{"manifests":[{d}]}}"#), true),
            (format!(r#"{{"manifests":[{d}],"subject":{d}}}"#), true),
            (format!(r#"{{"config":{d},"layers":[]}}"#), false),
            (format!(r#"{{"config":{d},"layers":[{d}]}}"#), false),
            (format!(r#"{{"manifests":[{d}],"layers":[{d}]}}"#), false),
            (format!(r#"{{"fsLayers":[{{"blobSum":"{}"}}]}}"#, Digest::of(b"d")), false),
            (format!(r#"{{"subject":{d},"blobs":[]}}"#), false),
        ] {
            let document = Document::parse(json.as_bytes()).unwrap();
            assert_eq!(Manifest::of(&document, &mut Digests::default()).is_index(), is_index, "{json}");
        }
    }
}
