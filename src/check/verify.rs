//! Whether what was kept is all there: index, manifests, config and layers of every tag; opens nothing.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use crate::model::{Digest, Id, Inventory, Manifest, Place, RepoName, Repository, Tag, TagName};

/// A kept tag that a client cannot pull whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// The repository.
    pub repository: RepoName,
    /// The tag.
    pub tag: TagName,
    /// What is missing, or of another size than its manifest says: at most the first 100.
    pub missing: Vec<Digest>,
    /// How much more is missing.
    #[serde(skip_serializing_if = "is_zero")]
    pub missing_more: usize,
    /// In words.
    pub detail: String,
    /// What a person can do.
    pub remedy: &'static str,
}

/// How many missing digests are listed: one manifest can name tens of thousands.
const LISTED: usize = 100;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// What was lost is nowhere else in the store.
const REMEDY: &str = "push the image again, or delete the tag";

/// Checks every tag against the listings of blobs, revisions and layer links. Opens nothing. `resized` are blobs that
/// the inventory lacks because they have another size than manifests say. `missing` is told of everything that is.
pub fn verify(
    inventory: &Inventory,
    resized: &BTreeMap<Id, u64>,
    mut missing: impl FnMut(&RepoName, Digest),
) -> Vec<Broken> {
    let mut broken = Vec::new();
    for repository in &inventory.repositories {
        // What was found whole for one tag is not followed again for another: many tags may share a large index.
        let mut whole = HashSet::new();
        for tag in &repository.tags {
            if let Some(tagged) = tag.digest() {
                let (lacks, seen) = follow(inventory, repository, tagged, &whole, resized);
                if lacks.is_empty() {
                    whole.extend(seen);
                }
                for (id, _) in &lacks {
                    missing(&repository.name, inventory.digest(*id));
                }
                if let Some((_, detail)) = lacks.first() {
                    broken.push(Broken {
                        repository: repository.name.clone(),
                        tag: tag.name.clone(),
                        detail: detail.clone(),
                        remedy: REMEDY,
                        missing_more: lacks.len().saturating_sub(LISTED),
                        missing: lacks.into_iter().take(LISTED).map(|(id, _)| inventory.digest(id)).collect(),
                    });
                }
            }
        }
    }
    broken
}

/// The links that are listed and that a pull of some tag goes through, sorted by repository.
pub fn links(inventory: &Inventory) -> impl Iterator<Item = Place> {
    inventory.repositories.iter().flat_map(|repository| {
        let (mut revisions, mut layers) = (HashSet::new(), HashSet::new());
        let mut open: Vec<Id> = repository.tagged().collect();
        let mut seen = HashSet::new();
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            revisions.extend(repository.revisions.binary_search(&id).is_ok().then_some(id));
            let Some(manifest) = inventory.manifests.get(&id) else { continue };
            open.extend(manifest.needed_children());
            let parts = manifest.needed_blobs().map(|reference| reference.blob);
            let parts = parts.chain(manifest.needed_children().filter(|child| child.slot().is_none()));
            // By another algorithm, the registry follows both layer links.
            let blobs = parts.flat_map(|it| [it, repository.resolve(it)]);
            layers.extend(blobs.filter(|blob| repository.layers.binary_search(blob).is_ok()));
        }
        let revisions =
            revisions.into_iter().map(|id| Place::Revision(repository.name.clone(), inventory.digest(id)));
        let layers = layers.into_iter().map(|id| Place::Layer(repository.name.clone(), inventory.digest(id)));
        let mut places: Vec<Place> = revisions.chain(layers).collect();
        places.sort_unstable();
        places
    })
}

/// Whether a repository has a manifest, as far as the listings tell.
pub(crate) fn has_manifest(inventory: &Inventory, repository: &Repository, id: Id) -> bool {
    let is_linked = |links: &[Id]| links.binary_search(&id).is_ok();
    inventory.has_blob(id) && (is_linked(&repository.revisions) || is_linked(&repository.layers))
}

/// What an index lists, directly or through others, that its repository does not have: the platforms that it
/// was pushed without, or that were deleted since.
pub(crate) fn absent_children(inventory: &Inventory, repository: &Repository, tagged: Id) -> Vec<Id> {
    let mut absent = Vec::new();
    let mut open = vec![tagged];
    let mut seen = HashSet::new();
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        if id != tagged && !has_manifest(inventory, repository, id) {
            absent.push(id);
        } else if let Some(manifest) = inventory.manifests.get(&id) {
            open.extend(manifest.needed_children());
        }
    }
    absent
}

/// What a tag lacks to be pulled, in words, as far as the listings tell. Platforms of an index that are not there at
/// all do not count: it may have been pushed without them, or somebody deleted them. But of an image, at least one
/// must be there. A manifest that is missing or cannot be read is a doubt, and its repository loses no tag for that.
pub(crate) fn lacks_parts(
    inventory: &Inventory,
    repository: &Repository,
    tag: &Tag,
    is_image: bool,
) -> Option<String> {
    let tagged = tag.digest().filter(|tagged| inventory.manifests.get(tagged).is_some())?;
    let absent: HashSet<Id> = absent_children(inventory, repository, tagged).into_iter().collect();
    let mut lacks = lacking(inventory, repository, tagged, &absent, &BTreeMap::new());
    if is_image && lacks.is_empty() && !absent.is_empty() {
        let mut open = vec![tagged];
        let mut seen = absent.clone();
        while let Some(id) = open.pop() {
            let mut children =
                inventory.manifests.get(&id).into_iter().flat_map(Manifest::needed_children).peekable();
            if !seen.insert(id) || children.peek().is_none() {
                continue;
            }
            let (gone, there): (Vec<Id>, Vec<Id>) = children.partition(|child| absent.contains(child));
            if there.is_empty() {
                lacks.extend(
                    gone.into_iter().map(|id| (id, format!("manifest {} is missing", inventory.digest(id)))),
                );
            }
            open.extend(there);
        }
    }
    lacks.into_iter().next().map(|(_, detail)| detail)
}

/// What an image lacks to be pulled from its repository, each with the words for it. Of an index's children,
/// those that do not count are not looked into.
pub(crate) fn lacking(
    inventory: &Inventory,
    repository: &Repository,
    tagged: Id,
    do_not_count: &HashSet<Id>,
    resized: &BTreeMap<Id, u64>,
) -> Vec<(Id, String)> {
    follow(inventory, repository, tagged, do_not_count, resized).0
}

/// What an image lacks, and everything that was looked at: all that the image needs as a manifest, but for what is in
/// `skip` or only needed by that.
fn follow(
    inventory: &Inventory,
    repository: &Repository,
    tagged: Id,
    skip: &HashSet<Id>,
    resized: &BTreeMap<Id, u64>,
) -> (Vec<(Id, String)>, HashSet<Id>) {
    let mut lacks = Vec::new();
    let linked = |id: Id, links: &[Id]| links.binary_search(&id).is_ok();
    let digest = |id: Id| inventory.digest(id);
    // Referrers are not part of what a tag's pull fetches, so only children are followed.
    let mut open = vec![tagged];
    let mut seen = HashSet::new();
    let mut parts = HashSet::new();
    while let Some(id) = open.pop() {
        if skip.contains(&id) || !seen.insert(id) {
            continue;
        }
        if id.slot().is_none() {
            // An index may list what is pushed as a blob by a digest of another algorithm.
            match lacking_part(inventory, repository, id, None, resized) {
                Some(lack) => lacks.push((id, lack)),
                None => open.push(repository.resolve(id)),
            }
            continue;
        }
        if !inventory.has_blob(id) {
            lacks.push((id, format!("manifest {} is missing", digest(id))));
            continue;
        }
        if !linked(id, &repository.revisions) && !linked(id, &repository.layers) {
            lacks.push((id, format!("the revision link of manifest {} is missing or empty", digest(id))));
        }
        let Some(manifest) = inventory.manifests.get(&id) else {
            // What an index lists may be a plain blob; what is a revision may not.
            if id == tagged || linked(id, &repository.revisions) {
                lacks.push((id, format!("manifest {} cannot be read", digest(id))));
            }
            continue;
        };
        open.extend(manifest.needed_children());
        for reference in manifest.needed_blobs() {
            if parts.insert(reference.blob) {
                let lack = lacking_part(inventory, repository, reference.blob, reference.size_bytes, resized);
                lacks.extend(lack.map(|lack| (reference.blob, lack)));
            }
        }
    }
    (lacks, seen)
}

/// What a layer or a configuration lacks to be pulled. One that is named by another algorithm is stored under sha256,
/// and the registry needs both layer links to serve it.
fn lacking_part(
    inventory: &Inventory,
    repository: &Repository,
    reference: Id,
    claim: Option<u64>,
    resized: &BTreeMap<Id, u64>,
) -> Option<String> {
    let digest = |id: Id| inventory.digest(id);
    let is_linked = |id: Id| repository.layers.binary_search(&id).is_ok();
    let blob = repository.resolve(reference);
    if blob.slot().is_none() && reference.slot().is_none() {
        return Some(format!("the layer link of blob {} is missing or empty", digest(reference)));
    }
    if inventory.proofs.refute(reference, blob, &inventory.digests) {
        let (reference, blob) = (digest(reference), digest(blob));
        return Some(format!("the layer link of blob {reference} names {blob}, which is another blob"));
    }
    if !inventory.has_blob(blob) {
        return Some(match resized.get(&blob).zip(claim) {
            Some((size, claim)) => format!(
                "blob {} has {size} bytes and its manifest says {claim}: one of them is wrong (janitor check tells which)",
                digest(reference)
            ),
            None => format!("blob {} is missing", digest(reference)),
        });
    }
    let unlinked = [reference, blob].into_iter().find(|id| !is_linked(*id))?;
    Some(format!("the layer link of blob {} is missing or empty", digest(unlinked)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::model::{Descriptor, Document, Tag, TagState};

    /// A store of one or more repositories, told in digests.
    struct Stock {
        repositories: Vec<Repository<Digest>>,
        manifests: HashMap<Digest, Document>,
        blobs: Vec<Digest>,
    }

    fn verify(stock: &Stock) -> Vec<Broken> {
        super::verify(
            &Inventory::of(&stock.repositories, &stock.manifests, &stock.blobs),
            &BTreeMap::new(),
            |_, _| (),
        )
    }

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    fn sorted<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Digest> {
        let mut digests: Vec<Digest> = names.into_iter().map(digest).collect();
        digests.sort_unstable();
        digests
    }

    /// An index of an image and a plain blob; the image has a configuration, two layers and a foreign one.
    fn whole() -> Stock {
        let descriptor = |name: &str, foreign| Descriptor::new(digest(name), Some(1), foreign);
        let index = Document {
            size_bytes: 1,
            children: [descriptor("image", false), descriptor("cache", false)].into(),
            blobs: Box::default(),
            subject: None,
        };
        let image = Document {
            size_bytes: 1,
            children: Box::default(),
            blobs: ["config", "one", "two", "foreign"].map(|name| descriptor(name, name == "foreign")).into(),
            subject: None,
        };
        let referrer = Document {
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
            undoable: Vec::new(),
            in_doubt: false,
        };
        Stock {
            repositories: vec![repository],
            manifests: HashMap::from([
                (digest("index"), index),
                (digest("image"), image),
                (digest("referrer"), referrer),
            ]),
            blobs: sorted(["index", "image", "cache", "config", "one", "two"]),
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
            let mut stock = whole();
            let repository = &mut stock.repositories[0];
            match from {
                'b' => without(&mut stock.blobs, name),
                'l' => without(&mut repository.layers, name),
                _ => without(&mut repository.revisions, name),
            }
            let broken = verify(&stock);
            assert_eq!(broken.len(), 1, "{name} {from}");
            assert_eq!(broken[0].tag.as_str(), "v1");
            assert_eq!(broken[0].missing, [digest(name)], "{name} {from}");
            assert!(broken[0].detail.contains(&digest(name).to_string()), "{}", broken[0].detail);
        }
    }

    #[test]
    fn everything_that_is_missing_is_told_once() {
        let mut stock = whole();
        without(&mut stock.blobs, "one");
        without(&mut stock.blobs, "cache");
        without(&mut stock.repositories[0].layers, "one");
        let mut missing = verify(&stock).remove(0).missing;
        missing.sort_unstable();
        assert_eq!(missing, sorted(["one", "cache"]));
    }

    #[test]
    fn a_blob_of_another_size_is_not_called_missing() {
        let mut stock = whole();
        without(&mut stock.blobs, "one");
        let inventory = Inventory::of(&stock.repositories, &stock.manifests, &stock.blobs);
        let one = inventory.digests.id(&digest("one")).unwrap();
        let mut missing = Vec::new();
        let broken = super::verify(&inventory, &BTreeMap::from([(one, 7)]), |_, it| missing.push(it));
        assert_eq!((&broken[0].missing, &missing), (&vec![digest("one")], &vec![digest("one")]));
        let expected = format!("blob {} has 7 bytes and its manifest says 1: ", digest("one"));
        assert!(broken[0].detail.starts_with(&expected), "{}", broken[0].detail);
    }

    #[test]
    fn of_a_great_many_missing_blobs_the_first_are_listed_and_the_rest_is_counted() {
        let mut stock = whole();
        let image = stock.manifests.get_mut(&digest("image")).unwrap();
        let layer = |number: u32| Descriptor::new(Digest::of(&number.to_le_bytes()), Some(1), false);
        image.blobs = (0..105).map(layer).collect();
        let broken = verify(&stock).remove(0);
        assert_eq!((broken.missing.len(), broken.missing_more), (LISTED, 5));
    }

    #[test]
    fn a_layer_of_another_algorithm_is_found_behind_its_alias() {
        let alias = format!("sha512:{}", "07".repeat(64)).parse::<Digest>().unwrap();
        let mut stock = whole();
        let image = stock.manifests.get_mut(&digest("image")).unwrap();
        image.blobs[1].digest = alias.clone();
        let repository = &mut stock.repositories[0];
        repository.layers.push(alias.clone());
        assert_eq!(verify(&stock)[0].missing, std::slice::from_ref(&alias), "nothing says which blob it is");
        stock.repositories[0].aliases = vec![(alias.clone(), digest("one"))];
        assert_eq!(verify(&stock), []);
        without(&mut stock.blobs, "one");
        assert_eq!(verify(&stock)[0].missing, [alias]);
    }

    #[test]
    fn many_tags_that_share_a_large_index_are_followed_once() {
        const MANY: usize = 20_000;
        let descriptor = |name: &str| Descriptor::new(digest(name), Some(1), false);
        let index = |children: Box<[Descriptor]>| Document {
            size_bytes: 1,
            children,
            blobs: Box::default(),
            subject: None,
        };
        let names: Vec<String> = (0..MANY).map(|number| format!("child {number}")).collect();
        let mut stock = whole();
        let repository = &mut stock.repositories[0];
        let mut manifests: HashMap<Digest, Document> =
            HashMap::from([(digest("shared"), index(names.iter().map(|it| descriptor(it)).collect()))]);
        // With one index that all of them share, following each tag alone would take 400 million steps.
        for number in 0..MANY {
            let name = format!("index {number}");
            let children = [
                descriptor("shared"),
                Descriptor { size_bytes: Some(number as u64), ..descriptor("shared") },
            ];
            manifests.insert(digest(&name), index(children.into()));
            let state = TagState::Linked { digest: digest(&name), pushed_at: jiff::Timestamp::UNIX_EPOCH };
            repository.tags.push(Tag { name: format!("t{number}").parse().unwrap(), state });
        }
        let all: Vec<Digest> = manifests.keys().cloned().collect();
        repository.revisions.extend(all.iter().cloned());
        repository.layers.extend(names.iter().map(|it| digest(it)));
        stock.blobs.extend(all.into_iter().chain(names.iter().map(|it| digest(it))));
        stock.manifests.extend(manifests);
        assert_eq!(verify(&stock), []);
    }

    #[test]
    fn an_image_whole_in_one_repository_may_be_broken_in_another() {
        let mut stock = whole();
        let mut other = stock.repositories[0].clone();
        other.name = "b".parse().unwrap();
        without(&mut other.layers, "two");
        stock.repositories.push(other);
        let broken = verify(&stock);
        assert_eq!(broken.len(), 1);
        assert_eq!((broken[0].repository.as_str(), &broken[0].missing), ("b", &vec![digest("two")]));
    }
}
