//! The manifests that a scan needs, from tags and revisions down through indexes.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use super::{Scanner, WRITE_IN_PROGRESS};
use crate::model::{
    Code, Content, Digest, Document, Id, LinkAge, Manifest, Manifests, Place, Problem, Reference, Repository,
    Severity, Sizes, Unread,
};
use crate::stop::{Interrupted, Length};
use crate::store::layout;
use crate::store::manifests::ManifestRead;

/// How many manifests are read before they are gone through.
const AT_A_TIME: usize = 2048;

impl Scanner<'_> {
    /// Reads every manifest that a tag, a revision or an index names, once, unless it is known; what is present is
    /// not read where it is remembered. Says how many were remembered, and which revisions cannot be read as manifests.
    pub(super) fn read_manifests(
        &self,
        repositories: &mut [Repository],
        known: &mut Manifests,
        sizes: &mut Sizes,
        remembered: &Manifests,
        present: impl Fn(Id) -> bool,
    ) -> Result<(usize, Vec<Unread>), Interrupted> {
        let mut seen = Seen::default();
        let mut bad: HashSet<Id> = HashSet::new();
        let mut not_manifests: HashMap<Id, Problem> = HashMap::new();
        let mut absent: HashSet<Id> = HashSet::new();
        let mut used = 0;
        let mut wanted: Vec<Id> = repositories
            .iter()
            .flat_map(|repository| repository.roots().chain(repository.revisions.iter().copied()))
            .collect();
        // Tags and revisions must be manifests; what an index lists may as well be a plain blob.
        let mut must_be_manifests = true;
        // An index may list a manifest by another algorithm; then layer links say which blob that is.
        let mut aliases: Vec<(Id, Id)> =
            repositories.iter().flat_map(|it| it.aliases.iter().copied()).collect();
        aliases.sort_unstable();
        // What is in no listing of blobs is there no more; there may be a great many such children. A listing that lacks
        // what a tag or a revision names is not believed: that manifest is asked for by its path.
        let may_be_there = |child: &Reference| {
            layout::may_be_manifest(child) && (child.blob.slot().is_none() || present(child.blob))
        };
        loop {
            follow_aliases(&mut wanted, &aliases);
            wanted.sort_unstable();
            wanted.dedup();
            // What turned out to be no manifest where an index lists it is still none where it must be one.
            let is_enough = |manifests: &Manifests, id: Id| match manifests.content(id) {
                Some(Content::Manifest(_)) => true,
                Some(Content::Plain) => !must_be_manifests,
                None => false,
            };
            wanted.retain(|id| seen.insert(*id));
            let mut children = Vec::new();
            // What an earlier look knows may name what it could not read.
            for id in wanted.extract_if(.., |id| is_enough(known, *id)) {
                let listed = known.get(&id).into_iter().flat_map(Manifest::possible_manifests);
                children.extend(listed.filter(may_be_there).map(|child| child.blob));
            }
            if wanted.is_empty() && children.is_empty() {
                break;
            }
            let mut take_in = |id: Id, manifest: Manifest<'_>| {
                sizes.read(id, manifest);
                let listed = manifest.possible_manifests().filter(may_be_there);
                children.extend(listed.map(|child| child.blob));
            };
            for id in wanted.extract_if(.., |id| is_enough(remembered, *id) && present(*id)) {
                known.take_over(id, remembered);
                known.get(&id).into_iter().for_each(|manifest| take_in(id, manifest));
                used += 1;
            }
            self.stop.begin("reading manifests", Length::Steps(wanted.len() as u64));
            for part in wanted.chunks(AT_A_TIME) {
                let digests: Vec<Digest> = part.iter().map(|id| self.digest(*id)).collect();
                let taken = Mutex::new(&mut *known);
                let take = |at: usize, document: &Document| {
                    let mut known = taken.lock().unwrap_or_else(PoisonError::into_inner);
                    known.insert(part[at], document, &mut self.all_digests());
                };
                let patience = WRITE_IN_PROGRESS;
                let reads =
                    self.store.read_manifests(&digests, must_be_manifests, patience, self.stop, take)?;
                for (id, read) in part.iter().copied().zip(reads) {
                    match read {
                        ManifestRead::Manifest => {
                            known.get(&id).into_iter().for_each(|manifest| take_in(id, manifest));
                        }
                        ManifestRead::Plain => known.insert_plain(id),
                        ManifestRead::Large => {}
                        ManifestRead::Absent => {
                            absent.insert(id);
                        }
                        ManifestRead::Doubt(problem) if problem.code == Code::BadManifest => {
                            not_manifests.insert(id, *problem);
                        }
                        ManifestRead::Doubt(problem) => {
                            self.report(*problem);
                            bad.insert(id);
                        }
                    }
                }
            }
            wanted = children;
            must_be_manifests = false;
        }
        let mut unread = Vec::new();
        for repository in repositories {
            unread.extend(self.unread(repository, &not_manifests)?);
            for (alias, blob) in &repository.aliases {
                sizes.alias(*alias, *blob);
            }
            let mut roots = repository.tagged().chain(repository.revisions.iter().copied());
            let has_bad = roots.any(|id| bad.contains(&id));
            drop(roots);
            repository.in_doubt |= has_bad;
            self.doubt_missing(repository, &absent, known);
        }
        Ok((used, unread))
    }

    /// Reports a manifest that a repository's tags need and that is not there.
    fn doubt_missing(&self, repository: &mut Repository, absent: &HashSet<Id>, known: &Manifests) {
        let Some(id) = absent_of(repository, absent, known) else { return };
        repository.in_doubt = true;
        self.report(Problem {
            severity: Severity::Doubt,
            code: Code::ManifestMissing,
            repository: Some(repository.name.clone()),
            path: layout::told(&format!("{}/{}", layout::BLOBS, layout::blob_dir(&self.digest(id)))),
            cause: "a tag needs this manifest, and it is not there; what else it needs is unknown".into(),
            remedy: "push the image again, or delete the tag".into(),
        });
    }

    /// What a repository has among these that are whole and no manifests. Where a tag names one, that is a doubt; without
    /// a link, as the registry's own delete leaves it, it is no revision any more.
    fn unread(
        &self,
        repository: &mut Repository,
        not_manifests: &HashMap<Id, Problem>,
    ) -> Result<Vec<Unread>, Interrupted> {
        if not_manifests.is_empty() {
            return Ok(Vec::new());
        }
        let told = |id: Id| {
            let repository = Some(repository.name.clone());
            Some(Problem { repository, ..not_manifests.get(&id)?.clone() })
        };
        let named: HashSet<Id> = repository.roots().collect();
        let mut doubts: Vec<Problem> = named.iter().filter_map(|id| told(*id)).collect();
        let others: Vec<(Id, Problem)> = repository
            .revisions
            .iter()
            .filter(|it| !named.contains(it))
            .filter_map(|it| Some((*it, told(*it)?)))
            .collect();
        let place = |(id, _): &(Id, Problem)| Place::Revision(repository.name.clone(), self.digest(*id));
        let ages = self.store.link_ages(others.iter().map(place), self.stop)?;
        let mut unread = Vec::new();
        for ((manifest, problem), age) in others.into_iter().zip(ages) {
            match age {
                LinkAge::Written(_) | LinkAge::Ahead { .. } => {
                    unread.push(Unread { repository: repository.name.clone(), manifest, problem });
                }
                LinkAge::Empty(_) | LinkAge::Gone => {}
                LinkAge::Doubt(problem) => doubts.push(*problem),
            }
        }
        repository.in_doubt |= !doubts.is_empty();
        self.report_all(doubts);
        Ok(unread)
    }
}

/// Which digests were looked at: a bit for each.
#[derive(Default)]
struct Seen {
    /// By [`Id::slot`].
    slots: Vec<u64>,
    others: HashSet<Id>,
}

impl Seen {
    /// Adds a digest; says whether it is new.
    fn insert(&mut self, id: Id) -> bool {
        let Some(slot) = id.slot() else { return self.others.insert(id) };
        let (at, bit) = (slot / 64, 1 << (slot % 64));
        if at >= self.slots.len() {
            self.slots.resize(at + 1, 0);
        }
        let is_new = self.slots[at] & bit == 0;
        self.slots[at] |= bit;
        is_new
    }
}

/// Puts the blobs that layer links lead to in place of references by another algorithm, under which no blob is stored.
fn follow_aliases(wanted: &mut Vec<Id>, aliases: &[(Id, Id)]) {
    let others: Vec<Id> = wanted.extract_if(.., |id| id.slot().is_none()).collect();
    for id in others {
        let first = aliases.partition_point(|(alias, _)| *alias < id);
        let of_it = aliases[first..].iter().take_while(|(alias, _)| *alias == id);
        wanted.extend(of_it.map(|(_, blob)| *blob).filter(|blob| blob.slot().is_some()));
    }
}

/// A manifest that a tag needs and that is not there: the one that it names, or below that one that the
/// repository has a revision of. Without a revision, an index may have been pushed without all of its
/// platforms.
fn absent_of(repository: &Repository, absent: &HashSet<Id>, manifests: &Manifests) -> Option<Id> {
    if absent.is_empty() {
        return None;
    }
    let named = repository.roots().find(|id| absent.contains(id));
    if named.is_some() {
        return named;
    }
    let mut open: Vec<Id> = repository.roots().collect();
    let mut seen = HashSet::new();
    while let Some(id) = open.pop() {
        if absent.contains(&id) && repository.revisions.binary_search(&id).is_ok() {
            return Some(id);
        }
        if seen.insert(id)
            && let Some(manifest) = manifests.get(&id)
        {
            open.extend(manifest.leads_to(&repository.revisions));
        }
    }
    None
}
