//! Many manifests in one piece of memory: a store has hundreds of thousands.
//!
//! What a digest stands for never changes, so this can be written down as it is, and is as true in a
//! later sweep: `number * 2 + is plain`, and behind it a [`Manifest`] if it is one, for each.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::manifest::{integer, write_integer};
use super::{Digests, Document, Id, Manifest, Selection};

/// What digests stand for that were taken for those of manifests.
#[derive(Clone, Default)]
pub struct Manifests {
    bytes: Vec<u8>,
    /// Where in these each begins.
    at: HashMap<Id, usize>,
}

/// What the bytes behind a digest are.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// A manifest.
    Manifest(Manifest<'a>),
    /// No manifest but a plain blob: an index may list those.
    Plain,
}

impl Manifests {
    /// Takes down what a manifest references.
    pub fn insert(&mut self, id: Id, document: &Document, digests: &mut Digests) {
        if self.begin(id, false) {
            Manifest::write(document, digests, &mut self.bytes);
        }
    }

    /// Takes down that a digest is no manifest's.
    pub fn insert_plain(&mut self, id: Id) {
        self.begin(id, true);
    }

    /// Takes down what others of the same digests know.
    pub fn take_over(&mut self, id: Id, others: &Self) {
        match others.content(id) {
            Some(Content::Manifest(manifest)) if self.begin(id, false) => {
                manifest.write_again(Id::number, &mut self.bytes);
            }
            Some(Content::Plain) => self.insert_plain(id),
            Some(Content::Manifest(_)) | None => {}
        }
    }

    /// A manifest, if it is known and one.
    pub fn get(&self, id: &Id) -> Option<Manifest<'_>> {
        match self.content(*id)? {
            Content::Manifest(manifest) => Some(manifest),
            Content::Plain => None,
        }
    }

    /// What is known of a digest.
    pub fn content(&self, id: Id) -> Option<Content<'_>> {
        let mut bytes = self.bytes.get(*self.at.get(&id)?..)?;
        Some(if integer(&mut bytes)? & 1 == 1 {
            Content::Plain
        } else {
            Content::Manifest(Manifest::read(bytes)?)
        })
    }

    /// The digests that are known, sorted by number.
    pub fn ids(&self) -> Vec<Id> {
        let mut ids: Vec<Id> = self.at.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// How many digests are known.
    pub fn len(&self) -> usize {
        self.at.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    /// Gives back what room is left over for more.
    pub fn shrink_to_fit(&mut self) {
        self.bytes.shrink_to_fit();
    }

    /// Every digest that these name, themselves included; some more than once.
    pub fn names_of<'a>(&'a self, ids: &'a [Id]) -> impl Iterator<Item = Id> + use<'a> {
        let names = |id: &Id| {
            let manifest = self.get(id);
            let references = manifest.into_iter().flat_map(Manifest::references).map(|it| it.blob);
            std::iter::once(*id).chain(manifest.and_then(Manifest::subject)).chain(references)
        };
        ids.iter().flat_map(names)
    }

    /// Writes down what is known of a digest, by the numbers of a selection that has all that it names.
    pub fn write(&self, id: Id, numbers: &Selection, to: &mut Vec<u8>) {
        let number = |is_plain| u64::from(numbers.number(id)) << 1 | u64::from(is_plain);
        match self.content(id) {
            Some(Content::Manifest(manifest)) => {
                write_integer(number(false), to);
                manifest.write_again(|id| numbers.number(id), to);
            }
            Some(Content::Plain) => write_integer(number(true), to),
            None => {}
        }
    }

    /// Reads what was written down; nothing, unless all of it makes sense.
    pub fn read(bytes: Vec<u8>, digests: &Digests) -> Option<Self> {
        let mut at = HashMap::new();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let begins = bytes.len() - rest.len();
            let number = integer(&mut rest)?;
            let id = Id::of_number((number >> 1).try_into().ok()?);
            let is_new = at.insert(id, begins).is_none();
            (is_new && digests.has(id)).then_some(())?;
            if number & 1 == 0 {
                rest = Manifest::read(rest)?.behind(digests)?;
            }
        }
        Some(Self { bytes, at })
    }

    /// Begins what is to be known of a digest, unless it is known.
    fn begin(&mut self, id: Id, is_plain: bool) -> bool {
        let Entry::Vacant(entry) = self.at.entry(id) else { return false };
        entry.insert(self.bytes.len());
        write_integer(u64::from(id.number()) << 1 | u64::from(is_plain), &mut self.bytes);
        true
    }
}

#[cfg(test)]
impl Manifests {
    /// How they are remembered.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl std::fmt::Debug for Manifests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Manifests").field("len", &self.len()).finish_non_exhaustive()
    }
}
