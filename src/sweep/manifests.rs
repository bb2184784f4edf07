//! The manifests' part of a sweep: which of those that no tag reaches are to go.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;

use super::Sweep;
use crate::model::{Id, Inventory, LinkAge, Problem, Revision};
use crate::plan::{self, Revisions};
use crate::stop::Interrupted;
use crate::store::StoreLock;

impl Sweep<'_> {
    /// Decides on manifests that no tag reaches. `removed` are what tags named that are no longer in the
    /// inventory.
    pub(super) fn plan_revisions(
        &mut self,
        inventory: &Inventory,
        removed: &[(Revision, Timestamp)],
    ) -> Result<Revisions, Interrupted> {
        if !self.config.delete_untagged {
            return Ok(Revisions::default());
        }
        let candidates = plan::unreachable(inventory, removed);
        if self.in_doubt(inventory) {
            let held = candidates.into_iter().map(|candidate| candidate.revision).collect();
            return Ok(Revisions { held, ..Revisions::default() });
        }
        if candidates.is_empty() {
            return Ok(Revisions::default());
        }
        let doubts = self.doubtful_links(inventory, Some(&candidates))?;
        if !doubts.is_empty() {
            self.findings.extend(doubts.iter().cloned());
            let held = candidates.into_iter().map(|candidate| candidate.revision).collect();
            return Ok(Revisions { held, doubts, ..Revisions::default() });
        }
        let places = || candidates.iter().map(|candidate| inventory.place(candidate.revision));
        let mut ages = self.store.revision_ages(places(), self.stop)?;
        if ages.iter().any(|age| matches!(age, LinkAge::Doubt(_))) {
            // Registry 2.8 truncates a link before it writes it: give it a moment.
            self.stop.wait(Duration::from_secs(1))?;
            ages = self.store.revision_ages(places(), self.stop)?;
        }
        let ages = places().zip(ages).map(|(place, age)| self.counted(&place, age)).collect();
        // The stock collector knows no age, and any young blob that nothing references puts it off;
        // so with it, a manifest whose tag was removed waits until its blobs are old enough too.
        let needs_no_age = self.engine.knows_ages();
        let plan = plan::revisions(inventory, &candidates, ages, needs_no_age, self.grace());
        self.findings.extend(plan.doubts.iter().cloned());
        self.held_until = plan.held_until;
        Ok(plan)
    }

    /// Looks at the links of the revisions that are to stay, since something is about to go: of all, or of those that
    /// are needed by a tag, which are all but the candidates.
    pub(super) fn doubtful_links(
        &self,
        inventory: &Inventory,
        candidates: Option<&[plan::Candidate]>,
    ) -> Result<Vec<Problem>, Interrupted> {
        let but = candidates.unwrap_or_default().iter().map(|candidate| candidate.revision);
        let but: HashSet<Revision> = but.chain(self.hollow.young.iter().copied()).collect();
        let all = (0..).zip(&inventory.repositories).flat_map(|(at, repository)| {
            let revision = move |manifest: &Id| Revision { repository: at, manifest: *manifest };
            repository.revisions.iter().map(revision)
        });
        let places = all.filter(|revision| !but.contains(revision)).map(|revision| inventory.place(revision));
        self.store.bad_links(places, candidates.is_some(), self.stop)
    }

    /// Removes the empty directories that the registry's own delete left.
    pub(super) fn remove_empty_revisions(
        &mut self,
        lock: &StoreLock,
        inventory: &Inventory,
        empty: &[Revision],
    ) -> Result<(), Interrupted> {
        let places = || empty.iter().map(|revision| inventory.place(*revision));
        self.own_touches.add(places().collect::<Vec<_>>().iter());
        let removed = self.store.remove_empty_revisions(lock, places(), self.stop)?;
        for (place, removed) in places().zip(removed) {
            if let Err(error) = removed {
                self.failed(place.to_string(), &error);
            }
        }
        Ok(())
    }
}
