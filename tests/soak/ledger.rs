//! What the registry acknowledged, and which of it the policy must keep.
//!
//! Pushes run at the same time, so their order is known only as far as one had ended when the other began. A tag
//! is held to stay while fewer than N others of its repository can be newer; that a tag stays for longer is well
//! possible and never asserted.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use janitor_testkit::Digest;

/// Two pushes so close together may get the same time on the disk.
const TICK: Duration = Duration::from_millis(100);

/// All repositories' tags as their pushers know them.
pub(crate) struct Ledger {
    keep: usize,
    repositories: Mutex<BTreeMap<String, Repository>>,
}

/// A tag that must pull, and what hangs on its image.
#[derive(Clone, Debug)]
pub(crate) struct Promise {
    pub(crate) repository: String,
    pub(crate) tag: String,
    pub(crate) digest: Digest,
    /// Digests and companion tags of what was pushed for the image since.
    pub(crate) companions: Vec<String>,
    began: Instant,
}

/// A push under way.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) repository: String,
    pub(crate) tag: String,
    began: Instant,
    before: Option<Held>,
}

#[derive(Default)]
struct Repository {
    /// While somebody has to find out whether an image is lost, nobody pushes here.
    frozen_by: usize,
    tags: BTreeMap<String, Tag>,
}

#[derive(Default)]
struct Tag {
    under_way: bool,
    last_ended: Option<Instant>,
    held: Option<Held>,
}

#[derive(Clone, Debug)]
struct Held {
    digest: Digest,
    companions: Vec<String>,
    began: Instant,
}

impl Ledger {
    /// Of repositories in which the newest `keep` tags stay.
    pub(crate) fn new(keep: usize) -> Self {
        Self { keep, repositories: Mutex::default() }
    }

    /// A push begins, unless the repository is frozen or somebody else is pushing the tag.
    pub(crate) fn begin(&self, repository: &str, tag: &str) -> Option<Attempt> {
        let mut repositories = self.lock();
        let entry = repositories.entry(repository.to_owned()).or_default();
        if entry.frozen_by > 0 {
            return None;
        }
        let record = entry.tags.entry(tag.to_owned()).or_default();
        if std::mem::replace(&mut record.under_way, true) {
            return None;
        }
        let before = record.held.take();
        Some(Attempt {
            repository: repository.to_owned(),
            tag: tag.to_owned(),
            began: Instant::now(),
            before,
        })
    }

    /// The registry acknowledged it. What the client found there and left alone is as old as it was.
    pub(crate) fn acknowledged(&self, attempt: Attempt, digest: &Digest, is_put: bool) {
        let held = if is_put {
            Some(Held { digest: digest.clone(), companions: Vec::new(), began: attempt.began })
        } else {
            attempt.before.filter(|before| before.digest == *digest)
        };
        self.end(&attempt.repository, &attempt.tag, held);
    }

    /// The registry refused it: what the tag holds now is not known.
    pub(crate) fn refused(&self, attempt: &Attempt) {
        self.end(&attempt.repository, &attempt.tag, None);
    }

    /// Something was pushed for the image of a tag, which has not changed since.
    pub(crate) fn add_companion(&self, promise: &Promise, reference: String) {
        let mut repositories = self.lock();
        let held = repositories
            .get_mut(&promise.repository)
            .and_then(|repository| repository.tags.get_mut(&promise.tag))
            .and_then(|tag| tag.held.as_mut());
        if let Some(held) = held.filter(|held| held.began == promise.began) {
            held.companions.push(reference);
        }
    }

    /// Every tag that must pull now.
    pub(crate) fn promises(&self) -> Vec<Promise> {
        let repositories = self.lock();
        let all = repositories.iter().flat_map(|(name, repository)| {
            repository.tags.keys().filter_map(|tag| self.promise_in(name, repository, tag))
        });
        all.collect()
    }

    /// What must pull under this tag.
    pub(crate) fn promise(&self, repository: &str, tag: &str) -> Option<Promise> {
        self.promise_in(repository, self.lock().get(repository)?, tag)
    }

    /// The same promise as it stands now; none when the tag was pushed again or may be gone.
    pub(crate) fn still(&self, promise: &Promise) -> Option<Promise> {
        let now = self.promise(&promise.repository, &promise.tag)?;
        (now.began == promise.began).then_some(now)
    }

    /// Nobody begins a push to the repository until it is thawed.
    pub(crate) fn freeze(&self, repository: &str) {
        self.lock().entry(repository.to_owned()).or_default().frozen_by += 1;
    }

    /// Ends one freeze.
    pub(crate) fn thaw(&self, repository: &str) {
        self.lock().entry(repository.to_owned()).or_default().frozen_by -= 1;
    }

    /// Whether a push to the repository is under way.
    pub(crate) fn is_pushed_to(&self, repository: &str) -> bool {
        let repositories = self.lock();
        repositories.get(repository).is_some_and(|entry| entry.tags.values().any(|tag| tag.under_way))
    }

    /// The image is known to be lost; the tag promises nothing until it is pushed again.
    pub(crate) fn lost(&self, promise: &Promise) {
        let mut repositories = self.lock();
        let tag = repositories.get_mut(&promise.repository).and_then(|it| it.tags.get_mut(&promise.tag));
        if let Some(tag) = tag.filter(|tag| tag.held.as_ref().is_some_and(|it| it.began == promise.began)) {
            tag.held = None;
        }
    }

    fn promise_in(&self, name: &str, repository: &Repository, tag: &str) -> Option<Promise> {
        let record = repository.tags.get(tag)?;
        let held = record.held.as_ref().filter(|_| !record.under_way)?;
        let may_be_newer =
            |other: &Tag| other.under_way || other.last_ended.is_some_and(|ended| ended + TICK >= held.began);
        let others = repository.tags.iter().filter(|(name, _)| *name != tag);
        (others.filter(|(_, other)| may_be_newer(other)).count() < self.keep).then(|| Promise {
            repository: name.to_owned(),
            tag: tag.to_owned(),
            digest: held.digest.clone(),
            companions: held.companions.clone(),
            began: held.began,
        })
    }

    fn end(&self, repository: &str, tag: &str, held: Option<Held>) {
        let mut repositories = self.lock();
        let entry = repositories.entry(repository.to_owned()).or_default();
        let record = entry.tags.entry(tag.to_owned()).or_default();
        *record = Tag { under_way: false, last_ended: Some(Instant::now()), held };
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Repository>> {
        self.repositories.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[test]
fn a_tag_is_promised_until_as_many_others_as_stay_were_pushed_after_it() {
    let ledger = Ledger::new(2);
    let push = |tag| {
        let attempt = ledger.begin("app", tag).expect("nobody else pushes");
        ledger.acknowledged(attempt, &Digest::of(b"image"), true);
        std::thread::sleep(TICK + Duration::from_millis(10));
    };
    ["v1", "v2", "v1"].into_iter().for_each(push);
    assert!(ledger.promise("app", "v1").is_some(), "pushed last");
    push("v3");
    assert!(ledger.promise("app", "v1").is_some(), "one is newer, two stay");
    assert!(ledger.promise("app", "v2").is_none(), "two are newer");
    let failing = ledger.begin("app", "v4").expect("nobody else pushes");
    assert!(ledger.promise("app", "v1").is_none(), "what is under way may be newer");
    ledger.refused(&failing);
    assert!(ledger.promise("app", "v1").is_none(), "what was refused may have been written all the same");
    assert!(ledger.promise("app", "v3").is_some());
}

#[test]
fn a_push_that_found_everything_there_renews_nothing() {
    let ledger = Ledger::new(2);
    let image = Digest::of(b"image");
    let first = ledger.begin("app", "v1").expect("nobody else pushes");
    assert!(ledger.begin("app", "v1").is_none(), "one push of a tag at a time");
    ledger.acknowledged(first, &image, true);
    let before = ledger.promise("app", "v1").expect("it was acknowledged");
    let again = ledger.begin("app", "v1").expect("the first has ended");
    ledger.acknowledged(again, &image, false);
    assert!(ledger.still(&before).is_some(), "it is as old as it was");
    let other = ledger.begin("app", "v1").expect("the second has ended");
    ledger.acknowledged(other, &Digest::of(b"other"), false);
    assert!(ledger.promise("app", "v1").is_none(), "found there, and nobody knows since when");
}
