//! Times that cannot be true: what they are counted as, what is reported about them, what is remembered.
//!
//! The last sweep, for push times that are behind, is the one that wrote the file of references from a complete look. One
//! that was refused, failed before its end or only audited the store wrote none, so nothing changes; one that saw
//! something in doubt says so in the file, and then no push time counts as behind.

use std::collections::HashSet;

use jiff::Timestamp;

use super::Sweep;
use crate::model::{
    Code, Inventory, LinkAge, Place, Problem, Repository, SeenThings, Severity, TagState, Thing,
};
use crate::policy::{OddTime, OddTimes, odd_times};
use crate::store::{StoreLock, is_full, path_of};

/// How many tags of a repository are reported each on its own.
const TAGS_REPORTED: usize = 10;
const PATH: &str = "janitor/first-seen";

impl Sweep<'_> {
    /// Reads what earlier sweeps remembered.
    pub(super) fn recall_first_seen(&mut self) {
        let (earlier, problem) = self.store.first_seen();
        self.first_seen = crate::model::FirstSeen::new(earlier);
        self.is_first_seen_damaged = problem.is_some();
        self.findings.extend(problem);
    }

    /// Finds the push times of each repository that cannot be true, and reports them.
    pub(super) fn odd_times(&mut self, inventory: &Inventory, now: Timestamp) -> Vec<OddTimes> {
        let mut all = Vec::with_capacity(inventory.repositories.len());
        for repository in &inventory.repositories {
            let odd = odd_times(repository, inventory, &mut self.first_seen, now);
            self.report_odd_times(repository, &odd, now);
            all.push(odd);
        }
        all
    }

    fn report_odd_times(&mut self, repository: &Repository, odd: &[(usize, OddTime)], now: Timestamp) {
        for (at, time) in odd.iter().take(TAGS_REPORTED) {
            let tag = &repository.tags[*at];
            let TagState::Linked { pushed_at, .. } = tag.state else { continue };
            let place = Place::Tag(repository.name.clone(), tag.name.clone());
            let path = path_of(&crate::model::Spot::Link(place));
            let (severity, code, cause) = self.cause(*time, pushed_at, now);
            let left_out = odd.len() - 1;
            let cause = if left_out == 0 || *at != odd[0].0 {
                cause
            } else {
                format!("{cause} ({left_out} more tags of this repository have such a time)")
            };
            let remedy = format!(
                "set the clock of the registry and of its storage; if the tag was pushed just now, push it again or: touch {}",
                quoted(&self.store.data_dir().join(&path).display().to_string())
            );
            let repository = Some(repository.name.clone());
            self.findings.push(Problem { severity, code, repository, path, cause, remedy });
        }
    }

    fn cause(&self, time: OddTime, pushed_at: Timestamp, now: Timestamp) -> (Severity, Code, String) {
        // An audit may not write, and so does not know the storage's time.
        let clock = if self.config.dry_run { "this host's clock" } else { "the storage's clock" };
        match time {
            OddTime::Ahead { .. } => (
                Severity::Warning,
                Code::TimeAhead,
                format!(
                    "the push time {pushed_at:.0} is ahead of {clock}, which says {now:.0}; it is no order, so the tag stays and takes no other tag's place"
                ),
            ),
            OddTime::Counted { first_seen, is_new: true } => (
                Severity::Warning,
                Code::TimeBehind,
                format!(
                    "the push time {pushed_at:.0} is before the last sweep, which did not see the tag's image: the clock was behind, or a copy with old times was restored; it counts as pushed when it was first seen, at {first_seen:.0}"
                ),
            ),
            OddTime::Counted { first_seen, is_new: false } => (
                Severity::Note,
                Code::TimeBehind,
                format!(
                    "the push time {pushed_at:.0} cannot be true; it counts as pushed when it was first seen, at {first_seen:.0}"
                ),
            ),
        }
    }

    /// The ages of links, counted from when they were first seen where their times are ahead of the clock.
    pub(super) fn counted(&mut self, place: &Place, age: LinkAge) -> LinkAge {
        let now = self.clock.now();
        age.counted(place, &mut self.first_seen, now)
    }

    /// The time from which the age of a thing counts.
    pub(super) fn counts_from(&mut self, thing: Thing<'_>, dated: Timestamp) -> Timestamp {
        let now = self.clock.now();
        self.first_seen.counts_from(thing, dated, now)
    }

    /// Reports what is dated ahead and would be garbage.
    pub(super) fn report_garbage_ahead(&mut self) {
        let found = &self.first_seen.found().others;
        let Some((key, newest)) = found.iter().max_by_key(|(_, seen)| seen.dated) else { return };
        let last = found.values().map(|seen| seen.first_seen).max().unwrap_or(newest.first_seen);
        let count = found.len();
        self.findings.push(Problem {
            severity: Severity::Warning,
            code: Code::TimeAhead,
            repository: None,
            path: key.clone(),
            cause: format!(
                "{count} things that no tag needs are dated ahead of the clock, this one {:.0}; their age counts from when a sweep first saw them, which was at {last:.0} for the last of them",
                newest.dated
            ),
            remedy: "nothing; they go when GC_GRACE (UNDO_WINDOW for removed tags) has passed since then".into(),
        });
        if self.first_seen.is_full() {
            self.findings.push(Problem {
                severity: Severity::Warning,
                code: Code::NoFirstSeen,
                repository: None,
                path: PATH.into(),
                cause: "there are more things with such times than can be remembered; the others are kept"
                    .into(),
                remedy: "nothing; later sweeps remember the others".into(),
            });
        }
    }

    /// Remembers when things with such times were first seen. Says whether every tag among them is remembered.
    pub(super) fn remember_first_seen(
        &mut self,
        lock: &StoreLock,
        inventory: &Inventory,
        saw_all: bool,
    ) -> bool {
        let things = self.things_to_remember(inventory, saw_all);
        let has_all_tags = self.first_seen.found().tags.keys().all(|tag| things.tags.contains_key(tag));
        if things == *self.first_seen.earlier() && !self.is_first_seen_damaged {
            return has_all_tags;
        }
        match self.store.remember_first_seen(lock, &things) {
            Ok(()) => has_all_tags,
            Err(error) => {
                self.findings.push(Problem {
                    severity: if is_full(&error) { Severity::Warning } else { Severity::Error },
                    code: Code::NoFirstSeen,
                    repository: None,
                    path: PATH.into(),
                    cause: format!(
                        "cannot remember when things dated ahead or behind were first seen: {error}"
                    ),
                    remedy: "nothing; they are kept, and the next sweep tries again".into(),
                });
                false
            }
        }
    }

    /// What this sweep found. Of what it did not find, tags that can be restored stay, and those of repositories that
    /// are away; while something is in doubt, everything stays.
    fn things_to_remember(&self, inventory: &Inventory, saw_all: bool) -> SeenThings {
        let earlier = self.first_seen.earlier();
        let mut undoable: HashSet<String> = HashSet::new();
        if !earlier.tags.is_empty() {
            undoable.extend(
                inventory.undo.tags.iter().map(|it| {
                    Thing::Tag(&it.repository, &it.tag, &inventory.digest(it.manifest)).to_string()
                }),
            );
        }
        let is_away = |key: &str| {
            let name =
                key.strip_prefix("tag ").and_then(|it| it.split_once(':')).and_then(|it| it.0.parse().ok());
            name.is_some_and(|name| inventory.position(&name).is_none())
        };
        let in_doubt = self.in_doubt(inventory);
        self.first_seen
            .remembered(|key| in_doubt || undoable.contains(key) || is_away(key), in_doubt || !saw_all)
    }
}

/// A path as a shell takes it.
fn quoted(path: &str) -> String {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "/._-+=:@%".contains(it);
    if path.chars().all(is_plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}
