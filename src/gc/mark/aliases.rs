//! What references by another algorithm than sha256 mean.
//!
//! The registry stores every blob under sha256. A push of a layer by its sha512 digest makes two layer links in that
//! repository, and the one that is filed under the sha512 digest says which blob it is. A pull looks at the links of
//! its own repository alone; so what such a reference means is decided per repository, and a link that is missing,
//! or that names another blob, is damage of that repository alone.
//!
//! The marks keep everything that a reference could mean: what any repository's link says, and what is known from the
//! bytes of a blob.

use std::collections::{BTreeSet, HashSet};

use super::Graph;
use crate::model::{Id, Inventory, Manifest, Reference};

/// Every blob that each reference by another algorithm could mean.
#[derive(Debug)]
pub struct Aliases {
    /// Sorted, each pair once.
    pairs: Vec<(Id, Id)>,
}

impl Aliases {
    /// What the links of all repositories say, and what is known from the bytes of blobs.
    pub fn of(inventory: &Inventory) -> Self {
        let links = inventory.repositories.iter().flat_map(|it| it.aliases.iter().copied());
        let mut pairs: Vec<(Id, Id)> = links.chain(inventory.proofs.pairs()).collect();
        pairs.sort_unstable();
        pairs.dedup();
        Self { pairs }
    }

    /// The blobs that a reference by another algorithm could mean.
    pub fn blobs(&self, reference: Id) -> impl Iterator<Item = Id> + use<'_> {
        let first = match reference.slot() {
            Some(_) => self.pairs.len(),
            None => self.pairs.partition_point(|(alias, _)| *alias < reference),
        };
        let of_it = self.pairs[first..].iter().take_while(move |(alias, _)| *alias == reference);
        of_it.map(|(_, blob)| *blob)
    }

    /// Every blob that some reference by another algorithm could mean.
    pub fn all_blobs(&self) -> impl Iterator<Item = Id> + use<'_> {
        self.pairs.iter().map(|(_, blob)| *blob)
    }

    /// The slots of the blobs that a reference could mean: see [`Id::slot`].
    pub(super) fn slots(&self, reference: Id) -> impl Iterator<Item = usize> + use<'_> {
        reference.slot().into_iter().chain(self.blobs(reference).filter_map(Id::slot))
    }
}

/// A reference by another algorithm than sha256, in a manifest that a repository keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AliasReference {
    /// The repository's position in the inventory.
    pub repository: u32,
    /// What the manifest names.
    pub alias: Id,
}

/// Why it is unknown which blob a reference means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The repository has no such link, or nothing can be read from it.
    Unlinked,
    /// The link names this blob, which is not there.
    Gone(Id),
    /// The link names this blob, whose bytes have another digest.
    Other(Id),
    /// The link names this blob, whose bytes could not be read or are damaged.
    Unproven(Id),
}

/// A reference of which it is unknown which blob it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AliasDoubt {
    /// The reference.
    pub reference: AliasReference,
    /// Why that is unknown.
    pub why: Why,
}

impl AliasReference {
    /// Everything that manifests name by another algorithm than sha256 and that a pull needs from this store: of
    /// each manifest that a tag, a removed tag that can be restored, or a revision reaches. Sorted.
    pub fn all(inventory: &Inventory) -> Vec<Self> {
        if !inventory.digests.has_others() {
            return Vec::new();
        }
        let mut all = BTreeSet::new();
        for (at, repository) in (0..).zip(&inventory.repositories) {
            let roots = repository.roots().chain(repository.revisions.iter().copied());
            let reached: HashSet<Id> = Graph::of(repository, &inventory.manifests).closure(roots);
            let manifests = reached.iter().filter_map(|it| inventory.manifests.get(it));
            let named =
                manifests.flat_map(Manifest::references).filter(Reference::is_needed).map(|it| it.blob);
            let named = named.filter(|it| it.slot().is_none());
            all.extend(named.map(|alias| Self { repository: at, alias }));
        }
        all.into_iter().collect()
    }

    /// The blob that the repository's own link names.
    pub fn blob(self, inventory: &Inventory) -> Option<Id> {
        inventory.repositories[self.repository as usize].alias(self.alias)
    }

    /// The blob that has to be read to know whether the repository's link is right; none if that is known, or if there
    /// is no such blob.
    pub fn unproven(self, inventory: &Inventory) -> Option<Id> {
        let blob = self.blob(inventory).filter(|blob| inventory.has_blob(*blob))?;
        let algorithm = inventory.digests.get(self.alias).algorithm();
        inventory.proofs.of(blob, algorithm).is_none().then_some(blob)
    }

    /// Why it is unknown which blob it means, if it is.
    pub fn doubt(self, inventory: &Inventory) -> Option<AliasDoubt> {
        let algorithm = inventory.digests.get(self.alias).algorithm();
        let why = match self.blob(inventory) {
            None => Why::Unlinked,
            Some(blob) if !inventory.has_blob(blob) => Why::Gone(blob),
            Some(blob) => match inventory.proofs.of(blob, algorithm) {
                Some(long) if long == self.alias => return None,
                Some(_) => Why::Other(blob),
                None => Why::Unproven(blob),
            },
        };
        Some(AliasDoubt { reference: self, why })
    }
}
