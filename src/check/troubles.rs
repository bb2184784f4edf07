//! What is damaged in a store, and which tags need it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::model::{BlobState, Digest, Id, LinkState, Manifest, ManifestState, Place, Spot, Survey};

/// Something damaged. The numbers are positions in the survey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trouble {
    Tag(usize, usize),
    Revision(usize, Id),
    Layer(usize, Id),
    Manifest(Id),
    Blob(Id),
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
    /// What pulls want it for.
    pub(super) roles: HashMap<Id, Role>,
}

impl<'a> Troubles<'a> {
    /// Goes through all that tags need, then through the rest. `wrong` are blobs whose bytes have another digest.
    pub(super) fn of(survey: &'a Survey, wrong: &'a BTreeSet<Id>) -> Self {
        let mut found = Self { survey, wrong, damaged: BTreeMap::new(), roles: HashMap::new() };
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
        let mut open = vec![(tagged, Role::Tagged)];
        let mut seen = HashSet::new();
        while let Some((id, role)) = open.pop() {
            if !seen.insert(id) {
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
                _ => self.trouble(Trouble::Revision(r, id), needed, role),
            }
            match state {
                ManifestState::Manifest => {
                    let manifest = survey.references.get(&id);
                    let children = manifest.into_iter().flat_map(Manifest::children);
                    open.extend(children.map(|child| (child, Role::Child)));
                    let blobs = manifest.into_iter().flat_map(Manifest::blobs);
                    for reference in blobs.filter(|reference| !reference.foreign) {
                        self.part(r, t, reference.blob, &mut seen);
                    }
                }
                // An index may list a plain blob, which is then looked at like any other.
                ManifestState::Blob if self.is_bad_blob(id) => self.trouble(Trouble::Blob(id), needed, role),
                _ => {}
            }
        }
    }

    /// A layer or a configuration.
    fn part(&mut self, r: usize, t: usize, reference: Id, seen: &mut HashSet<Id>) {
        if !seen.insert(reference) {
            return;
        }
        let survey = self.survey;
        let repository = &survey.repositories[r];
        let blob = repository.resolve(reference);
        let needed = Some((r, t));
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

    fn is_bad_blob(&self, blob: Id) -> bool {
        match self.survey.blobs.get(&blob) {
            None | Some(BlobState::Hollow) => true,
            Some(BlobState::Unreadable) => false,
            Some(BlobState::Data(size)) => {
                self.wrong.contains(&blob)
                    || (*size == 0 && self.survey.digests.get(blob) != Digest::of(b""))
                    || self.survey.claims.get(&blob).is_some_and(|claims| !claims.contains(size))
            }
        }
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
                    LinkState::To(to) => to != id && id.slot().is_some(),
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
        Trouble::Manifest(id) | Trouble::Blob(id) => Spot::Blob(digest(id)),
    }
}
