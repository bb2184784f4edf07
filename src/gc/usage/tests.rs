//! Small stores, told by letters: a capital is a manifest of 100 bytes, any other letter a blob of 1, 2, 4 … bytes.

use std::collections::HashMap;

use super::*;
use crate::gc::mark;
use crate::model::{Descriptor, Digest, Document, Tag, TagState};
use proptest::prelude::*;

fn digest(letter: char) -> Digest {
    Digest::of(letter.to_string().as_bytes())
}

fn size(letter: char) -> u64 {
    if letter.is_ascii_uppercase() { 100 } else { 1 << (u32::from(letter) - u32::from('a')) }
}

fn manifest(children: &str, blobs: &str, subject: Option<char>) -> Document {
    let descriptors = |letters: &str| {
        let descriptor = |it| Descriptor::new(digest(it), Some(1), false);
        letters.chars().map(descriptor).collect()
    };
    Document {
        size_bytes: 100,
        children: descriptors(children),
        blobs: descriptors(blobs),
        subject: subject.map(digest),
    }
}

/// A repository with these tags, in order; `?` is one whose link is in doubt.
fn repository(name: &str, tags: &str, revisions: &str) -> Repository<Digest> {
    let tag = |(number, letter): (usize, char)| Tag {
        name: format!("v{number}").parse().unwrap(),
        state: match letter {
            '?' => TagState::Doubtful,
            _ => TagState::Linked { digest: digest(letter), pushed_at: jiff::Timestamp::UNIX_EPOCH },
        },
    };
    Repository {
        name: name.parse().unwrap(),
        tags: tags.chars().enumerate().map(tag).collect(),
        revisions: revisions.chars().map(digest).collect(),
        layers: Vec::new(),
        aliases: Vec::new(),
        undoable: Vec::new(),
        in_doubt: tags.contains('?'),
    }
}

fn all(manifests: &[(char, Document)], repositories: &[Repository<Digest>], blobs: &str) -> Usage {
    let manifests: HashMap<Digest, Document> =
        manifests.iter().map(|(letter, it)| (digest(*letter), it.clone())).collect();
    let present: Vec<Digest> = blobs.chars().map(digest).collect();
    let inventory = Inventory::of(repositories, &manifests, &present);
    let mut bytes = vec![0; inventory.digests.slots()];
    for letter in blobs.chars() {
        bytes[inventory.digests.id(&digest(letter)).unwrap().slot().unwrap()] = size(letter);
    }
    usage(&inventory, &bytes)
}

const fn held(total_bytes: u64, alone_bytes: u64) -> Held {
    Held { total_bytes, alone_bytes }
}

fn by_tag(usage: &Usage) -> Vec<Vec<Option<Held>>> {
    usage.repositories.iter().map(|it| it.tags.clone()).collect()
}

fn by_repository(usage: &Usage) -> Vec<(Held, u64)> {
    usage.repositories.iter().map(|it| (it.held, it.untagged_bytes)).collect()
}

#[test]
fn what_tags_share_is_held_alone_by_their_repository_and_what_repositories_share_by_none() {
    let manifests =
        [('A', manifest("", "abd", None)), ('B', manifest("", "bcd", None)), ('C', manifest("", "d", None))];
    let repositories = [repository("one", "AB", "AB"), repository("two", "C", "C")];
    let usage = all(&manifests, &repositories, "ABCabcdz");
    let (one, two) = (held(100 + 1 + 2 + 8, 101), held(100 + 2 + 4 + 8, 104));
    assert_eq!(by_tag(&usage), [vec![Some(one), Some(two)], vec![Some(held(108, 100))]]);
    assert_eq!(by_repository(&usage), [(held(215, 207), 0), (held(108, 100), 0)]);
    assert_eq!((usage.tags_bytes, usage.unreferenced_bytes), (315, 1 << 25));
    assert_eq!(usage.total_bytes(), 315 + (1 << 25));
    assert_eq!(one.shared_bytes(), 10);
}

#[test]
fn tags_of_one_manifest_hold_the_same_and_nothing_alone() {
    let manifests = [('A', manifest("", "a", None))];
    let within = all(&manifests, &[repository("one", "AA", "A")], "Aa");
    assert_eq!(by_tag(&within), [[Some(held(101, 0)); 2]]);
    assert_eq!(by_repository(&within), [(held(101, 101), 0)]);
    let across = all(&manifests, &[repository("one", "A", "A"), repository("two", "A", "A")], "Aa");
    assert_eq!(by_tag(&across), [[Some(held(101, 0))], [Some(held(101, 0))]]);
    assert_eq!(by_repository(&across), [(held(101, 0), 0); 2]);
    assert_eq!(across.tags_bytes, 101);
}

#[test]
fn an_index_counts_with_its_children_and_an_image_with_its_referrers() {
    let manifests = [
        ('I', manifest("AB", "", None)),
        ('A', manifest("", "ax", None)),
        ('B', manifest("", "bx", None)),
        ('S', manifest("", "s", Some('A'))),
    ];
    let usage = all(&manifests, &[repository("one", "IB", "IABS")], "IABSabxs");
    let (index, image) = (400 + 1 + 2 + (1 << 23) + (1 << 18), 100 + 2 + (1 << 23));
    assert_eq!(by_tag(&usage), [[Some(held(index, index - image)), Some(held(image, 0))]]);
    assert_eq!(by_repository(&usage), [(held(index, index), 0)]);
}

#[test]
fn untagged_manifests_and_removed_tags_hold_what_no_tag_does_and_share_with_those_that_do() {
    let manifests = [
        ('A', manifest("", "axy", None)),
        ('U', manifest("", "uxz", None)),
        ('R', manifest("", "ryz", None)),
    ];
    let one = Repository { undoable: vec![digest('R')], ..repository("one", "A", "AUR") };
    let usage = all(&manifests, &[one], "AURaurxyz");
    let bit = |letters: &str| letters.chars().map(size).sum::<u64>();
    assert_eq!(by_tag(&usage), [[Some(held(bit("Aaxy"), bit("Aa")))]]);
    assert_eq!(by_repository(&usage), [(held(bit("AURaurxyz"), bit("AURaurxyz")), bit("Uu"))]);
    assert_eq!(usage.tags_bytes, bit("Aaxy"));
    assert_eq!(usage.untagged_bytes, bit("Uuz"), "what waits for its age counts before what waits for undo");
    assert_eq!(usage.undo_bytes, bit("Rr"));
}

#[test]
fn a_layer_under_another_algorithm_is_the_blob_that_it_leads_to() {
    let sha512: Digest = format!("sha512:{}", "01".repeat(64)).parse().unwrap();
    let mut image = manifest("", "a", None);
    image.blobs[0].digest = sha512.clone();
    let one = Repository { aliases: vec![(sha512, digest('a'))], ..repository("one", "A", "A") };
    let usage = all(&[('A', image)], &[one], "Aa");
    assert_eq!(by_tag(&usage), [[Some(held(101, 101))]]);
}

#[test]
fn what_is_in_doubt_or_not_there_counts_nothing_and_hides_nothing_else() {
    let manifests = [('A', manifest("", "ab", None))];
    // `M` could not be read, and `b` is gone.
    let usage = all(&manifests, &[repository("one", "?AM", "AM")], "AMa");
    assert_eq!(by_tag(&usage), [[None, Some(held(101, 101)), Some(held(100, 100))]]);
    assert_eq!(by_repository(&usage), [(held(201, 201), 0)]);
}

#[test]
fn a_circle_ends_and_an_empty_store_holds_nothing() {
    let manifests = [('A', manifest("B", "", Some('B'))), ('B', manifest("A", "", Some('A')))];
    assert_eq!(by_tag(&all(&manifests, &[repository("one", "A", "AB")], "AB")), [[Some(held(200, 200))]]);
    assert_eq!(all(&[], &[], ""), Usage::default());
}

/// A tag or repository that is taken away, and what the marks then have no use for.
fn freed(
    manifests: &[(char, Document)],
    repositories: &[Repository<Digest>],
    blobs: &str,
    without: impl FnOnce(&mut Vec<Repository<Digest>>),
) -> u64 {
    let tree: HashMap<Digest, Document> =
        manifests.iter().map(|(letter, it)| (digest(*letter), it.clone())).collect();
    let present: Vec<Digest> = blobs.chars().map(digest).collect();
    let kept = |repositories: &[Repository<Digest>]| {
        let inventory = Inventory::of(repositories, &tree, &present);
        let marks = mark::blobs(&inventory);
        let is_kept = |letter: &char| {
            let id = inventory.digests.id(&digest(*letter));
            id.is_some_and(|id| marks.fate(id) != Fate::Garbage)
        };
        blobs.chars().filter(is_kept).map(size).sum::<u64>()
    };
    let before = kept(repositories);
    let mut after = repositories.to_vec();
    without(&mut after);
    before - kept(&after)
}

/// Revisions that of all in a repository a tag alone reaches.
fn revisions_of(manifests: &[(char, Document)], repository: &Repository<Digest>, tag: usize) -> Vec<Digest> {
    let tree: HashMap<Digest, Document> =
        manifests.iter().map(|(letter, it)| (digest(*letter), it.clone())).collect();
    let inventory = Inventory::of([repository], &tree, &[]);
    let (interned, graph) =
        (&inventory.repositories[0], Graph::of(&inventory.repositories[0], &inventory.manifests));
    let all = graph.closure(interned.roots());
    let others = interned.tags.iter().enumerate().filter(|(at, _)| *at != tag);
    let untagged = interned.revisions.iter().copied().filter(|it| !all.contains(it));
    let others = graph.closure(others.filter_map(|(_, it)| it.digest()).chain(untagged));
    let only = |id: &&Id| all.contains(id) && !others.contains(id);
    interned.revisions.iter().filter(only).map(|id| inventory.digest(*id)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Two repositories of images, indexes and referrers; what goes is measured by the marks of a sweep.
    #[test]
    fn what_is_held_alone_is_what_comes_back(
        contents in proptest::collection::vec(("[A-F]{0,2}", "[a-e]{0,3}", proptest::option::of(0..6_u8)), 6),
        tags in ("[A-F]{0,4}", "[A-F]{0,4}"),
        untagged in ("[A-F]{0,2}", "[A-F]{0,2}"),
    ) {
        let letter = |at: u8| char::from(b'A' + at);
        let manifests: Vec<(char, Document)> = (0..).zip(&contents)
            .map(|(at, (children, blobs, subject))| (letter(at), manifest(children, blobs, subject.map(letter))))
            .collect();
        let revisions = |tags: &str, untagged: &str| {
            let mut all: Vec<char> = tags.chars().chain(untagged.chars()).collect();
            all.sort_unstable();
            all.dedup();
            all.into_iter().collect::<String>()
        };
        let repositories = [
            repository("one", &tags.0, &revisions(&tags.0, &untagged.0)),
            repository("two", &tags.1, &revisions(&tags.1, &untagged.1)),
        ];
        let blobs = "ABCDEFabcde";
        let told = all(&manifests, &repositories, blobs);
        for (at, repository) in repositories.iter().enumerate() {
            let alone = freed(&manifests, &repositories, blobs, |all| drop(all.remove(at)));
            prop_assert_eq!(told.repositories[at].held.alone_bytes, alone);
            for tag in 0..repository.tags.len() {
                let going = revisions_of(&manifests, repository, tag);
                let alone = freed(&manifests, &repositories, blobs, |all| {
                    all[at].tags.remove(tag);
                    all[at].revisions.retain(|it| !going.contains(it));
                });
                prop_assert_eq!(told.repositories[at].tags[tag].unwrap().alone_bytes, alone);
            }
        }
        prop_assert_eq!(told.total_bytes(), blobs.chars().map(size).sum::<u64>());
    }
}
