//! The last stage: whether every kept tag is all there.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::Sweep;
use super::settle::replace;
use crate::check::{self, Broken};
use crate::gc::mark::{self, Fate, Graph};
use crate::model::{
    Code, Digest, Expected, Id, Inventory, Manifest, Problem, RepoName, Repository, Severity,
};
use crate::plan;
use crate::stop::{Interrupted, Length};
use crate::store::{StoreLock, WRITE_IN_PROGRESS};

impl Sweep<'_> {
    /// Checks every kept tag, down to the data of each blob that it needs: those that are `kept`. What seems broken
    /// is looked at again before it is called so.
    pub(super) fn verify(
        &mut self,
        lock: &StoreLock,
        inventory: &mut Inventory,
        mut kept: Vec<Id>,
    ) -> Result<Vec<Broken>, Interrupted> {
        let (mut lost, mut broken) = self.check(inventory, &kept)?;
        let mut missed = missing(inventory);
        for Broken { repository, missing, .. } in &broken {
            missed.entry(repository.clone()).or_default().extend(missing.iter().cloned());
        }
        if self.show_missed(lock, inventory, &missed)? {
            (lost, broken) = self.check(inventory, &kept)?;
        }
        if !broken.is_empty() {
            // Registry 2.8 truncates a link before it writes it.
            self.stop.wait(WRITE_IN_PROGRESS)?;
            let mut names: Vec<RepoName> = broken.iter().map(|broken| broken.repository.clone()).collect();
            names.dedup();
            let seen = self.store.look_again(&names, inventory, self.stop)?;
            let unsure: HashSet<RepoName> =
                seen.repositories.iter().filter(|it| it.in_doubt).map(|it| it.name.clone()).collect();
            // A look that fails proves nothing: what was broken before it stays so.
            broken.retain(|broken| unsure.contains(&broken.repository));
            inventory.problems.extend(seen.problems);
            replace(inventory, seen.repositories, &names);
            let (blobs, problems) = self.store.list_blobs(&mut inventory.digests, self.stop)?;
            inventory.blobs = blobs;
            inventory.problems.extend(problems);
            kept.retain(|blob| lost.binary_search(blob).is_ok());
            let again;
            (lost, again) = self.check(inventory, &kept)?;
            let known: HashSet<_> = broken.iter().map(|it| (it.repository.clone(), it.tag.clone())).collect();
            broken.extend(
                again.into_iter().filter(|it| !known.contains(&(it.repository.clone(), it.tag.clone()))),
            );
        }
        self.tell_of_referrers(inventory, lost, &broken);
        Ok(broken)
    }

    /// Checks every tag that an audit would keep, once.
    pub(super) fn verify_once(
        &mut self,
        inventory: &mut Inventory,
        kept: &[Id],
    ) -> Result<Vec<Broken>, Interrupted> {
        let (lost, broken) = self.check(inventory, kept)?;
        self.tell_of_referrers(inventory, lost, &broken);
        Ok(broken)
    }

    /// Takes out of the inventory what is listed and not there or not whole, and checks the tags; says which blobs
    /// these are.
    fn check(&self, inventory: &mut Inventory, kept: &[Id]) -> Result<(Vec<Id>, Vec<Broken>), Interrupted> {
        self.begin("verifying the blobs of kept images", kept.len());
        let lost = self.store.lost_blobs(&inventory.digests, &inventory.sizes, kept, self.stop)?;
        inventory.blobs.retain(|blob| lost.binary_search(blob).is_err());
        self.stop.begin("verifying the links of kept images", Length::Unknown);
        let dead = self.store.dead_links(check::links(inventory), self.stop)?;
        let dead: Vec<Expected> = dead.into_iter().map(|place| Expected { place, link: None }).collect();
        *inventory = plan::without(std::mem::take(inventory), &dead);
        Ok((lost, check::verify(inventory)))
    }

    /// What only a referrer needs is no part of what a tag pulls, so no broken tag tells of it.
    fn tell_of_referrers(&mut self, inventory: &Inventory, lost: Vec<Id>, broken: &[Broken]) {
        let lost = lost.into_iter().map(|blob| inventory.digest(blob));
        let lost: BTreeSet<Digest> = lost.chain(missing(inventory).into_values().flatten()).collect();
        let told: HashSet<&Digest> = broken.iter().flat_map(|broken| &broken.missing).collect();
        let untold = lost.into_iter().filter(|digest| !told.contains(digest)).map(|digest| Problem {
            severity: Severity::Error,
            code: Code::Unreadable,
            repository: None,
            path: format!("blob {digest}"),
            cause: "a referrer of a kept image needs it, and it is not there or not whole".into(),
            remedy: "push the referrer (a signature, an SBOM) again".into(),
        });
        self.findings.extend(untold);
    }
}

/// The blobs that the images of an inventory need.
pub(super) fn kept(inventory: &Inventory) -> Vec<Id> {
    let marks = mark::blobs(inventory);
    inventory.blobs.iter().copied().filter(|blob| marks.fate(*blob) == Fate::Kept).collect()
}

/// By repository, the blobs that its tagged images and their referrers name, and that are not there.
fn missing(inventory: &Inventory) -> BTreeMap<RepoName, BTreeSet<Digest>> {
    let of_one = |repository: &Repository| {
        let reached = Graph::of(repository, &inventory.manifests).closure(repository.tagged());
        let named = reached.iter().filter_map(|it| inventory.manifests.get(it)).flat_map(Manifest::blobs);
        let absent = named.filter(|it| !it.foreign && !inventory.has_blob(repository.resolve(it.blob)));
        let absent: BTreeSet<Digest> = absent.map(|reference| inventory.digest(reference.blob)).collect();
        (!absent.is_empty()).then(|| (repository.name.clone(), absent))
    };
    inventory.repositories.iter().filter_map(of_one).collect()
}
