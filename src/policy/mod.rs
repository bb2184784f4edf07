//! Which tags stay: a pure function of a repository, a policy and a time.

mod companion;
mod elsewhere;
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

use crate::check;
use crate::gc::mark::Graph;
use crate::model::{Id, Inventory, Repository, Tag, TagState};
use companion::{Companions, Subject, Whereabouts};
use elsewhere::Elsewhere;
use times::{Late, odd_time};

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

/// What was decided by rank.
struct Ranked {
    /// In the order of the tags; `None` for those that do not rank.
    verdicts: Vec<Option<Verdict>>,
    /// What the tags that stay reach.
    kept: HashSet<Id>,
    /// What the others reach.
    gone: HashSet<Id>,
}

/// What was decided on one repository.
#[derive(Debug)]
struct Decided {
    /// In the order of its tags.
    verdicts: Vec<Verdict>,
    /// Every manifest that stays, as far as the tags decide that.
    kept: HashSet<Id>,
    /// Images of companions that no kept tag of this repository reaches, and that no other one was known to keep.
    asked: Vec<Id>,
    /// Those of them that are not here either, so that their companions stay until it is known who keeps them.
    undecided: Vec<Id>,
}

impl Policy {
    /// Decides on every tag of a repository of the inventory, in the order of its tags. `odd` are the push times that
    /// [cannot be true](odd_times).
    fn decide(
        &self,
        repository: &Repository,
        inventory: &Inventory,
        odd: &[(usize, OddTime)],
        now: Timestamp,
        elsewhere: &Elsewhere,
    ) -> Decided {
        let tags = &repository.tags;
        let graph = Graph::of(repository, &inventory.manifests);
        if repository.in_doubt {
            let verdicts = tags.iter().map(|_| Verdict::keep(Reason::InDoubt)).collect();
            let kept = graph.closure(repository.roots().chain(repository.revisions.iter().copied()));
            return Decided { verdicts, kept, asked: Vec::new(), undecided: Vec::new() };
        }
        let companions = Companions::of(repository, inventory, &graph, elsewhere);
        let Ranked { mut verdicts, mut kept, gone } = self.rank(repository, &companions, &graph, odd, now);

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
        // Then those whose image another repository keeps, or may keep.
        for (at, tag) in tags.iter().enumerate().filter(|(_, tag)| tag.digest().is_some()) {
            let (None, Some(subject)) = (&verdicts[at], companions.subject(at)) else { continue };
            let image = Box::new(subject.image.clone());
            let reason = match subject.whereabouts {
                Whereabouts::Elsewhere(keeper) => {
                    let repository = Box::new(inventory.repositories[keeper].name.clone());
                    Reason::ImageElsewhere { image, repository }
                }
                Whereabouts::Unknown => Reason::ImageUnknown { image },
                Whereabouts::Here | Whereabouts::Undecided | Whereabouts::Nowhere => continue,
            };
            verdicts[at] = Some(Verdict::keep(reason));
            follow(graph.extend(&mut kept, tag.digest()), &mut kept, &mut verdicts);
        }
        // Then those whose image may be on its way; what follows them follows too. Those that serve
        // one of them come last: they follow it, unless they only serve each other.
        let is_among =
            |subject: &Subject, these: &HashSet<Id>| subject.id.is_some_and(|id| these.contains(&id));
        let mut young: Vec<(usize, &Subject)> = (0..tags.len())
            .filter(|at| verdicts[*at].is_none() && self.is_young(&tags[*at], odd_time(odd, *at), now))
            .filter_map(|at| Some((at, companions.subject(at)?)))
            .filter(|(_, subject)| subject.whereabouts != Whereabouts::Undecided)
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
        let (mut asked, mut undecided) = (Vec::new(), Vec::new());
        for (at, verdict) in verdicts.iter_mut().enumerate() {
            let Some(subject) = companions.subject(at) else { continue };
            let is_served = matches!(subject.whereabouts, Whereabouts::Elsewhere(_));
            asked.extend(subject.id.filter(|image| !is_served && !kept.contains(image)));
            if verdict.is_none() {
                let image = Box::new(subject.image.clone());
                // Only an image that was in this repository takes its companions along.
                *verdict = Some(match subject.whereabouts {
                    Whereabouts::Here => Verdict::remove(Reason::ImageGone { image }),
                    _ => Verdict::keep(Reason::ImageUnknown { image }),
                });
            }
            undecided.extend(subject.id.filter(|_| subject.whereabouts == Whereabouts::Undecided));
        }
        let mut verdicts: Vec<Verdict> = verdicts
            .into_iter()
            .map(|verdict| verdict.unwrap_or_else(|| Verdict::keep(Reason::InDoubt)))
            .collect();
        if let Some(tag) = incomplete(repository, inventory, &companions, &verdicts) {
            let reason = Reason::KeptIncomplete { tag: Box::new(tag.name.clone()) };
            verdicts.iter_mut().filter(|it| !it.keep).for_each(|it| *it = Verdict::keep(reason.clone()));
            graph.extend(&mut kept, repository.tagged());
        }
        Decided { verdicts, kept, asked, undecided }
    }

    /// Decides on the tags that rank: images, and companions of images that nobody keeps.
    fn rank(
        &self,
        repository: &Repository,
        companions: &Companions,
        graph: &Graph<'_>,
        odd: &[(usize, OddTime)],
        now: Timestamp,
    ) -> Ranked {
        let tags = &repository.tags;
        let mut verdicts: Vec<Option<Verdict>> = vec![None; tags.len()];

        let mut kept: HashSet<Id> = HashSet::new();
        let mut gone: HashSet<Id> = HashSet::new();
        let mut ranked: Vec<(usize, Timestamp)> = Vec::with_capacity(tags.len());
        let mut late: Vec<Late> = Vec::new();
        let (mut ranked_orphans, mut late_orphans) = (Vec::new(), Vec::new());
        for (at, tag) in tags.iter().enumerate() {
            let TagState::Linked { digest, pushed_at } = tag.state else {
                verdicts[at] = Some(Verdict::keep(Reason::InDoubt));
                continue;
            };
            let odd_time = odd_time(odd, at);
            let (ranked, late) = match companions.subject(at) {
                None => (&mut ranked, &mut late),
                // While it is young, its image may be on its way.
                Some(subject) if subject.is_nowhere() && !self.is_young(tag, odd_time, now) => {
                    (&mut ranked_orphans, &mut late_orphans)
                }
                Some(_) => continue,
            };
            match odd_time {
                // Clocks differ a little; such a tag counts as pushed just now.
                None => ranked.push((at, pushed_at.min(now))),
                Some(OddTime::Ahead { .. }) => {
                    graph.extend(&mut kept, [digest]);
                    verdicts[at] = Some(Verdict::keep(Reason::TimeAhead));
                }
                Some(OddTime::Counted { first_seen, .. }) => {
                    late.push(Late { at, first_seen, pushed_at, image: digest });
                }
            }
        }
        let newest_first = |(a, pushed_a): &(usize, Timestamp), (b, pushed_b): &(usize, Timestamp)| {
            pushed_b.cmp(pushed_a).then_with(|| natural(&tags[*b], &tags[*a]))
        };
        ranked.sort_by(newest_first);
        let mut decide = |ranked: &[(usize, Timestamp)], late: &[Late]| {
            for (at, verdict) in self.late(late.to_vec(), tags, ranked) {
                if verdicts[at].is_none() {
                    graph.extend(if verdict.keep { &mut kept } else { &mut gone }, tags[at].digest());
                    verdicts[at] = Some(verdict);
                }
            }
            let unordered = self.unordered(repository, ranked);
            for (rank, (at, _)) in (1_u32..).zip(ranked.iter().copied()) {
                if verdicts[at].is_some() {
                    continue;
                }
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
        };
        decide(&ranked, &late);
        // What serves an image that nobody keeps ranks among all tags, and takes its place from no image: it may be
        // here only because a sweep was cut short.
        if !ranked_orphans.is_empty() || !late_orphans.is_empty() {
            ranked.append(&mut ranked_orphans);
            ranked.sort_by(newest_first);
            late.append(&mut late_orphans);
            decide(&ranked, &late);
        }
        Ranked { verdicts, kept, gone }
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

/// The first tag that is to be kept and that cannot be pulled completely, where any other one is to go: the one that
/// would go may be the last that can be.
fn incomplete<'a>(
    repository: &'a Repository,
    inventory: &Inventory,
    companions: &Companions,
    verdicts: &[Verdict],
) -> Option<&'a Tag> {
    if verdicts.iter().all(|verdict| verdict.keep) {
        return None;
    }
    let is_kept = |at: &usize| verdicts[*at].keep;
    let lacks = |at: &usize| {
        let is_image = companions.subject(*at).is_none();
        check::lacks_parts(inventory, repository, &repository.tags[*at], is_image).is_some()
    };
    let at = (0..repository.tags.len()).filter(is_kept).find(lacks)?;
    Some(&repository.tags[at])
}

/// Natural order, so that `b10` comes after `b9`; by bytes where that finds no difference.
fn natural(a: &Tag, b: &Tag) -> Ordering {
    let (a, b) = (a.name.as_str(), b.name.as_str());
    natord::compare(a, b).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests;
