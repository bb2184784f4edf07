//! The last stage: whether every kept tag is all there.

use std::collections::HashSet;

use super::Sweep;
use super::settle::replace;
use crate::check::{self, Broken};
use crate::gc::mark::{self, Fate};
use crate::model::{Code, Digest, Id, Inventory, Problem, RepoName, Severity};
use crate::stop::Interrupted;

impl Sweep<'_> {
    /// Checks every kept tag, down to the data of each blob that it needs.
    ///
    /// Where the collector `ran`, the whole store is looked at anew, so that images pushed meanwhile are
    /// checked as well. What seems broken is looked at again before it is called so.
    pub(super) fn verify(
        &mut self,
        inventory: &mut Inventory,
        mut kept: Vec<(Id, u64)>,
        ran: bool,
    ) -> Result<Vec<Broken>, Interrupted> {
        if ran {
            let problems = std::mem::take(&mut inventory.problems);
            *inventory = self.store.scan_again(std::mem::take(inventory), self.stop)?;
            inventory.problems.extend(problems);
            let marks = mark::blobs(inventory);
            let blobs = inventory.blobs.iter().filter(|blob| marks.fate(**blob) == Fate::Kept);
            kept = blobs.map(|blob| (*blob, inventory.sizes.of(*blob))).collect();
        }
        self.as_served(inventory)?;
        let mut lost = self.store.lost_blobs(&inventory.digests, &kept, self.stop)?;
        let mut broken = without(inventory, &lost);
        if !broken.is_empty() {
            let mut names: Vec<RepoName> = broken.iter().map(|broken| broken.repository.clone()).collect();
            names.dedup();
            let look = self.store.look_again(&names, inventory, self.stop)?;
            let unsure: HashSet<RepoName> =
                look.repositories.iter().filter(|it| it.in_doubt).map(|it| it.name.clone()).collect();
            // A look that fails proves nothing: what was broken before it stays so.
            broken.retain(|broken| unsure.contains(&broken.repository));
            inventory.problems.extend(look.problems);
            replace(inventory, look.repositories, &names);
            self.as_served(inventory)?;
            let (blobs, problems) = self.store.list_blobs(&mut inventory.digests, self.stop)?;
            inventory.blobs = blobs;
            inventory.problems.extend(problems);
            kept.retain(|(blob, _)| lost.binary_search(blob).is_ok());
            lost = self.store.lost_blobs(&inventory.digests, &kept, self.stop)?;
            let known: HashSet<_> = broken.iter().map(|it| (it.repository.clone(), it.tag.clone())).collect();
            let again = without(inventory, &lost);
            broken.extend(
                again.into_iter().filter(|it| !known.contains(&(it.repository.clone(), it.tag.clone()))),
            );
        }
        // What only a referrer needs is no part of what a tag pulls, so no broken tag tells of it.
        let told: HashSet<&Digest> = broken.iter().flat_map(|broken| &broken.missing).collect();
        let lost = lost.into_iter().map(|blob| inventory.digest(blob));
        let untold = lost.filter(|digest| !told.contains(digest)).map(|digest| Problem {
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
fn without(inventory: &mut Inventory, lost: &[Id]) -> Vec<Broken> {
    inventory.blobs.retain(|blob| lost.binary_search(blob).is_err());
    check::verify(inventory)
}
