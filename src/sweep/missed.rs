//! What is hidden and should not be: a sweep that was cut short leaves a list of what it had hidden, and without that
//! list, what is missed is looked for.

use std::collections::{BTreeMap, BTreeSet};

use super::Sweep;
use crate::gc::mark::Aliases;
use crate::gc::native;
use crate::model::{Code, Digest, HiddenFile, Id, Inventory, Problem, RepoName, Severity};
use crate::stop::Interrupted;
use crate::store::StoreLock;

const WITHOUT_LIST: &str = "a sweep that was cut short, and whose list is lost, had hidden";

impl Sweep<'_> {
    /// Where manifests could not be read, brings back those among them that are hidden, and looks again.
    pub(super) fn with_missed_manifests(
        &mut self,
        lock: Option<&StoreLock>,
        inventory: Inventory,
    ) -> Result<Inventory, Interrupted> {
        let Some(lock) = lock.filter(|_| inventory.in_doubt()) else { return Ok(inventory) };
        let missed = native::named(&inventory).into_iter().filter(|id| inventory.manifests.get(id).is_none());
        let missed = missed.map(|id| HiddenFile::Blob(inventory.digest(id))).collect();
        if self.show(lock, missed)? { self.store.scan_again(inventory, self.stop) } else { Ok(inventory) }
    }

    /// Brings back what repositories lack where that is hidden. Says whether there was any, which the inventory then has
    /// again.
    pub(super) fn show_missed(
        &mut self,
        lock: &StoreLock,
        inventory: &mut Inventory,
        missed: &BTreeMap<RepoName, BTreeSet<Digest>>,
    ) -> Result<bool, Interrupted> {
        let mut files: Vec<HiddenFile> = Vec::new();
        let mut blobs: BTreeSet<Digest> = BTreeSet::new();
        let aliases = Aliases::of(inventory);
        for (repository, missing) in missed {
            files.extend(missing.iter().map(|layer| HiddenFile::Link(repository.clone(), layer.clone())));
            // A blob lies under its own digest, whatever a manifest calls it.
            let here = inventory.position(repository).map(|at| &inventory.repositories[at]);
            let stored = |name: &Digest| {
                let id = inventory.digests.id(name)?;
                Some(std::iter::once(here?.resolve(id)).chain(aliases.blobs(id)))
            };
            blobs.extend(missing.iter().filter_map(stored).flatten().map(|blob| inventory.digest(blob)));
        }
        files.extend(blobs.into_iter().map(HiddenFile::Blob));
        let any = self.show(lock, files)?;
        if any {
            *inventory = self.look_anew(std::mem::take(inventory))?;
        }
        Ok(any)
    }

    /// Brings back everything that is hidden, where there is no trace of an earlier sweep: its lists may have been deleted
    /// with everything else that the janitor keeps in the store. What the registry has anew by now, and whole, loses its
    /// hidden copy. That is one stat for each blob and layer link, in the first sweep of a store alone.
    pub(super) fn show_unlisted(
        &mut self,
        lock: &StoreLock,
        inventory: &Inventory,
    ) -> Result<(), Interrupted> {
        if self.memory.is_some() {
            return Ok(());
        }
        let links = inventory.repositories.iter().flat_map(|repository| {
            let link = |layer: &Id| HiddenFile::Link(repository.name.clone(), inventory.digest(*layer));
            let mut layers = repository.layers.clone();
            inventory.digests.sort(&mut layers);
            layers.iter().map(link).collect::<Vec<_>>()
        });
        let mut blobs = inventory.blobs.clone();
        inventory.digests.sort(&mut blobs);
        let blobs = blobs.into_iter().map(|blob| HiddenFile::Blob(inventory.digest(blob)));
        let count = inventory.repositories.iter().map(|it| it.layers.len()).sum::<usize>();
        self.begin("looking for what an earlier sweep may have hidden", inventory.blobs.len() + count);
        let (hidden, problems) = self.store.hidden_among(links.chain(blobs), self.stop)?;
        self.findings.extend(problems);
        if hidden.is_empty() {
            return Ok(());
        }
        let all = hidden.len();
        let shown = self.store.show_unlisted(lock, hidden, self.stop)?;
        let (back, failed) = (shown.count(), shown.problems.len());
        self.findings.extend(shown.problems);
        if back > 0 {
            self.tell_of_shown(back, WITHOUT_LIST);
        }
        if all > back + failed {
            self.findings.push(Problem {
                severity: Severity::Note,
                code: Code::PutBack,
                repository: None,
                path: "blobs".into(),
                cause: format!(
                    "{WITHOUT_LIST} {} blobs and layer links that were pushed again since; the hidden copies were deleted",
                    all - back - failed
                ),
                remedy: "nothing".into(),
            });
        }
        Ok(())
    }

    /// Brings files back that may be hidden, and tells of those that were.
    pub(super) fn show(&mut self, lock: &StoreLock, files: Vec<HiddenFile>) -> Result<bool, Interrupted> {
        if files.is_empty() {
            return Ok(false);
        }
        let shown = self.store.show(lock, files, self.stop)?;
        let count = shown.count();
        if count > 0 {
            self.tell_of_shown(count, WITHOUT_LIST);
        }
        // That there is nothing to bring back is told by what is missing.
        Ok(count > 0)
    }

    pub(super) fn tell_of_shown(&mut self, count: usize, who: &str) {
        self.findings.push(Problem {
            severity: Severity::Note,
            code: Code::PutBack,
            repository: None,
            path: "blobs".into(),
            cause: format!("{who} {count} blobs and layer links; they were brought back"),
            remedy: "nothing; they are decided on anew".into(),
        });
    }
}
