//! Tags that only serve another image: signatures, attestations, SBOMs, lists of referrers.

use std::collections::HashMap;

use crate::model::{Algorithm, Digest, Manifest, Repository, Tag};

/// The images that a repository's companion tags serve.
#[derive(Debug)]
pub(super) struct Companions(Vec<Option<Digest>>);

impl Companions {
    /// Finds the companion tags, by their name (`sha256-<hex>`, the fallback of the OCI referrers
    /// API, and cosign's `.sig`, `.att`, `.sbom`) or because what they name has a subject in this
    /// repository.
    pub(super) fn of(repository: &Repository, manifests: &HashMap<Digest, Manifest>) -> Self {
        let tagged = |digest: &Digest| repository.tags.iter().any(|tag| tag.digest() == Some(digest));
        let here = |digest: &&Digest| repository.revisions.binary_search(digest).is_ok() || tagged(digest);
        let by_subject = |tag: &Tag| {
            let subject = manifests.get(tag.digest()?)?.subject.as_ref()?;
            // A manifest that refers to itself, or an image that serves a missing one, is an image.
            Some(subject).filter(|subject| Some(*subject) != tag.digest()).filter(here).cloned()
        };
        Self(
            repository
                .tags
                .iter()
                .map(|tag| by_name(tag.name.as_str()).or_else(|| by_subject(tag)))
                .collect(),
        )
    }

    /// The image that a tag serves, by the tag's position.
    pub(super) fn subject(&self, at: usize) -> Option<&Digest> {
        self.0[at].as_ref()
    }
}

fn by_name(tag: &str) -> Option<Digest> {
    let (algorithm, rest) = [Algorithm::Sha256, Algorithm::Sha512]
        .into_iter()
        .find_map(|algorithm| Some((algorithm, tag.strip_prefix(algorithm.as_str())?.strip_prefix('-')?)))?;
    let hex = match rest.split_once('.') {
        Some((hex, "sig" | "att" | "sbom")) => hex,
        Some(_) => return None,
        None => rest,
    };
    Digest::from_parts(algorithm, hex).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn companion_tags_are_known_by_their_names() {
        let digest = Digest::of(b"image");
        let hex = digest.hex();
        for suffix in ["", ".sig", ".att", ".sbom"] {
            assert_eq!(by_name(&format!("sha256-{hex}{suffix}")), Some(digest.clone()), "{suffix}");
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
