//! Whether an image is all there: index, manifests, config, layers, and every link to them.

use std::collections::{BTreeMap, HashSet};

use crate::check;
use crate::gc::mark::Graph;
use crate::model::{Digest, Id, Inventory, LinkAge, Place, Problem, RepoName};
use crate::stop::{Interrupted, Stop};
use crate::store::{Hash, Store};

/// Looks at some repositories, sorted, and at the listings of all blobs. Tells what was not as expected.
pub(super) fn look(
    store: &Store,
    names: &[RepoName],
    inventory: &mut Inventory,
    stop: &Stop,
) -> Result<Vec<Problem>, Interrupted> {
    let look = store.look_again(names, inventory, stop)?;
    let mut problems = look.problems;
    inventory.repositories = look.repositories;
    inventory.hold_undoable();
    let (blobs, unreadable) = store.list_blobs(&mut inventory.digests, stop)?;
    inventory.blobs = blobs;
    problems.extend(unreadable);
    Ok(problems)
}

/// What an image lacks, in words; nothing when it is whole. The children that it `lacked` when it was removed
/// do not count, unless they are there by now.
pub(super) fn lacking(
    store: &Store,
    inventory: &Inventory,
    name: &RepoName,
    manifest: Id,
    lacked: &[Digest],
    stop: &Stop,
) -> Result<Vec<String>, Interrupted> {
    let Some(at) = inventory.position(name) else {
        return Ok(vec![format!("the repository {name} is gone")]);
    };
    let repository = &inventory.repositories[at];
    let lacked = lacked.iter().filter_map(|digest| inventory.digests.id(digest));
    let lacked: HashSet<Id> =
        lacked.filter(|id| *id != manifest && !check::has_manifest(inventory, repository, *id)).collect();
    let mut lacks = check::lacking(inventory, repository, manifest, &lacked, &BTreeMap::new());
    let graph = Graph::of(repository, &inventory.manifests);
    let reached = graph.extend(&mut lacked.clone(), [manifest]);
    let mut blobs: Vec<Id> = Vec::new();
    for id in reached.iter().copied() {
        if let Some(manifest) = inventory.manifests.get(&id) {
            blobs.extend(manifest.needed_blobs().map(|reference| repository.resolve(reference.blob)));
        }
        blobs.push(id);
    }
    let revisions = reached.iter().filter(|id| repository.revisions.binary_search(id).is_ok());
    let layers = blobs.iter().filter(|it| repository.layers.binary_search(it).is_ok());
    let mut places: Vec<Place> = revisions
        .map(|id| Place::Revision(name.clone(), inventory.digest(*id)))
        .chain(layers.map(|id| Place::Layer(name.clone(), inventory.digest(*id))))
        .collect();
    places.sort_unstable();
    places.dedup();
    let ages = store.link_ages(places.iter().cloned(), stop)?;
    blobs.retain(|blob| inventory.has_blob(*blob));
    blobs.sort_unstable();
    blobs.dedup();
    for (blob, size) in store.lost_blobs(&inventory.digests, &inventory.sizes, &blobs, stop)? {
        let digest = inventory.digest(blob);
        match size {
            None => lacks.push((blob, format!("blob {digest} is missing"))),
            // Its bytes tell whether it is damaged, or the manifest claims a wrong size.
            Some(size) => {
                let hashes = store.hash_blobs(std::slice::from_ref(&digest), |_| stop.check())?;
                if !matches!(hashes[..], [Hash::Right]) {
                    lacks.push((blob, format!("blob {digest} is damaged: it has {size} bytes")));
                }
            }
        }
    }
    lacks.sort_by(|a, b| a.1.cmp(&b.1));
    lacks.dedup();
    let links = places.iter().zip(ages).filter_map(|(place, age)| {
        let why = match age {
            LinkAge::Written(_) | LinkAge::Ahead { .. } => return None,
            LinkAge::Empty(_) | LinkAge::Gone => "is missing".to_owned(),
            LinkAge::Doubt(problem) => format!("cannot be trusted: {}", problem.cause),
        };
        Some(match place {
            Place::Revision(..) => format!("the revision link {place} {why}"),
            Place::Tag(..) | Place::Layer(..) => format!("the {place} {why}"),
        })
    });
    Ok(lacks.into_iter().map(|(_, told)| told).chain(links).collect())
}
