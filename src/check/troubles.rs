//! What is damaged in a store, and which tags need it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::model::{
    BlobState, Digest, Id, LinkState, Manifest, ManifestState, Place, Reference, Spot, Standing, Survey,
};

/// So many parts of one manifest that are missing, or of another size, are told one by one. No client writes an image of so many layers, but one
/// manifest can name tens of thousands.
const MOST_MISSING: usize = 100;

/// Something damaged. The numbers are positions in the survey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Trouble {
    Tag(usize, usize),
    Revision(usize, Id),
    Layer(usize, Id),
    Manifest(Id),
    Blob(Id),
    /// More parts of this manifest are missing than are told one by one.
    More(Id),
    /// A manifest claims another size than the blob has, whose bytes are right.
    Claim(Id),
}

/// What a tag's pull wants something for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Tagged,
    Child,
    Part,
}

/// Everything that is damaged, with the tags that need it, as positions of repository and tag.
pub(super) struct Troubles<'a> {
    survey: &'a Survey,
    wrong: &'a BTreeSet<Id>,
    pub(super) damaged: BTreeMap<Trouble, Vec<(usize, usize)>>,
    /// Links that are damaged or missing, and whose repository is known to have had what they lead to.
    pub(super) were_there: HashSet<Trouble>,
    /// What pulls want it for.
    pub(super) roles: HashMap<Id, Role>,
    /// Of each manifest that has too many missing parts, how many are not told.
    pub(super) more: HashMap<Id, usize>,
}

impl<'a> Troubles<'a> {
    /// Goes through all that tags need, then through the rest. `wrong` are blobs whose bytes have another digest.
    pub(super) fn of(survey: &'a Survey, wrong: &'a BTreeSet<Id>) -> Self {
        let mut found = Self {
            survey,
            wrong,
            damaged: BTreeMap::new(),
            were_there: HashSet::new(),
            roles: HashMap::new(),
            more: HashMap::new(),
        };
        for (r, repository) in survey.repositories.iter().enumerate() {
            for (t, tag) in repository.tags.iter().enumerate() {
                match tag.current {
                    LinkState::To(manifest) => found.follow(r, t, manifest),
                    LinkState::Unreadable => {}
                    LinkState::Missing | LinkState::Empty | LinkState::Garbled(_) => {
                        found.trouble(Trouble::Tag(r, t), Some((r, t)), Role::Tagged);
                    }
                }
            }
        }
        found.what_no_tag_needs();
        // The directory of a link is there because the registry wrote one.
        for trouble in found.damaged.keys() {
            let has_directory = match trouble {
                Trouble::Tag(..) => true,
                Trouble::Revision(r, id) => survey.repositories[*r].revisions.contains_key(id),
                Trouble::Layer(r, id) => survey.repositories[*r].layers.contains_key(id),
                Trouble::Manifest(_) | Trouble::Blob(_) | Trouble::More(_) | Trouble::Claim(_) => false,
            };
            if has_directory {
                found.were_there.insert(*trouble);
            }
        }
        found
    }

    fn trouble(&mut self, trouble: Trouble, needed_by: Option<(usize, usize)>, role: Role) {
        let needed = self.damaged.entry(trouble).or_default();
        if needed.last() != needed_by.as_ref() {
            needed.extend(needed_by);
        }
        if let Trouble::Manifest(id) | Trouble::Blob(id) = trouble {
            let known = self.roles.entry(id).or_insert(role);
            *known = (*known).min(role);
        }
    }

    /// Goes through everything that a pull of a tag fetches. Referrers are no part of it.
    fn follow(&mut self, r: usize, t: usize, tagged: Id) {
        let survey = self.survey;
        let repository = &survey.repositories[r];
        let needed = Some((r, t));
        let named: HashSet<Id> = survey.repositories[r].tags[t].past.iter().map(|(id, _, _)| *id).collect();
        let was_pushed =
            |id: Id| id == tagged || named.contains(&id) || repository.revisions.contains_key(&id);
        let mut open = vec![(tagged, Role::Tagged)];
        let mut seen = HashSet::new();
        while let Some((id, role)) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            if id.slot().is_none() {
                // An index may list what was pushed as a blob by a digest of another algorithm.
                self.part(r, t, id);
                open.push((repository.resolve(id), role));
                continue;
            }
            let state = survey.manifests.get(&id).unwrap_or(&ManifestState::Blob);
            if is_lost(state) {
                self.trouble(Trouble::Manifest(id), needed, role);
            }
            // The registry 2.8 finds what an index lists by its layer link as well.
            let by_layer = matches!(repository.layers.get(&id), Some(LinkState::To(_)));
            match repository.revisions.get(&id) {
                Some(LinkState::To(to)) if *to == id => {}
                Some(LinkState::Unreadable) => {}
                None | Some(LinkState::Missing) if by_layer => {}
                // What is gone with its link is one damage, not two.
                None | Some(LinkState::Missing) if matches!(state, ManifestState::Absent) => {}
                _ => {
                    self.trouble(Trouble::Revision(r, id), needed, role);
                    if was_pushed(id) || self.has_all_of(r, id) {
                        self.were_there.insert(Trouble::Revision(r, id));
                    }
                }
            }
            match state {
                ManifestState::Manifest => {
                    let manifest = survey.references.get(&id);
                    let mut absent = 0;
                    for child in manifest.into_iter().flat_map(Manifest::needed_children) {
                        absent += usize::from(!survey.blobs.contains_key(&child));
                        if absent <= MOST_MISSING || survey.blobs.contains_key(&child) {
                            open.push((child, Role::Child));
                        }
                    }
                    self.more(id, absent.saturating_sub(MOST_MISSING), needed);
                    let listed = manifest.into_iter().flat_map(Manifest::listed).filter(Reference::is_needed);
                    let wrong: Vec<Id> = listed
                        .filter(|it| self.is_claim_wrong(it))
                        .map(|it| it.blob)
                        .take(MOST_MISSING)
                        .collect();
                    for child in wrong {
                        self.trouble(Trouble::Claim(child), needed, Role::Child);
                    }
                    self.parts(r, t, id, was_pushed(id), &mut seen);
                }
                // An index may list a plain blob, which is then looked at like any other.
                ManifestState::Blob if self.is_bad_blob(id) => self.trouble(Trouble::Blob(id), needed, role),
                _ => {}
            }
        }
    }

    /// The layers and the configuration of a manifest, and whether it was pushed to the repository.
    fn parts(&mut self, r: usize, t: usize, manifest: Id, was_pushed: bool, seen: &mut HashSet<Id>) {
        let survey = self.survey;
        let repository = &survey.repositories[r];
        let (mut told, mut more) = (0, 0);
        for reference in survey.references.get(&manifest).into_iter().flat_map(Manifest::needed_blobs) {
            let blob = repository.resolve(reference.blob);
            // What another blob's size is says nothing about the one that is meant.
            let is_other = survey.proofs.refute(reference.blob, blob, &survey.digests);
            let is_claim_wrong = !is_other && self.is_claim_wrong(&Reference { blob, ..reference });
            let is_new = seen.insert(reference.blob);
            // What is there and damaged takes up space, and is told however much there is of it.
            let is_missing =
                !survey.blobs.contains_key(&blob) || !repository.layers.contains_key(&reference.blob);
            told += usize::from(is_claim_wrong || is_new && is_missing);
            if told > MOST_MISSING && (is_claim_wrong || is_new && is_missing) {
                more += 1;
                continue;
            }
            if is_claim_wrong {
                self.trouble(Trouble::Claim(blob), Some((r, t)), Role::Part);
            }
            if is_new {
                self.part(r, t, reference.blob);
            }
            // The registry takes a manifest only when its repository has what it needs.
            if reference.standing == Standing::Verified && was_pushed {
                self.was_there(Trouble::Layer(r, reference.blob));
                if let Some(proven) = survey.proofs.blob(reference.blob) {
                    self.was_there(Trouble::Layer(r, proven));
                }
            }
        }
        self.more(manifest, more, Some((r, t)));
    }

    fn more(&mut self, manifest: Id, more: usize, needed: Option<(usize, usize)>) {
        if more > 0 {
            self.trouble(Trouble::More(manifest), needed, Role::Part);
            let known = self.more.entry(manifest).or_default();
            *known = more.max(*known);
        }
    }

    fn part(&mut self, r: usize, t: usize, reference: Id) {
        let survey = self.survey;
        let repository = &survey.repositories[r];
        let blob = repository.resolve(reference);
        let needed = Some((r, t));
        if reference.slot().is_none() {
            if matches!(repository.layers.get(&reference), Some(LinkState::Unreadable)) {
                return;
            }
            // Where the blob that the link names is gone, another one may be known to be the right one.
            let is_other = survey.proofs.refute(reference, blob, &survey.digests)
                || survey.proofs.blob(reference).is_some_and(|proven| proven != blob);
            if blob == reference || is_other {
                self.trouble(Trouble::Layer(r, reference), needed, Role::Part);
                return;
            }
            // The registry serves it only where the blob is linked as well.
            return self.part(r, t, blob);
        }
        let is_bad = self.is_bad_blob(blob);
        if is_bad {
            self.trouble(Trouble::Blob(blob), needed, Role::Part);
        }
        match repository.layers.get(&reference) {
            Some(LinkState::To(to)) if *to == blob => {}
            Some(LinkState::Unreadable) => {}
            None | Some(LinkState::Missing) if is_bad && !survey.blobs.contains_key(&blob) => {}
            _ => self.trouble(Trouble::Layer(r, reference), needed, Role::Part),
        }
    }

    /// Takes down of a damage that the repository had what the link leads to.
    fn was_there(&mut self, link: Trouble) {
        if self.is_known(link) {
            self.were_there.insert(link);
        }
    }

    /// Whether a repository has everything that a manifest needs, and there is some of it. One that nothing but an index
    /// names may never have been pushed to this repository.
    fn has_all_of(&self, r: usize, id: Id) -> bool {
        let Some(manifest) = self.survey.references.get(&id) else { return false };
        let repository = &self.survey.repositories[r];
        let is_linked =
            |links: &BTreeMap<Id, LinkState>, id: &Id| matches!(links.get(id), Some(LinkState::To(_)));
        let mut any = false;
        let has_children = manifest
            .needed_children()
            .inspect(|_| any = true)
            .all(|child| is_linked(&repository.revisions, &child) || is_linked(&repository.layers, &child));
        has_children
            && manifest
                .needed_blobs()
                .inspect(|_| any = true)
                .all(|reference| is_linked(&repository.layers, &reference.blob))
            && any
    }

    fn is_bad_blob(&self, blob: Id) -> bool {
        match self.survey.blobs.get(&blob) {
            None | Some(BlobState::Hollow) => true,
            Some(BlobState::Unreadable) => false,
            Some(BlobState::Data(size)) => {
                self.wrong.contains(&blob)
                    || (*size == 0 && self.survey.digests.get(blob) != Digest::of(b""))
                    || (self.survey.is_of_unclaimed_size(blob) && !self.survey.intact.contains(&blob))
            }
        }
    }

    /// Whether a manifest claims another size than a blob has whose bytes are right, as far as that is known: they were
    /// read, or another manifest claims that size.
    fn is_claim_wrong(&self, reference: &Reference) -> bool {
        let (Some(claim), Some(BlobState::Data(size))) =
            (reference.size_bytes, self.survey.blobs.get(&reference.blob))
        else {
            return false;
        };
        let is_right = self.survey.intact.contains(&reference.blob)
            || matches!(self.survey.manifests.get(&reference.blob), Some(ManifestState::Manifest))
            || self.survey.claims.get(&reference.blob).is_some_and(|claims| claims.contains(size));
        claim != *size && !reference.foreign && is_right && !self.is_bad_blob(reference.blob)
    }

    /// Damage that breaks no tag, and is in the way of something else.
    fn what_no_tag_needs(&mut self) {
        let survey = self.survey;
        for (r, repository) in survey.repositories.iter().enumerate() {
            for (id, link) in &repository.revisions {
                match link {
                    LinkState::Empty | LinkState::Garbled(_) => {
                        self.trouble(Trouble::Revision(r, *id), None, Role::Tagged);
                    }
                    LinkState::To(to) if to != id => {
                        self.trouble(Trouble::Revision(r, *id), None, Role::Tagged);
                    }
                    LinkState::To(_) => match survey.manifests.get(id) {
                        Some(ManifestState::Absent) if !self.is_known(Trouble::Manifest(*id)) => {
                            self.trouble(Trouble::Revision(r, *id), None, Role::Tagged);
                        }
                        Some(state) if is_lost(state) => {
                            self.trouble(Trouble::Manifest(*id), None, Role::Child);
                        }
                        _ => {}
                    },
                    LinkState::Missing | LinkState::Unreadable => {}
                }
            }
            for (id, link) in &repository.layers {
                let is_damaged = match link {
                    LinkState::Empty | LinkState::Garbled(_) => true,
                    LinkState::To(to) if id.slot().is_none() => {
                        survey.proofs.refute(*id, *to, &survey.digests)
                    }
                    LinkState::To(to) => to != id,
                    LinkState::Missing | LinkState::Unreadable => false,
                };
                if is_damaged {
                    self.trouble(Trouble::Layer(r, *id), None, Role::Part);
                }
            }
        }
        for (blob, state) in &survey.blobs {
            let is_bad = match state {
                // What has no revision link is a manifest as well, and was told as one.
                _ if self.is_known(Trouble::Manifest(*blob)) => false,
                BlobState::Hollow => true,
                BlobState::Data(_) => self.is_bad_blob(*blob),
                BlobState::Unreadable => false,
            };
            if is_bad {
                self.trouble(Trouble::Blob(*blob), None, Role::Part);
            }
        }
    }

    fn is_known(&self, trouble: Trouble) -> bool {
        self.damaged.contains_key(&trouble)
    }
}

fn is_lost(state: &ManifestState) -> bool {
    match state {
        ManifestState::Absent
        | ManifestState::Empty
        | ManifestState::WrongHash { .. }
        | ManifestState::Unknown(_) => true,
        ManifestState::Manifest | ManifestState::Blob | ManifestState::Unreadable => false,
    }
}

/// Where a trouble is.
pub(super) fn spot(survey: &Survey, trouble: Trouble) -> Spot {
    let repository = |r: usize| survey.repositories[r].name.clone();
    let digest = |id: Id| survey.digests.get(id);
    match trouble {
        Trouble::Tag(r, t) => {
            Spot::Link(Place::Tag(repository(r), survey.repositories[r].tags[t].name.clone()))
        }
        Trouble::Revision(r, id) => Spot::Link(Place::Revision(repository(r), digest(id))),
        Trouble::Layer(r, id) => Spot::Link(Place::Layer(repository(r), digest(id))),
        Trouble::Manifest(id) | Trouble::Blob(id) | Trouble::More(id) | Trouble::Claim(id) => {
            Spot::Blob(digest(id))
        }
    }
}
