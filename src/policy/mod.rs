//! Which tags stay: a pure function of a repository, a policy and a time.

mod companion;
mod reason;
mod ties;
mod times;

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Range;

use jiff::{SignedDuration, Timestamp};
use smallvec::{SmallVec, smallvec};

pub use companion::image_served as companion_of;
pub use reason::Reason;
pub use times::{OddTime, OddTimes, odd_times};

use crate::gc::mark::Graph;
use crate::model::{Id, Inventory, Repository, Tag, TagState};
use companion::{Companions, Subject};
use times::Late;

/// What is to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How many tags of a repository stay, newest push first.
    pub keep_last: u32,
    /// How long a companion tag waits for its image.
    pub grace: SignedDuration,
    /// Whether push times order tags also where many of them are equal.
    pub trust_equal_push_times: bool,
    /// Whether manifests without a tag stay, so that their companions stay as well.
    pub untagged_stay: bool,
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.keep_last {
            0 => f.write_str("keep no tags"),
            1 => f.write_str("keep the newest tag of each repository"),
            n => write!(f, "keep the newest {n} tags of each repository"),
        }
    }
}

/// What becomes of a tag, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it stays.
    pub keep: bool,
    /// Why; never empty.
    pub reasons: SmallVec<[Reason; 1]>,
}

impl Verdict {
    fn keep(reason: Reason) -> Self {
        Self { keep: true, reasons: smallvec![reason] }
    }

    fn remove(reason: Reason) -> Self {
        Self { keep: false, reasons: smallvec![reason] }
    }
}

impl Policy {
    /// Decides on every tag of a repository of the inventory, in the order of its tags. `odd` are the push times that
    /// [cannot be true](odd_times).
    pub fn evaluate(
        &self,
        repository: &Repository,
        inventory: &Inventory,
        odd: &[(usize, OddTime)],
        now: Timestamp,
    ) -> Vec<Verdict> {
        let tags = &repository.tags;
        if repository.in_doubt {
            return tags.iter().map(|_| Verdict::keep(Reason::InDoubt)).collect();
        }
        let graph = Graph::of(repository, &inventory.manifests);
        let companions = Companions::of(repository, inventory);
        let mut verdicts: Vec<Option<Verdict>> = vec![None; tags.len()];

        let odd_time = |at: usize| Some(odd[odd.binary_search_by_key(&at, |(at, _)| *at).ok()?].1);
        let mut kept: HashSet<Id> = HashSet::new();
        let mut gone: HashSet<Id> = HashSet::new();
        let mut late: Vec<Late> = Vec::new();
        let mut ranked: Vec<(usize, Timestamp)> = Vec::with_capacity(tags.len());
        for (at, tag) in tags.iter().enumerate() {
            match &tag.state {
                TagState::Doubtful => verdicts[at] = Some(Verdict::keep(Reason::InDoubt)),
                TagState::Linked { .. } if companions.subject(at).is_some() => {}
                TagState::Linked { digest, pushed_at } => match odd_time(at) {
                    // Clocks differ a little; such a tag counts as pushed just now.
                    None => ranked.push((at, (*pushed_at).min(now))),
                    Some(OddTime::Ahead { .. }) => {
                        graph.extend(&mut kept, [*digest]);
                        verdicts[at] = Some(Verdict::keep(Reason::TimeAhead));
                    }
                    Some(OddTime::Counted { first_seen, .. }) => {
                        late.push(Late { at, first_seen, pushed_at: *pushed_at, image: *digest });
                    }
                },
            }
        }
        ranked.sort_by(|(a, pushed_a), (b, pushed_b)| {
            pushed_b.cmp(pushed_a).then_with(|| natural(&tags[*b], &tags[*a]))
        });
        for (at, verdict) in self.late(late, tags, &ranked) {
            graph.extend(if verdict.keep { &mut kept } else { &mut gone }, tags[at].digest());
            verdicts[at] = Some(verdict);
        }
        let unordered = self.unordered(repository, &ranked);
        for (rank, (at, _)) in (1_u32..).zip(ranked) {
            let is_newest = rank <= self.keep_last;
            let has_no_order = unordered.contains(&(rank as usize - 1));
            let stays = is_newest || has_no_order;
            graph.extend(if stays { &mut kept } else { &mut gone }, tags[at].digest());
            verdicts[at] = Some(if has_no_order && !is_newest {
                Verdict::keep(Reason::EqualPushTime { of: unordered.len() })
            } else if stays {
                Verdict::keep(Reason::Newest { rank, of: self.keep_last })
            } else {
                Verdict::remove(Reason::BeyondKeepLast { rank, keep: self.keep_last })
            });
        }

        // Companions by the image they serve. One may itself have companions, so whatever comes to
        // stay is looked up in turn.
        let mut serving: HashMap<Id, Vec<usize>> = HashMap::new();
        for at in 0..tags.len() {
            if let Some(image) = companions.subject(at).and_then(|subject| subject.id) {
                serving.entry(image).or_default().push(at);
            }
        }
        let follow = |mut stays: Vec<Id>, kept: &mut HashSet<Id>, verdicts: &mut [Option<Verdict>]| {
            while let Some(image) = stays.pop() {
                for &at in serving.get(&image).into_iter().flatten() {
                    let follows = || Reason::FollowsImage { image: Box::new(inventory.digest(image)) };
                    verdicts[at].get_or_insert_with(|| Verdict::keep(follows()));
                    stays.extend(graph.extend(kept, tags[at].digest()));
                }
            }
        };
        if self.untagged_stay {
            graph.extend(&mut kept, repository.revisions.iter().copied());
        }
        follow(kept.iter().copied().collect(), &mut kept, &mut verdicts);
        // Then those whose image may be on its way; what follows them follows too. Those that serve
        // one of them come last: they follow it, unless they only serve each other.
        let is_among =
            |subject: &Subject, these: &HashSet<Id>| subject.id.is_some_and(|id| these.contains(&id));
        let mut young: Vec<(usize, &Subject)> = (0..tags.len())
            .filter(|at| verdicts[*at].is_none() && self.is_young(&tags[*at], odd_time(*at), now))
            .filter_map(|at| Some((at, companions.subject(at)?)))
            .filter(|(_, subject)| !is_among(subject, &gone))
            .collect();
        let served = graph.closure(young.iter().filter_map(|(at, _)| tags[*at].digest()));
        young.sort_by_key(|(_, subject)| is_among(subject, &served));
        for (at, subject) in young {
            if verdicts[at].is_none() {
                verdicts[at] =
                    Some(Verdict::keep(Reason::ImageMayCome { image: Box::new(subject.image.clone()) }));
                follow(graph.extend(&mut kept, tags[at].digest()), &mut kept, &mut verdicts);
            }
        }
        for (at, verdict) in verdicts.iter_mut().enumerate() {
            if let (None, Some(subject)) = (&verdict, companions.subject(at)) {
                let image = Box::new(subject.image.clone());
                *verdict = Some(Verdict::remove(Reason::ImageGone { image }));
            }
        }
        verdicts
            .into_iter()
            .map(|verdict| verdict.unwrap_or_else(|| Verdict::keep(Reason::InDoubt)))
            .collect()
    }

    /// The ranks, from 0, that mean nothing: too many images were pushed at the same time.
    fn unordered(&self, repository: &Repository, ranked: &[(usize, Timestamp)]) -> Range<usize> {
        if self.trust_equal_push_times {
            return 0..0;
        }
        let images: Vec<(Timestamp, Option<Id>)> =
            ranked.iter().map(|(at, pushed_at)| (*pushed_at, repository.tags[*at].digest())).collect();
        ties::straddling(&images, usize::try_from(self.keep_last).unwrap_or(usize::MAX))
    }

    /// Whether a tag is younger than the grace period. A time that is a little ahead counts as now, as it does for
    /// everything else that has an age.
    fn is_young(&self, tag: &Tag, odd: Option<OddTime>, now: Timestamp) -> bool {
        match tag.state {
            TagState::Linked { pushed_at, .. } => {
                let since = odd.map_or(pushed_at, OddTime::first_seen).min(now);
                now.duration_since(since) < self.grace
            }
            TagState::Doubtful => true,
        }
    }
}

/// Natural order, so that `b10` comes after `b9`; by bytes where that finds no difference.
fn natural(a: &Tag, b: &Tag) -> Ordering {
    let (a, b) = (a.name.as_str(), b.name.as_str());
    natord::compare(a, b).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests;
