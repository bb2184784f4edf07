//! The manifests' part of a sweep: which of those that no tag reaches are to go.

use std::collections::HashSet;
use std::time::Duration;

use super::Sweep;
use crate::model::{Digest, Expected, Inventory, LinkAge, Place, Problem};
use crate::plan::{self, Revisions};
use crate::stop::Interrupted;
use crate::store::StoreLock;

impl Sweep<'_> {
    /// Decides on manifests that no tag reaches. `removed` tags are no longer in the inventory.
    pub(super) fn plan_revisions(
        &mut self,
        inventory: &Inventory,
        removed: &[Expected],
    ) -> Result<Revisions, Interrupted> {
        if !self.config.delete_untagged {
            return Ok(Revisions::default());
        }
        let candidates = plan::unreachable(inventory, removed);
        if self.in_doubt(inventory) {
            let held = candidates.into_iter().map(|candidate| candidate.place).collect();
            return Ok(Revisions { held, ..Revisions::default() });
        }
        if candidates.is_empty() {
            return Ok(Revisions::default());
        }
        let doubts = self.doubtful_links(inventory, Some(&candidates))?;
        if !doubts.is_empty() {
            self.findings.extend(doubts.iter().cloned());
            let held = candidates.into_iter().map(|candidate| candidate.place).collect();
            return Ok(Revisions { held, doubts, ..Revisions::default() });
        }
        let places: Vec<Place> = candidates.iter().map(|candidate| candidate.place.clone()).collect();
        let mut ages = self.store.link_ages(&places, self.stop)?;
        if ages.iter().any(|age| matches!(age, LinkAge::Doubt(_))) {
            // Registry 2.8 truncates a link before it writes it: give it a moment.
            self.stop.wait(Duration::from_secs(1))?;
            ages = self.store.link_ages(&places, self.stop)?;
        }
        // The stock collector knows no age, and any young blob that nothing references puts it off;
        // so with it, a manifest whose tag was removed waits until its blobs are old enough too.
        let needs_no_age = self.config.collection.is_none();
        let mut plan = plan::revisions(inventory, &candidates, ages, needs_no_age, self.grace());
        self.findings.extend(plan.doubts.iter().cloned());
        plan.held.sort_unstable();
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
        let but = candidates.unwrap_or_default();
        let but: HashSet<&Place> = but.iter().map(|candidate| &candidate.place).collect();
        let all = inventory.repositories.iter().flat_map(|repository| {
            let place = |digest: &Digest| Place::Revision(repository.name.clone(), digest.clone());
            repository.revisions.iter().map(place)
        });
        let places: Vec<Place> = all.filter(|place| !but.contains(place)).collect();
        self.store.bad_links(&places, candidates.is_some(), self.stop)
    }

    /// Removes the empty directories that the registry's own delete left.
    pub(super) fn remove_empty_revisions(
        &mut self,
        lock: &StoreLock,
        empty: &[Expected],
    ) -> Result<(), Interrupted> {
        let places: Vec<Place> = empty.iter().map(|expected| expected.place.clone()).collect();
        let removed = self.store.remove_empty_revisions(lock, &places, self.stop)?;
        for (place, removed) in places.iter().zip(removed) {
            if let Err(error) = removed {
                self.failed(place.to_string(), &error);
            }
        }
        Ok(())
    }
}
