//! Whether a store has lost so much since the last sweep that it may not be there whole.

use jiff::{SignedDuration, Timestamp};

use super::TINY;
use super::known::Needs;
use crate::model::{Counts, Id, Inventory, KnownRepository, KnownTag, Revision, TagState};

/// How many tags of a repository that is still there may be gone without a trace: a person removed them by hand, or over
/// the API of a registry 3. A storage that shows only a part of a repository rarely stops at so few.
const MOST_BY_HAND: usize = 4;

/// How long tags that are gone are waited for.
const PATIENCE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// How much of what the last sweep left is still there, without what is waited for already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remains {
    /// How many tags it left, without those that were deleted over the registry's API since.
    pub tags: usize,
    /// How many of them are there, pushed again or not.
    pub tags_there: usize,
    /// How many blobs those of the tags need that were not pushed again. Each tag is counted for itself.
    pub needs: usize,
    /// How many of these are still needed.
    pub needs_there: usize,
    /// The repositories, by position, that are gone, or have lost half of their tags or more where these are not just a
    /// few, and how many tags are gone.
    pub missed: Vec<(usize, usize)>,
}

impl Remains {
    /// Compares what the last sweep left with what is there now.
    ///
    /// `hollow` are the revisions without a link, which is what the registry's API leaves of a manifest that was
    /// deleted with all of its tags. What is in doubt counts as there.
    pub fn of(known: &[KnownRepository], inventory: &Inventory, hollow: &[Revision]) -> Self {
        let mut hollow: Vec<(u32, u16)> =
            hollow.iter().map(|it| (it.repository, prefix(inventory, it.manifest))).collect();
        hollow.sort_unstable();
        let mut needs = Needs::of(inventory);
        let mut remains = Self::default();
        let mut now: Vec<KnownTag> = Vec::new();
        for (at, earlier) in known.iter().enumerate() {
            let all = earlier.tags.len();
            let position = inventory.position(&earlier.name);
            let mut is_gone = true;
            now.clear();
            if let Some(position) = position {
                let repository = &inventory.repositories[position];
                is_gone = repository.tags.is_empty() && repository.revisions.is_empty();
                let is_doubtful = repository.tags.iter().any(|tag| tag.state == TagState::Doubtful);
                if repository.in_doubt || is_doubtful {
                    remains.tags += all;
                    remains.tags_there += all;
                    continue;
                }
                now.extend(repository.tags.iter().filter_map(|tag| needs.known(tag)));
                now.sort_unstable();
            }
            let hollow_at = position.and_then(|it| u32::try_from(it).ok()).unwrap_or(u32::MAX);
            let from = hollow.partition_point(|it| it.0 < hollow_at);
            let until = hollow.partition_point(|it| it.0 <= hollow_at);
            let hollow = &hollow[from..until];
            let (mut there, mut deleted) = (0, 0);
            let (mut needs_then, mut needs_now) = (0, 0);
            let mut lost: Vec<u16> = Vec::new();
            for tag in &earlier.tags {
                let same_name = now.partition_point(|it| it.name < tag.name);
                match now.get(same_name).filter(|it| it.name == tag.name) {
                    Some(it) => {
                        there += 1;
                        if it.manifest == tag.manifest {
                            needs_then += usize::from(tag.needs);
                            needs_now += usize::from(it.needs.min(tag.needs));
                        }
                    }
                    None if hollow.binary_search(&(hollow_at, tag.manifest)).is_ok() => deleted += 1,
                    None => lost.push(tag.needs),
                }
            }
            // A tag may have been pushed again before it was deleted: then another manifest tells of it.
            let is_known = |it: &&(u32, u16)| earlier.tags.iter().any(|tag| tag.manifest == it.1);
            let others = hollow.iter().filter(|it| !is_known(it)).count().min(lost.len());
            lost.sort_unstable();
            lost.truncate(lost.len() - others);
            deleted += others;
            needs_then += lost.into_iter().map(usize::from).sum::<usize>();
            let gone = all - deleted - there;
            let is_half = gone > MOST_BY_HAND && gone * 2 >= all - deleted;
            let is_missed = gone > 0 && (is_gone || is_half);
            if is_missed {
                remains.missed.push((at, gone));
            }
            // What is waited for already holds every blob, and must not refuse sweeps as well.
            if !is_missed || earlier.missed_since.is_none() {
                remains.tags += all - deleted;
                remains.tags_there += there;
                remains.needs += needs_then;
                remains.needs_there += needs_now;
            }
        }
        remains
    }

    /// How many tags are gone without anybody having deleted them over the registry's API.
    pub const fn tags_lost(&self) -> usize {
        self.tags - self.tags_there
    }

    /// How many blobs tags no longer need although nobody has pushed them again.
    pub const fn needs_lost(&self) -> usize {
        self.needs - self.needs_there
    }
}

fn prefix(inventory: &Inventory, manifest: Id) -> u16 {
    KnownTag::prefix(&inventory.digest(manifest))
}

/// What becomes of repositories whose tags are gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missed {
    /// Waited for, by position, and since when.
    pub waited_for: Vec<(usize, Timestamp)>,
    /// Waited for long enough.
    pub given_up: Vec<(usize, Timestamp)>,
}

impl Missed {
    /// Decides on repositories that are missed now.
    pub fn of(known: &[KnownRepository], missed: &[(usize, usize)], now: Timestamp) -> Self {
        let mut decided = Self::default();
        for (at, _) in missed {
            let since = known[*at].missed_since.unwrap_or(now);
            let is_over = now.duration_since(since) >= PATIENCE;
            let list = if is_over { &mut decided.given_up } else { &mut decided.waited_for };
            list.push((*at, since));
        }
        decided
    }

    /// When a repository that is missed since a time is given up.
    pub fn until(since: Timestamp) -> Timestamp {
        since.saturating_add(PATIENCE).unwrap_or(Timestamp::MAX)
    }
}

/// What a store has lost, in words: most of its repositories, tags or blobs, where there were not just a
/// few. `None` when nothing is missing that somebody might not have deleted.
///
/// `remains` tells of tags one by one, if the last sweep remembered them: new ones do not stand in for others then.
pub fn losses(was: &Counts, is: &Counts, remains: Option<&Remains>) -> Option<String> {
    let tags = remains.map_or((was.tags, is.tags), |it| (it.tags, it.tags_there));
    let kinds = [
        ("repositories", was.repositories, is.repositories),
        ("tags", tags.0, tags.1),
        ("blobs", was.blobs, is.blobs),
    ];
    let most = |(_, was, is): &(&str, usize, usize)| *was >= TINY && *is < was.div_ceil(2);
    let mut lost: Vec<_> = kinds.into_iter().filter(most).collect();
    // Missing tags show that already, and in a small store a few tags may need many blobs.
    let needs =
        remains.filter(|it| it.tags >= TINY).map(|it| ("blobs that tags need", it.needs, it.needs_there));
    if lost.is_empty() {
        lost.extend(needs.filter(most));
    }
    let lost: Vec<String> = lost.into_iter().map(|(what, was, is)| format!("{is} of {was} {what}")).collect();
    (!lost.is_empty()).then(|| lost.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(repositories: usize, tags: usize, blobs: usize) -> Counts {
        Counts { repositories, tags, blobs }
    }

    #[test]
    fn more_than_half_of_anything_is_a_loss_where_there_was_not_just_a_few() {
        for (was, is, told) in [
            (counts(20, 20, 20), counts(10, 10, 10), None),
            (counts(20, 20, 20), counts(9, 20, 20), Some("9 of 20 repositories")),
            (counts(20, 21, 20), counts(20, 10, 0), Some("10 of 21 tags, 0 of 20 blobs")),
            (counts(19, 19, 19), counts(0, 0, 0), None),
            (counts(20, 400, 999), counts(20, 399, 998), None),
            (counts(30, 400, 999), counts(60, 900, 5000), None),
        ] {
            assert_eq!(losses(&was, &is, None).as_deref(), told, "{was:?} {is:?}");
        }
    }

    #[test]
    fn new_tags_do_not_stand_in_for_those_that_are_gone() {
        let (was, is) = (counts(1, 40, 99), counts(1, 90, 99));
        let remains = |tags_there, needs_there| Remains {
            tags: 40,
            tags_there,
            needs: 60,
            needs_there,
            missed: vec![],
        };
        for (remains, told) in [
            (remains(40, 60), None),
            (remains(20, 30), None),
            (remains(19, 29), Some("19 of 40 tags")),
            (remains(40, 29), Some("29 of 60 blobs that tags need")),
        ] {
            assert_eq!(losses(&was, &is, Some(&remains)).as_deref(), told, "{remains:?}");
        }
    }
}
