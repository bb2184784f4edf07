//! What a manifest references, by number, in as few bytes as it takes.
//!
//! ```text
//! size of the manifest, subject + 1 or 0, how many children, how many blobs,
//! then for each of these: number * 2 + is odd, claimed size + 1 or 0, and its flags if it is odd
//! ```
//!
//! All of them are integers of variable length. What a manifest holds and what it needs is nearly always the same, so
//! both stand in one list, and a flag says which reference a pull does not need.

use integer_encoding::VarInt;

use super::{Descriptor, Digests, Document, Id, Standing};

/// A reference to a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The blob.
    pub blob: Id,
    /// The size in bytes that the manifest claims, if it claims one.
    pub size_bytes: Option<u64>,
    /// Whether the content may legitimately live elsewhere (`urls`, a foreign layer).
    pub foreign: bool,
    /// Whether a pull needs it.
    pub standing: Standing,
    /// Whether its media type leaves open that it is a manifest, although it is named as a layer or a configuration.
    pub may_be_manifest: bool,
}

impl Reference {
    /// Whether a pull needs it to be in the repository.
    pub fn is_needed(&self) -> bool {
        self.standing != Standing::Held && !self.foreign
    }
}

/// What a manifest or an index references, as it stands in [`Manifests`](super::Manifests).
#[derive(Clone, Copy, Debug)]
pub struct Manifest<'a> {
    size_bytes: u64,
    subject: Option<Id>,
    children: usize,
    blobs: usize,
    /// It may go on behind the last of them.
    references: &'a [u8],
}

impl<'a> Manifest<'a> {
    /// Its own size in bytes.
    pub const fn size_bytes(self) -> u64 {
        self.size_bytes
    }

    /// Entries of an index: other manifests, or plain blobs (`BuildKit` caches are such indexes). All that it may hold.
    pub fn listed(self) -> impl Iterator<Item = Reference> + use<'a> {
        self.references().take(self.children)
    }

    /// Other manifests, or plain blobs: all that it may hold.
    pub fn children(self) -> impl Iterator<Item = Id> + use<'a> {
        self.listed().map(|child| child.blob)
    }

    /// Configuration and layers: all that it may hold.
    pub fn blobs(self) -> impl Iterator<Item = Reference> + use<'a> {
        self.references().skip(self.children)
    }

    /// Other manifests, or plain blobs, that a pull fetches.
    pub fn needed_children(self) -> impl Iterator<Item = Id> + use<'a> {
        self.listed().filter(|child| child.standing != Standing::Held).map(|child| child.blob)
    }

    /// Configuration and layers that a pull fetches from the repository.
    pub fn needed_blobs(self) -> impl Iterator<Item = Reference> + use<'a> {
        self.blobs().filter(Reference::is_needed)
    }

    /// What it names that is to be read as a manifest: its children, and whatever else may be one by its media type.
    pub fn possible_manifests(self) -> impl Iterator<Item = Reference> + use<'a> {
        let is_child = self.children;
        let numbered = self.references().enumerate();
        numbered.filter(move |(at, it)| *at < is_child || it.may_be_manifest).map(|(_, it)| it)
    }

    /// The manifests that it leads to in a repository with these revisions, sorted: its children, whatever else may be
    /// a manifest by its media type, and every other blob that is a revision, since the registry takes a manifest for a
    /// layer. Not all of them need be manifests.
    pub fn leads_to(self, revisions: &[Id]) -> impl Iterator<Item = Id> {
        let is_child = self.children;
        let numbered = self.references().enumerate();
        let leads = move |(at, it): &(usize, Reference)| {
            *at < is_child || it.may_be_manifest || revisions.binary_search(&it.blob).is_ok()
        };
        numbered.filter(leads).map(|(_, it)| it.blob)
    }

    /// Children first, then blobs.
    pub fn references(self) -> impl Iterator<Item = Reference> + use<'a> {
        let mut rest = self.references;
        (0..self.children.saturating_add(self.blobs)).map_while(move |_| reference(&mut rest))
    }

    /// The manifest that this one refers to; it makes this one a referrer.
    pub const fn subject(self) -> Option<Id> {
        self.subject
    }

    /// Whether it has the shape of an index: it lists manifests or nothing at all, and needs no blobs.
    pub fn is_index(self) -> bool {
        let needs_blobs = self.blobs().any(|it| it.standing != Standing::Held);
        !needs_blobs && (self.children > 0 || self.subject.is_none())
    }

    /// Writes down what a document references.
    pub(super) fn write(document: &Document, digests: &mut Digests, to: &mut Vec<u8>) {
        let Document { size_bytes, children, blobs, subject } = document;
        let subject = subject.as_ref().map(|subject| digests.intern(subject).number());
        write_head(*size_bytes, subject, children.len(), blobs.len(), to);
        for it in children.iter().chain(blobs) {
            let &Descriptor { ref digest, size_bytes, foreign, standing, may_be_manifest } = it;
            let blob = digests.intern(digest);
            let it = Reference { blob, size_bytes, foreign, standing, may_be_manifest };
            write_reference(blob.number(), it, to);
        }
    }

    /// Writes it down again, perhaps by other numbers.
    pub(super) fn write_again(self, number: impl Fn(Id) -> u32, to: &mut Vec<u8>) {
        write_head(self.size_bytes, self.subject.map(&number), self.children, self.blobs, to);
        for it in self.references() {
            write_reference(number(it.blob), it, to);
        }
    }

    /// Reads what was written down; what comes behind the references may be anything.
    pub(super) fn read(mut bytes: &'a [u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let size_bytes = integer(bytes)?;
        let subject = match integer(bytes)?.checked_sub(1) {
            Some(number) => Some(Id::of_number(number.try_into().ok()?)),
            None => None,
        };
        let children = integer(bytes)?.try_into().ok()?;
        let blobs = integer(bytes)?.try_into().ok()?;
        Some(Self { size_bytes, subject, children, blobs, references: bytes })
    }

    /// Goes through all of it: what comes behind it, if it is whole and names digests that are known.
    pub(super) fn behind(self, digests: &Digests) -> Option<&'a [u8]> {
        let mut rest = self.references;
        for _ in 0..self.children.checked_add(self.blobs)? {
            let Reference { blob, .. } = reference(&mut rest)?;
            digests.has(blob).then_some(())?;
        }
        self.subject.is_none_or(|subject| digests.has(subject)).then_some(rest)
    }
}

fn write_head(size_bytes: u64, subject: Option<u32>, children: usize, blobs: usize, to: &mut Vec<u8>) {
    let subject = subject.map_or(0, |number| u64::from(number) + 1);
    for value in [size_bytes, subject, children as u64, blobs as u64] {
        write_integer(value, to);
    }
}

fn write_reference(number: u32, it: Reference, to: &mut Vec<u8>) {
    let flags = flags(it);
    write_integer(u64::from(number) << 1 | u64::from(flags != 0), to);
    // The largest of all is as incredible with one byte less.
    write_integer(it.size_bytes.map_or(0, |size| size.saturating_add(1)), to);
    if flags != 0 {
        to.push(flags);
    }
}

fn reference(bytes: &mut &[u8]) -> Option<Reference> {
    let number = integer(bytes)?;
    let size_bytes = integer(bytes)?.checked_sub(1);
    let blob = Id::of_number((number >> 1).try_into().ok()?);
    let flags = if number & 1 == 1 { bytes.split_off_first().copied()? } else { 0 };
    let standing = match flags & STANDING {
        0 => Standing::Verified,
        NEEDED => Standing::Needed,
        HELD => Standing::Held,
        _ => return None,
    };
    let (foreign, may_be_manifest) = (flags & FOREIGN != 0, flags & MAY_BE_MANIFEST != 0);
    Some(Reference { blob, size_bytes, foreign, standing, may_be_manifest })
}

const FOREIGN: u8 = 1;
const NEEDED: u8 = 2;
const HELD: u8 = 4;
const STANDING: u8 = NEEDED | HELD;
const MAY_BE_MANIFEST: u8 = 8;

/// What sets a reference apart from an ordinary one.
fn flags(it: Reference) -> u8 {
    let standing = match it.standing {
        Standing::Verified => 0,
        Standing::Needed => NEEDED,
        Standing::Held => HELD,
    };
    let flag = |is_set, flag| if is_set { flag } else { 0 };
    standing | flag(it.foreign, FOREIGN) | flag(it.may_be_manifest, MAY_BE_MANIFEST)
}

pub(super) fn integer(bytes: &mut &[u8]) -> Option<u64> {
    let (value, length) = u64::decode_var(bytes)?;
    *bytes = bytes.get(length..)?;
    Some(value)
}

pub(super) fn write_integer(value: u64, to: &mut Vec<u8>) {
    let mut bytes = [0; 10];
    let length = value.encode_var(&mut bytes);
    to.extend(&bytes[..length]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Digest, Manifests};

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
            let (mut digests, mut manifests) = (Digests::default(), Manifests::default());
            let id = digests.intern(&Digest::of(json.as_bytes()));
            manifests.insert(id, &document, &mut digests);
            assert_eq!(manifests.get(&id).unwrap().is_index(), is_index, "{json}");
        }
    }
}
