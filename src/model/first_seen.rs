//! When things with an unbelievable time were first seen.

use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Digest, RepoName, TagName};

/// How far two clocks may differ before their times are no longer compared.
pub const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// At most this many tags, and as many other things, are remembered.
pub const MOST_REMEMBERED: usize = 25_000;

/// Something in the store whose time may be unbelievable.
#[derive(Clone, Copy, Debug)]
pub enum Thing<'a> {
    /// A tag, as long as it names this manifest.
    Tag(&'a RepoName, &'a TagName, &'a Digest),
    /// A manifest of a repository.
    Revision(&'a RepoName, &'a Digest),
    /// A layer link of a repository.
    Layer(&'a RepoName, &'a Digest),
    /// A blob.
    Blob(&'a Digest),
    /// The directories of a repository.
    Repository(&'a RepoName),
    /// The directory of a blob that has no data.
    HollowBlob(&'a Digest),
    /// The tags that one sweep removed and that can be restored.
    Removed(&'a str),
    /// A directory among the repositories that holds nothing.
    Directory(&'a str),
}

/// The key under which a thing is remembered.
impl fmt::Display for Thing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(repository, tag, manifest) => write!(f, "tag {repository}:{tag} {manifest}"),
            Self::Revision(repository, digest) => write!(f, "revision {repository} {digest}"),
            Self::Layer(repository, digest) => write!(f, "layer {repository} {digest}"),
            Self::Blob(digest) => write!(f, "blob {digest}"),
            Self::Repository(repository) => write!(f, "repository {repository}"),
            Self::HollowBlob(digest) => write!(f, "directory of blob {digest}"),
            Self::Removed(sweep) => write!(f, "removed by {sweep}"),
            Self::Directory(path) => write!(f, "directory {path}"),
        }
    }
}

/// What is remembered about a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// The time that it had. Another time is another push.
    pub dated: Timestamp,
    /// When a sweep first saw it with that time, by the storage's clock.
    pub first_seen: Timestamp,
}

/// What is remembered about things, by [`Thing`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenThings {
    /// Tags, whose push times are no order.
    pub tags: BTreeMap<String, Seen>,
    /// Everything else, whose age counts from when it was first seen.
    pub others: BTreeMap<String, Seen>,
}

impl SeenThings {
    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.others.is_empty()
    }
}

/// When things with an unbelievable time were first seen: what earlier sweeps remembered, and what this one found.
#[derive(Clone, Debug, Default)]
pub struct FirstSeen {
    earlier: SeenThings,
    found: SeenThings,
    is_full: bool,
}

impl FirstSeen {
    /// Starts from what earlier sweeps remembered.
    pub fn new(earlier: SeenThings) -> Self {
        Self { earlier, ..Self::default() }
    }

    /// What earlier sweeps remembered.
    pub const fn earlier(&self) -> &SeenThings {
        &self.earlier
    }

    /// Everything other than tags that this sweep found dated ahead of the clock.
    pub const fn found(&self) -> &SeenThings {
        &self.found
    }

    /// Whether there were more things than can be remembered. What is not remembered is kept.
    pub const fn is_full(&self) -> bool {
        self.is_full
    }

    /// When a tag with this push time was first seen, if an earlier sweep remembered it.
    pub fn of_tag(&self, tag: Thing<'_>, pushed_at: Timestamp) -> Option<Timestamp> {
        if self.earlier.tags.is_empty() {
            return None;
        }
        let seen = self.earlier.tags.get(&tag.to_string())?;
        (seen.dated == pushed_at).then_some(seen.first_seen)
    }

    /// When a tag with this push time was first seen: now, unless an earlier sweep remembered it. Remembers it.
    pub fn tag(&mut self, tag: Thing<'_>, pushed_at: Timestamp, now: Timestamp) -> Timestamp {
        let (earlier, found) = (&self.earlier.tags, &mut self.found.tags);
        first_seen(earlier, found, &mut self.is_full, tag, pushed_at, now)
    }

    /// The time from which the age of a thing counts: its own, or when it was first seen if its own is ahead of the
    /// clock. Remembers the latter.
    ///
    /// [`Timestamp::MAX`] stands for a time that could not be read, and remains that.
    pub fn counts_from(&mut self, thing: Thing<'_>, dated: Timestamp, now: Timestamp) -> Timestamp {
        if !is_ahead(dated, now) || dated == Timestamp::MAX {
            return dated;
        }
        let (earlier, found) = (&self.earlier.others, &mut self.found.others);
        first_seen(earlier, found, &mut self.is_full, thing, dated, now)
    }

    /// What to remember after this sweep: what it found, and what `stays` of the rest, by its key.
    pub fn remembered(&self, stays_tag: impl Fn(&str) -> bool, others_stay: bool) -> SeenThings {
        let mut all = self.found.clone();
        for (key, seen) in &self.earlier.tags {
            if all.tags.len() < MOST_REMEMBERED && !all.tags.contains_key(key) && stays_tag(key) {
                all.tags.insert(key.clone(), *seen);
            }
        }
        for (key, seen) in self.earlier.others.iter().filter(|_| others_stay) {
            if all.others.len() < MOST_REMEMBERED {
                all.others.entry(key.clone()).or_insert(*seen);
            }
        }
        all
    }
}

/// Whether a time is too far ahead of the clock to be believed.
pub fn is_ahead(dated: Timestamp, now: Timestamp) -> bool {
    now.saturating_add(TOLERANCE).is_ok_and(|limit| dated > limit)
}

fn first_seen(
    earlier: &BTreeMap<String, Seen>,
    found: &mut BTreeMap<String, Seen>,
    is_full: &mut bool,
    thing: Thing<'_>,
    dated: Timestamp,
    now: Timestamp,
) -> Timestamp {
    let key = thing.to_string();
    let known = earlier.get(&key).filter(|seen| seen.dated == dated);
    // The clock may have been ahead when it was first seen.
    let first_seen = known.map_or(now, |seen| seen.first_seen.min(now));
    // What is found again does not come in addition.
    if found.len() < MOST_REMEMBERED || found.contains_key(&key) {
        found.entry(key).or_insert(Seen { dated, first_seen });
    } else {
        *is_full = true;
    }
    first_seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_900_000_000 + minutes * 60).unwrap()
    }

    /// A sweep that finds a blob with this time. Returns the time from which its age counts.
    fn sweep(memory: &mut SeenThings, dated: Timestamp, now: Timestamp) -> Timestamp {
        let mut first_seen = FirstSeen::new(std::mem::take(memory));
        let from = first_seen.counts_from(Thing::Blob(&Digest::of(b"garbage")), dated, now);
        *memory = first_seen.remembered(|_| false, false);
        from
    }

    #[test]
    fn a_time_ahead_counts_from_when_it_was_first_seen_and_any_other_as_it_is() {
        for (minutes, from) in [(-600, -600), (0, 0), (5, 5), (6, 0), (5_000_000, 0)] {
            let mut memory = SeenThings::default();
            assert_eq!(sweep(&mut memory, at(minutes), at(0)), at(from), "{minutes}");
            assert_eq!(memory.is_empty(), minutes <= 5, "{minutes}");
            // Every later sweep counts from the same moment.
            let later = if minutes > 10_000 { at(0) } else { at(minutes) };
            assert_eq!(sweep(&mut memory, at(minutes), at(9_000)), later, "{minutes}");
        }
    }

    #[test]
    fn a_thing_that_is_dated_again_counts_anew() {
        let mut memory = SeenThings::default();
        sweep(&mut memory, at(5_000), at(0));
        assert_eq!(sweep(&mut memory, at(5_000), at(60)), at(0));
        assert_eq!(sweep(&mut memory, at(6_000), at(120)), at(120));
        assert_eq!(sweep(&mut memory, at(6_000), at(180)), at(120));
    }

    #[test]
    fn what_was_first_seen_by_a_clock_that_was_ahead_counts_from_now() {
        let mut memory = SeenThings::default();
        sweep(&mut memory, at(50_000), at(10_000));
        assert_eq!(sweep(&mut memory, at(50_000), at(0)), at(0));
        assert_eq!(sweep(&mut memory, at(50_000), at(60)), at(0));
    }

    #[test]
    fn a_time_that_could_not_be_read_never_grows_old() {
        let mut memory = SeenThings::default();
        assert_eq!(sweep(&mut memory, Timestamp::MAX, at(0)), Timestamp::MAX);
        assert!(memory.is_empty());
    }

    #[test]
    fn the_memory_is_bounded_and_what_is_not_in_it_counts_from_now() {
        let mut first_seen = FirstSeen::default();
        for number in 0..=MOST_REMEMBERED {
            let digest = Digest::of(&number.to_le_bytes());
            assert!(!first_seen.is_full());
            assert_eq!(first_seen.counts_from(Thing::Blob(&digest), at(600), at(0)), at(0));
        }
        assert!(first_seen.is_full());
        assert_eq!(first_seen.remembered(|_| true, true).others.len(), MOST_REMEMBERED);
    }
}
