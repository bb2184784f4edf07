//! Whether what was kept is all there: index, manifests, config and layers of every tag.

use serde::Serialize;

use crate::model::{Digest, Inventory, RepoName, Repository, TagName};

/// A kept tag that a client cannot pull whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// The repository.
    pub repository: RepoName,
    /// The tag.
    pub tag: TagName,
    /// What is missing.
    pub missing: Vec<Digest>,
    /// In words.
    pub detail: String,
}

/// Checks every tag against the listings of blobs, revisions and layer links. Opens nothing.
pub fn verify(inventory: &Inventory) -> Vec<Broken> {
    let mut broken = Vec::new();
    for repository in &inventory.repositories {
        for tag in &repository.tags {
            if let Some(digest) = tag.digest() {
                let lacks = lacking(inventory, repository, digest);
                if let Some((_, detail)) = lacks.first() {
                    broken.push(Broken {
                        repository: repository.name.clone(),
                        tag: tag.name.clone(),
                        detail: detail.clone(),
                        missing: lacks.into_iter().map(|(digest, _)| digest).collect(),
                    });
                }
            }
        }
    }
    broken
}

fn lacking(inventory: &Inventory, repository: &Repository, tagged: &Digest) -> Vec<(Digest, String)> {
    let mut lacks = Vec::new();
    let linked = |digest: &Digest, links: &[Digest]| links.binary_search(digest).is_ok();
    let stored = |digest: &Digest| {
        let alias = repository.aliases.iter().find(|(alias, _)| alias == digest);
        inventory.has_blob(alias.map_or(digest, |(_, blob)| blob))
    };
    // Referrers are not part of what a tag's pull fetches, so only children are followed.
    let mut open = vec![tagged];
    let mut seen = std::collections::HashSet::new();
    while let Some(digest) = open.pop() {
        if !seen.insert(digest) {
            continue;
        }
        if !inventory.has_blob(digest) {
            lacks.push((digest.clone(), format!("manifest {digest} is missing")));
            continue;
        }
        if !linked(digest, &repository.revisions) && !linked(digest, &repository.layers) {
            lacks.push((digest.clone(), format!("the revision link of manifest {digest} is missing")));
        }
        let Some(manifest) = inventory.manifests.get(digest) else {
            continue;
        };
        open.extend(manifest.children.iter().map(|child| &child.digest));
        for blob in manifest.blobs.iter().filter(|blob| !blob.foreign) {
            if !stored(&blob.digest) {
                lacks.push((blob.digest.clone(), format!("blob {} is missing", blob.digest)));
            } else if !linked(&blob.digest, &repository.layers) {
                lacks.push((
                    blob.digest.clone(),
                    format!("the layer link of blob {} is missing", blob.digest),
                ));
            }
        }
    }
    lacks
}
