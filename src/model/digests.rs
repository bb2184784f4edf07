//! Every digest that a sweep comes across, held once and known by a number.
//!
//! A store of a million blobs names each of them several times: as a blob, as a layer link, in
//! manifests. A digest takes 40 bytes and a number 4, so everything that a sweep remembers of the
//! store holds numbers.

use std::cmp::Ordering;
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use super::Digest;

/// A digest, by its number in one [`Digests`]. It means nothing in another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(u32);

/// Set in the numbers of digests of other algorithms than sha256.
const OTHER: u32 = 1 << 31;

impl Id {
    /// The position in lists with an entry for each sha256 digest; `None` for other algorithms, under
    /// which the registry stores no blob.
    pub fn slot(self) -> Option<usize> {
        (self.0 & OTHER == 0).then_some(self.0 as usize)
    }

    /// The number itself, to write down.
    pub(super) const fn number(self) -> u32 {
        self.0
    }

    /// What was written down.
    pub(super) const fn of_number(number: u32) -> Self {
        Self(number)
    }
}

/// Digests by number, and numbers by digest.
#[derive(Clone, Default)]
pub struct Digests {
    sha256: Vec<[u8; 32]>,
    others: Vec<Digest>,
    numbers: HashTable<u32>,
    hasher: RandomState,
}

impl Digests {
    /// The number of a digest, a new one if it has none yet.
    pub fn intern(&mut self, digest: &Digest) -> Id {
        if let Some(id) = self.id(digest) {
            return id;
        }
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX) & !OTHER;
        let id = if let Digest::Sha256(bytes) = digest {
            self.sha256.push(*bytes);
            number(self.sha256.len() - 1)
        } else {
            self.others.push(digest.clone());
            number(self.others.len() - 1) | OTHER
        };
        let Self { sha256, others, numbers, hasher } = self;
        let hash = |number: &u32| hasher.hash_one(bytes(sha256, others, *number));
        numbers.insert_unique(hasher.hash_one(digest.bytes()), id, hash);
        Id(id)
    }

    /// The number of a digest, if it has one.
    pub fn id(&self, digest: &Digest) -> Option<Id> {
        let is_it = |number: &u32| {
            let is_sha256 = matches!(digest, Digest::Sha256(_));
            (*number & OTHER == 0) == is_sha256
                && bytes(&self.sha256, &self.others, *number) == digest.bytes()
        };
        self.numbers.find(self.hasher.hash_one(digest.bytes()), is_it).map(|number| Id(*number))
    }

    /// Whether some digest has this number.
    pub(super) fn has(&self, id: Id) -> bool {
        let count = if id.slot().is_some() { self.sha256.len() } else { self.others.len() };
        ((id.0 & !OTHER) as usize) < count
    }

    /// Makes room for so many more sha256 digests.
    pub fn reserve(&mut self, count: usize) {
        self.sha256.reserve(count);
        let Self { sha256, others, numbers, hasher } = self;
        numbers.reserve(count, |number| hasher.hash_one(bytes(sha256, others, *number)));
    }

    /// The digest with a number.
    pub fn get(&self, id: Id) -> Digest {
        match id.slot() {
            Some(slot) => Digest::Sha256(self.sha256[slot]),
            None => self.others[(id.0 & !OTHER) as usize].clone(),
        }
    }

    /// How many slots there are: see [`Id::slot`].
    pub fn slots(&self) -> usize {
        self.sha256.len()
    }

    /// Whether there are any of other algorithms.
    pub const fn has_others(&self) -> bool {
        !self.others.is_empty()
    }

    /// How many there are of other algorithms.
    pub fn others(&self) -> usize {
        self.others.len()
    }

    /// Puts numbers into the order of their digests.
    pub fn sort(&self, ids: &mut [Id]) {
        ids.sort_unstable_by(|a, b| self.order(*a, *b));
    }

    /// The order of two digests, told by their numbers.
    pub fn order(&self, a: Id, b: Id) -> Ordering {
        let key = |id: Id| (id.slot().is_none(), bytes(&self.sha256, &self.others, id.0));
        key(a).cmp(&key(b))
    }
}

/// Some digests of many, numbered anew and without gaps in the same order.
#[derive(Debug)]
pub struct Selection {
    sha256: Vec<u32>,
    others: Vec<u32>,
}

/// The new number of a digest that is not selected.
const UNSELECTED: u32 = u32::MAX;

impl Selection {
    /// Selects these of the digests.
    pub fn of(digests: &Digests, ids: impl IntoIterator<Item = Id>) -> Self {
        let unselected = |count| vec![UNSELECTED; count];
        let (mut sha256, mut others) = (unselected(digests.sha256.len()), unselected(digests.others.len()));
        for Id(number) in ids {
            let list = if number & OTHER == 0 { &mut sha256 } else { &mut others };
            list[(number & !OTHER) as usize] = 0;
        }
        for (list, first) in [(&mut sha256, 0), (&mut others, OTHER)] {
            let selected = list.iter_mut().filter(|number| **number != UNSELECTED);
            selected.zip(first..).for_each(|(number, new)| *number = new);
        }
        Self { sha256, others }
    }

    /// The new number of a digest that was selected.
    pub(super) fn number(&self, id: Id) -> u32 {
        let list = if id.slot().is_some() { &self.sha256 } else { &self.others };
        list[(id.0 & !OTHER) as usize]
    }

    /// What was selected, in order: those of sha256 first.
    pub fn ids(&self) -> impl Iterator<Item = Id> {
        let old = self.sha256.iter().zip(0..).chain(self.others.iter().zip(OTHER..));
        old.filter(|(new, _)| **new != UNSELECTED).map(|(_, old)| Id(old))
    }
}

fn bytes<'a>(sha256: &'a [[u8; 32]], others: &'a [Digest], number: u32) -> &'a [u8] {
    let at = (number & !OTHER) as usize;
    if number & OTHER == 0 { &sha256[at] } else { others[at].bytes() }
}

impl std::fmt::Debug for Digests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Digests").field("slots", &self.slots()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_digest_keeps_its_number_and_a_number_its_digest() {
        let mut digests = Digests::default();
        let sha256 = Digest::of(b"a");
        // The same bytes under several algorithms are several digests.
        let longer = |hex: &str, times| hex.repeat(times);
        let texts = [
            sha256.to_string(),
            format!("sha384:{}", longer("0a", 48)),
            format!("sha512:{}", longer("0a", 64)),
            format!("sha256:{}", longer("0a", 32)),
        ];
        let all: Vec<Digest> = texts.iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(digests.id(&sha256), None);
        let ids: Vec<Id> = all.iter().map(|digest| digests.intern(digest)).collect();
        for (digest, id) in all.iter().zip(&ids) {
            assert_eq!(digests.intern(digest), *id);
            assert_eq!(digests.id(digest), Some(*id));
            assert_eq!(digests.get(*id), *digest);
        }
        let slots: Vec<Option<usize>> = ids.iter().map(|id| id.slot()).collect();
        assert_eq!(slots, [Some(0), None, None, Some(1)]);
        assert_eq!(digests.slots(), 2);
    }

    proptest! {
        #[test]
        fn numbers_sort_as_their_digests_do(texts in proptest::collection::vec("[a-c]{1,2}", 0..20)) {
            let mut digests = Digests::default();
            let mut all: Vec<Digest> = texts.iter().map(|text| Digest::of(text.as_bytes())).collect();
            let mut ids: Vec<Id> = all.iter().map(|digest| digests.intern(digest)).collect();
            all.sort_unstable();
            digests.sort(&mut ids);
            prop_assert_eq!(ids.into_iter().map(|id| digests.get(id)).collect::<Vec<_>>(), all);
        }
    }
}
