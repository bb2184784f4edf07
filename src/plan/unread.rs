//! Revisions that cannot be read as manifests: whether they are a doubt, or go as any other that no tag reaches.

use std::collections::HashSet;

use jiff::Timestamp;

use crate::gc::mark::Graph;
use crate::model::{Id, Inventory, LinkAge, Place, Repository, Severity, Unread};

/// Decides on the revisions of an inventory that cannot be read. One that nothing kept may need goes with whatever it
/// alone references: what nobody can read, nobody needs. While it stays, it is a doubt, since what it references has to
/// stay with it. `link_ages` looks at links, `may_go` says whether one whose age counts from a time is old enough to go.
///
/// # Errors
/// That of `link_ages`.
pub fn judge_unread<E>(
    mut inventory: Inventory,
    mut link_ages: impl FnMut(Vec<Place>) -> Result<Vec<LinkAge>, E>,
    may_go: impl Fn(Timestamp) -> bool,
) -> Result<Inventory, E> {
    for Unread { repository, manifest, mut problem } in std::mem::take(&mut inventory.unread) {
        let Some(at) = inventory.position(&repository) else { continue };
        let leading = leading(&inventory, &inventory.repositories[at], manifest);
        let goes = match leading {
            Some(leading) => {
                let place = |id: &Id| Place::Revision(repository.clone(), inventory.digest(*id));
                let ages = link_ages(std::iter::once(&manifest).chain(&leading).map(place).collect())?;
                ages.iter().all(|age| match age {
                    LinkAge::Written(at) | LinkAge::Ahead { first_seen: at, .. } => may_go(*at),
                    LinkAge::Empty(_) | LinkAge::Gone => true,
                    LinkAge::Doubt(_) => false,
                })
            }
            None => false,
        };
        if goes {
            problem.severity = Severity::Warning;
            problem.cause.push_str("; no tag reaches it");
            problem.remedy = "nothing; a sweep removes it".into();
        } else {
            inventory.repositories[at].in_doubt = true;
        }
        inventory.problems.push(problem);
    }
    Ok(inventory)
}

/// The untagged manifests of a repository that lead to one of them. `None` where a tag does, or one that can be brought
/// back, or an artifact that is kept refers to it.
fn leading(inventory: &Inventory, repository: &Repository, manifest: Id) -> Option<Vec<Id>> {
    let graph = Graph::of(repository, &inventory.manifests);
    let subjects = repository.roots().filter_map(|it| inventory.manifests.get(&it)?.subject());
    if graph.closure(repository.roots().chain(subjects)).contains(&manifest) {
        return None;
    }
    let mut leading = HashSet::from([manifest]);
    loop {
        let before = leading.len();
        for id in &repository.revisions {
            let known = inventory.manifests.get(id);
            let leads =
                known.is_some_and(|it| it.leads_to(&repository.revisions).any(|it| leading.contains(&it)));
            if leads {
                leading.insert(*id);
            }
            // A manifest leads to its referrers.
            let subject = known.and_then(crate::model::Manifest::subject);
            leading.extend(subject.filter(|_| leading.contains(id)));
        }
        if leading.len() == before {
            leading.remove(&manifest);
            return Some(leading.into_iter().collect());
        }
    }
}
