//! Pushes as a busy registry sees them: from a small pool of images, so that what was pruned comes again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use janitor_testkit::{Format, Habits, Image, ImageSpec, Layer, Pushed};

use crate::run::{Field, KEEP};

/// Repositories that all pushers share; one lies in another.
pub(crate) const REPOSITORIES: [&str; 5] =
    ["team/app", "team/app/base", "shop/web", "shop/api", "ci/nightly"];
/// Tags in each; more than are kept, so that some go with every sweep.
const TAGS: u64 = 9;
/// Base layers that the images share across repositories.
const BASES: u64 = 12;
/// Single images that are pushed again and again.
const SINGLES: u64 = 24;
/// Pushes beyond the kept ones that a repository's clients come back to.
const RECENT: usize = 8;
/// An image of so many manifests is pushed only once.
const MANY: usize = 8;
/// How often a client begins a push before it gives up.
const ATTEMPTS: usize = 5;

/// The images that are pushed.
pub(crate) struct Shop {
    pool: Vec<Image>,
    serial: AtomicU64,
    /// Of each repository, the last pushes with their tags, the newest first.
    recent: Mutex<BTreeMap<String, VecDeque<(String, Image)>>>,
}

/// Pushes until time is up.
pub(crate) fn push_on(field: &Field<'_>, shop: &Shop, mut random: Rng) {
    while field.pushing.load(Ordering::Relaxed) {
        if random.u8(0..10) == 0 {
            push_to_a_fading_repository(field, shop, &mut random);
        } else {
            let repository = REPOSITORIES[random.usize(0..REPOSITORIES.len())];
            let tag = format!("v{}", random.u64(1..=TAGS));
            let image = shop.image_for(repository, &tag, &mut random);
            push(field, repository, &tag, &image, &mut random);
        }
        thread::sleep(Duration::from_millis(random.u64(0..20)));
    }
}

impl Shop {
    /// Makes the pool: single images, and indexes of them and of others.
    pub(crate) fn stocked() -> Self {
        let singles: Vec<Image> = (0..SINGLES).map(single).collect();
        let pairs = singles.chunks(2).take(8).map(|pair| Image::index(Format::Oci, &[&pair[0], &pair[1]]));
        let oci = (1..=6).map(|seed| Image::multi_arch_in(Format::Oci, seed));
        let docker = (1..=6).map(Image::multi_arch);
        let pool = singles.iter().cloned().chain(pairs).chain(oci).chain(docker).collect();
        Self { pool, serial: AtomicU64::new(0), recent: Mutex::default() }
    }

    /// What comes next under this tag. Often it is something that the repository still has although no tag
    /// leads there any more: then a client leaves out most of its push, just when a sweep takes it away.
    fn image_for(&self, repository: &str, tag: &str, random: &mut Rng) -> Image {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = recent.entry(repository.to_owned()).or_default();
        let same = recent.iter().find(|(other, _)| other == tag).map(|(_, image)| image.clone());
        let displaced: Vec<&Image> = recent.iter().skip(KEEP).map(|(_, image)| image).collect();
        let image = match (random.u8(0..10), same, &displaced[..]) {
            (0, Some(same), _) => same,
            (1..=3, _, [_, ..]) => displaced[random.usize(0..displaced.len())].clone(),
            // As `docker buildx imagetools create` does: a new index of what is there.
            (4..=6, _, [_, _, ..]) => {
                let first = random.usize(0..displaced.len() - 1);
                Image::index(Format::Oci, &[displaced[first], displaced[first + 1]])
            }
            _ => self.image(random),
        };
        // Else indexes of indexes would grow without end.
        if image.documents().len() < MANY {
            recent.push_front((tag.to_owned(), image.clone()));
            recent.truncate(KEEP + RECENT);
        }
        image
    }

    /// An image of the pool, or one that nobody has seen.
    fn image(&self, random: &mut Rng) -> Image {
        if random.u8(0..4) > 0 {
            return self.pool[random.usize(0..self.pool.len())].clone();
        }
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        ImageSpec::new(&format!("fresh {serial}"))
            .layer(Layer::seeded(1_000_000 + random.u64(0..BASES), 4096))
            .layer(Layer::seeded(2_000_000 + serial, 2048))
            .build()
    }
}

/// Image `number` of the pool: two base layers, one of its own.
pub(crate) fn single(number: u64) -> Image {
    ImageSpec::new(&format!("pool {number}"))
        .layer(Layer::seeded(1_000_000 + number % BASES, 4096))
        .layer(Layer::seeded(1_000_000 + number * 7 % BASES, 4096))
        .layer(Layer::seeded(3_000_000 + number, 2048))
        .build()
}

fn push(field: &Field<'_>, repository: &str, tag: &str, image: &Image, random: &mut Rng) {
    let Some(attempt) = field.ledger.begin(repository, tag) else { return };
    match try_and_try(field, repository, tag, image, random) {
        None => field.ledger.refused(&attempt),
        Some(pushed) => {
            field.ledger.acknowledged(attempt, &image.digest(), pushed.is_put);
            let mut tally = field.tally();
            tally.indexes += usize::from(image.documents().len() > 1);
            tally.left_alone += usize::from(!pushed.is_put);
        }
    }
    if random.u8(0..5) == 0 {
        push_companion(field, repository, tag, image, random);
    }
}

/// A signature under its companion tag, or a referrer by its digest.
fn push_companion(field: &Field<'_>, repository: &str, tag: &str, image: &Image, random: &mut Rng) {
    let promise = field.ledger.promise(repository, tag).filter(|it| it.digest == image.digest());
    let Some(promise) = promise else { return };
    let (reference, companion) = if random.bool() {
        (image.companion_tag(".sig"), Image::cosign_signature_of(image))
    } else {
        let referrer = Image::referrer_of(image, "application/vnd.example.sbom", "{\"sbom\":1}");
        (referrer.digest().to_string(), referrer)
    };
    if try_and_try(field, repository, &reference, &companion, random).is_some() {
        field.tally().companions += 1;
        field.ledger.add_companion(&promise, reference);
    }
}

/// A repository that gets images without tags, fades away, and gets a tag in the midst of it.
fn push_to_a_fading_repository(field: &Field<'_>, shop: &Shop, random: &mut Rng) {
    let generation = field.began.elapsed().as_secs() / (field.grace + field.settle).as_secs().max(1);
    if random.bool() {
        let image = shop.image(random);
        let digest = image.digest();
        let repository = format!("fading/{generation}");
        if try_and_try(field, &repository, digest.as_str(), &image, random).is_some() {
            field.tally().untagged += 1;
        }
    } else if let Some(before) = generation.checked_sub(2) {
        let image = shop.image(random);
        push(field, &format!("fading/{before}"), "late", &image, random);
    }
}

/// A client repeats a push that fails aloud, from its beginning.
fn try_and_try(
    field: &Field<'_>,
    repository: &str,
    reference: &str,
    image: &Image,
    random: &mut Rng,
) -> Option<Pushed> {
    let habits = [Habits::Skopeo, Habits::Containerd, Habits::Crane][random.usize(0..3)];
    let mount_from = random.bool().then(|| REPOSITORIES[random.usize(0..REPOSITORIES.len())]);
    let mut refusals = Vec::new();
    while refusals.len() < ATTEMPTS {
        match field.client.push_like(habits, repository, reference, image, mount_from) {
            Ok(pushed) => {
                let mut tally = field.tally();
                tally.acknowledged += 1;
                tally.slowest = tally.slowest.max(pushed.slowest);
                if pushed.slowest >= field.settle {
                    tally.too_slow.insert((repository.to_owned(), reference.to_owned()));
                }
                return Some(pushed);
            }
            Err(refusal) => {
                field.tally().failed_aloud(&refusal);
                refusals.push(refusal);
                thread::sleep(Duration::from_millis(random.u64(20..100)));
            }
        }
    }
    field.tally().given_up.push(format!("{repository} {reference}: {refusals:?}"));
    None
}
