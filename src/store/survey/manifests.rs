//! Every manifest that something names, read once and checked against its digest.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::{Mutex, PoisonError};

use smallvec::SmallVec;

use super::{Surveyor, layout};
use crate::model::{
    Descriptor, Digest, Document, Id, LinkState, MOST_CLAIMS, Manifest, ManifestError, ManifestState,
    Manifests, Standing, Surveyed,
};
use crate::stop::Interrupted;
use crate::store::io::Content;

/// How many manifests are read before they are gone through.
const AT_A_TIME: usize = 2048;

type Claims = HashMap<Id, SmallVec<[u64; 1]>>;

impl Surveyor<'_> {
    pub(super) fn manifests(
        &self,
        repositories: &[Surveyed],
    ) -> Result<(HashMap<Id, ManifestState>, Manifests, Claims), Interrupted> {
        let mut wanted: BTreeSet<Id> = repositories.iter().flat_map(named).collect();
        let (mut states, mut references, mut claims) = (HashMap::new(), Manifests::default(), Claims::new());
        // Tags and revisions must be manifests; what an index lists may as well be a plain blob.
        let mut must_be_manifests = true;
        // An index may list a manifest by another algorithm; then layer links say which blob that is.
        let links = repositories.iter().flat_map(|it| &it.layers);
        let aliases: BTreeSet<(Id, Id)> = links
            .filter_map(|(alias, link)| match link {
                LinkState::To(blob) if alias.slot().is_none() => Some((*alias, *blob)),
                _ => None,
            })
            .collect();
        let follow = |id: Id| -> Vec<Id> {
            if id.slot().is_some() {
                return vec![id];
            }
            let least = Id::default();
            let of_it = aliases.range((id, least)..).take_while(|(alias, _)| *alias == id);
            of_it.map(|(_, blob)| *blob).filter(|blob| blob.slot().is_some()).collect()
        };
        while !wanted.is_empty() {
            let mut children = BTreeSet::new();
            let list: Vec<Id> = wanted.into_iter().collect();
            for part in list.chunks(AT_A_TIME) {
                let digests: Vec<Digest> = part.iter().map(|id| self.all_digests().get(*id)).collect();
                let taken = Mutex::new((&mut references, &mut claims));
                let read = |(id, digest): &(Id, Digest)| {
                    self.stop.check()?;
                    Ok(self.manifest(digest, must_be_manifests, |document| {
                        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
                        taken.0.insert(*id, document, &mut self.all_digests());
                        self.claim(document, taken.1);
                    }))
                };
                let wanted: Vec<(Id, Digest)> = part.iter().copied().zip(digests).collect();
                let read = self.store.each(&wanted, read)?;
                for (id, state) in part.iter().zip(read) {
                    let listed = references.get(id).into_iter().flat_map(Manifest::possible_manifests);
                    children.extend(listed.filter(layout::may_be_manifest).map(|child| child.blob));
                    states.insert(*id, state);
                }
            }
            let children = children.into_iter().flat_map(follow);
            wanted = children.filter(|id| !states.contains_key(id)).collect();
            must_be_manifests = false;
        }
        Ok((states, references, claims))
    }

    fn claim(&self, document: &Document, claims: &mut Claims) {
        let digests = self.all_digests();
        let needed = |it: &&Descriptor| it.standing != Standing::Held;
        for descriptor in document.children.iter().chain(&document.blobs).filter(needed) {
            if let (Some(size), Some(id)) = (descriptor.size_bytes, digests.id(&descriptor.digest)) {
                let claims = claims.entry(id).or_default();
                if claims.len() < MOST_CLAIMS && !claims.contains(&size) {
                    claims.push(size);
                }
            }
        }
    }

    fn manifest(
        &self,
        digest: &Digest,
        must_be_manifest: bool,
        take: impl Fn(&Document) + Sync,
    ) -> ManifestState {
        let path = format!("{}/{}/data", layout::BLOBS, layout::blob_dir(digest));
        self.store
            .with_manifest_bytes(&path, |read| self.manifest_of(digest, &path, read, must_be_manifest, &take))
    }

    fn manifest_of(
        &self,
        digest: &Digest,
        path: &str,
        read: io::Result<Content>,
        must_be_manifest: bool,
        take: impl Fn(&Document) + Sync,
    ) -> ManifestState {
        let bytes = match read {
            Ok(content) => content.bytes,
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge && !must_be_manifest => {
                return ManifestState::Blob;
            }
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                return ManifestState::Unknown(error.to_string());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return ManifestState::Absent;
            }
            Err(error) => {
                self.tell_unreadable(format!("{}/{path}", layout::REGISTRY), None, &error);
                return ManifestState::Unreadable;
            }
        };
        if Digest::of(&bytes) != *digest {
            if bytes.is_empty() {
                return ManifestState::Empty;
            }
            let is_cut_short =
                matches!(Document::parse(&bytes), Err(ManifestError::Json(error)) if error.is_eof());
            return ManifestState::WrongHash { size_bytes: bytes.len() as u64, is_cut_short };
        }
        match Document::parse(&bytes) {
            Ok(document) => {
                take(&document);
                ManifestState::Manifest
            }
            // A repository that has it as a layer only never had the registry read it as a manifest.
            Err(_) if !must_be_manifest => ManifestState::Blob,
            Err(error) => ManifestState::Unknown(error.to_string()),
        }
    }
}

/// What a repository says is a manifest. A directory without a link is what the registry's own delete leaves.
fn named(repository: &Surveyed) -> impl Iterator<Item = Id> {
    let tagged = repository.tags.iter().filter_map(|tag| match tag.current {
        LinkState::To(id) => Some(id),
        _ => None,
    });
    // Where the link is damaged, the past says what may be put back.
    let damaged = repository.tags.iter().filter(|tag| !matches!(tag.current, LinkState::To(_)));
    let past = damaged.flat_map(|tag| tag.past.iter().map(|(id, _, _)| *id));
    let revisions = repository.revisions.iter().filter(|(_, link)| **link != LinkState::Missing);
    tagged.chain(past).chain(revisions.map(|(id, _)| *id))
}
