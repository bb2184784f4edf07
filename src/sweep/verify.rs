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

/// How many missing blobs of referrers are told one by one.
const MOST_REFERRED: usize = 100;

/// By repository, what kept tags need and what is missing.
type Missing = BTreeMap<RepoName, BTreeSet<Digest>>;

/// What came of a look at every tag.
struct Checked {
    /// The blobs that are not there, or of another size than manifests say.
    lost: Vec<Id>,
    broken: Vec<Broken>,
    missing: Missing,
}

impl Sweep<'_> {
    /// Checks every kept tag, down to the data of each blob that it needs: those that are `kept`. What seems broken
    /// is looked at again before it is called so.
    pub(super) fn verify(
        &mut self,
        lock: &StoreLock,
        inventory: &mut Inventory,
        mut kept: Vec<Id>,
    ) -> Result<Vec<Broken>, Interrupted> {
        let Checked { mut lost, mut broken, missing: mut lacked } = self.check(inventory, &kept)?;
        let mut missed = missing(inventory);
        for (repository, digests) in &lacked {
            missed.entry(repository.clone()).or_default().extend(digests.iter().cloned());
        }
        if self.show_missed(lock, inventory, &missed)? {
            Checked { lost, broken, missing: lacked } = self.check(inventory, &kept)?;
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
            let again = self.check(inventory, &kept)?;
            lost = again.lost;
            lacked.retain(|repository, _| unsure.contains(repository));
            for (repository, digests) in again.missing {
                lacked.entry(repository).or_default().extend(digests);
            }
            let known: HashSet<_> = broken.iter().map(|it| (it.repository.clone(), it.tag.clone())).collect();
            broken.extend(
                again
                    .broken
                    .into_iter()
                    .filter(|it| !known.contains(&(it.repository.clone(), it.tag.clone()))),
            );
        }
        self.tell_of_referrers(inventory, lost, &lacked);
        Ok(broken)
    }

    /// Checks every tag that an audit would keep, once.
    pub(super) fn verify_once(
        &mut self,
        inventory: &mut Inventory,
        kept: &[Id],
    ) -> Result<Vec<Broken>, Interrupted> {
        let Checked { lost, broken, missing } = self.check(inventory, kept)?;
        self.tell_of_referrers(inventory, lost, &missing);
        Ok(broken)
    }

    /// Takes out of the inventory what is listed and not there or not whole, and checks the tags.
    fn check(&self, inventory: &mut Inventory, kept: &[Id]) -> Result<Checked, Interrupted> {
        self.begin("verifying the blobs of kept images", kept.len());
        let lost = self.store.lost_blobs(&inventory.digests, &inventory.sizes, kept, self.stop)?;
        let resized = lost.iter().filter_map(|(blob, size)| Some((*blob, (*size)?))).collect();
        let lost: Vec<Id> = lost.into_iter().map(|(blob, _)| blob).collect();
        inventory.blobs.retain(|blob| lost.binary_search(blob).is_err());
        self.stop.begin("verifying the links of kept images", Length::Unknown);
        let dead = self.store.dead_links(check::links(inventory), self.stop)?;
        let dead: Vec<Expected> = dead.into_iter().map(|place| Expected { place, link: None }).collect();
        *inventory = plan::without(std::mem::take(inventory), &dead);
        let mut missing = Missing::new();
        let broken = check::verify(inventory, &resized, |repository, digest| {
            missing.entry(repository.clone()).or_default().insert(digest);
        });
        Ok(Checked { lost, broken, missing })
    }

    /// What only a referrer needs is no part of what a tag pulls, so no broken tag tells of it.
    fn tell_of_referrers(&mut self, inventory: &Inventory, lost: Vec<Id>, told: &Missing) {
        let lost = lost.into_iter().map(|blob| inventory.digest(blob));
        let lost: BTreeSet<Digest> = lost.chain(missing(inventory).into_values().flatten()).collect();
        let told: HashSet<&Digest> = told.values().flatten().collect();
        let problem = |path: String, cause: String| Problem {
            severity: Severity::Error,
            code: Code::Unreadable,
            repository: None,
            path,
            cause,
            remedy: "push the referrer (a signature, an SBOM) again".into(),
        };
        let mut untold = lost.into_iter().filter(|digest| !told.contains(digest));
        // One manifest can name tens of thousands.
        self.findings.extend(untold.by_ref().take(MOST_REFERRED).map(|digest| {
            let cause = "a referrer of a kept image needs it, and it is missing or of another size than its manifest says";
            problem(format!("blob {digest}"), cause.into())
        }));
        let more = untold.count();
        if more > 0 {
            let cause = format!("referrers of kept images need {more} more blobs that are missing");
            self.findings.push(problem("blobs".into(), cause));
        }
    }
}

/// The blobs that the images of an inventory need.
pub(super) fn kept(inventory: &Inventory) -> Vec<Id> {
    let marks = mark::blobs(inventory);
    inventory.blobs.iter().copied().filter(|blob| marks.fate(*blob) == Fate::Kept).collect()
}

/// By repository, the blobs that its tagged images and their referrers need, and that are not there.
fn missing(inventory: &Inventory) -> Missing {
    let of_one = |repository: &Repository| {
        let reached = Graph::of(repository, &inventory.manifests).needed(repository.tagged());
        let manifests = reached.iter().filter_map(|it| inventory.manifests.get(it));
        let named = manifests.flat_map(Manifest::needed_blobs);
        let absent = named.filter(|it| !inventory.has_blob(repository.resolve(it.blob)));
        let absent: BTreeSet<Digest> = absent.map(|reference| inventory.digest(reference.blob)).collect();
        (!absent.is_empty()).then(|| (repository.name.clone(), absent))
    };
    inventory.repositories.iter().filter_map(of_one).collect()
}
