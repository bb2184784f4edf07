use super::*;
use std::sync::Arc;

use crate::model::{Descriptor, Digest, Document, Tag, TagState, UndoSweep, Undoable};
use proptest::prelude::*;

fn digest(letter: char) -> Digest {
    Digest::of(letter.to_string().as_bytes())
}

fn descriptors(letters: &str) -> Box<[Descriptor]> {
    let descriptor = |letter| Descriptor::new(digest(letter), Some(1), false);
    letters.chars().map(descriptor).collect()
}

fn manifest(children: &str, blobs: &str, subject: Option<char>) -> Document {
    Document {
        size_bytes: 10,
        children: descriptors(children),
        blobs: descriptors(blobs),
        subject: subject.map(digest),
    }
}

fn repository(revisions: &str) -> Repository<Digest> {
    let revisions = revisions.chars().map(digest).collect();
    Repository {
        name: "a".parse().unwrap(),
        tags: Vec::new(),
        revisions,
        layers: Vec::new(),
        aliases: Vec::new(),
        undoable: Vec::new(),
        in_doubt: false,
    }
}

fn reached(manifests: &HashMap<Digest, Document>, revisions: &str, roots: &str) -> String {
    let mut inventory = Inventory::of([&repository(revisions)], manifests, &[]);
    let roots: Vec<Id> = roots.chars().map(|root| inventory.digests.intern(&digest(root))).collect();
    let closure = Graph::of(&inventory.repositories[0], &inventory.manifests).closure(roots);
    let is_reached =
        |letter: &char| inventory.digests.id(&digest(*letter)).is_some_and(|id| closure.contains(&id));
    ('A'..='Z').chain('a'..='z').filter(is_reached).collect()
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
fn a_manifest_that_is_named_as_a_layer_is_followed_where_the_repository_has_it_also_in_the_trash() {
    let mut manifests = HashMap::from([
        (digest('A'), manifest("", "Lx", None)),
        (digest('L'), manifest("", "l", None)),
        (digest('S'), manifest("", "s", Some('L'))),
    ]);
    assert_eq!(reached(&manifests, "ALS", "A"), "ALS");
    assert_eq!(reached(&manifests, "AS", "A"), "A", "elsewhere it is a plain layer");
    let inventory = Inventory::of([&repository("AS")], &manifests, &[]);
    let [a, l] = ['A', 'L'].map(|letter| inventory.digests.id(&digest(letter)).unwrap());
    let mut graph = Graph::of(&inventory.repositories[0], &inventory.manifests);
    graph.add(l);
    assert!(graph.closure([a]).contains(&l), "in the trash");
    assert_eq!(graph.needed([a]), HashSet::from([a]), "no pull fetches it as a manifest");
    // Its media type says that it is one, whether or not it is a revision.
    manifests.get_mut(&digest('A')).unwrap().blobs[0].may_be_manifest = true;
    assert_eq!(reached(&manifests, "AS", "A"), "ALS");
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
        state: TagState::Linked { digest: digest('A'), pushed_at: jiff::Timestamp::UNIX_EPOCH },
    });
    one.aliases.push((sha512, digest('l')));
    let blobs: Vec<Digest> = "Algh".chars().map(digest).collect();
    let two = repository("H");
    let manifests = HashMap::from([(digest('A'), image), (digest('H'), manifest("", "h", None))]);
    let inventory = Inventory::of([&one, &two], &manifests, &blobs);
    let marks = super::blobs(&inventory);
    let fate = |letter| marks.fate(inventory.digests.id(&digest(letter)).unwrap());
    assert_eq!(fate('A'), Fate::Kept);
    assert_eq!(fate('l'), Fate::Kept);
    assert_eq!(fate('h'), Fate::Held);
    assert_eq!(fate('g'), Fate::Garbage);
}

#[test]
fn a_wrong_link_in_one_repository_hides_nothing_of_another() {
    let sha512: Digest = format!("sha512:{}", "01".repeat(64)).parse().unwrap();
    let mut image = manifest("", "l", None);
    image.blobs[0].digest = sha512.clone();
    let of = |name: &str, blob| Repository {
        name: name.parse().unwrap(),
        aliases: vec![(sha512.clone(), digest(blob))],
        ..repository("A")
    };
    let blobs: Vec<Digest> = "Alxg".chars().map(digest).collect();
    for (first, second) in [('l', 'x'), ('x', 'l')] {
        let manifests = HashMap::from([(digest('A'), image.clone())]);
        let mut inventory = Inventory::of([&of("a", first), &of("b", second)], &manifests, &blobs);
        let fates = |inventory: &Inventory| {
            let marks = super::blobs(inventory);
            ['l', 'x', 'g'].map(|letter| marks.fate(inventory.digests.id(&digest(letter)).unwrap()))
        };
        assert_eq!(fates(&inventory), [Fate::Held, Fate::Held, Fate::Garbage]);
        // What the bytes of a blob prove counts where no link says so.
        inventory.repositories.iter_mut().for_each(|it| it.aliases.clear());
        assert_eq!(fates(&inventory), [Fate::Garbage, Fate::Garbage, Fate::Garbage]);
        let [alias, layer] = [&sha512, &digest('l')].map(|it| inventory.digests.id(it).unwrap());
        inventory.proofs.computed(layer, alias, &inventory.digests);
        assert_eq!(fates(&inventory), [Fate::Held, Fate::Garbage, Fate::Garbage]);
    }
}

/// `A` and `B` are images of one layer of their own and one they share, `I` is an index of both.
fn images() -> HashMap<Digest, Document> {
    HashMap::from([
        (digest('A'), manifest("", "as", None)),
        (digest('B'), manifest("", "bs", None)),
        (digest('I'), manifest("AB", "", None)),
    ])
}

fn shared(repositories: &[Repository<Digest>]) -> Inventory {
    let blobs: Vec<Digest> = "ABIabsg".chars().map(digest).collect();
    Inventory::of(repositories, &images(), &blobs)
}

fn told(inventory: &Inventory, going: &[(u32, char)]) -> Vec<(char, Fate, Holder)> {
    let id = |letter| inventory.digests.id(&digest(letter)).unwrap();
    let going: Vec<Revision> = going
        .iter()
        .map(|(repository, letter)| Revision { repository: *repository, manifest: id(*letter) })
        .collect();
    let (marks, holders) = (super::blobs(inventory), holders(inventory, &going));
    let holder = |letter| holders.of(id(letter));
    "ABIabsg".chars().map(|it| (it, marks.fate(id(it)), holder(it))).collect()
}

#[test]
fn who_loses_a_blob_is_known_unless_several_do() {
    let (one, two) = (repository(""), Repository { name: "b".parse().unwrap(), ..repository("") });
    let going = [(0, 'A'), (1, 'B'), (0, 'A')];
    let (garbage, nobody) = (Fate::Garbage, Holder::Nobody);
    assert_eq!(
        told(&shared(&[one, two]), &going),
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
        told(&shared(&[repository("I")]), &[]).into_iter().map(|(it, fate, _)| (it, fate)).collect();
    for (letter, fate) in fates {
        let expected = if letter == 'g' { Fate::Garbage } else { Fate::Held };
        assert_eq!(fate, expected, "{letter}");
    }
}

#[test]
fn a_removed_tag_keeps_its_image_and_holds_alone_what_nothing_else_does() {
    let undoable = |name: &str, images: &str| Repository {
        name: name.parse().unwrap(),
        undoable: images.chars().map(digest).collect(),
        ..repository(images)
    };
    let told = |repositories: &[Repository<Digest>]| {
        let mut inventory = shared(repositories);
        let sweep = Arc::new(UndoSweep { id: "s".into(), removed_at: jiff::Timestamp::UNIX_EPOCH });
        for at in 0..inventory.repositories.len() {
            let repository = &inventory.repositories[at];
            let tags = repository.undoable.iter().map(|manifest| Undoable {
                sweep: Arc::clone(&sweep),
                repository: repository.name.clone(),
                tag: "v1".parse().unwrap(),
                manifest: *manifest,
                pushed_at: jiff::Timestamp::UNIX_EPOCH,
            });
            inventory.undo.tags.extend(tags);
        }
        let marks = super::blobs(&inventory);
        let fate = |letter| marks.fate(inventory.digests.id(&digest(letter)).unwrap());
        ("ABIabsg".chars().map(fate).collect::<Vec<_>>(), held_alone(&inventory, &marks))
    };
    let (g, u, h) = (Fate::Garbage, Fate::Undoable, Fate::Held);
    // A manifest is 10 bytes, a layer 1.
    assert_eq!(told(&[undoable("a", "A")]), (vec![u, g, g, u, g, u, g], vec![12]));
    assert_eq!(told(&[undoable("a", "A"), undoable("b", "B")]), (vec![u, u, g, u, u, u, g], vec![11, 11]));
    assert_eq!(told(&[undoable("a", "I")]), (vec![u, u, u, u, u, u, g], vec![33]));
    // What an untagged manifest needs as well is not held by the removed tag.
    let b = Repository { name: "b".parse().unwrap(), ..repository("B") };
    assert_eq!(told(&[undoable("a", "A"), b]), (vec![u, h, g, u, h, h, g], vec![11]));
}

#[test]
fn a_going_image_takes_nothing_from_one_that_stays() {
    let marks = told(&shared(&[repository("B")]), &[(0, 'A')]);
    let fate = |letter| marks.iter().find(|(it, ..)| *it == letter).unwrap().1;
    assert_eq!((fate('a'), fate('s'), fate('b')), (Fate::Garbage, Fate::Held, Fate::Held));
}

#[test]
fn a_referrer_is_reached_only_where_it_is_a_revision() {
    let manifests =
        HashMap::from([(digest('A'), manifest("", "a", None)), (digest('S'), manifest("", "s", Some('A')))]);
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
        let mut manifests: HashMap<Digest, Document> = HashMap::new();
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
