//! Histories of a CI on a store in memory, swept again and again: what is refused, and what never is.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::prelude::*;

use super::*;
use crate::gc::mark::{self, Fate};
use crate::model::{Counts, Descriptor, Document, Id, Known, KnownRepository, Rules, Tag};
use crate::policy::Policy;

const START: i64 = 1_900_000_000;
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

/// The settings of a sweep.
#[derive(Clone, Copy, Debug)]
struct Settings {
    keep: u32,
    grace: i64,
    undo: i64,
    limit: u8,
    accept: bool,
}

impl Settings {
    fn policy(self) -> Policy {
        Policy {
            keep_last: self.keep,
            grace: SignedDuration::from_secs(self.grace),
            trust_equal_push_times: false,
            untagged_stay: false,
        }
    }

    fn rules(self) -> Rules {
        Rules { keep_last: self.keep, trust_equal_push_times: false, delete_untagged: true, collects: true }
    }
}

#[derive(Clone, Debug, Default)]
struct Simulated {
    tags: BTreeMap<String, (Digest, i64)>,
    /// When each was pushed.
    revisions: BTreeMap<Digest, i64>,
    /// Deleted over the API, and when.
    hollow: BTreeMap<Digest, i64>,
    /// Held for undo since.
    undo: Vec<(Digest, i64)>,
}

/// What a sweep did.
#[derive(Debug, PartialEq, Eq)]
enum Swept {
    Refused(String),
    /// No blob goes, since these repositories are missed.
    Held(usize),
    Done,
}

/// What the storage does not show.
#[derive(Clone, Debug, Default)]
struct Hidden {
    repositories: BTreeSet<String>,
    tags: BTreeSet<(String, String)>,
    /// Children of indexes, and whether their repositories have them.
    manifests: BTreeSet<Digest>,
}

#[derive(Clone, Debug)]
struct World {
    now: i64,
    serial: u64,
    repositories: BTreeMap<String, Simulated>,
    documents: HashMap<Digest, Document>,
    blobs: BTreeMap<Digest, i64>,
    /// What the last sweep left: all of it, blobs that nothing needed any more, and what is known of the rest.
    memory: Option<(Counts, usize, Known)>,
}

impl World {
    fn new() -> Self {
        Self {
            now: START,
            serial: 0,
            repositories: BTreeMap::new(),
            documents: HashMap::new(),
            blobs: BTreeMap::new(),
            memory: None,
        }
    }

    fn blob(&mut self) -> Descriptor {
        self.serial += 1;
        let digest = Digest::of(&self.serial.to_be_bytes());
        self.blobs.insert(digest.clone(), self.now);
        Descriptor::new(digest, Some(1), false)
    }

    fn manifest(&mut self, repository: &str, children: Vec<Descriptor>, blobs: usize) -> Descriptor {
        let digest = self.blob();
        let blobs = (0..blobs).map(|_| self.blob()).collect();
        let document = Document { size_bytes: 10, children: children.into(), blobs, subject: None };
        self.documents.insert(digest.digest.clone(), document);
        let repository = self.repositories.entry(repository.to_owned()).or_default();
        repository.revisions.insert(digest.digest.clone(), self.now);
        digest
    }

    /// Pushes an image of so many layers, or an index of so many platforms, which takes a second.
    fn push(&mut self, repository: &str, tag: &str, platforms: usize, layers: usize) {
        self.now += 1;
        let children = (0..platforms).map(|_| self.manifest(repository, Vec::new(), 1 + layers)).collect();
        let blobs = if platforms > 0 { 0 } else { 1 + layers };
        let image = self.manifest(repository, children, blobs).digest;
        let now = self.now;
        self.repositories.get_mut(repository).unwrap().tags.insert(tag.to_owned(), (image, now));
    }

    /// Deletes an image with all of its tags, as the registry's API does.
    fn delete(&mut self, repository: &str, tag: &str) {
        let Some(it) = self.repositories.get_mut(repository) else { return };
        if let Some((image, _)) = it.tags.remove(tag) {
            it.tags.retain(|_, (other, _)| *other != image);
            it.revisions.remove(&image);
            it.hollow.insert(image, self.now);
        }
    }

    fn inventory(&self, hidden: &Hidden) -> (Inventory, Vec<Revision>) {
        let shown: Vec<(&String, &Simulated)> =
            self.repositories.iter().filter(|(name, _)| !hidden.repositories.contains(*name)).collect();
        let repository = |(name, it): &(&String, &Simulated)| Repository {
            name: name.parse().unwrap(),
            tags: (it.tags.iter())
                .filter(|(tag, _)| !hidden.tags.contains(&((*name).clone(), (*tag).clone())))
                .map(|(tag, (digest, pushed))| Tag {
                    name: tag.parse().unwrap(),
                    state: TagState::Linked { digest: digest.clone(), pushed_at: at(*pushed) },
                })
                .collect(),
            revisions: it.revisions.keys().filter(|it| !hidden.manifests.contains(it)).cloned().collect(),
            layers: (it.revisions.keys())
                .flat_map(|it| self.documents[it].blobs.iter().map(|blob| blob.digest.clone()))
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
            aliases: Vec::new(),
            undoable: Vec::new(),
            in_doubt: false,
        };
        let repositories: Vec<Repository<Digest>> = shown.iter().map(repository).collect();
        let mut documents = self.documents.clone();
        documents.retain(|digest, _| !hidden.manifests.contains(digest));
        let blobs: Vec<Digest> = self.blobs.keys().cloned().collect();
        let mut inventory = Inventory::of(&repositories, &documents, &blobs);
        let mut hollow = Vec::new();
        for (at, (_, it)) in (0_u32..).zip(&shown) {
            for (digest, _) in &it.undo {
                let id = inventory.digests.intern(digest);
                inventory.repositories[at as usize].undoable.push(id);
            }
            for digest in it.hollow.keys() {
                hollow.push(Revision { repository: at, manifest: inventory.digests.intern(digest) });
            }
        }
        (inventory, hollow)
    }

    fn sweep(&mut self, settings: Settings, hidden: &Hidden) -> Swept {
        let old = |since: &i64| self.now - since >= settings.grace;
        let (mut inventory, hollow) = self.inventory(hidden);
        let policy = settings.policy();
        let verdicts = policy.evaluate(&inventory, &[], at(self.now));
        let before = self.memory.as_ref().map(|(_, _, known)| known);
        let remains = before.map(|before| Remains::of(&before.repositories, &inventory, &hollow));
        let is = Counts::of(&inventory);
        if let Some((left, held, _)) = self.memory.as_ref().filter(|_| !settings.accept) {
            let was = Counts { blobs: left.blobs.saturating_sub(*held), ..*left };
            if let Some(lost) = losses(&was, &is, remains.as_ref()) {
                return Swept::Refused(lost);
            }
        }
        let known: &[KnownRepository] = before.map_or(&[], |before| &before.repositories);
        let mut missed = remains
            .as_ref()
            .map(|remains| Missed::of(known, &remains.missed, at(self.now)))
            .unwrap_or_default();
        if settings.accept {
            missed.waited_for.clear();
        }
        let rules = settings.rules();
        let is_held = !missed.waited_for.is_empty();
        let marks = mark::blobs(&inventory);
        let tags = tags_share(before, &rules, &inventory, &verdicts);
        let needed = remains.as_ref().and_then(|remains| blobs_share(before, &rules, remains));
        let blobs = needed.unwrap_or_else(|| {
            let due = |id: &&Id| {
                matches!(marks.fate(**id), Fate::Garbage | Fate::Held)
                    && self.blobs.get(&inventory.digest(**id)).is_some_and(old)
            };
            let told = self.memory.as_ref().map_or(0, |(_, held, _)| *held);
            let going = inventory.blobs.iter().filter(due).count().saturating_sub(told);
            Share { what: "blobs", going, all: is.blobs }
        });
        let blobs = if is_held { Share { going: 0, ..blobs } } else { blobs };
        if let Some(too_much) = TooMuch::among([tags, blobs], settings.limit) {
            return Swept::Refused(too_much.cause());
        }
        let remembered = Known {
            rules,
            blobs_judged: true,
            repositories: super::known(
                &inventory,
                &verdicts,
                before.map(|before| before.repositories.as_slice()),
                &missed.waited_for,
            ),
        };
        let held = missed.waited_for.len();
        // It acts: tags, manifests, blobs.
        for Expected { place, .. } in super::tags(&inventory, &verdicts) {
            let Place::Tag(name, tag) = place else { unreachable!() };
            let repository = self.repositories.get_mut(name.as_str()).unwrap();
            let (digest, _) = repository.tags.remove(tag.as_str()).unwrap();
            if settings.undo > 0 {
                repository.undo.push((digest, self.now));
            }
        }
        for repository in self.repositories.values_mut() {
            repository.undo.retain(|(_, since)| self.now - since < settings.undo);
        }
        if !is_held {
            let (after, _) = self.inventory(hidden);
            for (candidate, repository) in
                unreachable(&after, &[]).into_iter().map(|it| (it, it.revision.repository))
            {
                let name = after.repositories[repository as usize].name.as_str();
                let digest = after.digest(candidate.revision.manifest);
                let revisions = &mut self.repositories.get_mut(name).unwrap().revisions;
                if self.now - revisions[&digest] >= settings.grace {
                    revisions.remove(&digest);
                }
            }
            for repository in self.repositories.values_mut() {
                repository.hollow.retain(|_, since| self.now - *since < settings.grace);
            }
            inventory = self.inventory(hidden).0;
            let marks = mark::blobs(&inventory);
            for id in inventory.blobs.clone() {
                let digest = inventory.digest(id);
                if marks.fate(id) == Fate::Garbage && self.now - self.blobs[&digest] >= settings.grace {
                    self.blobs.remove(&digest);
                    self.documents.remove(&digest);
                }
            }
        }
        inventory = self.inventory(hidden).0;
        let marks = mark::blobs(&inventory);
        let unneeded = inventory.blobs.iter().filter(|id| marks.fate(**id) != Fate::Kept).count();
        self.memory = Some((Counts::of(&inventory), unneeded, remembered));
        if is_held { Swept::Held(held) } else { Swept::Done }
    }

    fn names(&self) -> Vec<String> {
        self.repositories.keys().cloned().collect()
    }
}

/// What a repository is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// A tag for each commit.
    Commits,
    /// One tag, pushed again for each commit.
    Latest,
    /// A tag for each commit, and one for the newest.
    Both,
    /// A tag for each branch, pushed again, and deleted over the API once it is merged.
    Branches,
}

#[derive(Clone, Debug)]
struct Ci {
    uses: Vec<Use>,
    /// Pushes to each repository in the hours of a day.
    rates: Vec<usize>,
    works_on_weekends: bool,
    /// Layers of the images, in turn; where this is 0, a multi-arch image.
    layers: Vec<usize>,
}

impl Ci {
    /// All pushes of an hour, spread over it; time goes on.
    fn part(&self, world: &mut World, seconds: i64) {
        let until = world.now + seconds;
        while world.now < until {
            let step = (until - world.now).min(HOUR - world.now % HOUR);
            let hour = usize::try_from(world.now.rem_euclid(DAY) / HOUR).unwrap();
            let is_weekend = world.now.div_euclid(DAY).rem_euclid(7) >= 5;
            let rate =
                if is_weekend && !self.works_on_weekends { 0 } else { self.rates[hour % self.rates.len()] };
            let pushes = i64::try_from(rate).unwrap() * step / HOUR;
            let end = world.now + step;
            for push in 0..pushes {
                world.now = world.now.max(end - step + push * (step / pushes.max(1)));
                self.push(world);
            }
            world.now = world.now.max(end);
        }
    }

    fn push(&self, world: &mut World) {
        for (number, it) in self.uses.iter().enumerate() {
            let name = format!("team/app-{number}");
            let serial = world.serial;
            let layers = self.layers[usize::try_from(serial).unwrap() % self.layers.len()];
            let platforms = if layers == 0 { 3 } else { 0 };
            if matches!(it, Use::Commits | Use::Both) {
                world.push(&name, &format!("c{serial}"), platforms, layers);
            }
            if matches!(it, Use::Latest | Use::Both) {
                world.push(&name, "latest", platforms, layers);
            }
            if *it == Use::Branches {
                let branch = format!("b{}", serial / 40);
                world.push(&name, &branch, platforms, layers);
                world.push(&name, &format!("{branch}-x"), platforms, layers);
                for merged in 0..(serial / 40).saturating_sub(2) {
                    world.delete(&name, &format!("b{merged}"));
                    world.delete(&name, &format!("b{merged}-x"));
                }
            }
        }
    }
}

fn ci() -> impl Strategy<Value = Ci> {
    let of_one = prop_oneof![Just(Use::Commits), Just(Use::Latest), Just(Use::Both), Just(Use::Branches)];
    (
        proptest::collection::vec(of_one, 1..4),
        proptest::collection::vec(prop_oneof![Just(0_usize), Just(0), 1_usize..4, 5_usize..13], 1..24),
        any::<bool>(),
        proptest::collection::vec(0_usize..30, 1..4),
    )
        .prop_map(|(uses, rates, works_on_weekends, layers)| Ci {
            uses,
            rates,
            works_on_weekends,
            layers,
        })
}

fn settings() -> impl Strategy<Value = Settings> {
    (
        prop_oneof![1_u32..6, 1_u32..51],
        prop_oneof![Just(0), Just(HOUR), Just(HOUR), Just(DAY)],
        prop_oneof![Just(0), Just(0), Just(DAY), Just(3 * DAY)],
    )
        .prop_map(|(keep, grace, undo)| Settings { keep, grace, undo, limit: 50, accept: false })
}

/// A store that has seen so many days of a CI before its first sweep, which a person confirmed where it asked.
fn begun(ci: &Ci, settings: Settings, days_before: i64) -> World {
    let mut world = World::new();
    ci.part(&mut world, days_before * DAY);
    if world.sweep(settings, &Hidden::default()) != Swept::Done {
        assert_eq!(world.sweep(Settings { limit: 100, ..settings }, &Hidden::default()), Swept::Done);
    }
    world
}

/// A store with so many tags for each commit in each of its repositories, all kept.
fn steady(repositories: usize, tags: usize, settings: Settings) -> World {
    let mut world = World::new();
    for _ in 0..tags {
        world.now += HOUR;
        for number in 0..repositories {
            let tag = format!("c{}", world.serial);
            world.push(&format!("team/app-{number:03}"), &tag, 2, 2);
        }
    }
    world.now += DAY;
    assert_eq!(world.sweep(settings, &Hidden::default()), Swept::Done);
    world
}

/// Keeps ten tags.
const TEN: Settings = Settings { keep: 10, grace: HOUR, undo: 0, limit: 50, accept: false };

fn is_refused(swept: &Swept) -> bool {
    matches!(swept, Swept::Refused(_))
}

proptest! {
    // Each case is a history of many sweeps. `PROPTEST_CASES` asks for more of them.
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 32, ..ProptestConfig::default() })]

    #[test]
    fn no_steady_state_of_a_ci_is_ever_refused(
        ci in ci(),
        settings in settings(),
        days_before in 0_i64..2,
        interval in prop_oneof![Just(300_i64), Just(HOUR), Just(HOUR), Just(6 * HOUR), Just(DAY)],
        down in prop_oneof![Just(0_i64), Just(0), DAY..8 * DAY],
    ) {
        let mut world = begun(&ci, settings, days_before);
        let sweeps = if interval < HOUR { 48 } else { 24 };
        for sweep in 0..sweeps {
            ci.part(&mut world, interval);
            if sweep == 10 {
                // The janitor is away, and the CI is not.
                ci.part(&mut world, down);
            }
            let swept = world.sweep(settings, &Hidden::default());
            prop_assert_eq!(&swept, &Swept::Done, "sweep {} of {:?} under {:?}", sweep, ci, settings);
        }
    }

    #[test]
    fn a_lowered_setting_is_refused_however_busy_the_ci_until_somebody_confirms(
        keep in 1_u32..5,
        pushes in 0_usize..40,
        hours in 1_i64..30,
    ) {
        let mut world = steady(4, 10, TEN);
        let lowered = Settings { keep, ..TEN };
        let mut serial = 0;
        for _ in 0..5 {
            for _ in 0..pushes {
                serial += 1;
                world.push("team/app-001", &format!("new{serial}"), 0, 2);
            }
            world.now += hours * HOUR;
            prop_assert!(is_refused(&world.sweep(lowered, &Hidden::default())));
        }
        // As it was, nothing is asked; nor is anything after somebody has confirmed it.
        let mut other = world.clone();
        prop_assert_eq!(other.sweep(TEN, &Hidden::default()), Swept::Done);
        prop_assert_eq!(world.sweep(Settings { limit: 100, ..lowered }, &Hidden::default()), Swept::Done);
        for _ in 0..pushes {
            serial += 1;
            world.push("team/app-001", &format!("new{serial}"), 0, 2);
        }
        prop_assert_eq!(world.sweep(lowered, &Hidden::default()), Swept::Done);
    }

    #[test]
    fn tags_that_vanish_are_missed_however_many_come_in(
        lost in 5_usize..11,
        pushes in 0_usize..60,
        undo in prop_oneof![Just(0), Just(7 * DAY)],
    ) {
        let settings = Settings { undo, ..TEN };
        let mut world = steady(3, 30, Settings { limit: 100, ..settings });
        let mut hidden = Hidden::default();
        for name in world.names() {
            let tags: Vec<String> = world.repositories[&name].tags.keys().cloned().collect();
            hidden.tags.extend(tags.into_iter().take(lost).map(|tag| (name.clone(), tag)));
        }
        for _ in 0..3 {
            for push in 0..pushes {
                for name in world.names() {
                    world.push(&name, &format!("new{}-{push}", world.serial), 0, 2);
                }
            }
            world.now += DAY;
            let blobs = world.blobs.len();
            let swept = world.sweep(settings, &hidden);
            prop_assert!(if lost > 5 { is_refused(&swept) } else { swept == Swept::Held(3) }, "{:?}", swept);
            prop_assert_eq!(world.blobs.len(), blobs);
        }
        prop_assert_eq!(world.sweep(settings, &Hidden::default()), Swept::Done);
    }

    #[test]
    fn repositories_that_vanish_hold_every_blob_until_they_are_back(
        lost in 1_usize..10,
        pushes in 0_usize..30,
    ) {
        let mut world = steady(20, 3, TEN);
        let names = world.names();
        let hidden = Hidden { repositories: names.iter().take(lost).cloned().collect(), ..Hidden::default() };
        for _ in 0..3 {
            for push in 0..pushes {
                world.push(&names[19], &format!("new{}-{push}", world.serial), 0, 2);
            }
            world.now += DAY;
            let blobs = world.blobs.len();
            prop_assert_eq!(world.sweep(TEN, &hidden), Swept::Held(lost));
            prop_assert_eq!(world.blobs.len(), blobs);
        }
        prop_assert_eq!(world.sweep(TEN, &Hidden::default()), Swept::Done);
    }

    #[test]
    fn manifests_that_vanish_from_indexes_are_missed(lost in 8_usize..11, pushes in 0_usize..60) {
        let mut world = steady(3, 10, TEN);
        let mut hidden = Hidden::default();
        for repository in world.repositories.values() {
            for (index, _) in repository.tags.values().take(lost) {
                hidden.manifests.extend(world.documents[index].children.iter().map(|it| it.digest.clone()));
            }
        }
        for push in 0..pushes {
            world.push("team/app-001", &format!("new{push}"), 0, 2);
            world.push("team/other", &format!("new{push}"), 0, 2);
        }
        // Those of the tags that are pushed out go rightly.
        world.now += DAY;
        let swept = world.sweep(TEN, &hidden);
        prop_assert!(is_refused(&swept), "{:?}", swept);
    }
}

#[test]
fn a_store_that_was_empty_at_first_never_asks_and_an_old_one_asks_once() {
    let ci = Ci {
        uses: vec![Use::Commits, Use::Latest],
        rates: vec![40],
        works_on_weekends: true,
        layers: vec![2],
    };
    let five = Settings { keep: 5, ..TEN };
    let mut world = World::new();
    assert_eq!(world.sweep(five, &Hidden::default()), Swept::Done);
    for _ in 0..10 {
        ci.part(&mut world, HOUR);
        assert_eq!(world.sweep(five, &Hidden::default()), Swept::Done);
    }
    world.memory = None;
    ci.part(&mut world, HOUR);
    for _ in 0..3 {
        assert!(is_refused(&world.sweep(five, &Hidden::default())));
    }
    assert_eq!(world.sweep(Settings { limit: 100, ..five }, &Hidden::default()), Swept::Done);
    ci.part(&mut world, HOUR);
    assert_eq!(world.sweep(five, &Hidden::default()), Swept::Done);
}

#[test]
fn a_repository_is_given_up_after_seven_days_and_accepted_by_name() {
    let mut world = steady(20, 3, TEN);
    let names = world.names();
    let mut hidden = Hidden { repositories: names[..9].iter().cloned().collect(), ..Hidden::default() };
    assert_eq!(world.sweep(TEN, &hidden), Swept::Held(9));
    let mut other = world.clone();
    world.now += 7 * DAY - 1;
    assert_eq!(world.sweep(TEN, &hidden), Swept::Held(9));
    world.now += 1;
    assert_eq!(world.sweep(TEN, &hidden), Swept::Done);

    assert_eq!(other.sweep(Settings { accept: true, ..TEN }, &hidden), Swept::Done);
    assert_eq!(other.sweep(TEN, &hidden), Swept::Done);
    hidden.repositories.insert(names[10].clone());
    assert_eq!(other.sweep(TEN, &hidden), Swept::Held(1));
}

#[test]
fn what_was_deleted_over_the_api_is_not_missed() {
    let mut world = steady(20, 2, TEN);
    let tags: Vec<String> = world.repositories["team/app-003"].tags.keys().cloned().collect();
    // One of them was pushed again before.
    world.now += HOUR;
    world.push("team/app-003", &tags[0], 0, 2);
    for tag in &tags {
        world.delete("team/app-003", tag);
    }
    assert_eq!(world.sweep(TEN, &Hidden::default()), Swept::Done);
}

#[test]
fn what_waits_for_undo_is_no_credit_for_what_vanishes() {
    let settings = Settings { undo: 7 * DAY, ..TEN };
    let mut world = steady(2, 40, Settings { limit: 100, ..settings });
    world.now += DAY;
    let mut hidden = Hidden::default();
    for name in world.names() {
        let tags: Vec<String> = world.repositories[&name].tags.keys().cloned().collect();
        hidden.tags.extend(tags.into_iter().skip(4).map(|tag| (name.clone(), tag)));
    }
    assert!(is_refused(&world.sweep(settings, &hidden)));
}
