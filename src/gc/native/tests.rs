use std::collections::HashMap;

use jiff::Timestamp;

use super::*;
use crate::model::{Code, Descriptor, Digest, Document, Problem, Severity, Tag, TagState};

fn digest(letter: char) -> Digest {
    Digest::of(letter.to_string().as_bytes())
}

fn digests(letters: &str) -> Vec<Digest> {
    letters.chars().map(digest).collect()
}

/// `A` is an image of the layers `a` and `s`, `B` one of `b` and `s`, `I` an index of both; `S` is a sha512 name of
/// the layer `t`.
fn manifests() -> HashMap<Digest, Document> {
    let descriptor = |letter| Descriptor::new(digest(letter), Some(1), false);
    let manifest = |children: &str, blobs: &str| Document {
        size_bytes: 1,
        children: children.chars().map(descriptor).collect(),
        blobs: blobs.chars().map(descriptor).collect(),
        subject: None,
    };
    HashMap::from([
        (digest('A'), manifest("", "as")),
        (digest('B'), manifest("", "bs")),
        (digest('I'), manifest("AB", "")),
    ])
}

fn alias() -> Digest {
    format!("sha512:{}", "07".repeat(64)).parse().unwrap()
}

fn repository(name: &str, tagged: &str, revisions: &str, layers: &str) -> Repository<Digest> {
    let tag = |letter: char| Tag {
        name: format!("v{letter}").parse().unwrap(),
        state: TagState::Linked { digest: digest(letter), pushed_at: Timestamp::UNIX_EPOCH },
    };
    Repository {
        name: name.parse().unwrap(),
        tags: tagged.chars().map(tag).collect(),
        revisions: digests(revisions),
        layers: digests(layers),
        aliases: Vec::new(),
        undoable: Vec::new(),
        in_doubt: false,
    }
}

/// What is hidden of a first look and needed back at a second one.
struct Case {
    first: Vec<Repository<Digest>>,
    hidden: &'static str,
    /// Links of the repository `a`.
    links: &'static str,
    blobs: &'static str,
}

impl Case {
    fn hidden(&self, inventory: &Inventory) -> Hidden {
        let id = |letter| inventory.digests.id(&digest(letter)).unwrap();
        let at = u32::try_from(inventory.position(&"a".parse().unwrap()).unwrap()).unwrap();
        let written = Some(Timestamp::UNIX_EPOCH.into());
        let link = |letter| HiddenLink { repository: at, layer: id(letter), written };
        let links = self.links.chars().map(link).collect();
        to_hide(inventory, self.hidden.chars().map(id).collect(), links)
    }

    /// The letters of what comes back: links as `(a)`, then blobs, each in the order of their digests.
    fn back(&self, second: &[Repository<Digest>], blobs: &str, written: &str, linked: &str) -> String {
        self.back_from(second, blobs, written, linked, Vec::new())
    }

    fn back_from(
        &self,
        second: &[Repository<Digest>],
        blobs: &str,
        written: &str,
        linked: &str,
        problems: Vec<Problem>,
    ) -> String {
        // Numbers stay what they are from look to look.
        let known = repository("zz", "", "ABI", "absxg");
        let both = self.first.iter().chain(second).chain([&known]);
        let all = Inventory::of(both, &manifests(), &digests(self.blobs));
        let mut first = all.clone();
        first.repositories = self.first.iter().map(|it| it.intern(&mut first.digests)).collect();
        let hidden = self.hidden(&first);
        let mut look = all;
        look.repositories = second.iter().map(|it| it.intern(&mut look.digests)).collect();
        look.blobs = digests(blobs).iter().map(|blob| look.digests.intern(blob)).collect();
        look.blobs.sort_unstable();
        look.problems = problems;
        let letter = |id: Id| "ABIabsxg".chars().find(|it| look.digest(id) == digest(*it)).unwrap();
        let written: Vec<bool> =
            hidden.links.iter().map(|link| written.contains(letter(link.layer))).collect();
        let mut linked: Vec<Id> = linked.chars().map(|it| look.digests.id(&digest(it)).unwrap()).collect();
        linked.sort_unstable();
        let needed = needed_back(&hidden, &written, &linked, &look);
        let mut all = hidden;
        let back = all.split_off(&needed);
        let mut links: Vec<char> = back.links.iter().map(|link| letter(link.layer)).collect();
        let mut blobs: Vec<char> = back.blobs.iter().map(|blob| letter(*blob)).collect();
        links.sort_unstable();
        blobs.sort_unstable();
        let links: Vec<String> = links.into_iter().map(|letter| format!("({letter})")).collect();
        links.concat() + &String::from_iter(blobs)
    }
}

fn case() -> Case {
    Case { first: vec![repository("a", "", "", "as")], hidden: "Aas", links: "as", blobs: "Aasg" }
}

#[test]
fn nothing_comes_back_to_where_nothing_happened() {
    assert_eq!(case().back(&[repository("a", "", "", "as")], "Aasg", "", ""), "");
}

#[test]
fn what_a_manifest_anywhere_references_comes_back_with_every_link_to_it() {
    for (second, expected) in [
        (vec![repository("a", "A", "A", "as")], "(a)(s)Aas"),
        (vec![repository("a", "", "A", "as")], "(a)(s)Aas"),
        // An index whose children are no revisions here.
        (vec![repository("a", "I", "I", "as")], "(a)(s)Aas"),
        (vec![repository("a", "", "", "as"), repository("b", "B", "B", "bs")], "(s)s"),
    ] {
        assert_eq!(case().back(&second, "Aasg", "", ""), expected);
    }
}

#[test]
fn a_blob_that_is_linked_anew_comes_back_although_nothing_references_it_yet() {
    let same = [repository("a", "", "", "as")];
    assert_eq!(case().back(&same, "Aasg", "", "s"), "(s)s");
    assert_eq!(case().back(&same, "Aasg", "a", ""), "(a)a", "its hidden link was written to");
}

#[test]
fn a_look_in_doubt_brings_everything_back() {
    let doubt = Problem {
        severity: Severity::Doubt,
        code: Code::Unreadable,
        repository: None,
        path: "x".into(),
        cause: "x".into(),
        remedy: "x".into(),
    };
    let same = [repository("a", "", "", "as")];
    assert_eq!(case().back_from(&same, "Aasg", "", "", vec![doubt]), "(a)(s)Aas");
    let in_doubt = Repository { in_doubt: true, ..repository("b", "", "", "") };
    assert_eq!(case().back(&[repository("a", "", "", "as"), in_doubt], "Aasg", "", ""), "(a)(s)Aas");
}

#[test]
fn a_link_that_led_nowhere_comes_back_where_its_blob_does_or_its_repository_needs_it() {
    let lost = Case { first: vec![repository("a", "", "", "as")], hidden: "", links: "as", blobs: "g" };
    let same = || repository("a", "", "", "as");
    assert_eq!(lost.back(&[same()], "g", "", ""), "");
    assert_eq!(lost.back(&[same()], "ag", "", ""), "(a)", "somebody has pushed it");
    assert_eq!(lost.back(&[same()], "g", "s", ""), "(s)");
    assert_eq!(lost.back(&[repository("a", "", "A", "as")], "g", "", ""), "(a)(s)", "it is broken there");
    let other = repository("b", "", "B", "bs");
    assert_eq!(lost.back(&[same(), other], "g", "", ""), "", "it is broken elsewhere");
}

#[test]
fn only_links_that_lead_nowhere_and_that_nothing_beside_them_needs_are_dangling() {
    let told = |repositories: &[Repository<Digest>], blobs: &str| -> String {
        let inventory = Inventory::of(repositories, &manifests(), &digests(blobs));
        let letter = |id: Id| "ABIabsxg".chars().find(|it| inventory.digest(id) == digest(*it)).unwrap();
        let mut found: Vec<char> = dangling(&inventory).into_iter().map(|(_, id)| letter(id)).collect();
        found.sort_unstable();
        found.into_iter().collect()
    };
    assert_eq!(told(&[repository("a", "", "", "as")], "s"), "a");
    assert_eq!(told(&[repository("a", "", "A", "asx")], "s"), "x");
    assert_eq!(told(&[repository("a", "", "", "as"), repository("b", "", "A", "x")], "sx"), "a");
}

#[test]
fn a_link_under_another_algorithm_goes_with_its_blob_and_dangles_with_it() {
    let mut one = repository("a", "", "", "x");
    one.layers.push(alias());
    one.aliases = vec![(alias(), digest('x'))];
    let inventory = Inventory::of([&one], &manifests(), &digests("xg"));
    let id = |it: &Digest| inventory.digests.id(it).unwrap();
    let links: HashSet<(u32, Id)> = links_to(&inventory, &[id(&digest('x'))]).collect();
    assert_eq!(links, HashSet::from([(0, id(&digest('x'))), (0, id(&alias()))]));
    assert_eq!(dangling(&inventory), []);
    let without = Inventory::of([&one], &manifests(), &digests("g"));
    assert_eq!(dangling(&without).len(), 2);
}

#[test]
fn a_link_under_another_algorithm_that_a_later_look_cannot_read_takes_its_blob_along() {
    let named = Descriptor::new(alias(), None, false);
    let image = Document { size_bytes: 1, children: [].into(), blobs: [named].into(), subject: None };
    let all = HashMap::from([(digest('C'), image)]);
    let with = |tagged: &str, aliases| {
        let mut one = repository("a", tagged, tagged, "x");
        one.layers.push(alias());
        Repository { aliases, ..one }
    };
    let before = with("", vec![(alias(), digest('x'))]);
    let after = with("C", Vec::new());
    let both = Inventory::of([&before, &after], &all, &digests("Cx"));
    let mut first = both.clone();
    first.repositories = vec![before.intern(&mut first.digests)];
    let mut look = both;
    look.repositories = vec![after.intern(&mut look.digests)];
    let id = |it: &Digest| first.digests.id(it).unwrap();
    let link = |layer| HiddenLink { repository: 0, layer, written: Some(Timestamp::UNIX_EPOCH.into()) };
    let (blob, name) = (id(&digest('x')), id(&alias()));
    let hidden = to_hide(&first, vec![blob], vec![link(blob), link(name)]);
    assert_eq!(needed_back(&hidden, &[false, false], &[], &look), [true; 3]);
}

#[test]
fn manifests_that_are_named_again_are_told_apart() {
    let first = [repository("a", "", "", "as")];
    let inventory = Inventory::of(&first, &manifests(), &digests("Aas"));
    let mut look = inventory.clone();
    look.repositories = vec![repository("a", "", "A", "as").intern(&mut look.digests)];
    let hidden = case().hidden(&inventory);
    let mut rest = hidden.clone();
    let named = rest.split_off(&manifests_among(&hidden, &look));
    assert!(named.links.is_empty());
    assert_eq!(named.blobs.iter().map(|it| look.digest(*it)).collect::<Vec<_>>(), digests("A"));
    // An index names it, and it is no revision here.
    let index = repository("a", "I", "I", "as");
    let look = Inventory::of([&index], &manifests(), &digests("Aas"));
    let hidden = case().hidden(&look);
    let mut rest = hidden.clone();
    let named = rest.split_off(&manifests_among(&hidden, &look));
    assert_eq!(named.blobs.iter().map(|it| look.digest(*it)).collect::<Vec<_>>(), digests("A"));
}
