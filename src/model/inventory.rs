//! What one look at the store found.

use std::collections::HashSet;

use jiff::Timestamp;

use super::{
    Digest, Digests, FirstSeen, Id, Manifest, Manifests, Place, Problem, Proofs, RepoName, Severity, Sizes,
    TagName, Thing, UndoSweep, UndoTrash, is_ahead,
};

/// What one look at the store found.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// Every digest that it names.
    pub digests: Digests,
    /// The repositories, by name.
    pub repositories: Vec<Repository>,
    /// Every manifest that could be read, hashed and parsed. A digest that is listed as a revision
    /// and missing here is either absent from the store or the subject of a problem.
    pub manifests: Manifests,
    /// How much of that was not read in this sweep.
    pub remembered: Remembered,
    /// Which of those that tags name the last sweep did not know.
    pub news: News,
    /// Every blob directory, sorted by number.
    pub blobs: Vec<Id>,
    /// How large blobs are, as far as that is known.
    pub sizes: Sizes,
    /// Digests of blobs under other algorithms than sha256, as far as they were computed.
    pub proofs: Proofs,
    /// Directories where repositories are that hold nothing at all, by name.
    pub bare: Vec<RepoName>,
    /// Removed tags that can be brought back.
    pub undo: UndoTrash,
    /// Revisions that no tag names and that cannot be read as manifests. Each is a doubt until it is judged.
    pub unread: Vec<Unread>,
    /// Everything that was not as expected.
    pub problems: Vec<Problem>,
}

/// A revision that no tag names, and whose bytes are whole and no manifest that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Its repository.
    pub repository: RepoName,
    /// Which it is.
    pub manifest: Id,
    /// The doubt that it is while it stays.
    pub problem: Problem,
}

/// What was known before a look of what manifests reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    /// How many digests an earlier sweep wrote down.
    pub held: usize,
    /// How many of them were named in the store.
    pub used: usize,
    /// Whether something was written down that could not be read or understood.
    pub is_damaged: bool,
}

/// What is new since the last sweep, as far as its file of references tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// When that sweep began to look, by the storage's clock. `None` when it did not see everything, or when there is
    /// no such file: then nothing can be said.
    pub last_look: Option<Timestamp>,
    /// The manifests that tags name and that it did not know, sorted by number; empty when nothing can be said.
    pub manifests: Vec<Id>,
}

impl News {
    /// When the last sweep began to look, if it did not know this manifest.
    pub fn since(&self, manifest: Id) -> Option<Timestamp> {
        self.last_look.filter(|_| self.manifests.binary_search(&manifest).is_ok())
    }
}

/// One repository as the store has it.
#[derive(Clone, Debug)]
pub struct Repository<D = Id> {
    /// Its name.
    pub name: RepoName,
    /// Its tags, sorted by name.
    pub tags: Vec<Tag<D>>,
    /// The directories below `_manifests/revisions`, sorted.
    pub revisions: Vec<D>,
    /// The directories below `_layers`, sorted.
    pub layers: Vec<D>,
    /// Layer links under another algorithm than the blob is stored under: what they are named after,
    /// and the blob, sorted. A push of a sha512 layer makes these.
    pub aliases: Vec<(D, D)>,
    /// What removed tags name that can be brought back. These are roots as a tag's are, and nothing else.
    pub undoable: Vec<D>,
    /// Whether a root of this repository is in doubt; then it loses none of its tags.
    pub in_doubt: bool,
}

/// A tag and what its link said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag<D = Id> {
    /// Its name.
    pub name: TagName,
    /// What was read from `current/link`.
    pub state: TagState<D>,
}

/// What a tag's link said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagState<D = Id> {
    /// The link was read.
    Linked {
        /// The manifest that the tag names.
        digest: D,
        /// The link's mtime: when the tag was last pushed.
        pushed_at: Timestamp,
    },
    /// The link is missing, unreadable, or holds no digest.
    Doubtful,
}

/// A manifest as one repository has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision {
    /// The repository's position in the inventory.
    pub repository: u32,
    /// The manifest.
    pub manifest: Id,
}

impl Tag {
    /// The manifest that the tag names, when its link could be read.
    pub const fn digest(&self) -> Option<Id> {
        match &self.state {
            TagState::Linked { digest, .. } => Some(*digest),
            TagState::Doubtful => None,
        }
    }
}

impl Repository {
    /// The manifests that its tags name.
    pub fn tagged(&self) -> impl Iterator<Item = Id> {
        self.tags.iter().filter_map(Tag::digest)
    }

    /// Whatever keeps manifests: what its tags name, and what those name that can be brought back.
    pub fn roots(&self) -> impl Iterator<Item = Id> {
        self.tagged().chain(self.undoable.iter().copied())
    }

    /// The blob that a layer link of another algorithm than sha256 names.
    pub fn alias(&self, reference: Id) -> Option<Id> {
        let at = self.aliases.binary_search_by_key(&reference, |(alias, _)| *alias).ok()?;
        Some(self.aliases[at].1)
    }

    /// The blob that a reference means: itself, or what a layer link of another algorithm leads to.
    pub fn resolve(&self, reference: Id) -> Id {
        // Most repositories have no such links, and most references need none.
        if reference.slot().is_some() { reference } else { self.alias(reference).unwrap_or(reference) }
    }
}

impl Inventory {
    /// Whether any root of the store is in doubt; then no manifest and no blob is removed.
    pub fn in_doubt(&self) -> bool {
        !self.unread.is_empty()
            || self.problems.iter().any(|problem| problem.severity == Severity::Doubt)
            || self.repositories.iter().any(|repository| repository.in_doubt)
    }

    /// The position of a repository.
    pub fn position(&self, name: &RepoName) -> Option<usize> {
        self.repositories.binary_search_by(|repository| repository.name.cmp(name)).ok()
    }

    /// Whether the store has a directory for this blob.
    pub fn has_blob(&self, blob: Id) -> bool {
        self.blobs.binary_search(&blob).is_ok()
    }

    /// A digest by its number.
    pub fn digest(&self, id: Id) -> Digest {
        self.digests.get(id)
    }

    /// Has the repositories hold what the undo trash holds of them.
    pub fn hold_undoable(&mut self) {
        for repository in &mut self.repositories {
            repository.undoable.clear();
        }
        for at in 0..self.undo.tags.len() {
            if let Some(position) = self.position(&self.undo.tags[at].repository) {
                self.repositories[position].undoable.push(self.undo.tags[at].manifest);
            }
        }
    }

    /// Takes what some sweeps removed out: it holds nothing any more, and a doubt about it keeps nothing.
    #[must_use]
    pub fn let_go_of_undoable(&mut self, of: impl Fn(&UndoSweep) -> bool) -> UndoTrash {
        let gone = self.undo.split_off(of);
        if !gone.sweeps.is_empty() {
            self.hold_undoable();
            let paths: Vec<String> =
                gone.sweeps.iter().map(|sweep| format!("janitor/trash/undo/{}/", sweep.id)).collect();
            self.problems.retain(|it| !paths.iter().any(|path| it.path.starts_with(path)));
        }
        gone
    }

    /// What tags, revisions and indexes name that is known, sorted by number.
    pub fn named_manifests(&self) -> Vec<Id> {
        let named = |repository: &Repository| -> Vec<Id> {
            repository.roots().chain(repository.revisions.iter().copied()).collect()
        };
        let mut open: Vec<Id> = self.repositories.iter().flat_map(named).collect();
        let aliases: Vec<(Id, Id)> =
            self.repositories.iter().flat_map(|it| it.aliases.iter().copied()).collect();
        // An index may list a manifest by another algorithm.
        open.extend(
            aliases.into_iter().map(|(_, blob)| blob).filter(|blob| self.manifests.content(*blob).is_some()),
        );
        let mut seen = HashSet::new();
        while let Some(id) = open.pop() {
            if self.manifests.content(id).is_some() && seen.insert(id) {
                let named = self.manifests.get(&id).into_iter().flat_map(Manifest::possible_manifests);
                open.extend(named.map(|reference| reference.blob));
            }
        }
        let mut named: Vec<Id> = seen.into_iter().collect();
        named.sort_unstable();
        named
    }

    /// Whether this was a look at everything that matters to tags: nothing is in doubt, and every manifest that a tag
    /// names was read.
    pub fn is_complete(&self) -> bool {
        let is_read = |manifest| self.manifests.content(manifest).is_some();
        !self.in_doubt() && self.repositories.iter().all(|it| it.tagged().all(is_read))
    }

    /// What is left to tell by, once everything is decided and done.
    pub fn finish(self) -> (Digests, Vec<Problem>) {
        (self.digests, self.problems)
    }

    /// Where a revision is.
    pub fn place(&self, revision: Revision) -> Place {
        let name = &self.repositories[revision.repository as usize].name;
        Place::Revision(name.clone(), self.digest(revision.manifest))
    }

    /// Where a layer link is: of a repository, by its position, and what it is filed under.
    pub fn layer_link(&self, repository: u32, layer: Id) -> Place {
        Place::Layer(self.repositories[repository as usize].name.clone(), self.digest(layer))
    }

    /// The time from which the age of a layer link counts: its own, or when it was first seen if its own is ahead of
    /// the clock.
    pub fn layer_counts_from(
        &self,
        repository: u32,
        layer: Id,
        written: Timestamp,
        first_seen: &mut FirstSeen,
        now: Timestamp,
    ) -> Timestamp {
        if !is_ahead(written, now) {
            return written;
        }
        let name = &self.repositories[repository as usize].name;
        first_seen.counts_from(Thing::Layer(name, &self.digest(layer)), written, now)
    }

    /// The revision at a place, if that is one of a repository that is known.
    pub fn revision(&self, place: &Place) -> Option<Revision> {
        let Place::Revision(name, digest) = place else { return None };
        let repository = u32::try_from(self.position(name)?).ok()?;
        Some(Revision { repository, manifest: self.digests.id(digest)? })
    }
}

#[cfg(test)]
impl Inventory {
    /// An inventory told in digests, for tests to read.
    pub(crate) fn of<'a>(
        repositories: impl IntoIterator<Item = &'a Repository<Digest>>,
        manifests: &std::collections::HashMap<Digest, super::Document>,
        blobs: &[Digest],
    ) -> Self {
        let mut inventory = Self::default();
        let digests = &mut inventory.digests;
        inventory.repositories = repositories.into_iter().map(|it| it.intern(digests)).collect();
        for (digest, document) in manifests {
            let id = digests.intern(digest);
            inventory.manifests.insert(id, document, digests);
            inventory.sizes.read(id, inventory.manifests.get(&id).unwrap());
        }
        inventory.blobs = blobs.iter().map(|blob| digests.intern(blob)).collect();
        inventory.blobs.sort_unstable();
        inventory
    }
}

#[cfg(test)]
impl Repository<Digest> {
    /// The same with numbers in place of digests.
    pub(crate) fn intern(&self, digests: &mut Digests) -> Repository {
        let tag = |tag: &Tag<Digest>, digests: &mut Digests| Tag {
            name: tag.name.clone(),
            state: match &tag.state {
                TagState::Linked { digest, pushed_at } => {
                    TagState::Linked { digest: digests.intern(digest), pushed_at: *pushed_at }
                }
                TagState::Doubtful => TagState::Doubtful,
            },
        };
        let tags = self.tags.iter().map(|it| tag(it, digests)).collect();
        let mut all = |list: &[Digest]| {
            let mut ids: Vec<Id> = list.iter().map(|digest| digests.intern(digest)).collect();
            ids.sort_unstable();
            ids
        };
        let (revisions, layers, undoable) = (all(&self.revisions), all(&self.layers), all(&self.undoable));
        let mut aliases: Vec<(Id, Id)> =
            self.aliases.iter().map(|(a, b)| (digests.intern(a), digests.intern(b))).collect();
        aliases.sort_unstable();
        let (name, in_doubt) = (self.name.clone(), self.in_doubt);
        Repository { name, tags, revisions, layers, aliases, undoable, in_doubt }
    }
}
