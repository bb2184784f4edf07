use super::*;
use crate::model::{Descriptor, Document, Repository, Tag, TagState};

fn digest(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

fn revision(repository: &str, name: &str) -> Place {
    Place::Revision(repository.parse().unwrap(), digest(name))
}

fn layer(repository: &str, name: &str) -> Place {
    Place::Layer(repository.parse().unwrap(), digest(name))
}

/// An image, an index of it, an index of that, and what refers to the image.
fn manifests() -> HashMap<Digest, Document> {
    let descriptor = |name: &&str| Descriptor::new(digest(name), None, false);
    let manifest = |children: &[&str], subject: Option<&str>| Document {
        size_bytes: 1,
        children: children.iter().map(descriptor).collect(),
        blobs: Box::default(),
        subject: subject.map(digest),
    };
    HashMap::from([
        (digest("image"), manifest(&[], None)),
        (digest("other"), manifest(&[], None)),
        (digest("index"), manifest(&["image"], None)),
        (digest("outer"), manifest(&["index", "never-pushed"], None)),
        (digest("sbom"), manifest(&[], Some("image"))),
        (digest("scan"), manifest(&[], Some("sbom"))),
    ])
}

fn repository(name: &str, tagged: &[&str], revisions: &[&str]) -> Repository<Digest> {
    let tag = |image: &&str| Tag {
        name: image.parse().unwrap(),
        state: TagState::Linked { digest: digest(image), pushed_at: jiff::Timestamp::UNIX_EPOCH },
    };
    Repository {
        name: name.parse().unwrap(),
        tags: tagged.iter().map(tag).collect(),
        revisions: revisions.iter().map(|name| digest(name)).collect(),
        layers: Vec::new(),
        aliases: Vec::new(),
        undoable: Vec::new(),
        in_doubt: false,
    }
}

/// What comes back of everything that was taken from `a` and `b`.
fn back(repositories: &[Repository<Digest>], problems: Vec<Problem>) -> Vec<String> {
    let names = ["image", "other", "index", "sbom", "scan", "unknown"];
    let places = ["a", "b"].into_iter().flat_map(|repository| {
        let tag = Place::Tag(repository.parse().unwrap(), "v1".parse().unwrap());
        let revisions = names.map(|name| revision(repository, name));
        std::iter::once(tag).chain(revisions).chain([layer(repository, "layer")])
    });
    let taken: Vec<Expected> = places.map(|place| Expected { place, link: None }).collect();
    let mut inventory = Inventory::of(repositories, &manifests(), &[]);
    // What was taken was in the inventory before.
    for name in names {
        inventory.digests.intern(&digest(name));
    }
    let look = Look { repositories: inventory.repositories.clone(), problems };
    let back = needed_back(&taken.iter().collect::<Vec<_>>(), &[], &look, &inventory);
    let short = |place: &Place| {
        let name = names.iter().find(|name| *place == revision(place.repository().as_str(), name));
        match place {
            Place::Tag(..) => place.to_string(),
            Place::Revision(repository, _) => format!("{repository}@{}", name.unwrap()),
            Place::Layer(repository, _) => format!("{repository} layer"),
        }
    };
    assert!(
        taken.iter().map(|it| &it.place).filter(|place| back.contains(place)).eq(back.iter()),
        "their order"
    );
    back.iter().map(short).collect()
}

const NONE: [&str; 0] = [];

#[test]
fn nothing_comes_back_to_where_nothing_happened() {
    assert_eq!(back(&[repository("a", &[], &[]), repository("b", &[], &[])], Vec::new()), NONE);
}

#[test]
fn what_a_new_tag_or_manifest_leads_to_comes_back_with_its_referrers() {
    let b = || repository("b", &[], &[]);
    for (a, expected) in [
        (repository("a", &["other"], &[]), vec!["a@other", "a layer"]),
        (repository("a", &["image"], &[]), vec!["a@image", "a@sbom", "a@scan", "a layer"]),
        (repository("a", &["outer"], &["outer"]), vec!["a@image", "a@index", "a@sbom", "a@scan", "a layer"]),
        (repository("a", &[], &["index"]), vec!["a@image", "a@index", "a@sbom", "a@scan", "a layer"]),
        // A referrer needs no subject, but what refers to the referrer comes with it.
        (repository("a", &[], &["sbom"]), vec!["a@sbom", "a@scan", "a layer"]),
        (repository("a", &["unknown"], &[]), vec!["a@unknown", "a layer"]),
    ] {
        assert_eq!(back(&[a, b()], Vec::new()), expected);
    }
}

#[test]
fn a_push_to_one_repository_brings_nothing_back_to_another() {
    let pushed = repository("b", &["image"], &["image"]);
    assert_eq!(
        back(&[repository("a", &[], &[]), pushed], Vec::new()),
        ["b@image", "b@sbom", "b@scan", "b layer"]
    );
}

#[test]
fn a_repository_in_doubt_gets_everything_back_but_tags() {
    let in_doubt = Repository { in_doubt: true, ..repository("a", &[], &[]) };
    let all = ["a@image", "a@other", "a@index", "a@sbom", "a@scan", "a@unknown", "a layer"];
    assert_eq!(back(&[in_doubt, repository("b", &[], &[])], Vec::new()), all);
}

#[test]
fn a_repository_that_is_gone_gets_nothing_back() {
    assert_eq!(back(&[], Vec::new()), NONE);
}

#[test]
fn a_companion_tag_comes_back_with_its_image_and_brings_its_own() {
    let a = |tag: &str| Place::Tag("a".parse().unwrap(), tag.parse().unwrap());
    let taken: Vec<Expected> = [("image.sig", "sig"), ("sig.sig", "other"), ("stray", "x")]
        .map(|(tag, names)| Expected {
            place: a(tag),
            link: Some((digest(names), jiff::Timestamp::UNIX_EPOCH)),
        })
        .into();
    let companions = [
        (a("image.sig"), digest("image")),
        (a("sig.sig"), digest("sig")),
        (a("stray"), digest("never-seen")),
    ];
    let back = |tagged: &[&str], revisions: &[&str], in_doubt| {
        let repository = Repository { in_doubt, ..repository("a", tagged, revisions) };
        let mut inventory = Inventory::of([&repository], &manifests(), &[]);
        for name in ["sig", "other", "x"] {
            inventory.digests.intern(&digest(name));
        }
        let look = Look { repositories: inventory.repositories.clone(), problems: Vec::new() };
        let back = needed_back(&taken.iter().collect::<Vec<_>>(), &companions, &look, &inventory);
        back.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(back(&["index"], &[], false), ["a:image.sig", "a:sig.sig"]);
    assert_eq!(back(&["other"], &[], false), NONE);
    assert_eq!(back(&[], &["image"], false), NONE, "the image has no tag");
    assert_eq!(back(&["other"], &[], true), ["a:image.sig", "a:sig.sig", "a:stray"]);
}

#[test]
fn a_doubt_that_belongs_to_no_repository_brings_everything_back() {
    let problem = |severity, repository: Option<&str>| Problem {
        severity,
        code: Code::Unreadable,
        repository: repository.map(|name| name.parse().unwrap()),
        path: "blobs".into(),
        cause: "an error".into(),
        remedy: "none".into(),
    };
    let repositories = || [repository("a", &[], &[]), repository("b", &[], &[])];
    for (problem, count) in [
        (problem(Severity::Doubt, None), 14),
        (problem(Severity::Error, None), 14),
        (problem(Severity::Warning, None), 0),
        (problem(Severity::Doubt, Some("c")), 0),
    ] {
        assert_eq!(back(&repositories(), vec![problem.clone()]).len(), count, "{problem:?}");
    }
}
