//! Which blobs are known, from their bytes, to have a digest under another algorithm than sha256.

use std::collections::BTreeMap;

use super::{Algorithm, Digests, Id};

/// Digests of blobs under other algorithms, each computed from the blob's bytes. What was computed once stays true, so
/// it can be remembered from one sweep to the next.
#[derive(Clone, Debug, Default)]
pub struct Proofs {
    computed: BTreeMap<(Id, Algorithm), Id>,
    /// The same the other way round.
    blobs: BTreeMap<Id, Id>,
    /// Whether something was computed that was not remembered.
    is_new: bool,
    /// Whether what was remembered has been added.
    is_recalled: bool,
}

impl Proofs {
    /// Adds a digest that was computed from a blob's bytes.
    pub fn computed(&mut self, blob: Id, long: Id, digests: &Digests) {
        self.is_new = true;
        self.recalled(blob, long, digests);
    }

    /// Adds a digest that an earlier sweep computed.
    pub fn recalled(&mut self, blob: Id, long: Id, digests: &Digests) {
        self.computed.insert((blob, digests.get(long).algorithm()), long);
        self.blobs.insert(long, blob);
    }

    /// A blob's digest under an algorithm, if it was computed.
    pub fn of(&self, blob: Id, algorithm: Algorithm) -> Option<Id> {
        self.computed.get(&(blob, algorithm)).copied()
    }

    /// The blob that has a digest under another algorithm, if it is known.
    pub fn blob(&self, long: Id) -> Option<Id> {
        self.blobs.get(&long).copied()
    }

    /// Whether a link that is filed under `alias` is known to name another blob than the one that `alias` stands for.
    pub fn refute(&self, alias: Id, blob: Id, digests: &Digests) -> bool {
        self.of(blob, digests.get(alias).algorithm()).is_some_and(|long| long != alias)
    }

    /// Every computed digest with the blob that has it.
    pub fn pairs(&self) -> impl Iterator<Item = (Id, Id)> {
        self.blobs.iter().map(|(long, blob)| (*long, *blob))
    }

    /// Whether what was remembered is still to be added; says so once.
    pub const fn begin_recall(&mut self) -> bool {
        !std::mem::replace(&mut self.is_recalled, true)
    }

    /// Whether something was computed that was not remembered.
    pub const fn is_new(&self) -> bool {
        self.is_new
    }
}
