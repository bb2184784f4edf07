//! Tables for what goes and what waits.

use std::collections::HashMap;

use super::*;
use crate::model::{
    BlobAge, Code, Descriptor, Digest, Digests, Document, Id, LinkAge, Problem, RepoName, Severity, Tag,
    Unread,
};

const NOW: i64 = 1_900_000_000;

fn at(minutes_ago: i64) -> Timestamp {
    Timestamp::from_second(NOW - minutes_ago * 60).unwrap()
}

/// An hour's grace, at [`NOW`].
fn hour() -> Grace {
    Grace { age: SignedDuration::from_hours(1), now: at(0) }
}

fn digest(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

fn repo(name: &str) -> RepoName {
    name.parse().unwrap()
}

fn revision(repository: &str, name: &str) -> Place {
    Place::Revision(repo(repository), digest(name))
}

/// `name`, `name=child,child` or `name>subject`.
fn manifests(specs: &[&str]) -> HashMap<Digest, Document> {
    let descriptor = |name: &str| Descriptor::new(digest(name), Some(1), false);
    let manifest = |spec: &&str| {
        let (rest, subject) =
            spec.split_once('>').map_or((*spec, None), |(rest, it)| (rest, Some(digest(it))));
        let (name, children) = rest.split_once('=').unwrap_or((rest, ""));
        let children = children.split(',').filter(|it| !it.is_empty()).map(descriptor).collect();
        (digest(name), Document { size_bytes: 10, children, blobs: Box::default(), subject })
    };
    specs.iter().map(manifest).collect()
}

/// A repository with tags (`tag=image`) and revisions.
fn repository(name: &str, tags: &[&str], revisions: &[&str]) -> Repository<Digest> {
    let tag = |spec: &&str| {
        let (tag, image) = spec.split_once('=').unwrap();
        Tag {
            name: tag.parse().unwrap(),
            state: TagState::Linked { digest: digest(image), pushed_at: at(500) },
        }
    };
    let revisions = revisions.iter().map(|name| digest(name)).collect();
    Repository {
        name: repo(name),
        tags: tags.iter().map(tag).collect(),
        revisions,
        layers: Vec::new(),
        aliases: Vec::new(),
        undoable: Vec::new(),
        in_doubt: false,
    }
}

fn inventory(repositories: &[Repository<Digest>], specs: &[&str]) -> Inventory {
    Inventory::of(repositories, &manifests(specs), &[])
}

/// A tag that was taken away.
fn removed(repository: &str, tag: &str, image: &str) -> Expected {
    let place = Place::Tag(repo(repository), tag.parse().unwrap());
    Expected { place, link: Some((digest(image), at(500))) }
}

/// The same, last pushed at another time.
fn pushed(at: Timestamp, expected: Expected) -> Expected {
    Expected { link: expected.link.map(|(digest, _)| (digest, at)), ..expected }
}

fn doubt() -> LinkAge {
    LinkAge::Doubt(Box::new(Problem {
        severity: Severity::Doubt,
        code: Code::BadLink,
        repository: None,
        path: "a/link".into(),
        cause: "empty".into(),
        remedy: "push".into(),
    }))
}

/// The plan for one repository `a`, by the ages of its manifests; `written` unless told otherwise.
struct Case<'a> {
    tags: &'a [&'a str],
    specs: &'a [&'a str],
    removed: &'a [(&'a str, &'a str)],
    ages: Vec<(&'a str, LinkAge)>,
    needs_no_age: bool,
}

impl Case<'_> {
    /// Names of what is removed, what is empty, what is held, and the plan itself.
    fn plan(self) -> (String, String, String, Revisions) {
        let names: Vec<&str> = self.ages.iter().map(|(name, _)| *name).collect();
        let inventory = inventory(&[repository("a", self.tags, &names)], self.specs);
        let removed: Vec<Expected> =
            self.removed.iter().map(|(tag, image)| pushed(at(2), removed("a", tag, image))).collect();
        let candidates = unreachable(&inventory, &named_by(&inventory, &removed));
        let mut ages: HashMap<Digest, LinkAge> =
            self.ages.into_iter().map(|(name, age)| (digest(name), age)).collect();
        let age = |it: &Candidate| ages.remove(&inventory.digest(it.revision.manifest)).unwrap();
        let in_order = candidates.iter().map(age).collect();
        let plan = revisions(&inventory, &candidates, in_order, self.needs_no_age, hour());
        let list = |places: Vec<Place>| {
            let mut found: Vec<&str> =
                names.iter().copied().filter(|name| places.contains(&revision("a", name))).collect();
            found.sort_unstable();
            assert_eq!(found.len(), places.len(), "{places:?}");
            found.join(" ")
        };
        let going = list(plan.remove.iter().map(|(it, _)| inventory.place(*it)).collect());
        let empty = list(plan.empty.iter().map(|it| inventory.place(*it)).collect());
        let held = list(plan.held.iter().map(|it| inventory.place(*it)).collect());
        assert!(plan.remove.is_sorted_by(|(a, _), (b, _)| inventory.place(*a) < inventory.place(*b)));
        for expected in expected(&inventory, &plan.remove) {
            let Place::Revision(_, digest) = &expected.place else { panic!("{}", expected.place) };
            assert_eq!(expected.link.as_ref().map(|(linked, _)| linked), Some(digest));
        }
        (going, empty, held, plan)
    }
}

fn written(minutes_ago: i64) -> LinkAge {
    LinkAge::Written(at(minutes_ago))
}

#[test]
fn grace_ends_exactly_then_and_a_time_to_come_counts_as_now() {
    let grace = hour();
    assert!(!grace.is_over(at(59)));
    assert!(grace.is_over(at(60)));
    assert!(!grace.is_over(at(-1_000_000)));
    assert_eq!(grace.due(at(-1_000_000)), at(-60));
    assert_eq!(grace.due(at(20)), at(-40));
    let none = Grace { age: SignedDuration::ZERO, ..grace };
    assert!(none.is_over(at(0)) && none.is_over(at(-5)), "without a grace even the future is old enough");
    let for_ever = Grace { age: SignedDuration::MAX, ..grace };
    assert!(!for_ever.is_over(Timestamp::MIN));
}

#[test]
fn what_a_tag_reaches_in_its_own_repository_is_no_candidate() {
    let specs =
        ["index=child,deep", "deep=leaf", "leaf", "child", "sbom>leaf", "scan>sbom", "old", "old-sbom>old"];
    let all = ["index", "child", "deep", "leaf", "sbom", "scan", "old", "old-sbom"];
    let inventory =
        inventory(&[repository("a", &["v1=index"], &all), repository("b", &["v1=old"], &all)], &specs);
    let mut expected = vec![revision("a", "old"), revision("a", "old-sbom")];
    let b = ["index", "child", "deep", "leaf", "sbom", "scan"];
    expected.extend(b.map(|name| revision("b", name)));
    expected.sort_unstable();
    let candidates = unreachable(&inventory, &[]);
    let places: Vec<Place> = candidates.into_iter().map(|it| inventory.place(it.revision)).collect();
    assert_eq!(places, expected);
}

#[test]
fn only_what_a_removed_tag_of_the_same_repository_reached_is_known_as_such() {
    let specs = ["index=child", "child", "sbom>child", "other"];
    let all = ["index", "child", "sbom", "other"];
    let names = ["a", "b", "c"];
    let inventory = inventory(&names.map(|name| repository(name, &[], &all)), &specs);
    let removed = [removed("b", "v1", "index"), removed("c", "v9", "other")];
    for candidate in unreachable(&inventory, &named_by(&inventory, &removed)) {
        let place = inventory.place(candidate.revision);
        let Place::Revision(name, of) = &place else { panic!() };
        let expected = match name.as_str() {
            "b" => *of != digest("other"),
            "c" => *of == digest("other"),
            _ => false,
        };
        assert_eq!(candidate.tag_removed, expected.then(|| at(500)), "{place}");
    }
}

#[test]
fn old_ones_go_and_young_ones_wait() {
    let (going, empty, held, plan) = Case {
        tags: &["v1=kept"],
        specs: &["kept", "old", "young", "future", "border"],
        removed: &[],
        ages: vec![
            ("kept", written(0)),
            ("old", written(600)),
            ("young", written(59)),
            ("future", written(-600)),
            ("border", written(60)),
        ],
        needs_no_age: true,
    }
    .plan();
    assert_eq!((going.as_str(), empty.as_str(), held.as_str()), ("border old", "", "future young"));
    assert_eq!(plan.held_until, Some(at(-60)), "when the last of them may go");
    let times: Vec<Timestamp> = plan.remove.iter().map(|(_, written)| *written).collect();
    assert!(times.contains(&at(600)) && times.contains(&at(60)), "with the link that was decided on");
}

#[test]
fn a_removed_tag_spares_its_manifests_the_wait_only_if_told() {
    let case = |needs_no_age| {
        let case = Case {
            tags: &[],
            specs: &["index=child", "child", "sbom>child", "other"],
            removed: &[("v1", "index")],
            ages: vec![
                ("index", written(2)),
                ("child", written(2)),
                ("sbom", written(2)),
                ("other", written(2)),
            ],
            needs_no_age,
        };
        let (going, _, held, plan) = case.plan();
        (going, held, plan.held_until)
    };
    assert_eq!(case(true), ("child index sbom".into(), "other".into(), Some(at(-58))));
    assert_eq!(case(false), (String::new(), "child index other sbom".into(), Some(at(-58))));
}

#[test]
fn only_the_push_of_a_tag_that_reached_a_manifest_stands_in_for_its_age() {
    let specs = ["index=child,both", "child", "both", "sbom>child", "other"];
    let all = ["index", "child", "both", "sbom", "other"];
    let inventory = inventory(&[repository("a", &[], &all)], &specs);
    let tags = [("by-itself", "both", 3), ("old", "index", 90), ("other", "other", 1), ("older", "both", 95)];
    let removed = tags.map(|(tag, image, minutes)| pushed(at(minutes), removed("a", tag, image)));
    let candidates = unreachable(&inventory, &named_by(&inventory, &removed));
    let names = |revisions: &mut dyn Iterator<Item = Revision>| {
        let found: Vec<Digest> = revisions.map(|it| inventory.digest(it.manifest)).collect();
        all.into_iter().filter(|name| found.contains(&digest(name))).collect::<Vec<_>>().join(" ")
    };
    for (minutes, goes, waits) in [
        // Pushed by digest after the tag of its index, and before other tags.
        (5, "index both other", "child sbom"),
        // Pushed again after the newest tag that reached it.
        (2, "index other", "child both sbom"),
        (0, "index", "child both sbom other"),
        (60, "index child both sbom other", ""),
    ] {
        let is_index = |it: &Candidate| inventory.digest(it.revision.manifest) == digest("index");
        let ages = candidates.iter().map(|it| written(if is_index(it) { 200 } else { minutes })).collect();
        let plan = revisions(&inventory, &candidates, ages, true, hour());
        assert_eq!(names(&mut plan.remove.iter().map(|(it, _)| *it)), goes, "{minutes} minutes");
        assert_eq!(names(&mut plan.held.iter().copied()), waits, "{minutes} minutes");
    }
}

#[test]
fn a_tag_dated_ahead_does_not_make_a_manifest_old() {
    let inventory = inventory(&[repository("a", &[], &["image"])], &["image"]);
    let removed = [pushed(at(-600), removed("a", "ahead", "image"))];
    let candidates = unreachable(&inventory, &named_by(&inventory, &removed));
    let going =
        |minutes| revisions(&inventory, &candidates, vec![written(minutes)], true, hour()).remove.len();
    assert_eq!((going(-5), going(5)), (0, 1));
}

#[test]
fn what_was_pushed_again_by_its_digest_waits_whatever_was_removed() {
    let (going, _, held, _) = Case {
        tags: &[],
        specs: &["index=child", "child"],
        removed: &[("v1", "index")],
        ages: vec![("index", written(2)), ("child", written(1))],
        needs_no_age: true,
    }
    .plan();
    assert_eq!((going.as_str(), held.as_str()), ("index", "child"), "it may be on its way to another tag");
}

#[test]
fn what_a_young_index_needs_waits_with_it() {
    let (going, _, held, plan) = Case {
        tags: &[],
        specs: &[
            "index=old-child,nested",
            "nested=deep",
            "deep",
            "old-child",
            "sbom>deep",
            "other",
            "parent=index",
        ],
        removed: &[("v1", "old-child")],
        ages: vec![
            ("index", written(5)),
            ("old-child", written(600)),
            ("nested", written(600)),
            ("deep", written(600)),
            ("sbom", written(600)),
            ("other", written(600)),
            ("parent", written(600)),
        ],
        needs_no_age: true,
    }
    .plan();
    assert_eq!(going, "other parent", "a young child does not hold its old parent");
    assert_eq!(held, "deep index nested old-child sbom");
    assert_eq!(plan.held_until, Some(at(-55)));
}

#[test]
fn a_young_index_holds_nothing_in_another_repository() {
    let specs = ["index=child", "child"];
    let both = ["index", "child"];
    let inventory = inventory(&[repository("a", &[], &both), repository("b", &[], &both)], &specs);
    let candidates = unreachable(&inventory, &[]);
    let age = |candidate: &Candidate| {
        let young = inventory.place(candidate.revision) == revision("a", "index");
        written(if young { 5 } else { 600 })
    };
    let ages = candidates.iter().map(age).collect();
    let plan = revisions(&inventory, &candidates, ages, true, hour());
    let mut b = [revision("b", "child"), revision("b", "index")];
    b.sort_unstable();
    assert_eq!(plan.remove.iter().map(|(it, _)| inventory.place(*it)).collect::<Vec<_>>(), b);
}

#[test]
fn directories_without_a_link_go_when_they_are_old() {
    let (going, empty, held, _) = Case {
        tags: &[],
        specs: &[],
        removed: &[],
        ages: vec![
            ("old", LinkAge::Empty(at(600))),
            ("young", LinkAge::Empty(at(5))),
            ("gone", LinkAge::Gone),
            ("manifest", written(600)),
        ],
        needs_no_age: true,
    }
    .plan();
    assert_eq!((going.as_str(), empty.as_str(), held.as_str()), ("manifest", "old", ""));
}

#[test]
fn one_doubt_stops_everything_that_is_told() {
    let (going, empty, held, plan) = Case {
        tags: &[],
        specs: &["old", "young", "doubtful"],
        removed: &[("v1", "old")],
        ages: vec![
            ("old", written(600)),
            ("young", written(5)),
            ("doubtful", doubt()),
            ("empty", LinkAge::Empty(at(600))),
        ],
        needs_no_age: true,
    }
    .plan();
    assert_eq!((going.as_str(), empty.as_str(), held.as_str()), ("", "", "old young"));
    assert_eq!(plan.doubts.len(), 1);
}

#[test]
fn only_tags_that_are_to_go_are_taken_each_with_its_link() {
    let mut inventory =
        inventory(&[repository("a", &["v1=one", "v2=two"], &[]), repository("b", &["v1=one"], &[])], &[]);
    inventory.repositories[0].tags.push(Tag { name: "zz".parse().unwrap(), state: TagState::Doubtful });
    let verdict = |keep| Verdict { keep, reasons: smallvec::SmallVec::new() };
    let verdicts = [vec![verdict(true), verdict(false), verdict(false)], vec![verdict(false)]];
    let taken = tags(&inventory, &verdicts);
    assert_eq!(taken, [removed("a", "v2", "two"), removed("b", "v1", "one")], "a doubtful tag never goes");
}

#[test]
fn what_is_gone_is_gone_from_the_inventory_and_nothing_else() {
    let mut a = repository("a", &["v1=one", "v2=two"], &["one", "two"]);
    a.layers = vec![digest("layer")];
    let b = a.clone();
    let inventory = inventory(&[a, Repository { name: repo("b"), ..b }], &[]);
    let gone = [
        removed("a", "v1", "one"),
        Expected { place: revision("a", "one"), link: None },
        Expected { place: Place::Layer(repo("a"), digest("layer")), link: None },
    ];
    let left = without(inventory.clone(), &gone);
    assert_eq!(left.repositories[0].tags, inventory.repositories[0].tags[1..]);
    assert_eq!(left.repositories[0].revisions, [left.digests.id(&digest("two")).unwrap()]);
    assert_eq!(left.repositories[0].layers, []);
    assert_eq!(left.repositories[1].tags.len(), 2);
    assert_eq!(left.repositories[1].revisions.len(), 2);
    assert_eq!(left.repositories[1].layers.len(), 1);
}

#[test]
fn a_repository_is_empty_without_tags_and_manifests_unless_in_doubt() {
    let mut layers_only = repository("b", &[], &[]);
    layers_only.layers = vec![digest("layer")];
    let in_doubt = Repository { in_doubt: true, ..repository("e", &[], &[]) };
    let inventory = inventory(
        &[
            repository("a", &[], &[]),
            layers_only,
            repository("c", &["v1=x"], &[]),
            repository("d", &[], &["x"]),
            in_doubt,
        ],
        &[],
    );
    let empty: Vec<&str> =
        empty_repositories(&inventory, []).into_iter().map(|it| it.name.as_str()).collect();
    assert_eq!(empty, ["a", "b"]);
}

#[test]
fn what_a_removed_tag_reaches_stays_as_long_as_it_can_be_brought_back() {
    let specs = ["i=one,two", "one", "two", "s>one", "three"];
    let all = ["i", "one", "two", "s", "three"];
    let before = || inventory(&[repository("a", &["v1=i"], &all), repository("b", &[], &["one"])], &specs);
    let gone = [removed("a", "v1", "i")];
    let names = |inventory: &Inventory| -> Vec<Place> {
        unreachable(inventory, &[]).iter().map(|it| inventory.place(it.revision)).collect()
    };
    let held = without(held_for_undo(before(), &gone), &gone);
    assert_eq!(names(&held), [revision("a", "three"), revision("b", "one")], "of another repository it goes");
    assert_eq!(names(&not_held_for_undo(held, &gone)).len(), all.len() + 1);
}

#[test]
fn a_repository_whose_tags_can_be_brought_back_is_not_empty() {
    let a = Repository { undoable: vec![digest("x")], ..repository("a", &[], &[]) };
    let inventory = inventory(&[a, repository("b", &[], &[])], &[]);
    let empty: Vec<&str> =
        empty_repositories(&inventory, []).into_iter().map(|it| it.name.as_str()).collect();
    assert_eq!(empty, ["b"]);
}

/// Blobs by name, last touched some minutes ago.
fn ages(digests: &mut Digests, blobs: &[(&str, i64)]) -> Vec<BlobAge> {
    let age = |(name, minutes_ago): &(&str, i64)| BlobAge {
        blob: digests.intern(&digest(name)),
        newest: at(*minutes_ago),
        times: [at(*minutes_ago); 3],
        size_bytes: 1,
        allocated_bytes: 512,
    };
    blobs.iter().map(age).collect()
}

#[test]
fn a_blob_goes_when_it_and_every_link_to_it_are_old() {
    let mut digests = Digests::default();
    let mut plan = Blobs::default();
    let blobs = [
        ("old", 600),
        ("young", 10),
        ("old, linked long ago", 600),
        ("old, linked just now by one", 600),
        ("old, without a link", 600),
        ("to come", -600),
    ];
    plan.by_age(&ages(&mut digests, &blobs), hour());
    let links = [
        ("old, linked long ago", at(500)),
        ("old, linked just now by one", at(500)),
        ("old, linked just now by one", at(3)),
        ("old, linked just now by one", at(400)),
        ("another", at(-700)),
    ];
    plan.by_links(links.map(|(name, at)| (digests.intern(&digest(name)), at)), hour());
    let names = |ids: Vec<Id>| -> Vec<Digest> { ids.into_iter().map(|id| digests.get(id)).collect() };
    let due = plan.due.iter().map(|due| due.blob).collect();
    assert_eq!(names(due), ["old", "old, linked long ago", "old, without a link"].map(digest));
    assert_eq!(names(plan.held), ["young", "to come", "old, linked just now by one"].map(digest));
    assert_eq!(plan.held_until, Some(at(-60)));
}

#[test]
fn a_link_that_cannot_be_dated_holds_its_blob() {
    let mut digests = Digests::default();
    let mut plan = Blobs::default();
    plan.by_age(&ages(&mut digests, &[("blob", 600)]), hour());
    plan.by_links([(digests.intern(&digest("blob")), Timestamp::MAX)], hour());
    assert_eq!((plan.due.len(), plan.held.len()), (0, 1));
}

#[test]
fn a_younger_link_prolongs_the_wait() {
    let mut digests = Digests::default();
    let mut plan = Blobs::default();
    plan.by_age(&ages(&mut digests, &[("blob", 50)]), hour());
    plan.by_links([(digests.intern(&digest("blob")), at(20))], hour());
    assert_eq!(plan.held_until, Some(at(-40)));
}

/// Whether `bad`, last written some minutes ago, is a doubt in a repository `a` with these tags and other manifests. What was
/// written 100 minutes ago may go; of the other manifests, all but the `young` ones are as old.
fn is_unread_a_doubt(tags: &[&str], specs: &[&str], written: i64, young: &[&str]) -> bool {
    let names: Vec<&str> =
        specs.iter().map(|spec| spec.split(['=', '>']).next().unwrap()).chain(["bad"]).collect();
    let mut inventory = inventory(&[repository("a", tags, &names)], specs);
    let manifest = inventory.digests.id(&digest("bad")).unwrap();
    let LinkAge::Doubt(problem) = doubt() else { unreachable!() };
    let problem = Problem { repository: Some(repo("a")), ..*problem };
    inventory.unread.push(Unread { repository: repo("a"), manifest, problem });
    assert!(inventory.in_doubt(), "as long as nobody has judged it");
    let age = |place: &Place| {
        let is_young = young.iter().any(|name| *place == revision("a", name));
        let minutes = if *place == revision("a", "bad") { written } else { 500 };
        LinkAge::Written(at(if is_young { 1 } else { minutes }))
    };
    let ages = |places: Vec<Place>| Ok::<_, ()>(places.iter().map(age).collect());
    let judged = judge_unread(inventory, ages, |written| written < at(100)).unwrap();
    assert_eq!(judged.problems.len(), 1, "it is told in any case");
    assert_eq!(judged.in_doubt(), judged.repositories[0].in_doubt);
    judged.in_doubt()
}

#[test]
fn an_unreadable_manifest_is_a_doubt_while_it_is_young_or_something_kept_or_young_leads_to_it() {
    assert!(!is_unread_a_doubt(&[], &[], 500, &[]));
    assert!(is_unread_a_doubt(&[], &[], 1, &[]), "it is young");
    assert!(!is_unread_a_doubt(&["v1=image"], &["image"], 500, &[]));
    assert!(is_unread_a_doubt(&["v1=index"], &["index=bad"], 500, &[]), "a tagged index lists it");
    assert!(is_unread_a_doubt(&["v1=outer"], &["outer=index", "index=bad"], 500, &[]));
    assert!(is_unread_a_doubt(&["sig=artifact"], &["artifact>bad"], 500, &[]), "a kept artifact serves it");
    assert!(is_unread_a_doubt(&["v1=image"], &["image", "list=bad>image"], 500, &[]), "a referrer lists it");
    assert!(!is_unread_a_doubt(&[], &["index=bad"], 500, &[]), "an old untagged index goes with it");
    assert!(is_unread_a_doubt(&[], &["index=bad"], 500, &["index"]), "a young one may get a tag");
    assert!(is_unread_a_doubt(&[], &["outer=index", "index=bad"], 500, &["outer"]));
    assert!(is_unread_a_doubt(&[], &["image", "list=bad>image"], 500, &["image"]));
    assert!(!is_unread_a_doubt(&[], &["other", "image", "list=bad>image"], 500, &["other"]));
}
