//! Repositories that hold nothing any more, so that they leave the catalog.

use super::Sweep;
use super::engine::Engine;
use super::outcome::Outcomes;
use crate::model::{Expected, Inventory, LinkAge, Place, RepoName, Thing};
use crate::plan::{self, Revisions};
use crate::stop::Interrupted;
use crate::store::StoreLock;

impl Sweep<'_> {
    /// The repositories that hold nothing once these revisions are gone, and are old enough to go,
    /// each with its layer links. Asked before anything is taken, since taking makes them young.
    pub(super) fn empty_repositories(
        &mut self,
        inventory: &Inventory,
        revisions: &Revisions,
    ) -> Result<Vec<(RepoName, Vec<Expected>)>, Interrupted> {
        let mut empty = Vec::new();
        let is_cached = matches!(self.engine, Engine::Refused(_));
        if is_cached
            || self.in_doubt(inventory)
            || !revisions.doubts.is_empty()
            || !self.config.delete_untagged
        {
            return Ok(empty);
        }
        let going = revisions.remove.iter().map(|(revision, _)| revision).chain(&revisions.empty);
        for repository in plan::empty_repositories(inventory, going.copied()) {
            self.stop.check()?;
            let grace = self.grace();
            match self.store.idle_since(&repository.name) {
                Ok(Some(idle))
                    if grace.is_over(self.counts_from(Thing::Repository(&repository.name), idle)) => {}
                Ok(_) => continue,
                Err(error) => {
                    self.failed(repository.name.to_string(), &error);
                    continue;
                }
            }
            let name = &repository.name;
            let mut layers = repository.layers.clone();
            inventory.digests.sort(&mut layers);
            let place = |layer| Place::Layer(name.clone(), inventory.digest(layer));
            let ages = self.store.link_ages(layers.iter().copied().map(place), self.stop)?;
            let mut doubts = Vec::new();
            let old: Option<Vec<Expected>> = layers
                .into_iter()
                .zip(ages)
                .map(|(layer, age)| {
                    let link = match self.counted(&place(layer), age) {
                        LinkAge::Doubt(problem) => {
                            doubts.push(*problem);
                            return None;
                        }
                        LinkAge::Written(at) if grace.is_over(at) => {
                            Some((inventory.digest(repository.resolve(layer)), at))
                        }
                        LinkAge::Ahead { written, first_seen } if grace.is_over(first_seen) => {
                            Some((inventory.digest(repository.resolve(layer)), written))
                        }
                        LinkAge::Empty(at) if grace.is_over(at) => None,
                        _ => return None,
                    };
                    Some(Expected { place: place(layer), link })
                })
                .collect();
            self.findings.append(&mut doubts);
            empty.extend(old.map(|links| (name.clone(), links)));
        }
        Ok(empty)
    }

    /// Removes the scaffolding of empty repositories. While there are blobs, the last repository
    /// stays: blobs without any repository look like a store that is half-mounted.
    pub(super) fn remove_repositories(
        &mut self,
        lock: &StoreLock,
        inventory: &Inventory,
        empty: &[(RepoName, Vec<Expected>)],
        outcomes: &mut Outcomes,
    ) -> Result<(), Interrupted> {
        self.remove_bare(lock, inventory)?;
        if empty.len() == inventory.repositories.len() && !inventory.blobs.is_empty() {
            return Ok(());
        }
        for (repository, _) in empty {
            self.stop.check()?;
            match self.store.remove_scaffold(lock, repository) {
                Ok(true) => outcomes.repository_removed(repository),
                Ok(false) => {}
                Err(error) => self.failed(repository.to_string(), &error),
            }
        }
        Ok(())
    }

    /// Removes what an interrupted sweep left of repositories.
    fn remove_bare(&mut self, lock: &StoreLock, inventory: &Inventory) -> Result<(), Interrupted> {
        if inventory.bare.is_empty() || self.in_doubt(inventory) || !self.config.delete_untagged {
            return Ok(());
        }
        let grace = self.grace();
        let first_seen = &mut self.first_seen;
        let is_idle = |path: &str, touched| {
            grace.is_over(first_seen.counts_from(Thing::Directory(path), touched, grace.now))
        };
        let (removed, failed) = self.store.remove_bare(lock, &inventory.bare, is_idle, self.stop)?;
        for error in failed {
            self.failed("empty directories among the repositories".into(), &error);
        }
        if removed > 0 {
            tracing::info!("removed {removed} empty directories among the repositories");
        }
        Ok(())
    }
}
