//! What is reachable from what: pure, and per repository.
//!
//! The closure is per repository because a manifest may be complete in one and sparse in another;
//! the stock collector of registry 3.x marks across repositories and loses layers that way.

use std::collections::{HashMap, HashSet};

use crate::model::{Digest, Inventory, Manifest, Repository, Tag};

/// What leads to what in one repository: an index to its children, an image to its referrers.
#[derive(Debug)]
pub struct Graph<'a> {
    manifests: &'a HashMap<Digest, Manifest>,
    referrers: HashMap<&'a Digest, Vec<&'a Digest>>,
}

impl<'a> Graph<'a> {
    /// The graph of a repository's tags and revisions.
    pub fn of(repository: &'a Repository, manifests: &'a HashMap<Digest, Manifest>) -> Self {
        let tagged = repository.tags.iter().filter_map(Tag::digest);
        let mut graph = Self { manifests, referrers: HashMap::new() };
        for digest in tagged.chain(&repository.revisions) {
            graph.add(digest);
        }
        graph
    }

    /// Adds a manifest that the repository has elsewhere, such as in the trash.
    pub fn add(&mut self, digest: &'a Digest) {
        if let Some(subject) = self.manifests.get(digest).and_then(|manifest| manifest.subject.as_ref()) {
            self.referrers.entry(subject).or_default().push(digest);
        }
    }

    /// Everything reachable from the roots, the roots included.
    pub fn closure(&self, roots: impl IntoIterator<Item = &'a Digest>) -> HashSet<&'a Digest> {
        let mut reached = HashSet::new();
        self.extend(&mut reached, roots);
        reached
    }

    /// Adds what is reachable from further roots; says what was not reached before.
    pub fn extend(
        &self,
        reached: &mut HashSet<&'a Digest>,
        roots: impl IntoIterator<Item = &'a Digest>,
    ) -> Vec<&'a Digest> {
        let mut added = Vec::new();
        let mut open: Vec<&Digest> = roots.into_iter().collect();
        while let Some(digest) = open.pop() {
            if !reached.insert(digest) {
                continue;
            }
            added.push(digest);
            if let Some(manifest) = self.manifests.get(digest) {
                open.extend(manifest.children.iter().map(|child| &child.digest));
            }
            open.extend(self.referrers.get(digest).into_iter().flatten());
        }
        added
    }
}

/// No blob is larger, whatever a manifest claims.
const CREDIBLE_BYTES: u64 = i64::MAX as u64 / 1024;

/// What becomes of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Nothing references it.
    Garbage,
    /// Only manifests that are kept for their age reference it.
    Held,
    /// A kept image references it.
    Kept,
}

/// Who would lose a blob: the repository whose going images alone held it, if it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// No going image.
    Nobody,
    /// The going images of the repository at this position of the inventory.
    One(u32),
    /// Going images of several repositories.
    Several,
}

/// What becomes of every blob, in the order of the inventory's blobs.
#[derive(Debug)]
pub struct Marks {
    /// What becomes of it.
    pub fates: Vec<Fate>,
    /// Its size in bytes as far as it is known, else 0: a manifest's own, or what the manifests that
    /// name it agree on.
    pub sizes: Vec<u64>,
    /// Whose going images held it.
    pub holders: Vec<Holder>,
}

impl Marks {
    /// The blobs that nothing references.
    pub fn garbage<'a>(&'a self, inventory: &'a Inventory) -> impl Iterator<Item = (usize, &'a Digest)> {
        inventory.blobs.iter().enumerate().filter(|(at, _)| self.fates[*at] == Fate::Garbage)
    }
}

/// Marks every blob, from every tag and every revision in place: the stock collector takes every
/// revision for a root, and whatever it keeps is kept here too.
///
/// `going` are manifests of a repository (by its position) that are no longer in the inventory, or
/// will not be; they hold nothing, and tell who loses what.
pub fn blobs(inventory: &Inventory, going: &[(u32, Digest)]) -> Marks {
    let count = inventory.blobs.len();
    let mut marks = Marks {
        fates: vec![Fate::Garbage; count],
        sizes: vec![0; count],
        holders: vec![Holder::Nobody; count],
    };
    let aliases: HashMap<&Digest, &Digest> = inventory
        .repositories
        .iter()
        .flat_map(|repository| repository.aliases.iter().map(|(alias, blob)| (alias, blob)))
        .collect();
    let position = |digest: &Digest| {
        let digest = aliases.get(digest).copied().unwrap_or(digest);
        inventory.blobs.binary_search(digest).ok()
    };
    let mut claimed: Vec<Option<u64>> = vec![None; count];
    for manifest in inventory.manifests.values() {
        for blob in manifest.blobs.iter().chain(&manifest.children) {
            let claim = blob.size_bytes.filter(|size| *size <= CREDIBLE_BYTES);
            if let (Some(at), Some(size)) = (position(&blob.digest), claim) {
                // Once in dispute it stays so: no further claim agrees with 0 but another 0.
                let agreed = claimed[at].is_none_or(|other| other == size);
                claimed[at] = Some(if agreed { size } else { 0 });
            }
        }
    }
    for (size, claimed) in marks.sizes.iter_mut().zip(claimed) {
        *size = claimed.unwrap_or(0);
    }
    for (digest, manifest) in &inventory.manifests {
        if let Some(at) = position(digest) {
            marks.sizes[at] = manifest.size_bytes;
        }
    }
    for repository in &inventory.repositories {
        let graph = Graph::of(repository, &inventory.manifests);
        let reached = graph.closure(repository.tags.iter().filter_map(Tag::digest));
        let untagged = repository.revisions.iter().filter(|revision| !reached.contains(revision));
        let held = graph.closure(untagged);
        for (digests, fate) in [(&held, Fate::Held), (&reached, Fate::Kept)] {
            for digest in digests {
                for at in references(inventory, digest).filter_map(position) {
                    marks.fates[at] = marks.fates[at].max(fate);
                }
            }
        }
    }
    for (repository, digest) in going {
        for at in references(inventory, digest).filter_map(position) {
            marks.holders[at] = match marks.holders[at] {
                Holder::Nobody => Holder::One(*repository),
                Holder::One(holder) if holder == *repository => Holder::One(holder),
                Holder::One(_) | Holder::Several => Holder::Several,
            };
        }
    }
    marks
}

/// A manifest's own blob and every blob that it names. Its children are followed by the closure.
fn references<'a>(inventory: &'a Inventory, digest: &'a Digest) -> impl Iterator<Item = &'a Digest> {
    let blobs = inventory.manifests.get(digest).into_iter().flat_map(|manifest| &manifest.blobs);
    std::iter::once(digest).chain(blobs.map(|blob| &blob.digest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Descriptor;
    use proptest::prelude::*;

    fn digest(letter: char) -> Digest {
        Digest::of(letter.to_string().as_bytes())
    }

    fn descriptors(letters: &str) -> Box<[Descriptor]> {
        let descriptor = |letter| Descriptor { digest: digest(letter), size_bytes: Some(1), foreign: false };
        letters.chars().map(descriptor).collect()
    }

    fn manifest(children: &str, blobs: &str, subject: Option<char>) -> Manifest {
        Manifest {
            size_bytes: 10,
            children: descriptors(children),
            blobs: descriptors(blobs),
            subject: subject.map(digest),
        }
    }

    fn repository(revisions: &str) -> Repository {
        let mut revisions: Vec<Digest> = revisions.chars().map(digest).collect();
        revisions.sort_unstable();
        Repository {
            name: "a".parse().unwrap(),
            tags: Vec::new(),
            revisions,
            layers: Vec::new(),
            aliases: Vec::new(),
            in_doubt: false,
        }
    }

    fn reached(manifests: &HashMap<Digest, Manifest>, revisions: &str, roots: &str) -> String {
        let repository = repository(revisions);
        let graph = Graph::of(&repository, manifests);
        let roots: Vec<Digest> = roots.chars().map(digest).collect();
        let closure: HashSet<Digest> = graph
            .closure(roots.iter().map(|root| repository.revisions.iter().find(|r| *r == root).unwrap()))
            .into_iter()
            .cloned()
            .collect();
        ('A'..='Z').chain('a'..='z').filter(|letter| closure.contains(&digest(*letter))).collect()
    }

    #[test]
    fn children_are_reached_at_any_depth_and_referrers_by_their_subject() {
        let manifests = HashMap::from([
            (digest('A'), manifest("BC", "", None)),
            (digest('B'), manifest("D", "", None)),
            (digest('D'), manifest("", "x", None)),
            (digest('S'), manifest("", "s", Some('D'))),
            (digest('T'), manifest("", "t", Some('S'))),
            (digest('U'), manifest("", "u", Some('Z'))),
        ]);
        assert_eq!(reached(&manifests, "ABDSTU", "A"), "ABCDST");
        assert_eq!(reached(&manifests, "ABDSTU", "U"), "U");
        assert_eq!(reached(&manifests, "ABDSTU", ""), "");
    }

    #[test]
    fn a_circle_of_subjects_ends() {
        let manifests = HashMap::from([
            (digest('A'), manifest("B", "", Some('B'))),
            (digest('B'), manifest("A", "", Some('A'))),
        ]);
        assert_eq!(reached(&manifests, "AB", "A"), "AB");
    }

    #[test]
    fn a_blob_is_kept_by_any_repository_and_through_an_alias() {
        let sha512: Digest = format!("sha512:{}", "01".repeat(64)).parse().unwrap();
        let mut image = manifest("", "l", None);
        image.blobs[0].digest = sha512.clone();
        let mut one = repository("A");
        one.tags.push(Tag {
            name: "v1".parse().unwrap(),
            state: crate::model::TagState::Linked {
                digest: digest('A'),
                pushed_at: jiff::Timestamp::UNIX_EPOCH,
            },
        });
        one.aliases.push((sha512, digest('l')));
        let mut blobs: Vec<Digest> = "Algh".chars().map(digest).collect();
        blobs.sort_unstable();
        let two = repository("H");
        let manifests = HashMap::from([(digest('A'), image), (digest('H'), manifest("", "h", None))]);
        let inventory = Inventory { repositories: vec![one, two], manifests, blobs, problems: Vec::new() };
        let marks = super::blobs(&inventory, &[]);
        let fate = |letter| marks.fates[inventory.blobs.binary_search(&digest(letter)).unwrap()];
        assert_eq!(fate('A'), Fate::Kept);
        assert_eq!(fate('l'), Fate::Kept);
        assert_eq!(fate('h'), Fate::Held);
        assert_eq!(fate('g'), Fate::Garbage);
    }

    /// The store of these repositories: `A` and `B` are images of one layer of their own and one they share.
    fn shared(repositories: Vec<Repository>) -> Inventory {
        let manifests = HashMap::from([
            (digest('A'), manifest("", "as", None)),
            (digest('B'), manifest("", "bs", None)),
            (digest('I'), manifest("AB", "", None)),
        ]);
        let mut blobs: Vec<Digest> = "ABIabsg".chars().map(digest).collect();
        blobs.sort_unstable();
        Inventory { repositories, manifests, blobs, problems: Vec::new() }
    }

    fn told(inventory: &Inventory, going: &[(u32, Digest)]) -> Vec<(char, Fate, Holder)> {
        let marks = super::blobs(inventory, going);
        let at = |letter| inventory.blobs.binary_search(&digest(letter)).unwrap();
        "ABIabsg".chars().map(|it| (it, marks.fates[at(it)], marks.holders[at(it)])).collect()
    }

    #[test]
    fn who_loses_a_blob_is_known_unless_several_do() {
        let (one, two) = (repository(""), Repository { name: "b".parse().unwrap(), ..repository("") });
        let going = [(0, digest('A')), (1, digest('B')), (0, digest('A'))];
        let (garbage, nobody) = (Fate::Garbage, Holder::Nobody);
        assert_eq!(
            told(&shared(vec![one, two]), &going),
            [
                ('A', garbage, Holder::One(0)),
                ('B', garbage, Holder::One(1)),
                ('I', garbage, nobody),
                ('a', garbage, Holder::One(0)),
                ('b', garbage, Holder::One(1)),
                ('s', garbage, Holder::Several),
                ('g', garbage, nobody),
            ]
        );
    }

    #[test]
    fn what_an_untagged_index_needs_is_held_even_where_its_children_are_no_revisions() {
        let fates: Vec<(char, Fate)> =
            told(&shared(vec![repository("I")]), &[]).into_iter().map(|(it, fate, _)| (it, fate)).collect();
        for (letter, fate) in fates {
            let expected = if letter == 'g' { Fate::Garbage } else { Fate::Held };
            assert_eq!(fate, expected, "{letter}");
        }
    }

    #[test]
    fn a_going_image_takes_nothing_from_one_that_stays() {
        let marks = told(&shared(vec![repository("B")]), &[(0, digest('A'))]);
        let fate = |letter| marks.iter().find(|(it, ..)| *it == letter).unwrap().1;
        assert_eq!((fate('a'), fate('s'), fate('b')), (Fate::Garbage, Fate::Held, Fate::Held));
    }

    #[test]
    fn a_size_is_known_only_where_all_who_claim_one_agree() {
        let mut inventory = shared(vec![repository("AB")]);
        for (image, sizes) in [('A', [7, 5]), ('B', [8, 6])] {
            let image = inventory.manifests.get_mut(&digest(image)).unwrap();
            for (blob, size) in image.blobs.iter_mut().zip(sizes) {
                blob.size_bytes = Some(size);
            }
        }
        let sizes = |inventory: &Inventory| {
            let marks = super::blobs(inventory, &[]);
            ['a', 'b', 's', 'A'].map(|it| marks.sizes[inventory.blobs.binary_search(&digest(it)).unwrap()])
        };
        // The index claims a size of 1 for its children; what was read is 10.
        assert_eq!(sizes(&inventory), [7, 8, 0, 10]);
        for wild in [None, Some(u64::MAX), Some(CREDIBLE_BYTES + 1)] {
            for blob in &mut inventory.manifests.get_mut(&digest('B')).unwrap().blobs {
                blob.size_bytes = wild;
            }
            assert_eq!(sizes(&inventory), [7, 0, 5, 10], "{wild:?}");
        }
    }

    #[test]
    fn a_referrer_is_reached_only_where_it_is_a_revision() {
        let manifests = HashMap::from([
            (digest('A'), manifest("", "a", None)),
            (digest('S'), manifest("", "s", Some('A'))),
        ]);
        assert_eq!(reached(&manifests, "AS", "A"), "AS");
        assert_eq!(reached(&manifests, "A", "A"), "A");
    }

    proptest! {
        #[test]
        fn more_roots_never_reach_less(
            edges in proptest::collection::vec((0_u8..12, 0_u8..12, any::<bool>()), 0..30),
            roots in proptest::collection::vec(0_u8..12, 1..5),
        ) {
            let letter = |n: u8| char::from(b'A' + n);
            let mut manifests: HashMap<Digest, Manifest> = HashMap::new();
            for (from, to, refers) in edges {
                let entry = manifests.entry(digest(letter(from))).or_insert_with(|| manifest("", "", None));
                if refers {
                    entry.subject = Some(digest(letter(to)));
                } else {
                    entry.children = entry.children.iter().cloned().chain(descriptors(&letter(to).to_string())).collect();
                }
            }
            let text: String = roots.iter().map(|root| letter(*root)).collect();
            let all = reached(&manifests, "ABCDEFGHIJKL", &text);
            let fewer = reached(&manifests, "ABCDEFGHIJKL", &text[1..]);
            prop_assert!(fewer.chars().all(|letter| all.contains(letter)));
            prop_assert!(text.chars().all(|root| all.contains(root)));
            prop_assert_eq!(reached(&manifests, "ABCDEFGHIJKL", &all), all.clone());
        }
    }
}
