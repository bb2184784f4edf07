//! Revisions without a link: directories that the registry's own delete leaves, which a listing shows as
//! revisions and the registry does not serve.

use super::Sweep;
use crate::model::{Expected, Inventory, LinkAge, Place};
use crate::plan;
use crate::stop::Interrupted;

/// What a look found of them.
#[derive(Default)]
pub(super) struct Hollow {
    /// Old enough to go.
    pub(super) old: Vec<Expected>,
    /// A push may be about to fill these, so what they name stays for now.
    pub(super) young: Vec<Expected>,
}

impl Sweep<'_> {
    /// Takes those that are old out of an inventory, so that they hold nothing, and remembers them all.
    pub(super) fn without_hollow_revisions(
        &mut self,
        inventory: Inventory,
    ) -> Result<Inventory, Interrupted> {
        let hollow = self.hollow_revisions(&inventory)?;
        let ages = self.store.link_ages(&hollow, self.stop)?;
        let (grace, in_doubt) = (self.grace(), self.in_doubt(&inventory));
        self.hollow = Hollow::default();
        for (place, age) in hollow.into_iter().zip(ages) {
            let is_old = !in_doubt && matches!(age, LinkAge::Empty(at) if grace.is_over(at));
            let list = if is_old { &mut self.hollow.old } else { &mut self.hollow.young };
            list.push(Expected { place, link: None });
        }
        Ok(plan::without(inventory, &self.hollow.old))
    }

    /// Takes all of them out of an inventory: the registry serves none.
    pub(super) fn as_served(&mut self, inventory: &mut Inventory) -> Result<(), Interrupted> {
        let hollow = self.hollow_revisions(inventory)?;
        let hollow: Vec<Expected> = hollow.into_iter().map(|place| Expected { place, link: None }).collect();
        *inventory = plan::without(std::mem::take(inventory), &hollow);
        Ok(())
    }

    /// Finds them: one stat for each revision.
    fn hollow_revisions(&mut self, inventory: &Inventory) -> Result<Vec<Place>, Interrupted> {
        let places: Vec<Place> = inventory
            .repositories
            .iter()
            .flat_map(|it| it.revisions.iter().map(|digest| Place::Revision(it.name.clone(), digest.clone())))
            .collect();
        let (times, problems) = self.store.link_times(&places, self.stop)?;
        self.findings.extend(problems);
        Ok(places.into_iter().zip(times).filter(|(_, at)| at.is_none()).map(|(place, _)| place).collect())
    }
}
