//! Which removed tags are meant, and which companions come with them.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::UndoError;
use crate::config::Wanted;
use crate::gc::mark::Graph;
use crate::model::{Digest, Id, Inventory, Manifest, Place, RepoName, TagName, Undoable};
use crate::policy::companion_of;
use crate::store::Store;

/// The removed tags that are meant.
pub(super) fn choose(
    store: &Store,
    inventory: &Inventory,
    wanted: &Wanted,
) -> Result<Vec<Undoable>, UndoError> {
    let undo = &inventory.undo;
    if let Some(id) = &wanted.sweep
        && !undo.sweeps.iter().any(|sweep| sweep.id == *id)
    {
        let known: Vec<&str> = undo.sweeps.iter().map(|sweep| sweep.id.as_str()).collect();
        let known = if known.is_empty() {
            "the trash holds nothing".into()
        } else {
            format!("the trash has {}", known.join(", "))
        };
        return Err(UndoError::NotThere(format!("nothing of a sweep {id:?} can be brought back; {known}")));
    }
    let of_sweep = |tag: &&Undoable| wanted.sweep.as_ref().is_none_or(|id| tag.sweep.id == *id);
    if wanted.tags.is_empty() {
        return Ok(undo.tags.iter().filter(of_sweep).cloned().collect());
    }
    let mut chosen = Vec::new();
    let mut missing = Vec::new();
    for (repository, name) in wanted.tags.iter().collect::<BTreeSet<_>>() {
        let is_it = |tag: &&Undoable| tag.repository == *repository && tag.tag == *name;
        // They are in the order of their removal.
        match undo.tags.iter().filter(of_sweep).rfind(is_it) {
            Some(tag) => chosen.push(tag.clone()),
            None => missing.push(not_there(store, inventory, repository, name)),
        }
    }
    if missing.is_empty() {
        return Ok(chosen);
    }
    missing.push("nothing was restored".into());
    Err(UndoError::NotThere(missing.join("; ")))
}

fn not_there(store: &Store, inventory: &Inventory, repository: &RepoName, tag: &TagName) -> String {
    let name = format!("{repository}:{tag}");
    if store.is_pending(&Place::Tag(repository.clone(), tag.clone())) {
        return format!("{name} was taken away by a sweep that was interrupted; the next sweep puts it back");
    }
    let names = inventory.undo.tags.iter().map(|tag| format!("{}:{}", tag.repository, tag.tag));
    let mut near: Vec<(usize, String)> =
        names.map(|known| (strsim::damerau_levenshtein(&known, &name), known)).collect();
    near.sort();
    near.dedup();
    let near: Vec<String> = near.into_iter().take(3).map(|(_, known)| known).collect();
    let near = if near.is_empty() {
        "no removed tag is there".to_owned()
    } else {
        format!("the nearest are {}", near.join(", "))
    };
    format!("{name} is not in the trash ({near})")
}

/// The repositories, other than those that were looked at, from which companion tags of what is brought back were
/// removed: signatures may have a repository of their own.
pub(super) fn repositories_of_companions(chosen: &[Undoable], inventory: &Inventory) -> Vec<RepoName> {
    let mut images: HashSet<Digest> = HashSet::new();
    for tag in chosen {
        images.extend(reached(tag, inventory).into_iter().map(|id| inventory.digest(id)));
    }
    let serves = |tag: &&Undoable| companion_of(&tag.tag).is_some_and(|image| images.contains(&image));
    let tags = inventory.undo.tags.iter().filter(|tag| inventory.position(&tag.repository).is_none());
    let names: BTreeSet<RepoName> = tags.filter(serves).map(|tag| tag.repository.clone()).collect();
    names.into_iter().collect()
}

/// Adds the companions of what is brought back: tags that serve it by their name or by the subject of their manifest,
/// and that were removed because it was. Untagged referrers never left their places.
pub(super) fn add_companions(chosen: &mut Vec<Undoable>, inventory: &Inventory) {
    let mut have: HashSet<(RepoName, TagName)> =
        chosen.iter().map(|it| (it.repository.clone(), it.tag.clone())).collect();
    let mut companions: HashMap<Digest, Vec<&Undoable>> = HashMap::new();
    for tag in &inventory.undo.tags {
        let subject = inventory.manifests.get(&tag.manifest).and_then(Manifest::subject);
        let subject = subject.map(|subject| inventory.digest(subject));
        for image in companion_of(&tag.tag).into_iter().chain(subject) {
            companions.entry(image).or_default().push(tag);
        }
    }
    let is_there = |tag: &Undoable| {
        let at = inventory.position(&tag.repository);
        at.is_some_and(|at| inventory.repositories[at].tags.iter().any(|it| it.name == tag.tag))
    };
    // Where a companion's own repository has the image as well, it serves that one.
    let serves = |tag: &Undoable, image: &Undoable, id: Id| {
        let is_away = || {
            let at = inventory.position(&tag.repository);
            at.is_some_and(|at| inventory.repositories[at].revisions.binary_search(&id).is_err())
        };
        tag.repository == image.repository || is_away()
    };
    let mut at = 0;
    while at < chosen.len() {
        let image = &chosen[at];
        let mut found = Vec::new();
        for id in reached(image, inventory) {
            // The last of a name is the one that was removed last.
            for tag in companions.get(&inventory.digest(id)).into_iter().flatten().rev() {
                if serves(tag, image, id)
                    && !is_there(tag)
                    && have.insert((tag.repository.clone(), tag.tag.clone()))
                {
                    found.push((*tag).clone());
                }
            }
        }
        chosen.append(&mut found);
        at += 1;
    }
}

/// What a removed tag leads to in its repository.
fn reached(tag: &Undoable, inventory: &Inventory) -> HashSet<Id> {
    let Some(at) = inventory.position(&tag.repository) else { return HashSet::new() };
    Graph::of(&inventory.repositories[at], &inventory.manifests).closure([tag.manifest])
}
