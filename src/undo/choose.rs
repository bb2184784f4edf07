//! Which removed tags are meant, and which companions come with them.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::UndoError;
use crate::config::Wanted;
use crate::model::{Digest, Inventory, Place, RepoName, TagName, Undoable};
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

/// Companion tags of what is brought back: they were removed because their image was.
pub(super) fn add_companions(chosen: &mut Vec<Undoable>, inventory: &Inventory) {
    let mut have: HashSet<(RepoName, TagName)> =
        chosen.iter().map(|it| (it.repository.clone(), it.tag.clone())).collect();
    let mut companions: HashMap<(RepoName, Digest), Vec<&Undoable>> = HashMap::new();
    for tag in &inventory.undo.tags {
        if let Some(image) = companion_of(&tag.tag) {
            companions.entry((tag.repository.clone(), image)).or_default().push(tag);
        }
    }
    let is_there = |tag: &Undoable| {
        let at = inventory.position(&tag.repository);
        at.is_some_and(|at| inventory.repositories[at].tags.iter().any(|it| it.name == tag.tag))
    };
    let mut at = 0;
    while at < chosen.len() {
        let image = &chosen[at];
        let mut found = Vec::new();
        if let Some(position) = inventory.position(&image.repository) {
            let graph = crate::gc::mark::Graph::of(&inventory.repositories[position], &inventory.manifests);
            for manifest in graph.closure([image.manifest]) {
                let key = (image.repository.clone(), inventory.digest(manifest));
                // The last of a name is the one that was removed last.
                for tag in companions.get(&key).into_iter().flatten().rev() {
                    if !is_there(tag) && have.insert((tag.repository.clone(), tag.tag.clone())) {
                        found.push((*tag).clone());
                    }
                }
            }
        }
        chosen.append(&mut found);
        at += 1;
    }
}
