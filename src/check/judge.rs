//! From what was found in the store to findings: each damage once, with every tag that it breaks.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::finding::{Finding, FindingCode, FindingSeverity};
use super::words;
use crate::model::{
    BlobState, Digest, Id, LinkState, Manifest, ManifestState, OddKind, Oddity, Place, Spot, Survey,
    Surveyed, Upload,
};

/// What the time has to do with it.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Now, by the storage's clock.
    pub now: Timestamp,
    /// How old an upload may be.
    pub upload_max_age: SignedDuration,
}

/// How old a temporary file must be to be a leftover: no single request takes so long.
pub(super) const TEMPORARY_MAX_AGE: SignedDuration = SignedDuration::from_hours(24);

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

/// Decides what is wrong. `wrong` are blobs whose bytes were read and have another digest; `path_of` tells
/// where things are.
pub fn judge(
    survey: &Survey,
    wrong: &BTreeSet<Id>,
    limits: Limits,
    path_of: impl Fn(&Spot) -> String,
) -> Vec<Finding> {
    let mut judge = Judge { survey, wrong, troubles: BTreeMap::new(), roles: HashMap::new() };
    for (r, repository) in survey.repositories.iter().enumerate() {
        for (t, tag) in repository.tags.iter().enumerate() {
            match tag.current {
                LinkState::To(manifest) => judge.follow(r, t, manifest),
                LinkState::Unreadable => {}
                LinkState::Missing | LinkState::Empty | LinkState::Garbled(_) => {
                    judge.trouble(Trouble::Tag(r, t), Some((r, t)), Role::Tagged);
                }
            }
        }
    }
    judge.what_no_tag_needs();
    let Judge { troubles, roles, .. } = judge;
    // What a tag needs is told as that, and not once more for each link.
    let lost: HashSet<Id> = troubles
        .keys()
        .filter_map(|trouble| match trouble {
            Trouble::Blob(id) | Trouble::Manifest(id) => Some(*id),
            _ => None,
        })
        .collect();
    let mut findings: Vec<Finding> = troubles
        .into_iter()
        .map(|(trouble, needed)| {
            let tags = needed.iter().map(|(r, t)| name(survey, *r, *t)).collect();
            let is_wrong = matches!(trouble, Trouble::Blob(blob) if wrong.contains(&blob));
            let role = match trouble {
                Trouble::Manifest(id) | Trouble::Blob(id) => roles.get(&id).copied(),
                _ => None,
            };
            words::of_trouble(survey, trouble, role, is_wrong, tags)
        })
        .collect();
    for repository in &survey.repositories {
        if !repository.has_layers {
            findings.push(words::of_missing_layers(repository));
        }
        let gone = dangling(survey, repository, &lost);
        if gone > 0 && unread(survey).next().is_none() {
            findings.push(words::of_dangling_layers(repository, gone));
        }
        let damaged = repository.tags.iter().filter(|tag| {
            let is_bad = |id: &Id, link: &LinkState| match link {
                LinkState::To(to) => to != id,
                LinkState::Empty | LinkState::Garbled(_) => true,
                LinkState::Missing | LinkState::Unreadable => false,
            };
            tag.past.iter().any(|(id, link, _)| is_bad(id, link))
        });
        findings.extend(damaged.map(|tag| words::of_history(repository, tag)));
        let stale = repository.uploads.iter().filter(|upload| is_stale(upload, limits));
        findings.extend(stale.map(|upload| words::of_upload(repository, upload)));
    }
    findings.extend(survey.oddities.iter().filter_map(|oddity| odd(oddity, limits)));
    for finding in &mut findings {
        finding.path = path_of(&finding.spot);
    }
    findings.retain(|finding| !is_unknown(survey, finding));
    findings.sort_by(|a, b| {
        (b.severity, &a.repository, &a.path, a.code).cmp(&(a.severity, &b.repository, &b.path, b.code))
    });
    findings
}

struct Judge<'a> {
    survey: &'a Survey,
    wrong: &'a BTreeSet<Id>,
    troubles: BTreeMap<Trouble, Vec<(usize, usize)>>,
    roles: HashMap<Id, Role>,
}

impl Judge<'_> {
    fn trouble(&mut self, trouble: Trouble, needed_by: Option<(usize, usize)>, role: Role) {
        let needed = self.troubles.entry(trouble).or_default();
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
        self.troubles.contains_key(&trouble)
    }
}

/// How many layer links name a blob that is gone. The registry's collector leaves them all.
fn dangling(survey: &Survey, repository: &Surveyed, lost: &HashSet<Id>) -> usize {
    let is_gone = |link: &LinkState| matches!(link, LinkState::To(to) if !survey.blobs.contains_key(to) && !lost.contains(to));
    repository.layers.values().filter(|link| is_gone(link)).count()
}

/// What is missing from a directory that could not be looked at may be there.
fn is_unknown(survey: &Survey, finding: &Finding) -> bool {
    let is_absence = matches!(
        finding.code,
        FindingCode::TagLinkMissing
            | FindingCode::RevisionLinkMissing
            | FindingCode::LayerLinkMissing
            | FindingCode::BlobMissing
            | FindingCode::LayersDirectoryMissing
    );
    let is_above = |path: &str| {
        finding.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    is_absence && unread(survey).any(is_above)
}

/// The directories and files that could not be looked at.
fn unread(survey: &Survey) -> impl Iterator<Item = &str> {
    let unread = survey.oddities.iter().filter(|it| matches!(it.kind, OddKind::Unreadable(_)));
    unread.map(|it| it.path.as_str())
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

/// One that something is still written to is under way, however long ago it began.
fn is_stale(upload: &Upload, limits: Limits) -> bool {
    let newest = upload.started.map_or(upload.touched, |started| started.max(upload.touched));
    limits.now.duration_since(newest) > limits.upload_max_age
}

fn odd(oddity: &Oddity, limits: Limits) -> Option<Finding> {
    match oddity.kind {
        OddKind::Temporary(written) if limits.now.duration_since(written) <= TEMPORARY_MAX_AGE => None,
        _ => Some(words::of_oddity(oddity)),
    }
}

fn name(survey: &Survey, r: usize, t: usize) -> String {
    let repository: &Surveyed = &survey.repositories[r];
    format!("{}:{}", repository.name, repository.tags[t].name)
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

/// The severity of something that no tag may need.
pub(super) fn weigh(tags: &[String], otherwise: FindingSeverity) -> FindingSeverity {
    if tags.is_empty() { otherwise } else { FindingSeverity::Broken }
}

/// The codes of a link's damage: empty, garbled, another's, missing.
pub(super) fn code_of(link: Option<&LinkState>, codes: [FindingCode; 4]) -> FindingCode {
    let [empty, garbled, other, missing] = codes;
    match link {
        Some(LinkState::Empty) => empty,
        Some(LinkState::Garbled(_)) => garbled,
        Some(LinkState::To(_)) => other,
        Some(LinkState::Missing | LinkState::Unreadable) | None => missing,
    }
}
