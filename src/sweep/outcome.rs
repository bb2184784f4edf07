//! What happened to each tag and repository, put together as a sweep goes on.

use std::collections::HashSet;

use super::Sweep;
use super::collect::Collected;
use super::reclaim::Reclaim;
use crate::apply::Applied;
use crate::check::Broken;
use crate::model::{Expected, Inventory, Place, RepoName, Severity, TagState};
use crate::policy::Verdict;
use crate::report::{
    CollectionStatus, Decision, Outcome, RepositoryReport, Status, SweepReport, TagReport, Totals,
};

pub(super) struct Outcomes {
    repositories: Vec<RepositoryReport>,
    manifests_held: usize,
}

impl Outcomes {
    /// Every tag with its verdict, as if nothing had been done yet.
    pub(super) fn new(inventory: &Inventory, verdicts: Vec<Vec<Verdict>>) -> Self {
        let mut verdicts = verdicts.into_iter().flatten();
        let tag = |tag: &crate::model::Tag, verdict: Verdict| TagReport {
            tag: tag.name.clone(),
            digest: tag.digest().map(|id| inventory.digest(id)),
            pushed_at: match tag.state {
                TagState::Linked { pushed_at, .. } => Some(pushed_at),
                TagState::Doubtful => None,
            },
            decision: if verdict.keep { Decision::Keep } else { Decision::Remove },
            reasons: verdict.reasons,
            outcome: Outcome::Kept,
        };
        let repositories = inventory
            .repositories
            .iter()
            .map(|repository| RepositoryReport {
                name: repository.name.clone(),
                tags: repository
                    .tags
                    .iter()
                    .zip(verdicts.by_ref())
                    .map(|(it, verdict)| tag(it, verdict))
                    .collect(),
                manifests_removed: Vec::new(),
                bytes_reclaimable: 0,
                removed: false,
            })
            .collect();
        Self { repositories, manifests_held: 0 }
    }

    pub(super) fn would_remove(&mut self, expected: &[Expected]) {
        let places: HashSet<&Place> = expected.iter().map(|expected| &expected.place).collect();
        self.set(&places, Outcome::WouldRemove);
    }

    pub(super) fn removed(&mut self, applied: &Applied) {
        // What was neither taken nor changed nor failed was gone before its turn.
        for repository in &mut self.repositories {
            for tag in repository.tags.iter_mut().filter(|tag| tag.decision == Decision::Remove) {
                tag.outcome = Outcome::Changed;
            }
        }
        self.set(&applied.taken.iter().map(|expected| &expected.place).collect(), Outcome::Removed);
        self.set(&applied.failed.iter().collect(), Outcome::Failed);
    }

    pub(super) fn rescued(&mut self, rescued: &HashSet<Place>) {
        self.set(&rescued.iter().collect(), Outcome::Changed);
    }

    /// The second look could not be finished: what is in the trash is put back by the next sweep.
    pub(super) fn left_pending(&mut self, taken: &[Expected]) {
        self.set(&taken.iter().map(|expected| &expected.place).collect(), Outcome::Failed);
    }

    fn set(&mut self, places: &HashSet<&Place>, outcome: Outcome) {
        if places.is_empty() {
            return;
        }
        for repository in &mut self.repositories {
            for tag in &mut repository.tags {
                if places.contains(&Place::Tag(repository.name.clone(), tag.tag.clone())) {
                    tag.outcome = outcome;
                }
            }
        }
    }

    pub(super) fn manifests(&mut self, removed: &[Expected], held: usize) {
        self.manifests_held = held;
        for expected in removed {
            if let Place::Revision(name, digest) = &expected.place
                && let Some(at) = self.position(name)
            {
                self.repositories[at].manifests_removed.push(digest.clone());
            }
        }
    }

    fn position(&self, name: &RepoName) -> Option<usize> {
        self.repositories.binary_search_by(|repository| repository.name.cmp(name)).ok()
    }

    pub(super) fn repository_removed(&mut self, name: &RepoName) {
        if let Some(at) = self.position(name) {
            self.repositories[at].removed = true;
        }
    }

    pub(super) fn into_report(
        mut self,
        sweep: Sweep<'_>,
        reclaim: &Reclaim,
        collected: Collected,
        broken: Vec<Broken>,
    ) -> SweepReport {
        for (at, bytes) in &reclaim.held_alone {
            self.repositories[*at as usize].bytes_reclaimable = *bytes;
        }
        let tags = || self.repositories.iter().flat_map(|repository| &repository.tags);
        let went = |outcome| matches!(outcome, Outcome::Removed | Outcome::WouldRemove);
        let removed = tags().filter(|tag| went(tag.outcome)).count();
        let tags_failed = tags().any(|tag| tag.outcome == Outcome::Failed);
        let totals = Totals {
            repositories: self.repositories.len(),
            tags: tags().count(),
            tags_removed: removed,
            tags_kept: tags().count() - removed,
            manifests_removed: self.repositories.iter().map(|it| it.manifests_removed.len()).sum(),
            manifests_held: self.manifests_held,
            blobs_removed: collected.blobs_removed,
            blobs_held: collected.blobs_held,
            repositories_removed: self.repositories.iter().filter(|it| it.removed).count(),
            bytes_before: reclaim.bytes_before,
            bytes_after: collected.bytes_after,
            bytes_freed: collected.bytes_freed,
            bytes_freed_on_disk: collected.bytes_freed_on_disk,
            bytes_held: collected.bytes_held,
            held_until: sweep.held_until.max(reclaim.held_until()).filter(|_| collected.bytes_held > 0),
        };
        let mut findings = sweep.findings;
        findings.sort_by(|a, b| (b.severity, &a.path, a.code).cmp(&(a.severity, &b.path, b.code)));
        findings.dedup();
        let troubled = tags_failed
            || !broken.is_empty()
            || collected.report.status == CollectionStatus::Failed
            || findings.iter().any(|finding| finding.severity >= Severity::Doubt);
        let (status, exit_code) = match (collected.report.status, troubled) {
            (CollectionStatus::Refused, _) => (Status::Refused, 12),
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
            repositories: self.repositories,
            collection: collected.report,
            broken,
            findings,
            stages: sweep.laps.into_stages(),
        }
    }
}
