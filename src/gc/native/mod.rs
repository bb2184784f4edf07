//! The janitor's own collector: what it hides from the registry, and what of it comes back.
//!
//! A client that asks whether a blob is there, and skips the upload because it is, leaves no trace on disk. So the
//! blob is hidden first; from then on, that client gets a clear "not there". A second, complete look, begun long
//! enough after that, sees every link that was written by a request that had found the blob before. What is
//! referenced again comes back, and the rest is deleted. `sweep/native.rs` keeps the order.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use crate::gc::mark::{self, Fate, Graph};
use crate::model::{Hidden, HiddenLink, Id, Inventory, Manifest, Place, RepoName, Repository, Sizes};

/// The layer links that lead to some blobs, sorted by number: a repository's position, and what the link is filed
/// under.
pub fn links_to(inventory: &Inventory, blobs: &[Id]) -> impl Iterator<Item = (u32, Id)> {
    links(inventory)
        .filter(|(_, _, blob)| blobs.binary_search(blob).is_ok())
        .map(|(at, layer, _)| (at, layer))
}

/// The layer links that lead nowhere and that no manifest of their repository needs.
pub fn dangling(inventory: &Inventory) -> Vec<(u32, Id)> {
    let mut dangling = Vec::new();
    for (at, repository) in (0..).zip(&inventory.repositories) {
        let leads_nowhere = |layer: &Id| !inventory.has_blob(repository.resolve(*layer));
        let mut lost: Vec<Id> = repository.layers.iter().copied().filter(leads_nowhere).collect();
        if !lost.is_empty() {
            let needed = needed_in(inventory, repository);
            lost.retain(|layer| !needed.contains(layer) && !needed.contains(&repository.resolve(*layer)));
        }
        dangling.extend(lost.into_iter().map(|layer| (at, layer)));
    }
    dangling
}

/// What is to be hidden: some blobs, and layer links that are old enough, in the order in which they lie on the disk.
pub fn to_hide(inventory: &Inventory, mut blobs: Vec<Id>, mut links: Vec<HiddenLink>) -> Hidden {
    let digests = &inventory.digests;
    digests.sort(&mut blobs);
    links.sort_unstable_by(|a, b| {
        a.repository.cmp(&b.repository).then_with(|| digests.order(a.layer, b.layer))
    });
    let mut repositories: Vec<RepoName> = Vec::new();
    let mut aliases = HashMap::new();
    for links in links.chunk_by_mut(|a, b| a.repository == b.repository) {
        let repository = &inventory.repositories[links[0].repository as usize];
        let at = u32::try_from(repositories.len()).unwrap_or(u32::MAX);
        repositories.push(repository.name.clone());
        for link in links {
            link.repository = at;
            let blob = repository.resolve(link.layer);
            if blob != link.layer {
                aliases.insert((at, link.layer), blob);
            }
        }
    }
    Hidden { links, blobs, repositories, aliases }
}

/// Keeps the largest of the blobs that are to be hidden and the links to them, and no more files than these.
pub fn keep_largest(hidden: &mut Hidden, sizes: &Sizes, files: usize) {
    let mut links: HashMap<Id, usize> = HashMap::new();
    for link in &hidden.links {
        *links.entry(hidden.blob(link)).or_default() += 1;
    }
    let mut largest = hidden.blobs.clone();
    largest.sort_by_key(|blob| Reverse(sizes.of(*blob)));
    let mut room = files;
    let fits = |blob: &Id| {
        let left = room.checked_sub(1 + links.get(blob).copied().unwrap_or(0));
        room = left.unwrap_or(room);
        left.is_some()
    };
    let kept: HashSet<Id> = largest.into_iter().filter(fits).collect();
    let links = hidden.links.iter().map(|link| kept.contains(&hidden.blob(link)));
    let kept: Vec<bool> = links.chain(hidden.blobs.iter().map(|blob| kept.contains(blob))).collect();
    hidden.retain(&kept);
}

/// Where a second look shows layer links to hidden blobs: those that are hidden themselves, and any that came since.
pub fn links_to_hidden(hidden: &Hidden, look: &Inventory) -> impl Iterator<Item = (Id, Place)> {
    let blobs = by_number(hidden);
    let to_hidden = move |(_, _, blob): &(u32, Id, Id)| blobs.binary_search(blob).is_ok();
    links(look).filter(to_hidden).map(|(at, layer, blob)| (blob, look.layer_link(at, layer)))
}

/// Everything that a tag, a revision or an index names as a manifest.
pub fn named(look: &Inventory) -> HashSet<Id> {
    let closure = |repository: &Repository| {
        let roots = repository.roots().chain(repository.revisions.iter().copied());
        Graph::of(repository, &look.manifests).closure(roots)
    };
    look.repositories.iter().flat_map(closure).collect()
}

/// The hidden blobs that a second look finds named as manifests, in the order of [`Hidden::files`]: they are to be
/// seen before anything is decided, since what they need in turn is unknown while they cannot be read.
pub fn manifests_among(hidden: &Hidden, look: &Inventory) -> Vec<bool> {
    let named = named(look);
    let links = std::iter::repeat_n(false, hidden.links.len());
    links.chain(hidden.blobs.iter().map(|blob| named.contains(blob))).collect()
}

/// Decides, from a second look, what of the hidden has to come back, in the order of [`Hidden::files`].
///
/// `written` tells of each hidden link whether it was written to while it was hidden; `linked` are the hidden blobs
/// to which links lead that are not hidden, sorted by number.
pub fn needed_back(hidden: &Hidden, written: &[bool], linked: &[Id], look: &Inventory) -> Vec<bool> {
    // What the look could not see may need any of it.
    if look.in_doubt() {
        return vec![true; hidden.len()];
    }
    let marks = mark::blobs(look);
    let blobs_where = |answers: &[bool]| -> HashSet<Id> {
        let links = hidden.links.iter().zip(answers).filter(|(_, answer)| **answer);
        links.map(|(link, _)| hidden.blob(link)).collect()
    };
    let written_to = blobs_where(written);
    // By what the first look knew as well: a link of another algorithm may be unreadable by now.
    let are_named = named_links(hidden, look);
    let named = blobs_where(&are_named);
    let is_needed = |blob: &Id| {
        marks.fate(*blob) != Fate::Garbage
            || linked.binary_search(blob).is_ok()
            || written_to.contains(blob)
            || named.contains(blob)
    };
    let hidden_blobs = by_number(hidden);
    let links = hidden.links.iter().zip(are_named).map(|(link, is_named)| {
        // A link to a hidden blob goes where that goes; one that led nowhere is back where its blob is.
        let blob = hidden.blob(link);
        let leads = if hidden_blobs.binary_search(&blob).is_ok() {
            is_needed(&blob)
        } else {
            look.has_blob(blob) || written_to.contains(&blob)
        };
        leads || is_named
    });
    let mut back: Vec<bool> = Vec::with_capacity(hidden.len());
    back.extend(links);
    back.extend(hidden.blobs.iter().map(is_needed));
    back
}

/// Which of the hidden links, in their order, a manifest of their repository needs.
fn named_links(hidden: &Hidden, look: &Inventory) -> Vec<bool> {
    let mut named = Vec::with_capacity(hidden.links.len());
    for links in hidden.links.chunk_by(|a, b| a.repository == b.repository) {
        let name = &hidden.repositories[links[0].repository as usize];
        let repository = look.position(name).map(|at| &look.repositories[at]);
        let needed = repository.map(|repository| needed_in(look, repository)).unwrap_or_default();
        named.extend(
            links.iter().map(|link| needed.contains(&link.layer) || needed.contains(&hidden.blob(link))),
        );
    }
    named
}

fn by_number(hidden: &Hidden) -> Vec<Id> {
    let mut blobs = hidden.blobs.clone();
    blobs.sort_unstable();
    blobs
}

/// Every layer link: the position of its repository, what it is filed under, and the blob that it leads to.
fn links(inventory: &Inventory) -> impl Iterator<Item = (u32, Id, Id)> {
    (0..).zip(&inventory.repositories).flat_map(|(at, repository)| {
        repository.layers.iter().map(move |layer| (at, *layer, repository.resolve(*layer)))
    })
}

/// The blobs that a repository's manifests name, as they name them.
fn needed_in(inventory: &Inventory, repository: &Repository) -> HashSet<Id> {
    let graph = Graph::of(repository, &inventory.manifests);
    let reached = graph.closure(repository.roots().chain(repository.revisions.iter().copied()));
    let manifests = reached.iter().filter_map(|it| inventory.manifests.get(it));
    let blobs: HashSet<Id> = manifests.flat_map(Manifest::blobs).map(|reference| reference.blob).collect();
    // An index may list plain blobs as if they were manifests.
    blobs.into_iter().chain(reached).collect()
}

#[cfg(test)]
mod tests;
