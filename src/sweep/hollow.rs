//! Revisions without a link: directories that the registry's own delete leaves, which a listing shows as
//! revisions and the registry does not serve.

use std::collections::HashSet;

use super::Sweep;
use crate::model::{Id, Inventory, LinkAge, Revision};
use crate::plan;
use crate::stop::Interrupted;

/// What a look found of them.
#[derive(Default)]
pub(super) struct Hollow {
    /// Old enough to go.
    pub(super) old: Vec<Revision>,
    /// A push may be about to fill these, so what they name stays for now.
    pub(super) young: Vec<Revision>,
}

impl Sweep<'_> {
    /// Takes those that are old out of an inventory, so that they hold nothing, and remembers them all.
    pub(super) fn without_hollow_revisions(
        &mut self,
        inventory: Inventory,
    ) -> Result<Inventory, Interrupted> {
        let hollow = self.hollow_revisions(&inventory)?;
        let ages = self.store.link_ages(hollow.iter().map(|it| inventory.place(*it)), self.stop)?;
        let (grace, in_doubt) = (self.grace(), self.in_doubt(&inventory));
        self.hollow = Hollow::default();
        for (revision, age) in hollow.into_iter().zip(ages) {
            let age = self.counted(&inventory.place(revision), age);
            let is_old = !in_doubt && matches!(age, LinkAge::Empty(at) if grace.is_over(at));
            let list = if is_old { &mut self.hollow.old } else { &mut self.hollow.young };
            list.push(revision);
        }
        Ok(plan::without_revisions(inventory, self.hollow.old.iter().copied()))
    }

    /// Finds them among those that no tag names: one stat for each. The registry's delete takes the
    /// tags of a manifest with it.
    pub(super) fn hollow_revisions(&mut self, inventory: &Inventory) -> Result<Vec<Revision>, Interrupted> {
        let untagged = (0..).zip(&inventory.repositories).flat_map(|(at, repository)| {
            let tagged: HashSet<Id> = repository.tagged().collect();
            let untagged = repository.revisions.iter().copied().filter(move |it| !tagged.contains(it));
            untagged.map(move |manifest| Revision { repository: at, manifest })
        });
        let mut hollow = Vec::new();
        let links = untagged.map(|revision| (revision, inventory.place(revision)));
        let problems = self.store.link_times(links, self.stop, |revision, at| {
            hollow.extend(at.is_none().then_some(revision));
        })?;
        self.findings.extend(problems);
        Ok(hollow)
    }
}
