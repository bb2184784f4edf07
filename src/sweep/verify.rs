//! The last stage: whether every kept tag is all there.

use std::collections::HashSet;

use super::Sweep;
use super::settle::replace;
use crate::check::{self, Broken};
use crate::model::{Code, Digest, Inventory, Problem, RepoName, Severity};
use crate::stop::Interrupted;

impl Sweep<'_> {
    /// Checks every kept tag, down to the data of each blob that it needs; what seems broken is looked
    /// at again before it is called so.
    pub(super) fn verify(
        &mut self,
        inventory: &mut Inventory,
        kept: &[(Digest, u64)],
    ) -> Result<Vec<Broken>, Interrupted> {
        let mut lost = self.store.lost_blobs(kept, self.stop)?;
        let mut broken = without(inventory, &lost);
        if !broken.is_empty() {
            let mut names: Vec<RepoName> = broken.into_iter().map(|broken| broken.repository).collect();
            names.dedup();
            let look = self.store.look_again(&names, &inventory.manifests, self.stop)?;
            inventory.manifests.extend(look.new_manifests);
            replace(inventory, look.repositories, &names);
            (inventory.blobs, _) = self.store.list_blobs(self.stop)?;
            let kept: Vec<(Digest, u64)> =
                kept.iter().filter(|(digest, _)| lost.binary_search(digest).is_ok()).cloned().collect();
            lost = self.store.lost_blobs(&kept, self.stop)?;
            broken = without(inventory, &lost);
        }
        // What only a referrer needs is no part of what a tag pulls, so no broken tag tells of it.
        let told: HashSet<&Digest> = broken.iter().flat_map(|broken| &broken.missing).collect();
        let untold = lost.iter().filter(|digest| !told.contains(digest)).map(|digest| Problem {
            severity: Severity::Error,
            code: Code::Unreadable,
            repository: None,
            path: format!("blob {digest}"),
            cause: "a referrer of a kept image needs it, and it is not there or not whole".into(),
            remedy: "push the referrer (a signature, an SBOM) again".into(),
        });
        self.findings.extend(untold);
        Ok(broken)
    }
}

/// Checks the tags as if these blobs were not there.
fn without(inventory: &mut Inventory, lost: &[Digest]) -> Vec<Broken> {
    inventory.blobs.retain(|digest| lost.binary_search(digest).is_err());
    check::verify(inventory)
}
