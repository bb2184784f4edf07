//! Tags that only serve another image: signatures, attestations, SBOMs, lists of referrers.

use std::collections::HashSet;

use super::elsewhere::Elsewhere;
use crate::gc::mark::Graph;
use crate::model::{Algorithm, Digest, Id, Inventory, Manifest, Repository, Tag, TagName};

/// The image that a companion tag serves.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) image: Digest,
    /// `None` when nothing in the store names it, except for its companions.
    pub(super) id: Option<Id>,
    pub(super) whereabouts: Whereabouts,
}

impl Subject {
    /// Whether no repository keeps the image.
    pub(super) fn is_nowhere(&self) -> bool {
        self.whereabouts == Whereabouts::Nowhere
    }
}

/// Where the image that a companion tag serves is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whereabouts {
    /// In the companion's own repository, and no other repository is known to keep it.
    Here,
    /// The repository at this position, which is another one, keeps it.
    Elsewhere(usize),
    /// Not here, and part of the store is in doubt.
    Unknown,
    /// Not here, and whether another repository keeps it is being found out.
    Undecided,
    /// No repository keeps it, and the tag says by its name that it serves an image.
    Nowhere,
}

/// The images that a repository's companion tags serve.
#[derive(Debug)]
pub(super) struct Companions(Vec<Option<Box<Subject>>>);

impl Companions {
    /// Finds the companion tags, by their name (`sha256-<hex>`, the fallback of the OCI referrers
    /// API, and cosign's `.sig`, `.att`, `.sbom`) or because what they name has a subject. The subject is in
    /// this repository, or another one keeps it: signatures may have a repository of their own. What only has a
    /// subject that no repository keeps ranks as an image.
    ///
    /// The fallback is always an index, empty or of manifests with that subject; any other image under
    /// such a name is one that somebody tagged with a hash of its content, and ranks as any other.
    pub(super) fn of(
        repository: &Repository,
        inventory: &Inventory,
        graph: &Graph<'_>,
        elsewhere: &Elsewhere,
    ) -> Self {
        let manifests = &inventory.manifests;
        let own = inventory.position(&repository.name);
        let tagged: HashSet<Id> = repository.tagged().collect();
        // An index may list platforms that were never pushed.
        let mut listed: Option<HashSet<Id>> = None;
        let mut whereabouts = |id: Option<Id>| {
            let Some(id) = id else {
                return if elsewhere.in_doubt { Whereabouts::Unknown } else { Whereabouts::Nowhere };
            };
            if let Some(keeper) = elsewhere.keeper(id, own) {
                return Whereabouts::Elsewhere(keeper);
            }
            let is_here = repository.revisions.binary_search(&id).is_ok()
                || tagged.contains(&id)
                || listed.get_or_insert_with(|| graph.closure(repository.roots())).contains(&id);
            match (is_here, elsewhere.in_doubt, elsewhere.nobody.contains(&id)) {
                (true, _, _) => Whereabouts::Here,
                (false, true, _) => Whereabouts::Unknown,
                (false, false, false) => Whereabouts::Undecided,
                (false, false, true) => Whereabouts::Nowhere,
            }
        };
        let mut subject = |tag: &Tag| {
            let id = tag.digest()?;
            let manifest = manifests.get(&id);
            let lists_referrers_of = |image: Option<Id>, index: Manifest<'_>| {
                let refers = |child: Id| {
                    image.is_some() && manifests.get(&child).is_some_and(|it| it.subject() == image)
                };
                index.is_index() && (index.children().next().is_none() || index.children().any(refers))
            };
            if let Some(name) = by_name(tag.name.as_str()) {
                let id = inventory.digests.id(&name.image);
                if name.kind == Kind::Artifact || manifest.is_some_and(|it| lists_referrers_of(id, it)) {
                    return Some(Box::new(Subject { image: name.image, id, whereabouts: whereabouts(id) }));
                }
            }
            // A manifest that refers to itself, or an image that serves a missing one, is an image.
            let subject = manifest?.subject().filter(|subject| *subject != id)?;
            let whereabouts = whereabouts(Some(subject));
            (whereabouts != Whereabouts::Nowhere).then(|| {
                Box::new(Subject { image: inventory.digest(subject), id: Some(subject), whereabouts })
            })
        };
        Self(repository.tags.iter().map(&mut subject).collect())
    }

    /// The image that a tag serves, by the tag's position.
    pub(super) fn subject(&self, at: usize) -> Option<&Subject> {
        self.0[at].as_deref()
    }
}

/// The image that a companion tag serves by its name.
pub fn image_served(tag: &TagName) -> Option<Digest> {
    by_name(tag.as_str()).map(|name| name.image)
}

/// What a companion tag's name says.
#[derive(Debug, PartialEq, Eq)]
struct Name {
    image: Digest,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `sha256-<hex>`: a list of referrers, if it is a list.
    Bare,
    /// With one of cosign's suffixes.
    Artifact,
}

fn by_name(tag: &str) -> Option<Name> {
    let (algorithm, rest) = Algorithm::ALL
        .into_iter()
        .find_map(|algorithm| Some((algorithm, tag.strip_prefix(algorithm.as_str())?.strip_prefix('-')?)))?;
    let (hex, kind) = match rest.split_once('.') {
        Some((hex, "sig" | "att" | "sbom")) => (hex, Kind::Artifact),
        Some(_) => return None,
        None => (rest, Kind::Bare),
    };
    Some(Name { image: Digest::from_parts(algorithm, hex).ok()?, kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn companion_tags_are_known_by_their_names() {
        let digest = Digest::of(b"image");
        let hex = digest.hex();
        for (suffix, kind) in
            [("", Kind::Bare), (".sig", Kind::Artifact), (".att", Kind::Artifact), (".sbom", Kind::Artifact)]
        {
            let name = Some(Name { image: digest.clone(), kind });
            assert_eq!(by_name(&format!("sha256-{hex}{suffix}")), name, "{suffix}");
        }
        for other in [
            "latest",
            "sha256-",
            &hex,
            &format!("sha256-{hex}.tar"),
            &format!("sha256-{}", &hex[1..]),
            &format!("sha512-{hex}"),
        ] {
            assert_eq!(by_name(other), None, "{other}");
        }
    }
}
