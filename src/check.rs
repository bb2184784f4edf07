//! Whether what was kept is all there: index, manifests, config and layers of every tag.

use std::collections::HashSet;

use serde::Serialize;

use crate::model::{Digest, Inventory, Place, RepoName, Repository, Tag, TagName};

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

/// The links that are listed and that a pull of some tag goes through, sorted.
pub fn links(inventory: &Inventory) -> Vec<Place> {
    let mut places = Vec::new();
    for repository in &inventory.repositories {
        let mut open: Vec<&Digest> = repository.tags.iter().filter_map(Tag::digest).collect();
        let mut seen = HashSet::new();
        while let Some(digest) = open.pop() {
            if !seen.insert(digest) {
                continue;
            }
            if repository.revisions.binary_search(digest).is_ok() {
                places.push(Place::Revision(repository.name.clone(), digest.clone()));
            }
            let Some(manifest) = inventory.manifests.get(digest) else { continue };
            open.extend(manifest.children.iter().map(|child| &child.digest));
            let blobs = manifest.blobs.iter().map(|blob| &blob.digest);
            let listed = blobs.filter(|digest| repository.layers.binary_search(digest).is_ok());
            places.extend(listed.map(|digest| Place::Layer(repository.name.clone(), digest.clone())));
        }
    }
    places.sort_unstable();
    places.dedup();
    places
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
    let mut seen = HashSet::new();
    while let Some(digest) = open.pop() {
        if !seen.insert(digest) {
            continue;
        }
        if !inventory.has_blob(digest) {
            lacks.push((digest.clone(), format!("manifest {digest} is missing")));
            continue;
        }
        if !linked(digest, &repository.revisions) && !linked(digest, &repository.layers) {
            lacks.push((
                digest.clone(),
                format!("the revision link of manifest {digest} is missing or empty"),
            ));
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
                    format!("the layer link of blob {} is missing or empty", blob.digest),
                ));
            }
        }
    }
    lacks
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::model::{Descriptor, Manifest, Tag, TagState};

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    fn sorted<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Digest> {
        let mut digests: Vec<Digest> = names.into_iter().map(digest).collect();
        digests.sort_unstable();
        digests
    }

    /// An index of an image and a plain blob; the image has a configuration, two layers and a foreign one.
    fn whole() -> Inventory {
        let descriptor =
            |name: &str, foreign| Descriptor { digest: digest(name), size_bytes: Some(1), foreign };
        let index = Manifest {
            size_bytes: 1,
            children: [descriptor("image", false), descriptor("cache", false)].into(),
            blobs: Box::default(),
            subject: None,
        };
        let image = Manifest {
            size_bytes: 1,
            children: Box::default(),
            blobs: ["config", "one", "two", "foreign"].map(|name| descriptor(name, name == "foreign")).into(),
            subject: None,
        };
        let referrer = Manifest {
            blobs: [descriptor("nowhere", false)].into(),
            subject: Some(digest("image")),
            ..image.clone()
        };
        let repository = Repository {
            name: "a".parse().unwrap(),
            tags: vec![
                Tag { name: "broken-link".parse().unwrap(), state: TagState::Doubtful },
                Tag {
                    name: "v1".parse().unwrap(),
                    state: TagState::Linked {
                        digest: digest("index"),
                        pushed_at: jiff::Timestamp::UNIX_EPOCH,
                    },
                },
            ],
            revisions: sorted(["index", "image", "referrer"]),
            layers: sorted(["cache", "config", "one", "two"]),
            aliases: Vec::new(),
            in_doubt: false,
        };
        Inventory {
            repositories: vec![repository],
            manifests: HashMap::from([
                (digest("index"), index),
                (digest("image"), image),
                (digest("referrer"), referrer),
            ]),
            blobs: sorted(["index", "image", "cache", "config", "one", "two"]),
            problems: Vec::new(),
        }
    }

    fn without(list: &mut Vec<Digest>, name: &str) {
        let before = list.len();
        list.retain(|it| *it != digest(name));
        assert_eq!(list.len(), before - 1, "{name}");
    }

    #[test]
    fn a_whole_image_lacks_nothing() {
        assert_eq!(verify(&whole()), []);
    }

    #[test]
    fn each_missing_part_is_told_by_the_tag_that_needs_it() {
        let blobs = ["index", "image", "cache", "config", "one", "two"].map(|name| (name, 'b'));
        let links = ["cache", "config", "one", "two"].map(|name| (name, 'l'));
        let revisions = ["index", "image"].map(|name| (name, 'r'));
        for (name, from) in blobs.into_iter().chain(links).chain(revisions) {
            let mut inventory = whole();
            let repository = &mut inventory.repositories[0];
            match from {
                'b' => without(&mut inventory.blobs, name),
                'l' => without(&mut repository.layers, name),
                _ => without(&mut repository.revisions, name),
            }
            let broken = verify(&inventory);
            assert_eq!(broken.len(), 1, "{name} {from}");
            assert_eq!(broken[0].tag.as_str(), "v1");
            assert_eq!(broken[0].missing, [digest(name)], "{name} {from}");
            assert!(broken[0].detail.contains(&digest(name).to_string()), "{}", broken[0].detail);
        }
    }

    #[test]
    fn everything_that_is_missing_is_told_once() {
        let mut inventory = whole();
        without(&mut inventory.blobs, "one");
        without(&mut inventory.blobs, "cache");
        without(&mut inventory.repositories[0].layers, "one");
        let mut missing = verify(&inventory).remove(0).missing;
        missing.sort_unstable();
        assert_eq!(missing, sorted(["one", "cache"]));
    }

    #[test]
    fn a_layer_of_another_algorithm_is_found_behind_its_alias() {
        let alias = format!("sha512:{}", "07".repeat(64)).parse::<Digest>().unwrap();
        let mut inventory = whole();
        let image = inventory.manifests.get_mut(&digest("image")).unwrap();
        image.blobs[1].digest = alias.clone();
        let repository = &mut inventory.repositories[0];
        repository.layers.push(alias.clone());
        assert_eq!(
            verify(&inventory)[0].missing,
            std::slice::from_ref(&alias),
            "nothing says which blob it is"
        );
        inventory.repositories[0].aliases = vec![(alias.clone(), digest("one"))];
        assert_eq!(verify(&inventory), []);
        without(&mut inventory.blobs, "one");
        assert_eq!(verify(&inventory)[0].missing, [alias]);
    }

    #[test]
    fn an_image_whole_in_one_repository_may_be_broken_in_another() {
        let mut inventory = whole();
        let mut other = inventory.repositories[0].clone();
        other.name = "b".parse().unwrap();
        without(&mut other.layers, "two");
        inventory.repositories.push(other);
        let broken = verify(&inventory);
        assert_eq!(broken.len(), 1);
        assert_eq!((broken[0].repository.as_str(), &broken[0].missing), ("b", &vec![digest("two")]));
    }
}
