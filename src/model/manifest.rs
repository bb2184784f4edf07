//! What a manifest references, as a sweep remembers it.

use super::{Digests, Document, Id};

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
    /// Children first, then blobs.
    references: Box<[Reference]>,
    children: u32,
    subject: Option<Id>,
}

impl Manifest {
    /// A document's references by number.
    pub fn of(document: &Document, digests: &mut Digests) -> Self {
        let all = document.children.iter().chain(&document.blobs);
        let references =
            all.map(|it| Reference { blob: digests.intern(&it.digest), foreign: it.foreign }).collect();
        let children = u32::try_from(document.children.len()).unwrap_or(u32::MAX);
        let subject = document.subject.as_ref().map(|subject| digests.intern(subject));
        Self { references, children, subject }
    }

    /// Other manifests, or plain blobs (`BuildKit` caches are such indexes).
    pub fn children(&self) -> impl Iterator<Item = Id> {
        self.references.iter().take(self.children as usize).map(|child| child.blob)
    }

    /// Configuration and layers.
    pub fn blobs(&self) -> impl Iterator<Item = Reference> {
        self.references.iter().skip(self.children as usize).copied()
    }

    /// The manifest that this one refers to; it makes this one a referrer.
    pub const fn subject(&self) -> Option<Id> {
        self.subject
    }

    /// Whether it has the shape of an index: it lists manifests or nothing at all, and no blobs.
    pub fn is_index(&self) -> bool {
        self.blobs().next().is_none() && (self.children > 0 || self.subject.is_none())
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
