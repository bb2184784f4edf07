//! What a sweep remembers of the tags that it leaves, and how many of those it removes nobody has asked for.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::{Remains, Share};
use crate::model::{
    Id, Inventory, Known, KnownRepository, KnownTag, Manifest, Repository, Rules, Tag, TagState,
};
use crate::policy::{Reason, Verdict};

/// Returns what is to be remembered of the repositories of an inventory once the removed tags are gone, sorted by
/// name.
///
/// `before` is what the last sweep remembered, if it did; `missed` are those of its repositories, by position, whose
/// tags are gone and still waited for, and since when.
pub fn known(
    inventory: &Inventory,
    verdicts: &[Vec<Verdict>],
    before: Option<&[KnownRepository]>,
    missed: &[(usize, Timestamp)],
) -> Vec<KnownRepository> {
    let mut needs = Needs::of(inventory);
    let waited_for = |(at, since): &(usize, Timestamp)| {
        let repository = before.and_then(|before| before.get(*at))?;
        let mut tags = repository.tags.clone();
        if let Some(at) = inventory.position(&repository.name) {
            // What this sweep removes is not waited for.
            let now = inventory.repositories[at].tags.iter().zip(&verdicts[at]);
            let going: HashSet<u32> = now
                .filter(|(_, verdict)| !verdict.keep)
                .map(|(tag, _)| KnownTag::hash(tag.name.as_str()))
                .collect();
            tags.retain(|tag| !going.contains(&tag.name));
        }
        Some(KnownRepository { tags, missed_since: Some(*since), ..repository.clone() })
    };
    let mut known: Vec<KnownRepository> = missed.iter().filter_map(waited_for).collect();
    let waited_for = known.len();
    for (repository, verdicts) in inventory.repositories.iter().zip(verdicts) {
        let earlier = before.and_then(|before| find(before, repository));
        if known[..waited_for].binary_search_by(|it| it.name.cmp(&repository.name)).is_ok() {
            continue;
        }
        if let Some(earlier) = earlier.filter(|_| repository.in_doubt) {
            // What is in doubt may not show all of its tags.
            known.push(KnownRepository { missed_since: None, ..earlier.clone() });
            continue;
        }
        let stays = repository.tags.iter().zip(verdicts).filter(|(_, verdict)| verdict.keep);
        let mut tags: Vec<KnownTag> = stays.filter_map(|(tag, _)| needs.known(tag)).collect();
        if tags.is_empty() {
            continue;
        }
        tags.sort_unstable();
        tags.dedup_by_key(|tag| tag.name);
        let limit = match (before, earlier) {
            (None, _) => u32::MAX,
            (Some(_), None) => 0,
            (Some(_), Some(earlier)) => earlier.settled,
        };
        let is_newest = |reason: &Reason| matches!(reason, Reason::Newest { .. });
        let newest = count(verdicts.iter().filter(|verdict| verdict.reasons.iter().any(is_newest)));
        let settled = ranked(verdicts, true).min(limit.max(newest));
        known.push(KnownRepository { name: repository.name.clone(), settled, tags, missed_since: None });
    }
    known.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    known
}

/// Returns the share of tags that the limit is held against.
///
/// That is every tag that goes, unless the last sweep went by the same settings. Then it is those that the last sweep
/// left for good and that no newer ones replace. A repository has as many of these as the policy keeps, whatever came
/// in since and however long that took, so no push makes a sweep ask.
pub fn tags_share(
    before: Option<&Known>,
    rules: &Rules,
    inventory: &Inventory,
    verdicts: &[Vec<Verdict>],
) -> Share {
    if let Some(before) = before.filter(|before| rules.keep_the_tags_of(&before.rules)) {
        let (going, all) = unexplained(inventory, verdicts, &before.repositories);
        return Share { what: "tags that the last sweep left", going, all };
    }
    let all = verdicts.iter().flatten();
    let (going, all) = (all.clone().filter(|verdict| !verdict.keep).count(), all.count());
    Share { what: "tags", going, all }
}

/// Returns the share of blobs that the limit is held against if the last sweep collected blobs by the same settings:
/// those that tags need no longer although nobody has pushed these tags again.
///
/// `None` if it did not. Then all unreferenced blobs count that no earlier sweep has counted.
pub fn blobs_share(before: Option<&Known>, rules: &Rules, remains: &Remains) -> Option<Share> {
    before.filter(|before| before.blobs_judged && rules.keep_the_blobs_of(&before.rules))?;
    Some(Share {
        what: "blobs that kept tags needed at the last sweep (counted for each tag)",
        going: remains.needs_lost(),
        all: remains.needs,
    })
}

fn unexplained(
    inventory: &Inventory,
    verdicts: &[Vec<Verdict>],
    before: &[KnownRepository],
) -> (usize, usize) {
    let mut going: usize = 0;
    for (repository, verdicts) in inventory.repositories.iter().zip(verdicts) {
        if let Some(earlier) = find(before, repository) {
            let fewer = earlier.settled.saturating_sub(ranked(verdicts, true));
            going += fewer.min(ranked(verdicts, false)) as usize;
        }
    }
    (going, before.iter().map(|it| it.settled as usize).sum())
}

/// How many tags stay, or go, by their own rank. Companions only follow their images.
fn ranked(verdicts: &[Verdict], keep: bool) -> u32 {
    let follows = |reason: &Reason| {
        matches!(
            reason,
            Reason::FollowsImage { .. }
                | Reason::ImageMayCome { .. }
                | Reason::ImageElsewhere { .. }
                | Reason::ImageUnknown { .. }
                | Reason::ImageGone { .. }
        )
    };
    count(verdicts.iter().filter(|it| it.keep == keep && !it.reasons.iter().any(follows)))
}

fn count<T>(of: impl Iterator<Item = T>) -> u32 {
    u32::try_from(of.count()).unwrap_or(u32::MAX)
}

fn find<'a>(known: &'a [KnownRepository], repository: &Repository) -> Option<&'a KnownRepository> {
    let at = known.binary_search_by(|it| it.name.cmp(&repository.name)).ok()?;
    Some(&known[at])
}

/// How many blobs manifests name. That never changes, so a smaller number shows that manifests have vanished.
pub(super) struct Needs<'a> {
    inventory: &'a Inventory,
    /// Of indexes, since many tags may name one.
    counted: HashMap<Id, u16>,
}

impl<'a> Needs<'a> {
    pub(super) fn of(inventory: &'a Inventory) -> Self {
        Self { inventory, counted: HashMap::new() }
    }

    /// A tag as it is remembered; `None` when its link could not be read.
    pub(super) fn known(&mut self, tag: &Tag) -> Option<KnownTag> {
        let TagState::Linked { digest, .. } = tag.state else { return None };
        Some(KnownTag {
            name: KnownTag::hash(tag.name.as_str()),
            manifest: KnownTag::prefix(&self.inventory.digest(digest)),
            needs: self.needs(digest),
        })
    }

    fn needs(&mut self, manifest: Id) -> u16 {
        let manifests = &self.inventory.manifests;
        let of_one = |manifest: Manifest<'_>| 1 + manifest.blobs().count();
        match manifests.get(&manifest) {
            None => 1,
            Some(single) if single.children().next().is_none() => narrow(of_one(single)),
            Some(_) => *self.counted.entry(manifest).or_insert_with(|| {
                let (mut seen, mut open, mut sum) = (HashSet::new(), vec![manifest], 0);
                while let Some(id) = open.pop() {
                    if seen.insert(id) {
                        let known = manifests.get(&id);
                        sum += known.map_or(1, of_one);
                        open.extend(known.into_iter().flat_map(Manifest::children));
                    }
                }
                narrow(sum)
            }),
        }
    }
}

fn narrow(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}
