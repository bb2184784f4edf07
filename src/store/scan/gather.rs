//! The manifests that a scan needs, from tags and revisions down through indexes.

use std::collections::{HashMap, HashSet};

use super::{Scanner, WRITE_IN_PROGRESS};
use crate::model::{Code, Digest, Manifest, Problem, Repository, Severity, Tag};
use crate::stop::Interrupted;
use crate::store::ages::PART;
use crate::store::layout;
use crate::store::manifests::ManifestRead;

impl Scanner<'_> {
    /// Reads every manifest that a tag, a revision or an index names, once.
    pub(super) fn read_manifests(
        &self,
        repositories: &mut [Repository],
        known: &HashMap<Digest, Manifest>,
        present: impl Fn(&Digest) -> bool,
    ) -> Result<HashMap<Digest, Manifest>, Interrupted> {
        let mut manifests: HashMap<Digest, Manifest> = HashMap::new();
        let mut seen: HashSet<Digest> = HashSet::new();
        let mut bad: HashSet<Digest> = HashSet::new();
        let mut absent: HashSet<Digest> = HashSet::new();
        let mut wanted: Vec<Digest> = repositories
            .iter()
            .flat_map(|repository| {
                repository.tags.iter().filter_map(Tag::digest).chain(&repository.revisions)
            })
            .cloned()
            .collect();
        // Tags and revisions must be manifests; what an index lists may as well be a plain blob.
        let mut must_be_manifests = true;
        loop {
            wanted.sort_unstable();
            wanted.dedup();
            wanted.retain(|digest| !known.contains_key(digest) && !seen.contains(digest));
            seen.extend(wanted.iter().cloned());
            // A listing that lacks what a revision names is not believed: the manifest is asked for by its path.
            if !must_be_manifests {
                absent.extend(wanted.extract_if(.., |digest| !present(digest)));
            }
            if wanted.is_empty() {
                break;
            }
            let mut children = Vec::new();
            for part in wanted.chunks(PART) {
                let reads =
                    self.store.read_manifests(part, must_be_manifests, WRITE_IN_PROGRESS, self.stop)?;
                for (digest, read) in reads {
                    match read {
                        ManifestRead::Manifest(manifest) => {
                            children.extend(manifest.children.iter().filter_map(|child| {
                                let small =
                                    child.size_bytes.is_none_or(|size| size <= layout::MANIFEST_MAX_BYTES);
                                small.then(|| child.digest.clone())
                            }));
                            manifests.insert(digest, manifest);
                        }
                        ManifestRead::Blob => {}
                        ManifestRead::Absent => {
                            absent.insert(digest);
                        }
                        ManifestRead::Doubt(problem) => {
                            self.report(*problem);
                            bad.insert(digest);
                        }
                    }
                }
            }
            wanted = children;
            must_be_manifests = false;
        }
        for repository in repositories {
            let tagged = || repository.tags.iter().filter_map(Tag::digest);
            repository.in_doubt |= tagged().chain(&repository.revisions).any(|digest| bad.contains(digest));
            let manifest = |digest: &Digest| manifests.get(digest).or_else(|| known.get(digest));
            if let Some(digest) = absent_of(repository, &absent, manifest).cloned() {
                repository.in_doubt = true;
                self.report(Problem {
                    severity: Severity::Doubt,
                    code: Code::ManifestMissing,
                    repository: Some(repository.name.clone()),
                    path: format!("{}/{}", layout::BLOBS, layout::blob_dir(&digest)),
                    cause: "a tag needs this manifest, and it is not there; what else it needs is unknown"
                        .into(),
                    remedy: "push the image again, or delete the tag".into(),
                });
            }
        }
        Ok(manifests)
    }
}

/// A manifest that a tag needs and that is not there: the one that it names, or below that one that the repository
/// has a revision of. Without a revision, an index may have been pushed without all of its platforms.
fn absent_of<'a>(
    repository: &'a Repository,
    absent: &HashSet<Digest>,
    manifest: impl Fn(&Digest) -> Option<&'a Manifest>,
) -> Option<&'a Digest> {
    if absent.is_empty() {
        return None;
    }
    let mut open: Vec<&Digest> = repository.tags.iter().filter_map(Tag::digest).collect();
    let named = open.iter().find(|digest| absent.contains(**digest));
    if named.is_some() {
        return named.copied();
    }
    let mut seen = HashSet::new();
    while let Some(digest) = open.pop() {
        if absent.contains(digest) && repository.revisions.binary_search(digest).is_ok() {
            return Some(digest);
        }
        if seen.insert(digest) {
            open.extend(manifest(digest).into_iter().flat_map(|it| &it.children).map(|child| &child.digest));
        }
    }
    None
}
