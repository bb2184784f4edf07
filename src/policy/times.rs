//! Push times that cannot be true: those ahead of the clock, and those from before a sweep that did not see the push.
//!
//! A clock that was wrong for a while, of the registry or of its storage, leaves tags with the wrong push time. Such a
//! time is no order, so it never decides about another tag: tags with believable times rank among themselves, as if the
//! others were not there. While its time is ahead, a tag stays. After that, and if its time is behind, it counts as pushed
//! when it was first seen, and goes once enough newer tags have come.

use jiff::Timestamp;

use super::{Policy, Reason, Verdict, natural, ties};
use crate::model::{FirstSeen, Id, Inventory, Repository, TOLERANCE, Tag, TagState, Thing, is_ahead};

/// A push time that cannot be true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OddTime {
    /// It is ahead of the clock.
    Ahead {
        /// When a sweep first saw the tag.
        first_seen: Timestamp,
    },
    /// It was ahead, or it is from before a sweep that did not see the push.
    Counted {
        /// When a sweep first saw the tag, which counts as its push time.
        first_seen: Timestamp,
        /// Whether no earlier sweep remembered it.
        is_new: bool,
    },
}

impl OddTime {
    /// When a sweep first saw the tag.
    pub const fn first_seen(self) -> Timestamp {
        match self {
            Self::Ahead { first_seen } | Self::Counted { first_seen, .. } => first_seen,
        }
    }
}

/// The push times of a repository's tags that cannot be true, by the positions of the tags, in their order.
pub type OddTimes = Vec<(usize, OddTime)>;

/// Finds the push times that cannot be true, and remembers when these tags were first seen.
pub fn odd_times(
    repository: &Repository,
    inventory: &Inventory,
    first_seen: &mut FirstSeen,
    now: Timestamp,
) -> OddTimes {
    let mut odd = OddTimes::new();
    for (at, tag) in repository.tags.iter().enumerate() {
        let TagState::Linked { digest, pushed_at } = tag.state else { continue };
        let is_remembered = || {
            let manifest = inventory.digest(digest);
            first_seen.of_tag(Thing::Tag(&repository.name, &tag.name, &manifest), pushed_at).is_some()
        };
        let is_ahead = is_ahead(pushed_at, now);
        let is_known = !first_seen.earlier().tags.is_empty() && is_remembered();
        if !is_ahead && !is_known && !is_behind(digest, pushed_at, inventory, now) {
            continue;
        }
        let manifest = inventory.digest(digest);
        let thing = Thing::Tag(&repository.name, &tag.name, &manifest);
        let first_seen = first_seen.tag(thing, pushed_at, now);
        odd.push((
            at,
            if is_ahead {
                OddTime::Ahead { first_seen }
            } else {
                OddTime::Counted { first_seen, is_new: !is_known }
            },
        ));
    }
    odd
}

/// The time of the tag at a position, if it cannot be true.
pub(super) fn odd_time(odd: &[(usize, OddTime)], at: usize) -> Option<OddTime> {
    let nth = odd.binary_search_by_key(&at, |(at, _)| *at).ok()?;
    Some(odd[nth].1)
}

/// Whether the last sweep would have seen this push, had it been made at this time. A sweep whose own time is ahead of
/// the clock proves nothing.
fn is_behind(manifest: Id, pushed_at: Timestamp, inventory: &Inventory, now: Timestamp) -> bool {
    let last_look = inventory.news.since(manifest).filter(|look| !is_ahead(*look, now));
    last_look.and_then(|look| look.checked_sub(TOLERANCE).ok()).is_some_and(|limit| pushed_at < limit)
}

/// A tag that counts as pushed when it was first seen.
#[derive(Clone, Copy)]
pub(super) struct Late {
    /// Its position.
    pub(super) at: usize,
    pub(super) first_seen: Timestamp,
    pub(super) pushed_at: Timestamp,
    pub(super) image: Id,
}

impl Policy {
    /// Decides on tags that count as pushed when they were first seen. Each gets its rank among them and the others,
    /// which are `ranked`, newest first.
    ///
    /// Those first seen by the same sweep were pushed by the same clock, so their own times order them.
    pub(super) fn late(
        &self,
        mut late: Vec<Late>,
        tags: &[Tag],
        ranked: &[(usize, Timestamp)],
    ) -> Vec<(usize, Verdict)> {
        late.sort_by(|a, b| {
            let time = |it: &Late| (it.first_seen, it.pushed_at);
            time(b).cmp(&time(a)).then_with(|| natural(&tags[b.at], &tags[a.at]))
        });
        let mut verdicts = Vec::with_capacity(late.len());
        for of_one_sweep in late.chunk_by(|a, b| a.first_seen == b.first_seen) {
            let first_seen = of_one_sweep[0].first_seen;
            let newer = verdicts.len() + ranked.partition_point(|(_, pushed_at)| *pushed_at > first_seen);
            let newer = u32::try_from(newer).unwrap_or(u32::MAX);
            let places = usize::try_from(self.keep_last.saturating_sub(newer)).unwrap_or(usize::MAX);
            let images: Vec<(Timestamp, Id)> =
                of_one_sweep.iter().map(|it| (it.pushed_at, it.image)).collect();
            let unordered =
                if self.trust_equal_push_times { 0..0 } else { ties::straddling(&images, places) };
            verdicts.extend((0..).zip(of_one_sweep).map(|(nth, tag)| {
                let verdict = if nth < places || unordered.contains(&nth) {
                    Verdict::keep(Reason::FirstSeen { at: Box::new(first_seen) })
                } else {
                    let rank = u32::try_from(nth).unwrap_or(u32::MAX).saturating_add(newer).saturating_add(1);
                    Verdict::remove(Reason::BeyondKeepLast { rank, keep: self.keep_last })
                };
                (tag.at, verdict)
            }));
        }
        verdicts
    }
}
