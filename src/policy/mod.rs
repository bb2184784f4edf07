//! Which tags stay: a pure function of a repository, a policy and a time.

mod companion;
mod reason;

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::fmt;

use jiff::{SignedDuration, Timestamp};

pub use reason::Reason;

use crate::gc::mark::Graph;
use crate::model::{Digest, Manifest, Repository, Tag, TagState};
use companion::Companions;

/// What is to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How many tags of a repository stay, newest push first.
    pub keep_last: u32,
    /// How long a companion tag waits for its image.
    pub grace: SignedDuration,
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
    pub reasons: Vec<Reason>,
}

impl Verdict {
    fn keep(reason: Reason) -> Self {
        Self { keep: true, reasons: vec![reason] }
    }

    fn remove(reason: Reason) -> Self {
        Self { keep: false, reasons: vec![reason] }
    }
}

impl Policy {
    /// Decides on every tag of a repository, in the order of its tags.
    pub fn evaluate(
        &self,
        repository: &Repository,
        manifests: &HashMap<Digest, Manifest>,
        now: Timestamp,
    ) -> Vec<Verdict> {
        let tags = &repository.tags;
        if repository.in_doubt {
            return tags.iter().map(|_| Verdict::keep(Reason::InDoubt)).collect();
        }
        let graph = Graph::of(repository, manifests);
        let companions = Companions::of(repository, manifests);
        let mut verdicts: Vec<Option<Verdict>> = vec![None; tags.len()];

        let mut ranked: Vec<(usize, Timestamp)> = Vec::with_capacity(tags.len());
        for (at, tag) in tags.iter().enumerate() {
            match &tag.state {
                TagState::Doubtful => verdicts[at] = Some(Verdict::keep(Reason::InDoubt)),
                TagState::Linked { .. } if companions.subject(at).is_some() => {}
                // A time to come is a clock gone wrong; such a tag counts as pushed just now.
                TagState::Linked { pushed_at, .. } => ranked.push((at, (*pushed_at).min(now))),
            }
        }
        ranked.sort_by(|(a, pushed_a), (b, pushed_b)| {
            pushed_b.cmp(pushed_a).then_with(|| natural(&tags[*b], &tags[*a]))
        });
        let mut kept: HashSet<&Digest> = HashSet::new();
        let mut gone: HashSet<&Digest> = HashSet::new();
        for (rank, (at, _)) in (1_u32..).zip(ranked) {
            let stays = rank <= self.keep_last;
            graph.extend(if stays { &mut kept } else { &mut gone }, tags[at].digest());
            verdicts[at] = Some(if stays {
                Verdict::keep(Reason::Newest { rank, of: self.keep_last })
            } else {
                Verdict::remove(Reason::BeyondKeepLast { rank, keep: self.keep_last })
            });
        }

        // A companion may itself have companions, so go on until nothing more follows.
        let mut waiting: Vec<(usize, &Digest)> =
            (0..tags.len()).filter_map(|at| Some((at, companions.subject(at)?))).collect();
        loop {
            let before = waiting.len();
            waiting.retain(|(at, subject)| {
                let follows = kept.contains(subject);
                if follows {
                    graph.extend(&mut kept, tags[*at].digest());
                    verdicts[*at] = Some(Verdict::keep(Reason::FollowsImage { image: (*subject).clone() }));
                }
                !follows
            });
            if waiting.len() < before {
                continue;
            }
            // Then those whose image may be on its way; what follows them follows too.
            let young = waiting
                .iter()
                .position(|(at, subject)| !gone.contains(subject) && self.is_young(&tags[*at], now));
            let Some(young) = young else { break };
            let (at, subject) = waiting.swap_remove(young);
            graph.extend(&mut kept, tags[at].digest());
            verdicts[at] = Some(Verdict::keep(Reason::ImageMayCome { image: subject.clone() }));
        }
        for (at, subject) in waiting {
            verdicts[at] = Some(Verdict::remove(Reason::ImageGone { image: subject.clone() }));
        }
        verdicts
            .into_iter()
            .map(|verdict| verdict.unwrap_or_else(|| Verdict::keep(Reason::InDoubt)))
            .collect()
    }

    fn is_young(&self, tag: &Tag, now: Timestamp) -> bool {
        match tag.state {
            TagState::Linked { pushed_at, .. } => now.duration_since(pushed_at) < self.grace,
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
