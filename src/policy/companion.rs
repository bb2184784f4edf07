//! Tags that only serve another image: signatures, attestations, SBOMs, lists of referrers.

use std::collections::{HashMap, HashSet};

use crate::model::{Algorithm, Digest, Manifest, Repository, Tag};

/// The images that a repository's companion tags serve.
#[derive(Debug)]
pub(super) struct Companions(Vec<Option<Digest>>);

impl Companions {
    /// Finds the companion tags, by their name (`sha256-<hex>`, the fallback of the OCI referrers
    /// API, and cosign's `.sig`, `.att`, `.sbom`) or because what they name has a subject in this
    /// repository.
    ///
    /// The fallback is always an index, empty or of manifests with that subject; any other image under
    /// such a name is one that somebody tagged with a hash of its content, and ranks as any other.
    pub(super) fn of(repository: &Repository, manifests: &HashMap<Digest, Manifest>) -> Self {
        let tagged: HashSet<&Digest> = repository.tags.iter().filter_map(Tag::digest).collect();
        let here =
            |digest: &Digest| repository.revisions.binary_search(digest).is_ok() || tagged.contains(digest);
        let subject = |tag: &Tag| {
            let digest = tag.digest()?;
            let manifest = manifests.get(digest);
            let lists_referrers_of = |image: &Digest, index: &Manifest| {
                let refers = |child: &Digest| {
                    manifests.get(child).is_some_and(|it| it.subject.as_ref() == Some(image))
                };
                index.is_index()
                    && (index.children.is_empty() || index.children.iter().any(|child| refers(&child.digest)))
            };
            let by_name = by_name(tag.name.as_str()).filter(|name| match name.kind {
                Kind::Artifact => true,
                Kind::Bare => manifest.is_some_and(|index| lists_referrers_of(&name.image, index)),
            });
            let by_subject = || {
                let subject = manifest?.subject.as_ref()?;
                // A manifest that refers to itself, or an image that serves a missing one, is an image.
                (subject != digest && here(subject)).then(|| subject.clone())
            };
            by_name.map(|name| name.image).or_else(by_subject)
        };
        Self(repository.tags.iter().map(subject).collect())
    }

    /// The image that a tag serves, by the tag's position.
    pub(super) fn subject(&self, at: usize) -> Option<&Digest> {
        self.0[at].as_ref()
    }
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
