//! Tables and properties of the retention policy.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::model::{Descriptor, Digest, Document, FirstSeen, News, SeenThings};

const NOW: i64 = 1_900_000_000;

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn at(minutes_ago: i64) -> Timestamp {
    Timestamp::from_second(NOW - minutes_ago * 60).unwrap()
}

fn now() -> Timestamp {
    at(0)
}

/// A repository in the making, with names for its digests so that a table can be read.
#[derive(Clone, Debug, Default)]
struct Fixture {
    tags: Vec<Tag<Digest>>,
    revisions: Vec<Digest>,
    manifests: HashMap<Digest, Document>,
    names: BTreeMap<String, String>,
    in_doubt: bool,
    /// Blobs that are not there.
    lost: Vec<Digest>,
}

/// A store of repositories, in the order of their names.
fn inventory(repositories: &[(&str, &Fixture)]) -> Inventory {
    let mut blobs = Vec::new();
    let all: Vec<_> = repositories.iter().map(|(name, it)| it.repository(name, &mut blobs)).collect();
    let manifests = repositories.iter().flat_map(|(_, it)| it.manifests.clone()).collect();
    Inventory::of(&all, &manifests, &blobs)
}

/// The verdicts on a store, each as `repository:tag code`, digests by their names.
fn decide(repositories: &[(&str, &Fixture)], policy: Policy) -> Vec<String> {
    let inventory = inventory(repositories);
    let mut told = Vec::new();
    for (repository, verdicts) in inventory.repositories.iter().zip(evaluate(policy, &inventory)) {
        for (tag, verdict) in repository.tags.iter().zip(verdicts) {
            let mut tag = tag.name.to_string();
            for (hex, name) in repositories.iter().flat_map(|(_, it)| &it.names) {
                tag = tag.replace(hex, name);
            }
            told.push(format!("{}:{tag} {}", repository.name, verdict.reasons[0].code()));
        }
    }
    told
}

impl Fixture {
    /// A manifest that lists children or has a subject, all by name; a missing one is not there.
    fn manifest(&mut self, name: &str, children: &[&str], subject: Option<&str>) -> &mut Self {
        let descriptor = |name: &&str| Descriptor::new(digest(name), Some(1), false);
        let manifest = Document {
            size_bytes: 100,
            children: children.iter().map(descriptor).collect(),
            blobs: Box::default(),
            subject: subject.map(digest),
        };
        self.manifests.insert(digest(name), manifest);
        self.revisions.push(digest(name));
        self.name(name)
    }

    fn name(&mut self, name: &str) -> &mut Self {
        self.names.insert(digest(name).hex(), name.to_owned());
        self
    }

    fn tag(&mut self, tag: &str, image: &str, minutes_ago: i64) -> &mut Self {
        let state = TagState::Linked { digest: digest(image), pushed_at: at(minutes_ago) };
        self.tags.push(Tag { name: tag.parse().unwrap(), state });
        self.name(image)
    }

    /// A tag and an image of the same name.
    fn image(&mut self, tag: &str, minutes_ago: i64) -> &mut Self {
        self.manifest(tag, &[], None).tag(tag, tag, minutes_ago)
    }

    /// A companion tag of an image, with a manifest of its own.
    fn companion(&mut self, suffix: &str, image: &str, minutes_ago: i64) -> &mut Self {
        let own = format!("{image}{}", if suffix.is_empty() { ".list" } else { suffix });
        self.manifest(&own, &[], None).name(image);
        self.tag(&format!("sha256-{}{suffix}", digest(image).hex()), &own, minutes_ago)
    }

    fn doubtful(&mut self, tag: &str) -> &mut Self {
        self.tags.push(Tag { name: tag.parse().unwrap(), state: TagState::Doubtful });
        self
    }

    /// What a tag names.
    fn target(&self, tag: &str) -> &Digest {
        let state = self.tags.iter().find(|it| it.name.as_str() == tag).map(|it| &it.state);
        match state {
            Some(TagState::Linked { digest, .. }) => digest,
            other => panic!("{tag}: {other:?}"),
        }
    }

    fn inventory(&self) -> Inventory {
        inventory(&[("team/app", self)])
    }

    fn repository(&self, name: &str, blobs: &mut Vec<Digest>) -> Repository<Digest> {
        let mut repository = Repository {
            name: name.parse().unwrap(),
            tags: self.tags.clone(),
            revisions: self.revisions.clone(),
            layers: Vec::new(),
            aliases: Vec::new(),
            undoable: Vec::new(),
            in_doubt: self.in_doubt,
        };
        repository.revisions.sort_unstable();
        repository.revisions.dedup();
        repository.tags.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        // What a manifest names and is none is a plain blob, unless it is to be absent.
        blobs.extend(self.manifests.keys().cloned());
        for descriptor in self.manifests.values().flat_map(|it| it.children.iter().chain(&it.blobs)) {
            let blob = &descriptor.digest;
            if *blob != digest("multi/absent") && !self.manifests.contains_key(blob) {
                repository.layers.push(blob.clone());
                blobs.push(blob.clone());
            }
        }
        repository.layers.retain(|layer| !self.lost.contains(layer));
        blobs.retain(|blob| !self.lost.contains(blob));
        repository
    }

    fn verdicts(&self, policy: Policy) -> Vec<(String, Verdict)> {
        let inventory = self.inventory();
        let repository = &inventory.repositories[0];
        let verdicts = evaluate(policy, &inventory).remove(0);
        assert_eq!(verdicts.len(), repository.tags.len());
        repository.tags.iter().map(|tag| tag.name.to_string()).zip(verdicts).collect()
    }

    /// One line a tag, digests by their names.
    fn table(&self, policy: Policy) -> String {
        let mut table = format!("{policy}\n");
        let rows = self.verdicts(policy);
        for (tag, verdict) in rows {
            let mut reasons: Vec<String> =
                verdict.reasons.iter().map(|reason| format!("{}: {reason}", reason.code())).collect();
            let mut tag = tag;
            for (hex, name) in &self.names {
                tag = tag.replace(hex, &format!("<{name}>"));
                for reason in &mut reasons {
                    *reason = reason.replace(&format!("sha256:{}", &hex[..12]), &format!("<{name}>"));
                }
            }
            let decision = if verdict.keep { "keep  " } else { "remove" };
            writeln!(table, "{decision} {tag:<34} {}", reasons.join("; ")).unwrap();
        }
        table
    }
}

/// As the first sweep of a store does.
fn evaluate(policy: Policy, inventory: &Inventory) -> Vec<Vec<Verdict>> {
    let mut first_seen = FirstSeen::default();
    let odd: Vec<OddTimes> =
        inventory.repositories.iter().map(|it| odd_times(it, inventory, &mut first_seen, now())).collect();
    policy.evaluate(inventory, &odd, now())
}

fn policy(keep_last: u32) -> Policy {
    Policy {
        keep_last,
        grace: SignedDuration::from_mins(60),
        trust_equal_push_times: true,
        untagged_stay: false,
    }
}

/// Some of everything.
fn everything() -> Fixture {
    let mut it = Fixture::default();
    // A day's builds, a minute apart, and three that were pushed in one moment.
    for build in 1..=20 {
        it.image(&format!("b{build}"), 1000 - build);
    }
    for tied in ["r9", "r10", "r11", "R10", "r010"] {
        it.image(tied, 500);
    }
    // Names that are no order: versions, hashes, underscores.
    for (number, tag) in (0..).zip(["1.10.0", "1.9.0", "1.9.0-rc.1", "v2", "v10", "_dev", "0f3c2a1", "main"])
    {
        it.image(tag, 2000 + number);
    }
    // One image under several tags, of which the newest counts for each on its own.
    it.tag("latest", "b20", 10).tag("stable", "b3", 30).tag("copy-of-b1", "b1", 1500);
    // From a clock gone wrong.
    it.image("tomorrow", -1440).image("next-year", -525_600).image("now", 0);
    // Indexes: with children, nested, sparse, and one whose child is tagged too.
    it.manifest("multi/amd64", &[], None).manifest("multi/arm64", &[], None);
    it.manifest("multi", &["multi/amd64", "multi/arm64", "multi/absent"], None).tag("multi", "multi", 40);
    it.manifest("old-multi/amd64", &[], None);
    it.manifest("old-multi", &["old-multi/amd64"], None).tag("old-multi", "old-multi", 3000);
    it.manifest("outer", &["multi"], None).tag("outer", "outer", 3001);
    it.tag("old-amd64", "old-multi/amd64", 3002);
    // Companions of images that may stay, that go, of a child platform, of an untagged manifest.
    it.companion(".sig", "b20", 9).companion(".att", "b20", 5000).companion(".sbom", "b20", 9);
    it.companion("", "b20", 9).companion(".sig", "b2", 997).companion(".sig", "multi/arm64", 39);
    it.companion(".sig", "old-multi/amd64", 3000).companion(".sig", "v10", 2004);
    it.manifest("untagged", &[], None).companion(".att", "untagged", 2000);
    // Companions of companions, in both orders of age.
    it.companion(".sig", "b20.att", 8)
        .companion(".sig", "b20.att.sig", 4000)
        .companion(".sig", "b2.sig", 990);
    // Orphans: their image is not there, and may be on its way if they are young.
    it.companion(".sig", "to-come", 5).companion(".sig", "never-came", 61).companion(
        ".sig",
        "exactly-grace",
        60,
    );
    it.companion(".sig", "to-come.sig", 900).companion(".sig", "from-the-future", -5);
    // Names that only look like companions.
    it.image(&format!("sha256-{}.sigs", digest("b20").hex()), 3100);
    it.image(&format!("sha256-{}", &digest("b20").hex()[1..]), 3101);
    it.image(&format!("sha256-{}.sig.sig", digest("b20").hex()), 3102);
    // Referrers under ordinary names: of what stays, of what goes, of what is nowhere, of itself.
    it.manifest("sbom-b20", &[], Some("b20")).tag("sbom-b20", "sbom-b20", 6);
    it.manifest("sbom-b1", &[], Some("b1")).tag("sbom-b1", "sbom-b1", 1);
    it.manifest("scan-sbom-b20", &[], Some("sbom-b20")).tag("scan-of-sbom-b20", "scan-sbom-b20", 4001);
    it.manifest("sbom-nowhere", &[], Some("nowhere")).tag("sbom-nowhere", "sbom-nowhere", 3200);
    it.manifest("loop", &[], Some("loop")).tag("loop", "loop", 3201);
    // A child platform that is a companion by its subject, as BuildKit's attestations are not but could be.
    it.manifest("att-multi", &[], Some("multi")).tag("att-multi", "att-multi", 38);
    it
}

#[test]
fn tables() {
    let all = everything();
    assert!(all.tags.len() >= 60, "{}", all.tags.len());
    for (name, policy) in [
        ("keep_1", policy(1)),
        ("keep_3", policy(3)),
        ("keep_5", policy(5)),
        ("keep_10", policy(10)),
        ("keep_30_cuts_through_the_tie", policy(30)),
        ("keep_all", policy(1000)),
        ("keep_none", policy(0)),
        ("keep_10_no_grace", Policy { grace: SignedDuration::ZERO, ..policy(10) }),
        ("keep_10_grace_of_a_week", Policy { grace: SignedDuration::from_hours(168), ..policy(10) }),
    ] {
        insta::assert_snapshot!(name, all.table(policy));
    }
}

#[test]
fn one_doubtful_tag_stays_among_others_that_go() {
    let mut all = Fixture::default();
    all.image("a", 3).image("b", 2).image("c", 1).doubtful("d");
    insta::assert_snapshot!("one_doubtful_tag", all.table(policy(1)));
    all.in_doubt = true;
    insta::assert_snapshot!("a_repository_in_doubt", all.table(policy(1)));
}

#[test]
fn ties_are_broken_by_natural_order() {
    let mut tied = Fixture::default();
    for tag in ["b9", "b10", "b1", "b11", "b2"] {
        tied.image(tag, 7);
    }
    let kept: Vec<String> =
        tied.verdicts(policy(2)).into_iter().filter(|(_, it)| it.keep).map(|(tag, _)| tag).collect();
    assert_eq!(kept, ["b10", "b11"]);
}

#[test]
fn times_a_little_ahead_rank_as_now_among_themselves_by_name() {
    let mut future = Fixture::default();
    future.image("a", -5).image("b", -1).image("c", 0);
    let kept = |keep| future.verdicts(policy(keep)).into_iter().filter(|(_, it)| it.keep).map(|(tag, _)| tag);
    assert_eq!(kept(1).collect::<Vec<_>>(), ["c"]);
    assert_eq!(kept(2).collect::<Vec<_>>(), ["b", "c"]);
}

#[test]
fn an_image_tagged_with_a_hash_of_its_content_is_an_image() {
    let mut it = Fixture::default();
    let bare = |name: &str| format!("sha256-{}", digest(name).hex());
    it.image("newest", 1);
    // An image, what is unknown, what only has a subject elsewhere, and a list of referrers.
    it.manifest("app", &[], None).tag(&bare("sources"), "app", 500);
    it.manifests.get_mut(&digest("app")).unwrap().blobs =
        [Descriptor::new(digest("config"), None, false)].into();
    it.tag(&bare("other sources"), "unknown", 501);
    it.manifest("artifact", &[], Some("nowhere")).tag(&bare("more sources"), "artifact", 502);
    it.companion("", "gone", 503);
    it.tag(&format!("{}.sig", bare("gone")), "app", 504);
    let codes = |keep| -> BTreeMap<String, &'static str> {
        it.verdicts(policy(keep)).into_iter().map(|(tag, verdict)| (tag, verdict.reasons[0].code())).collect()
    };
    let expected = |of_images: [&'static str; 4]| -> BTreeMap<String, &'static str> {
        let images = ["newest".to_owned(), bare("sources"), bare("other sources"), bare("more sources")];
        // Nobody has the image that these serve, so they rank as tags, and are the oldest.
        let companions = [bare("gone"), format!("{}.sig", bare("gone"))].map(|tag| (tag, "beyond-keep-last"));
        images.into_iter().zip(of_images).chain(companions).collect()
    };
    assert_eq!(codes(4), expected(["newest"; 4]));
    // A multi-arch image tagged with a hash of its content is no list of referrers either.
    let mut multi = Fixture::default();
    multi.image("newest", 1).manifest("amd64", &[], None).manifest("all", &["amd64"], None);
    multi.tag(&bare("sources of all"), "all", 500);
    let verdicts = multi.verdicts(policy(2));
    assert!(verdicts.iter().all(|(_, verdict)| verdict.reasons[0].code() == "newest"), "{verdicts:?}");
    assert_eq!(codes(2), expected(["newest", "newest", "beyond-keep-last", "beyond-keep-last"]));
}

#[test]
fn a_companion_tag_in_doubt_stays_for_that() {
    let mut it = Fixture::default();
    let signature = format!("sha256-{}.sig", digest("old").hex());
    it.image("old", 3).image("new", 1).doubtful(&signature);
    let verdicts: BTreeMap<String, Verdict> = it.verdicts(policy(1)).into_iter().collect();
    assert_eq!(verdicts[&signature], Verdict::keep(Reason::InDoubt));
}

/// Ends in any reasonable time only if no tag is compared with every other.
#[test]
fn a_great_many_young_companions_and_referrers_are_decided_on() {
    let mut it = Fixture::default();
    it.image("image", 1);
    for number in 0..15_000 {
        let (absent, referrer) = (format!("absent-{number}"), format!("referrer-{number}"));
        it.companion(".sig", &absent, 5).companion(".sig", &format!("{absent}.sig"), 900);
        it.manifest(&referrer, &[], Some(&absent)).tag(&referrer, &referrer, 7);
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, verdict) in it.verdicts(policy(1)) {
        *counts.entry(verdict.reasons[0].code()).or_default() += 1;
    }
    let expected =
        [("beyond-keep-last", 15_000), ("follows-image", 15_000), ("image-may-come", 15_000), ("newest", 1)];
    assert_eq!(counts, BTreeMap::from(expected));
}

/// A random repository: images and companions of each other over a small set of manifests.
fn fixtures() -> impl Strategy<Value = Fixture> {
    let edges = proptest::collection::vec((0..10_usize, 0..12_usize, any::<bool>()), 0..14);
    let tags = proptest::collection::vec((0..12_usize, -20_i64..150, 0..5_u8), 1..25);
    (edges, tags).prop_map(|(edges, tags)| {
        let names: Vec<String> = (0..12).map(|number| format!("m{number}")).collect();
        let mut children: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
        let mut subjects: BTreeMap<usize, &str> = BTreeMap::new();
        for (from, to, refers) in edges {
            if refers {
                subjects.insert(from, &names[to]);
            } else {
                children.entry(from).or_default().push(&names[to]);
            }
        }
        let mut fixture = Fixture::default();
        for (number, name) in names.iter().enumerate().take(10) {
            let children = children.get(&number).map_or(&[][..], Vec::as_slice);
            fixture.manifest(name, children, subjects.get(&number).copied());
        }
        for (position, (image, minutes, kind)) in (0..).zip(tags) {
            // Tags of one repository have names of their own.
            let tag = match kind {
                0 => format!("sha256-{}.sig", digest(&names[(image + 5) % 12]).hex()),
                1 => format!("sha256-{}", digest(&names[(image + 7) % 12]).hex()),
                _ => format!("t{position}"),
            };
            if !fixture.tags.iter().any(|it| it.name.as_str() == tag) {
                fixture.tag(&tag, &names[image], minutes);
            }
        }
        fixture
    })
}

/// As in a store that was copied.
fn copied(keep_last: u32) -> Policy {
    Policy { trust_equal_push_times: false, ..policy(keep_last) }
}

#[test]
fn of_a_copied_repository_nothing_goes_by_order_until_its_times_are_trusted() {
    let mut fixture = Fixture::default();
    for build in 1..=9 {
        fixture.image(&format!("b{build}"), 1000);
    }
    fixture.companion(".sig", "b1", 1000);
    let table = fixture.table(copied(3));
    assert_eq!(table.matches("one of 9 tags pushed at the same time").count(), 6, "{table}");
    assert!(!table.contains("remove"), "{table}");
    assert_eq!(fixture.table(policy(3)).matches("remove").count(), 7);
    // What was pushed since has an order, and what the copy had goes as one.
    for build in 10..=12 {
        fixture.image(&format!("b{build}"), 1000 - build);
    }
    let table = fixture.table(copied(3));
    assert_eq!(table.matches("remove").count(), 10, "{table}");
}

proptest! {
    #[test]
    fn equal_times_only_ever_keep_more(fixture in fixtures(), keep in 0_u32..12, spread in 1_i64..60) {
        let mut fixture = fixture;
        for tag in &mut fixture.tags {
            if let TagState::Linked { pushed_at, .. } = &mut tag.state {
                let minutes = (NOW - pushed_at.as_second()) / 60;
                *pushed_at = Timestamp::from_second(NOW - minutes / spread).unwrap();
            }
        }
        let (trusting, careful) = (fixture.verdicts(policy(keep)), fixture.verdicts(copied(keep)));
        for ((tag, trusted), (_, kept)) in trusting.iter().zip(&careful) {
            prop_assert!(!trusted.keep || kept.keep, "{} goes only when nothing is trusted", tag);
        }
        let more = fixture.verdicts(copied(keep + 1));
        for ((tag, few), (_, many)) in careful.iter().zip(&more) {
            prop_assert!(!few.keep || many.keep, "{} goes when more are kept", tag);
        }
        // No tag goes by its rank that was pushed in one second with one that stays by it, in a crowd.
        let time = |name: &str| match &fixture.tags.iter().find(|tag| tag.name.as_str() == name).unwrap().state {
            TagState::Linked { pushed_at, .. } => (*pushed_at).min(now()).as_second(),
            TagState::Doubtful => unreachable!(),
        };
        let ranked: Vec<&(String, Verdict)> = careful.iter().filter(|(_, verdict)| matches!(verdict.reasons[0],
            Reason::Newest { .. } | Reason::BeyondKeepLast { .. } | Reason::EqualPushTime { .. })).collect();
        for (one, _) in ranked.iter().filter(|(_, verdict)| matches!(verdict.reasons[0], Reason::Newest { .. })) {
            let same: Vec<_> = ranked.iter().filter(|(tag, _)| time(tag) == time(one)).collect();
            let images: HashSet<&Digest> = same.iter().map(|(tag, _)| fixture.target(tag)).collect();
            if images.len() > ties::HANDFUL {
                prop_assert!(same.iter().all(|(_, verdict)| verdict.keep), "{:?}", same);
            }
        }
    }

    #[test]
    fn every_tag_has_a_verdict_and_every_verdict_a_reason(fixture in fixtures(), keep in 0_u32..12) {
        for (_, verdict) in fixture.verdicts(policy(keep)) {
            prop_assert!(!verdict.reasons.is_empty());
            let keeps = |reason: &Reason| !matches!(reason, Reason::BeyondKeepLast { .. } | Reason::ImageGone { .. });
            prop_assert!(verdict.reasons.iter().all(|reason| keeps(reason) == verdict.keep), "{:?}", verdict);
            prop_assert!(!verdict.reasons.contains(&Reason::InDoubt));
        }
    }

    #[test]
    fn keeping_more_never_removes_more(fixture in fixtures(), keep in 0_u32..12, more in 1_u32..5) {
        let (fewer, more) = (fixture.verdicts(policy(keep)), fixture.verdicts(policy(keep + more)));
        for ((tag, few), (_, many)) in fewer.iter().zip(&more) {
            prop_assert!(!few.keep || many.keep, "{}: {:?} but {:?}", tag, few, many);
        }
    }

    #[test]
    fn exactly_the_newest_images_are_kept_by_rank(fixture in fixtures(), keep in 0_u32..12) {
        let ranks = |fixture: &Fixture| -> Vec<(u32, bool)> {
            fixture.verdicts(policy(keep)).iter().filter_map(|(_, verdict)| match verdict.reasons[0] {
                Reason::Newest { rank, .. } | Reason::BeyondKeepLast { rank, .. } => Some((rank, verdict.keep)),
                _ => None,
            }).collect()
        };
        for (rank, kept) in ranks(&fixture) {
            prop_assert_eq!(kept, rank <= keep);
        }
        // What serves an image that nobody has ranks as well, and the images without it.
        let mut images = fixture;
        images.tags.retain(|tag| !tag.name.as_str().starts_with("sha256-"));
        let mut ranks: Vec<u32> = ranks(&images).into_iter().map(|(rank, _)| rank).collect();
        ranks.sort_unstable();
        prop_assert_eq!(&ranks, &(1..=u32::try_from(ranks.len()).unwrap()).collect::<Vec<_>>());
    }

    #[test]
    fn what_serves_an_image_that_nobody_has_takes_no_image_its_place(
        fixture in fixtures(),
        minutes in 61_i64..200,
        keep in 0_u32..12,
    ) {
        let before: BTreeMap<String, Verdict> = fixture.verdicts(policy(keep)).into_iter().collect();
        let mut with = fixture;
        with.companion(".sig", "nobody-has-it", minutes);
        for (tag, verdict) in with.verdicts(policy(keep)) {
            let is_ranked = |earlier: &&Verdict| {
                let by_rank = matches!(earlier.reasons[0], Reason::Newest { .. } | Reason::BeyondKeepLast { .. });
                by_rank && !tag.starts_with("sha256-")
            };
            if let Some(earlier) = before.get(&tag).filter(is_ranked) {
                prop_assert_eq!(earlier, &verdict, "{}", tag);
            }
        }
    }

    #[test]
    fn a_companion_follows_an_image_that_stays(fixture in fixtures(), keep in 0_u32..12) {
        let verdicts: BTreeMap<String, Verdict> = fixture.verdicts(policy(keep)).into_iter().collect();
        for (tag, verdict) in &verdicts {
            let target = fixture.target(tag);
            // Whatever else a bare `sha256-<hex>` names, an empty list is one of referrers.
            let lists = fixture.manifests.get(target).is_some_and(|it| it.blobs.is_empty() && it.children.is_empty() && it.subject.is_none());
            if let Some(Ok(subject)) = tag.strip_prefix("sha256-").filter(|_| lists || tag.contains('.')).map(|rest| {
                Digest::from_parts(crate::model::Algorithm::Sha256, rest.trim_end_matches(".sig"))
            }) {
                let stays = verdicts.iter().any(|(tag, it)| it.keep && *fixture.target(tag) == subject);
                prop_assert!(verdict.keep || !stays, "{} goes, its image stays", tag);
            }
        }
    }

    #[test]
    fn reasons_agree_with_what_the_kept_tags_reach(fixture in fixtures(), keep in 0_u32..12) {
        let inventory = fixture.inventory();
        let repository = &inventory.repositories[0];
        let verdicts = evaluate(policy(keep), &inventory).remove(0);
        let tagged = repository.tags.iter().zip(&verdicts);
        let stays = tagged.clone().filter(|(_, verdict)| verdict.keep).filter_map(|(tag, _)| tag.digest());
        let reached = Graph::of(repository, &inventory.manifests).closure(stays);
        let reached = |image: &Digest| inventory.digests.id(image).is_some_and(|id| reached.contains(&id));
        for (tag, verdict) in tagged {
            match &verdict.reasons[0] {
                Reason::FollowsImage { image } => prop_assert!(reached(image), "{}", tag.name),
                Reason::ImageGone { image } => prop_assert!(!reached(image), "{}", tag.name),
                _ => {}
            }
        }
    }

    #[test]
    fn a_repository_in_doubt_loses_nothing(mut fixture in fixtures(), keep in 0_u32..12) {
        fixture.in_doubt = true;
        for (tag, verdict) in fixture.verdicts(policy(keep)) {
            prop_assert!(verdict.keep, "{}", tag);
        }
    }

    #[test]
    fn a_companion_takes_no_place(
        fixture in fixtures(),
        companions in proptest::collection::vec((0..10_usize, -20_i64..150, any::<bool>()), 1..6),
        keep in 0_u32..12,
    ) {
        let before: BTreeMap<String, Verdict> = fixture.verdicts(policy(keep)).into_iter().collect();
        let mut with = fixture.clone();
        for (position, (image, minutes, own)) in (0..).zip(companions) {
            let tag = format!("sha256-{}.att", digest(&format!("m{image}")).hex());
            // With a manifest of its own, or with one that others have too.
            let target = if own { format!("c{position}") } else { "shared".to_owned() };
            with.manifest(&target, &[], None);
            if !with.tags.iter().any(|it| it.name.as_str() == tag) {
                with.tag(&tag, &target, minutes);
            }
        }
        for (tag, verdict) in with.verdicts(policy(keep)) {
            let Some(earlier) = before.get(&tag) else { continue };
            if matches!(earlier.reasons[0], Reason::Newest { .. } | Reason::BeyondKeepLast { .. }) {
                prop_assert_eq!(earlier, &verdict, "{}", tag);
            } else {
                prop_assert!(verdict.keep || !earlier.keep, "{} went for a companion", tag);
            }
        }
    }

    #[test]
    fn the_order_of_the_input_decides_nothing(fixture in fixtures(), keep in 0_u32..12, seed in any::<u64>()) {
        let inventory = fixture.inventory();
        let repository = &inventory.repositories[0];
        let mut shuffled = repository.clone();
        let key = |tag: &Tag| Digest::of(format!("{seed}{}", tag.name).as_bytes());
        shuffled.tags.sort_by_key(key);
        let verdicts = |repository: &Repository| -> BTreeMap<String, (bool, Option<Reason>)> {
            let inventory = Inventory { repositories: vec![repository.clone()], ..inventory.clone() };
            let verdicts = evaluate(policy(keep), &inventory).remove(0);
            // Of two young orphans that serve each other, the first is kept for its age and the other follows
            // it; both stay, so only an image's reason has to be the same.
            let reason = |verdict: &Verdict| {
                let reason = verdict.reasons[0].clone();
                Some(reason).filter(|it| !matches!(it, Reason::FollowsImage { .. } | Reason::ImageMayCome { .. }))
            };
            repository.tags.iter().zip(&verdicts).map(|(tag, it)| (tag.name.to_string(), (it.keep, reason(it)))).collect()
        };
        prop_assert_eq!(verdicts(repository), verdicts(&shuffled));
    }
}

#[test]
fn a_companion_stays_with_an_image_that_stays_without_a_tag() {
    let mut it = Fixture::default();
    it.image("newest", 1).image("old", 500).companion(".sig", "old", 499);
    let removed = |policy: Policy| -> Vec<String> {
        it.verdicts(policy).into_iter().filter(|(_, verdict)| !verdict.keep).map(|(tag, _)| tag).collect()
    };
    let signature = format!("sha256-{}.sig", digest("old").hex());
    assert_eq!(removed(policy(1)), ["old", &signature]);
    assert_eq!(removed(Policy { untagged_stay: true, ..policy(1) }), ["old"]);
}

/// What the last sweep knew and when it looked, and what earlier sweeps remembered.
#[derive(Clone, Default)]
struct Past {
    /// Minutes ago, and the manifests that it did not know.
    last_look: Option<(i64, Vec<&'static str>)>,
    memory: SeenThings,
}

impl Past {
    /// One sweep at a time, in minutes after `NOW`: each tag that stays with its reason, and what is remembered.
    fn sweep(&mut self, fixture: &Fixture, keep: u32, minutes: i64) -> BTreeMap<String, &'static str> {
        let mut inventory = fixture.inventory();
        if let Some((minutes_ago, unknown)) = &self.last_look {
            let manifests = unknown.iter().filter_map(|name| inventory.digests.id(&digest(name)));
            let mut manifests: Vec<Id> = manifests.collect();
            manifests.sort_unstable();
            inventory.news = News { last_look: Some(at(*minutes_ago)), manifests };
        }
        let mut first_seen = FirstSeen::new(std::mem::take(&mut self.memory));
        let repository = &inventory.repositories[0];
        let odd = odd_times(repository, &inventory, &mut first_seen, at(-minutes));
        let verdicts = policy(keep).evaluate(&inventory, &[odd], at(-minutes)).remove(0);
        self.memory = first_seen.remembered(|_| false, false);
        let kept = repository.tags.iter().zip(verdicts).filter(|(_, verdict)| verdict.keep);
        kept.map(|(tag, verdict)| (tag.name.to_string(), verdict.reasons[0].code())).collect()
    }
}

fn stay<const N: usize>(tags: [(&str, &'static str); N]) -> BTreeMap<String, &'static str> {
    tags.into_iter().map(|(tag, reason)| (tag.to_owned(), reason)).collect()
}

#[test]
fn tags_ahead_stay_and_take_no_place() {
    let mut it = Fixture::default();
    for ahead in 0..10 {
        it.image(&format!("ahead{ahead}"), -600 - ahead);
    }
    it.image("old", 50).image("older", 60).image("oldest", 70);
    let mut kept = Past::default().sweep(&it, 2, 0);
    kept.retain(|_, reason| *reason != "time-ahead");
    assert_eq!(kept, stay([("old", "newest"), ("older", "newest")]));
    let kept = Past::default().sweep(&it, 0, 0);
    assert_eq!(kept.len(), 10, "{kept:?}");
}

#[test]
fn a_tag_that_was_ahead_counts_as_pushed_when_it_was_first_seen() {
    let mut it = Fixture::default();
    it.image("ahead", -600).image("old", 50);
    let mut past = Past::default();
    assert_eq!(past.sweep(&it, 1, 0), stay([("ahead", "time-ahead"), ("old", "newest")]));
    it.image("later", -30);
    assert_eq!(past.sweep(&it, 1, 60), stay([("ahead", "time-ahead"), ("later", "newest")]));
    // Its time has come, and the other was pushed after it all the same.
    assert_eq!(past.sweep(&it, 1, 700), stay([("later", "newest")]));
    assert_eq!(
        past.sweep(&it, 2, 700),
        stay([("later", "newest"), ("old", "newest"), ("ahead", "first-seen")])
    );
}

#[test]
fn a_tag_pushed_with_a_clock_that_is_behind_counts_as_pushed_when_it_was_first_seen() {
    let mut it = Fixture::default();
    it.image("a", 100).image("b", 90).image("behind", 600).image("in-time", 64);
    let mut past = Past { last_look: Some((60, vec!["behind", "in-time"])), ..Past::default() };
    let kept = past.sweep(&it, 1, 0);
    assert_eq!(kept, stay([("behind", "first-seen"), ("in-time", "newest")]));
    // From now on it is known.
    past.last_look = Some((0, Vec::new()));
    it.image("c", -10);
    assert_eq!(
        past.sweep(&it, 2, 20),
        stay([("behind", "first-seen"), ("c", "newest"), ("in-time", "newest")])
    );
    assert_eq!(past.sweep(&it, 1, 20), stay([("c", "newest")]));
    // Pushed again, it is as any other; and so it is where nothing is remembered.
    assert_eq!(Past::default().sweep(&it, 3, 20).get("behind"), None);
    it.tags.retain(|tag| tag.name.as_str() != "behind");
    it.tag("behind", "behind", -15);
    assert_eq!(past.sweep(&it, 1, 20), stay([("behind", "newest")]));
    assert!(past.memory.is_empty(), "{:?}", past.memory);
}

#[test]
fn a_last_look_that_seems_to_come_proves_nothing() {
    let mut it = Fixture::default();
    it.image("a", 100).image("b", 90);
    let mut past = Past { last_look: Some((-60, vec!["a", "b"])), ..Past::default() };
    assert_eq!(past.sweep(&it, 1, 0), stay([("b", "newest")]));
}

#[test]
fn tags_of_a_restored_backup_keep_their_order_and_take_no_place() {
    let mut it = Fixture::default();
    for number in 1..=9 {
        it.image(&format!("restored{number}"), 5000 - number);
    }
    it.image("known1", 70).image("known2", 60);
    let restored = vec![
        "restored1",
        "restored2",
        "restored3",
        "restored4",
        "restored5",
        "restored6",
        "restored7",
        "restored8",
        "restored9",
    ];
    let mut past = Past { last_look: Some((30, restored)), ..Past::default() };
    let expected = stay([
        ("known1", "newest"),
        ("known2", "newest"),
        ("restored8", "first-seen"),
        ("restored9", "first-seen"),
    ]);
    assert_eq!(past.sweep(&it, 2, 0), expected);
}

#[test]
fn an_orphaned_companion_that_is_ahead_waits_for_its_image_and_then_goes_as_any_tag_that_is_ahead() {
    let mut it = Fixture::default();
    it.image("image", 1).companion(".sig", "absent", -50_000);
    let signature = format!("sha256-{}.sig", digest("absent").hex());
    let mut past = Past::default();
    for (minutes, reason) in
        [(0, "image-may-come"), (59, "image-may-come"), (60, "time-ahead"), (50_000, "first-seen")]
    {
        let kept = past.sweep(&it, 1, minutes);
        assert_eq!(kept, stay([("image", "newest"), (&signature, reason)]), "{minutes}");
    }
    // It was first seen before the later image, and after the other one, whose place it does not take.
    it.image("later", -30);
    assert_eq!(past.sweep(&it, 1, 50_000), stay([("later", "newest")]));
    let all = stay([("later", "newest"), ("image", "newest"), (&signature, "first-seen")]);
    assert_eq!(past.sweep(&it, 2, 50_000), all);
}

#[test]
fn an_orphaned_companion_that_is_behind_counts_as_pushed_when_it_was_first_seen_and_takes_no_place() {
    let mut it = Fixture::default();
    it.image("a", 200).image("behind", 5000).companion(".sig", "absent", 4000);
    let signature = format!("sha256-{}.sig", digest("absent").hex());
    let mut past = Past { last_look: Some((100, vec!["behind", "absent.sig"])), ..Past::default() };
    let waits = stay([("a", "newest"), ("behind", "first-seen"), (&signature, "image-may-come")]);
    assert_eq!(past.sweep(&it, 1, 0), waits);
    // It is the newer of the two that were first seen then, and the image keeps its place all the same.
    past.last_look = Some((0, Vec::new()));
    let all = stay([("a", "newest"), ("behind", "first-seen"), (&signature, "first-seen")]);
    assert_eq!(past.sweep(&it, 1, 90), all);
    it.image("b", -30);
    assert_eq!(past.sweep(&it, 1, 90), stay([("b", "newest")]));
}

#[test]
fn a_repository_loses_no_tag_by_when_it_was_first_seen_while_a_kept_one_is_incomplete() {
    let mut it = Fixture::default();
    it.image("new", 10).image("behind", 600).image("older", 700);
    let layer = Descriptor::new(digest("layer"), Some(1), false);
    it.manifests.get_mut(&digest("new")).unwrap().blobs = [layer].into();
    let mut past = Past { last_look: Some((60, vec!["behind", "older"])), ..Past::default() };
    assert_eq!(past.sweep(&it, 1, 0), stay([("new", "newest"), ("behind", "first-seen")]));
    it.lost.push(digest("layer"));
    let all = stay([("new", "newest"), ("behind", "first-seen"), ("older", "kept-incomplete")]);
    assert_eq!(past.sweep(&it, 1, 0), all);
}

proptest! {
    #[test]
    fn a_push_time_that_cannot_be_true_never_removes_another_tag(
        fixture in fixtures(),
        odd in proptest::collection::vec((any::<bool>(), any::<bool>(), 70_i64..3000), 0..8),
        keep in 0_u32..12,
    ) {
        let mut fixture = fixture;
        for tag in &mut fixture.tags {
            if let TagState::Linked { pushed_at, .. } = &mut tag.state {
                *pushed_at = (*pushed_at).min(at(-5));
            }
        }
        let before = Past::default().sweep(&fixture, keep, 90);
        let names = ["odd0", "odd1", "odd2", "odd3", "odd4", "odd5", "odd6", "odd7"];
        let signatures =
            ["odd0.sig", "odd1.sig", "odd2.sig", "odd3.sig", "odd4.sig", "odd5.sig", "odd6.sig", "odd7.sig"];
        for (name, (is_orphan, is_ahead, minutes)) in names.into_iter().zip(odd) {
            let minutes = if is_ahead { -minutes } else { minutes };
            if is_orphan {
                fixture.companion(".sig", name, minutes);
            } else {
                fixture.image(name, minutes);
            }
        }
        let mut past = Past { last_look: Some((0, [names, signatures].concat())), ..Past::default() };
        past.sweep(&fixture, keep, 0);
        past.last_look = Some((0, Vec::new()));
        let mut kept = past.sweep(&fixture, keep, 90);
        kept.retain(|tag, _| {
            let serves = |name: &str| tag.contains(&digest(name).hex());
            !tag.starts_with("odd") && !names.iter().any(|name| serves(name))
        });
        prop_assert_eq!(kept, before);
    }
}

#[test]
fn signatures_in_a_repository_of_their_own_stay_with_images_that_others_keep() {
    let (mut app, mut signatures) = (Fixture::default(), Fixture::default());
    app.image("v1", 500).image("v2", 400).image("v3", 300);
    for (image, minutes) in [("v1", 499), ("v2", 399), ("v3", 299), ("deleted", 600), ("lost", 700)] {
        signatures.companion(".sig", image, minutes);
    }
    signatures.manifest("sbom", &[], Some("v3")).tag("sbom-of-v3", "sbom", 298);
    signatures.manifest("list", &["sbom"], None);
    signatures.tag(&format!("sha256-{}", digest("v3").hex()), "list", 297);
    let stores: [(&str, &Fixture); 2] = [("app", &app), ("signatures", &signatures)];
    let mut expected = vec![
        "app:v1 beyond-keep-last",
        "app:v2 newest",
        "app:v3 newest",
        "signatures:sbom-of-v3 image-elsewhere",
        "signatures:sha256-deleted.sig beyond-keep-last",
        "signatures:sha256-lost.sig beyond-keep-last",
        "signatures:sha256-v1.sig newest",
        "signatures:sha256-v2.sig image-elsewhere",
        "signatures:sha256-v3 image-elsewhere",
        "signatures:sha256-v3.sig image-elsewhere",
    ];
    let sorted = |mut told: Vec<String>| {
        told.sort_unstable();
        told
    };
    // Those whose image nobody keeps rank as tags do, and the others take no place.
    expected[4] = "signatures:sha256-deleted.sig newest";
    assert_eq!(sorted(decide(&stores, policy(2))), expected);
    expected[1] = "app:v2 beyond-keep-last";
    expected[4] = "signatures:sha256-deleted.sig beyond-keep-last";
    expected[6] = "signatures:sha256-v1.sig beyond-keep-last";
    expected[7] = "signatures:sha256-v2.sig newest";
    assert_eq!(sorted(decide(&stores, policy(1))), expected);
}

#[test]
fn a_signature_whose_image_leaves_its_repository_stays_if_another_keeps_the_image() {
    let (mut dev, mut prod) = (Fixture::default(), Fixture::default());
    dev.image("v1", 500).image("v2", 400).companion(".sig", "v1", 499).companion(".sig", "v1.sig", 498);
    prod.image("v1", 300);
    let kept = ["sha256-v1.sig image-elsewhere", "sha256-v1.sig.sig follows-image"];
    let dev_of = |told: Vec<String>| -> Vec<String> {
        let dev = told.into_iter().filter_map(|it| Some(it.strip_prefix("dev:")?.to_owned()));
        dev.filter(|it| it.starts_with("sha256")).collect()
    };
    assert_eq!(dev_of(decide(&[("dev", &dev), ("prod", &prod)], policy(1))), kept);
    // The same when the other one comes first in the store, and when an index there leads to the image.
    let mut index = Fixture::default();
    index.manifest("v1", &[], None).manifest("multi", &["v1"], None).tag("multi", "multi", 300);
    assert_eq!(dev_of(decide(&[("a", &index), ("dev", &dev)], policy(1))), kept);
    // There it goes as well.
    prod.image("v3", 200);
    let gone = ["sha256-v1.sig image-gone", "sha256-v1.sig.sig image-gone"];
    assert_eq!(dev_of(decide(&[("dev", &dev), ("prod", &prod)], policy(1))), gone);
}

#[test]
fn companions_in_two_repositories_do_not_keep_each_other() {
    let (mut a, mut b) = (Fixture::default(), Fixture::default());
    let serving = |image: &str| format!("sha256-{}.sig", digest(image).hex());
    a.image("new", 1).manifest("one", &[], None).tag(&serving("two"), "one", 500);
    b.image("newer", 1).manifest("two", &[], None).tag(&serving("one"), "two", 500);
    let told = decide(&[("a", &a), ("b", &b)], policy(1));
    let expected = [
        "a:new newest",
        "a:sha256-two.sig beyond-keep-last",
        "b:newer newest",
        "b:sha256-one.sig beyond-keep-last",
    ];
    assert_eq!(told, expected);
}

#[test]
fn while_part_of_the_store_is_in_doubt_a_companion_of_an_image_elsewhere_stays() {
    let (mut signatures, mut doubtful) = (Fixture::default(), Fixture::default());
    signatures
        .image("old", 900)
        .image("new", 1)
        .companion(".sig", "unseen", 500)
        .companion(".sig", "old", 899);
    doubtful.in_doubt = true;
    let told = decide(&[("doubtful", &doubtful), ("signatures", &signatures)], policy(1));
    let expected = [
        "new newest",
        "old beyond-keep-last",
        "sha256-old.sig image-gone",
        "sha256-unseen.sig image-unknown",
    ];
    let mut told: Vec<&str> = told.iter().map(|it| it.strip_prefix("signatures:").unwrap()).collect();
    told.sort_unstable();
    assert_eq!(told, expected);
}

#[test]
fn a_repository_whose_kept_tags_lack_something_loses_no_tag() {
    let mut app = Fixture::default();
    app.image("v1", 500).image("v2", 400).companion(".sig", "v1", 499);
    let layer = Descriptor::new(digest("layer"), Some(1), false);
    app.manifests.get_mut(&digest("v2")).unwrap().blobs = [layer].into();
    let mut other = Fixture::default();
    other.image("v1", 500).image("v3", 400);
    let told = |app: &Fixture| decide(&[("app", app), ("other", &other)], policy(1));
    let elsewhere = "app:sha256-v1.sig image-gone";
    let whole = [
        elsewhere,
        "app:v1 beyond-keep-last",
        "app:v2 newest",
        "other:v1 beyond-keep-last",
        "other:v3 newest",
    ];
    let sorted = |mut told: Vec<String>| {
        told.sort_unstable();
        told
    };
    assert_eq!(sorted(told(&app)), whole);
    app.lost.push(digest("layer"));
    let mut broken = whole;
    broken[0] = "app:sha256-v1.sig kept-incomplete";
    broken[1] = "app:v1 kept-incomplete";
    assert_eq!(sorted(told(&app)), broken, "the other repository goes on");
    // What may live elsewhere does not count.
    app.manifests.get_mut(&digest("v2")).unwrap().blobs[0].foreign = true;
    assert_eq!(sorted(told(&app)), whole);
}

#[test]
fn platforms_that_were_never_pushed_do_not_count_unless_there_is_none() {
    let codes = |children: &[&str], absent: &str| {
        let mut it = Fixture::default();
        it.image("old", 500)
            .manifest("amd64", &[], None)
            .manifest("multi", children, None)
            .tag("multi", "multi", 1);
        let lost = digest(absent);
        it.manifests.remove(&lost);
        it.revisions.retain(|revision| *revision != lost);
        it.lost.push(lost);
        decide(&[("app", &it)], policy(1))
    };
    assert_eq!(codes(&["amd64", "arm64"], "arm64"), ["app:multi newest", "app:old beyond-keep-last"]);
    assert_eq!(codes(&["amd64"], "amd64"), ["app:multi newest", "app:old kept-incomplete"]);
}
