//! What happened to each tag and repository, put together as a sweep goes on.

use std::collections::{HashMap, HashSet};

use super::Sweep;
use super::collect::Collected;
use super::reclaim::Reclaim;
use super::undo::Lacked;
use crate::apply::Applied;
use crate::check::Broken;
use crate::model::{Digests, Expected, Inventory, Place, RepoName, Revision, Severity, Tag, TagState};
use crate::policy::{Reason, Verdict};
use crate::report::{
    CollectionStatus, Decision, Outcome, RepositoryReport, Status, SweepReport, TagReport, Totals,
};
use crate::store::{RemovedReason, RemovedTag};

/// Kept small, since there may be many: the report is made of it when all else is done.
pub(super) struct Outcomes {
    repositories: Vec<RepositoryOutcome>,
    manifests_removed: Vec<Revision>,
    manifests_held: usize,
}

struct RepositoryOutcome {
    name: RepoName,
    tags: Vec<TagOutcome>,
    removed: bool,
}

struct TagOutcome {
    tag: Tag,
    verdict: Verdict,
    outcome: Outcome,
}

impl Outcomes {
    /// Every tag with its verdict, as if nothing had been done yet.
    pub(super) fn new(inventory: &Inventory, verdicts: Vec<Vec<Verdict>>) -> Self {
        let repositories = inventory.repositories.iter().zip(verdicts).map(|(repository, verdicts)| {
            let tags = repository.tags.iter().zip(verdicts);
            let tags =
                tags.map(|(tag, verdict)| TagOutcome { tag: tag.clone(), verdict, outcome: Outcome::Kept });
            RepositoryOutcome { name: repository.name.clone(), tags: tags.collect(), removed: false }
        });
        Self { repositories: repositories.collect(), manifests_removed: Vec::new(), manifests_held: 0 }
    }

    pub(super) fn would_remove(&mut self, expected: &[Expected]) {
        self.set(expected.iter().map(|expected| &expected.place), Outcome::WouldRemove);
    }

    pub(super) fn removed(&mut self, applied: &Applied) {
        // What was neither taken nor changed nor failed was gone before its turn.
        for repository in &mut self.repositories {
            for tag in repository.tags.iter_mut().filter(|tag| !tag.verdict.keep) {
                tag.outcome = Outcome::Changed;
            }
        }
        self.set(applied.taken.iter().map(|expected| &expected.place), Outcome::Removed);
        self.set(&applied.in_use, Outcome::InUse);
        self.set(&applied.failed, Outcome::Failed);
    }

    /// Every tag that was taken away, with its reasons as they are told, and what it lacked before.
    pub(super) fn removed_tags(&self, lacked: &Lacked) -> Vec<RemovedTag> {
        let of = |repository: &RepositoryOutcome, it: &TagOutcome| RemovedTag {
            repository: repository.name.to_string(),
            tag: it.tag.name.to_string(),
            reasons: it.verdict.reasons.iter().map(told).collect(),
            lacked: lacked
                .get(&Place::Tag(repository.name.clone(), it.tag.name.clone()))
                .into_iter()
                .flatten()
                .map(ToString::to_string)
                .collect(),
        };
        let taken = |it: &&TagOutcome| it.outcome == Outcome::Removed;
        let repositories = self.repositories.iter();
        repositories.flat_map(|it| it.tags.iter().filter(taken).map(move |tag| of(it, tag))).collect()
    }

    pub(super) fn rescued(&mut self, rescued: &HashSet<Place>) {
        self.set(rescued, Outcome::Changed);
    }

    /// The second look could not be finished: what is in the trash is put back by the next sweep.
    pub(super) fn left_pending(&mut self, taken: &[Expected]) {
        self.set(taken.iter().map(|expected| &expected.place), Outcome::Failed);
    }

    fn set<'a>(&mut self, places: impl IntoIterator<Item = &'a Place>, outcome: Outcome) {
        for place in places {
            let Place::Tag(name, tag) = place else { continue };
            let Some(at) = self.position(name) else { continue };
            let tags = &mut self.repositories[at].tags;
            if let Ok(at) = tags.binary_search_by(|it| it.tag.name.cmp(tag)) {
                tags[at].outcome = outcome;
            }
        }
    }

    pub(super) fn manifests(&mut self, removed: Vec<Revision>, held: usize) {
        self.manifests_removed = removed;
        self.manifests_held = held;
    }

    fn position(&self, name: &RepoName) -> Option<usize> {
        self.repositories.binary_search_by(|repository| repository.name.cmp(name)).ok()
    }

    pub(super) fn repository_removed(&mut self, name: &RepoName) {
        if let Some(at) = self.position(name) {
            self.repositories[at].removed = true;
        }
    }

    pub(super) fn repositories_removed(&self) -> usize {
        self.repositories.iter().filter(|repository| repository.removed).count()
    }

    fn into_repositories(self, digests: &Digests, held_alone: &HashMap<u32, u64>) -> Vec<RepositoryReport> {
        let tag = |it: TagOutcome| {
            let (digest, pushed_at) = match it.tag.state {
                TagState::Linked { digest, pushed_at } => (Some(digests.get(digest)), Some(pushed_at)),
                TagState::Doubtful => (None, None),
            };
            let decision = if it.verdict.keep { Decision::Keep } else { Decision::Remove };
            let (reasons, outcome) = (it.verdict.reasons, it.outcome);
            TagReport { tag: it.tag.name, digest, pushed_at, decision, reasons, outcome }
        };
        let repository = |(at, it): (u32, RepositoryOutcome)| RepositoryReport {
            name: it.name,
            tags: it.tags.into_iter().map(tag).collect(),
            manifests_removed: Vec::new(),
            bytes_reclaimable: held_alone.get(&at).copied().unwrap_or(0),
            removed: it.removed,
        };
        let mut repositories: Vec<RepositoryReport> = (0..).zip(self.repositories).map(repository).collect();
        for Revision { repository, manifest } in self.manifests_removed {
            repositories[repository as usize].manifests_removed.push(digests.get(manifest));
        }
        repositories
    }

    pub(super) fn into_report(
        self,
        sweep: Sweep<'_>,
        digests: &Digests,
        reclaim: &Reclaim,
        collected: Collected,
        broken: Vec<Broken>,
    ) -> SweepReport {
        let manifests_held = self.manifests_held;
        let manifests_removed = self.manifests_removed.len();
        let repositories = self.into_repositories(digests, &reclaim.held_alone);
        let tags = || repositories.iter().flat_map(|repository| &repository.tags);
        let went = |outcome| matches!(outcome, Outcome::Removed | Outcome::WouldRemove);
        let removed = tags().filter(|tag| went(tag.outcome)).count();
        let tags_failed = tags().any(|tag| tag.outcome == Outcome::Failed);
        let totals = Totals {
            repositories: repositories.len(),
            tags: tags().count(),
            tags_removed: removed,
            tags_kept: tags().count() - removed,
            manifests_removed,
            manifests_held,
            blobs_removed: collected.blobs_removed,
            blobs_held: collected.blobs_held,
            repositories_removed: repositories.iter().filter(|it| it.removed).count(),
            bytes_before: reclaim.bytes_before,
            bytes_after: collected.bytes_after,
            bytes_freed: collected.bytes_freed,
            bytes_freed_on_disk: collected.bytes_freed_on_disk,
            bytes_held: collected.bytes_held,
            held_until: sweep.held_until.max(reclaim.held_until()).filter(|_| collected.bytes_held > 0),
        };
        let undo = sweep.undo_report(reclaim.undo);
        let mut findings = sweep.findings;
        findings.sort_by(|a, b| (b.severity, &a.path, a.code).cmp(&(a.severity, &b.path, b.code)));
        findings.dedup();
        let troubled = tags_failed
            || !broken.is_empty()
            || collected.report.status == CollectionStatus::Failed
            || findings.iter().any(|finding| finding.severity >= Severity::Doubt);
        let (status, exit_code) = match (collected.report.status, troubled) {
            _ if sweep.is_refused => (Status::Refused, 12),
            // An image that does not pull is the graver news.
            (CollectionStatus::Refused, _) if broken.is_empty() => (Status::Refused, 12),
            (_, true) => (Status::Partial, 3),
            (_, false) if sweep.config.dry_run => (Status::Audit, 0),
            (_, false) => (Status::Done, 0),
        };
        SweepReport {
            schema_version: 1,
            version: env!("CARGO_PKG_VERSION"),
            sweep: sweep.id,
            dry_run: sweep.config.dry_run,
            started_at: sweep.started_at,
            policy: sweep.config.policy.to_string(),
            status,
            exit_code,
            totals,
            repositories,
            collection: collected.report,
            in_doubt_since: sweep.in_doubt_since,
            undo,
            broken,
            findings,
            stages: sweep.laps.into_stages(),
        }
    }
}

fn told(reason: &Reason) -> RemovedReason {
    RemovedReason { code: reason.code().to_owned(), text: reason.to_string() }
}
