//! What each tag and each repository holds of the disk: pure.
//!
//! Each root is followed once, and each blob that it reaches is marked with who did: so the cost grows with the
//! references, not with tags times blobs, and takes 16 bytes for each digest.

use std::collections::HashSet;

use super::mark::{Fate, Graph};
use crate::model::{Id, Inventory, Manifest, Repository};

/// Bytes of the blobs that something reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Of all of them, each counted once.
    pub total_bytes: u64,
    /// Of those that nothing else in the store reaches: they would come back if it went.
    pub alone_bytes: u64,
}

impl Held {
    /// Of those that something else reaches, too.
    pub const fn shared_bytes(self) -> u64 {
        self.total_bytes.saturating_sub(self.alone_bytes)
    }
}

/// What a repository holds, by its tags, its untagged manifests, and its removed tags that can be brought back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepositoryUsage {
    /// All of these together.
    pub held: Held,
    /// Bytes of the blobs that of these only the untagged manifests reach.
    pub untagged_bytes: u64,
    /// What each of its tags holds; nothing is known of a tag whose link is in doubt.
    pub tags: Vec<Option<Held>>,
}

/// What holds the bytes of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// By position.
    pub repositories: Vec<RepositoryUsage>,
    /// Bytes of the blobs that tags reach.
    pub tags_bytes: u64,
    /// Of the others, those that removed tags reach which can be brought back.
    pub undo_bytes: u64,
    /// Of the others, those that manifests reach which no tag does.
    pub untagged_bytes: u64,
    /// What nothing references.
    pub unreferenced_bytes: u64,
}

impl Usage {
    /// Bytes of all blobs.
    pub const fn total_bytes(&self) -> u64 {
        self.tags_bytes
            .saturating_add(self.undo_bytes)
            .saturating_add(self.untagged_bytes)
            .saturating_add(self.unreferenced_bytes)
    }
}

/// Says what holds the bytes of a store; `bytes` has those of each blob, by [`Id::slot`].
pub fn usage(inventory: &Inventory, bytes: &[u64]) -> Usage {
    let mut pass = Pass::new(inventory, bytes);
    let mut usage = Usage::default();
    let mut first_tag = 0;
    for (at, repository) in (0..).zip(&inventory.repositories) {
        usage.repositories.push(pass.repository(at, first_tag, repository));
        first_tag += number(repository.tags.len());
    }
    pass.add_what_is_held_alone(&mut usage);
    usage
}

/// Nobody has reached a blob yet.
const NOBODY: u32 = u32::MAX;
/// More than one tag, or something else than a tag, reaches it.
const SEVERAL: u32 = u32::MAX - 1;

/// Who reaches a blob.
#[derive(Clone, Copy)]
struct Seen {
    /// The last closure that it was counted in.
    closure: u32,
    /// The number of the one tag that reaches it.
    tag: u32,
    /// The position of the last repository that reaches it.
    repository: u32,
    /// Whether that is not the only one.
    by_several: bool,
    fate: Fate,
}

struct Pass<'a> {
    inventory: &'a Inventory,
    bytes: &'a [u64],
    /// By [`Id::slot`].
    seen: Vec<Seen>,
    closures: u32,
}

/// Bytes of the blobs in a closure.
struct Reached {
    total: u64,
    /// Of those that its repository had not reached before.
    new: u64,
}

impl<'a> Pass<'a> {
    fn new(inventory: &'a Inventory, bytes: &'a [u64]) -> Self {
        let unseen =
            Seen { closure: 0, tag: NOBODY, repository: NOBODY, by_several: false, fate: Fate::Garbage };
        Self { inventory, bytes, seen: vec![unseen; inventory.digests.slots()], closures: 0 }
    }

    fn repository(&mut self, at: u32, first_tag: u32, repository: &Repository) -> RepositoryUsage {
        let graph = Graph::of(repository, &self.inventory.manifests);
        let mut usage = RepositoryUsage { tags: vec![None; repository.tags.len()], ..Default::default() };
        let mut reached = HashSet::new();
        // Tags of one manifest hold the same, and none of them holds it alone.
        let mut linked: Vec<(Id, u32)> =
            (0..).zip(&repository.tags).filter_map(|(tag, it)| Some((it.digest()?, tag))).collect();
        linked.sort_unstable();
        for of_one in linked.chunk_by(|(a, _), (b, _)| a == b) {
            let holder = if let [(_, tag)] = of_one { first_tag + tag } else { SEVERAL };
            let closure = graph.closure([of_one[0].0]);
            let bytes = self.reach((at, repository), holder, Fate::Kept, &closure);
            usage.held.total_bytes = usage.held.total_bytes.saturating_add(bytes.new);
            for (_, tag) in of_one {
                usage.tags[*tag as usize] = Some(Held { total_bytes: bytes.total, alone_bytes: 0 });
            }
            reached.extend(closure);
        }
        let undoable = graph.closure(repository.undoable.iter().copied());
        let untagged = repository.revisions.iter().copied();
        let untagged = graph.closure(untagged.filter(|it| !reached.contains(it) && !undoable.contains(it)));
        let undo = self.reach((at, repository), SEVERAL, Fate::Undoable, &undoable);
        let untagged = self.reach((at, repository), SEVERAL, Fate::Held, &untagged);
        usage.untagged_bytes = untagged.new;
        usage.held.total_bytes = usage.held.total_bytes.saturating_add(undo.new).saturating_add(untagged.new);
        usage
    }

    fn reach(
        &mut self,
        (at, repository): (u32, &Repository),
        holder: u32,
        fate: Fate,
        closure: &HashSet<Id>,
    ) -> Reached {
        self.closures += 1;
        let mut reached = Reached { total: 0, new: 0 };
        for manifest in closure {
            let blobs = self.inventory.manifests.get(manifest).into_iter().flat_map(Manifest::blobs);
            for reference in std::iter::once(*manifest).chain(blobs.map(|it| it.blob)) {
                let Some(slot) = repository.resolve(reference).slot() else { continue };
                let (seen, bytes) = (&mut self.seen[slot], self.bytes[slot]);
                if seen.closure == self.closures {
                    continue;
                }
                seen.closure = self.closures;
                seen.fate = seen.fate.max(fate);
                seen.tag = if seen.tag == NOBODY { holder } else { SEVERAL };
                reached.total = reached.total.saturating_add(bytes);
                if seen.repository != at {
                    seen.by_several = seen.repository != NOBODY;
                    seen.repository = at;
                    reached.new = reached.new.saturating_add(bytes);
                }
            }
        }
        reached
    }

    fn add_what_is_held_alone(&self, usage: &mut Usage) {
        let mut by_tag = vec![0_u64; usage.repositories.iter().map(|it| it.tags.len()).sum()];
        for slot in self.inventory.blobs.iter().filter_map(|blob| blob.slot()) {
            let (seen, bytes) = (&self.seen[slot], self.bytes[slot]);
            let of_fate = match seen.fate {
                Fate::Kept => &mut usage.tags_bytes,
                Fate::Undoable => &mut usage.undo_bytes,
                Fate::Held => &mut usage.untagged_bytes,
                Fate::Garbage => &mut usage.unreferenced_bytes,
            };
            let by_repository = usage.repositories.get_mut(seen.repository as usize);
            let by_repository = by_repository.filter(|_| !seen.by_several).map(|it| &mut it.held.alone_bytes);
            let by_tag = by_tag.get_mut(seen.tag as usize);
            for sum in std::iter::once(of_fate).chain(by_repository).chain(by_tag) {
                *sum = sum.saturating_add(bytes);
            }
        }
        let tags = usage.repositories.iter_mut().flat_map(|it| &mut it.tags);
        for (held, alone_bytes) in tags.zip(by_tag) {
            if let Some(held) = held {
                held.alone_bytes = alone_bytes;
            }
        }
    }
}

/// Each of them has a file, so there are not so many.
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(SEVERAL)
}

#[cfg(test)]
mod tests;
