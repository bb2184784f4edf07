//! Repositories that hold nothing any more, so that they leave the catalog.

use super::Sweep;
use crate::model::{Digest, Expected, Inventory, LinkAge, Place, RepoName};
use crate::plan;
use crate::stop::Interrupted;

impl Sweep<'_> {
    /// The repositories that hold nothing and are old enough to go, each with its layer links.
    pub(super) fn empty_repositories(
        &mut self,
        inventory: &Inventory,
    ) -> Result<Vec<(RepoName, Vec<Expected>)>, Interrupted> {
        let mut empty = Vec::new();
        if inventory.in_doubt() || !self.config.delete_untagged {
            return Ok(empty);
        }
        for repository in plan::empty_repositories(inventory) {
            self.stop.check()?;
            let grace = self.grace();
            match self.store.idle_since(&repository.name) {
                Ok(Some(idle)) if grace.is_over(idle) => {}
                Ok(_) => continue,
                Err(error) => {
                    self.failed(repository.name.to_string(), &error);
                    continue;
                }
            }
            let name = &repository.name;
            let places: Vec<Place> =
                repository.layers.iter().map(|layer| Place::Layer(name.clone(), layer.clone())).collect();
            let ages = self.store.link_ages(&places, self.stop)?;
            let aliases = |digest: &Digest| {
                let alias = repository.aliases.iter().find(|(alias, _)| alias == digest);
                alias.map_or(digest, |(_, blob)| blob).clone()
            };
            let mut doubts = Vec::new();
            let old: Option<Vec<Expected>> = places
                .into_iter()
                .zip(ages)
                .map(|(place, age)| {
                    let link = match age {
                        LinkAge::Doubt(problem) => {
                            doubts.push(problem);
                            return None;
                        }
                        LinkAge::Written(at) if grace.is_over(at) => match &place {
                            Place::Layer(_, digest) => Some((aliases(digest), at)),
                            _ => return None,
                        },
                        LinkAge::Empty(at) if grace.is_over(at) => None,
                        _ => return None,
                    };
                    Some(Expected { place, link })
                })
                .collect();
            self.findings.append(&mut doubts);
            empty.extend(old.map(|links| (name.clone(), links)));
        }
        Ok(empty)
    }
}
