//! From what was found in the store to findings: each damage once, with every tag that it breaks.

use std::collections::{BTreeSet, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::finding::{Finding, FindingCode};
use super::repair::repair;
use super::troubles::{Trouble, Troubles};
use super::{remarks, words};
use crate::model::{Id, LinkState, OddKind, Oddity, Spot, Survey, Surveyed, Upload};

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

/// Decides what is wrong. `wrong` are blobs whose bytes were read and have another digest; `path_of` tells
/// where things are.
pub fn judge(
    survey: &Survey,
    wrong: &BTreeSet<Id>,
    limits: Limits,
    path_of: impl Fn(&Spot) -> String,
) -> Vec<Finding> {
    let Troubles { damaged, were_there, roles, more, .. } = Troubles::of(survey, wrong);
    // What a tag needs is told as that, and not once more for each link.
    let lost: HashSet<Id> = damaged
        .keys()
        .filter_map(|trouble| match trouble {
            Trouble::Blob(id) | Trouble::Manifest(id) => Some(*id),
            _ => None,
        })
        .collect();
    let mut findings: Vec<Finding> = damaged
        .into_iter()
        .map(|(trouble, needed)| {
            let tags = needed.iter().map(|(r, t)| name(survey, *r, *t)).collect();
            let is_wrong = matches!(trouble, Trouble::Blob(blob) if wrong.contains(&blob));
            let role = match trouble {
                Trouble::Manifest(id) | Trouble::Blob(id) => roles.get(&id).copied(),
                _ => None,
            };
            let more = match trouble {
                Trouble::More(id) => more.get(&id).copied().unwrap_or_default(),
                _ => 0,
            };
            words::of_trouble(survey, trouble, role, is_wrong, more, tags, were_there.contains(&trouble))
        })
        .collect();
    for repository in &survey.repositories {
        if !repository.has_layers {
            findings.push(remarks::of_missing_layers(repository));
        }
        let gone = dangling(survey, repository, &lost);
        if gone > 0 && unread(survey).next().is_none() {
            findings.push(remarks::of_dangling_layers(repository, gone));
        }
        let damaged = repository.tags.iter().filter(|tag| {
            let is_bad = |id: &Id, link: &LinkState| match link {
                LinkState::To(to) => to != id,
                LinkState::Empty | LinkState::Garbled(_) => true,
                LinkState::Missing | LinkState::Unreadable => false,
            };
            tag.past.iter().any(|(id, link, _)| is_bad(id, link))
        });
        findings.extend(damaged.map(|tag| remarks::of_history(repository, tag)));
        let stale = repository.uploads.iter().filter(|upload| is_stale(upload, limits));
        findings.extend(stale.map(|upload| remarks::of_upload(repository, upload)));
    }
    findings.extend(survey.hidden.iter().map(remarks::of_hidden));
    findings.extend(survey.oddities.iter().filter_map(|oddity| odd(oddity, limits)));
    for finding in &mut findings {
        finding.path = path_of(&finding.spot);
        if finding.remedy == words::REPAIR_OR_PUSH && repair(survey, finding, limits).is_none() {
            finding.remedy = words::PUSH_AGAIN.into();
        }
    }
    findings.retain(|finding| !is_unknown(survey, finding));
    findings.sort_by(|a, b| {
        (b.severity, &a.repository, &a.path, a.code).cmp(&(a.severity, &b.repository, &b.path, b.code))
    });
    findings
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

/// One that something is still written to is under way, however long ago it began.
fn is_stale(upload: &Upload, limits: Limits) -> bool {
    let newest = upload.started.map_or(upload.touched, |started| started.max(upload.touched));
    limits.now.duration_since(newest) > limits.upload_max_age
}

fn odd(oddity: &Oddity, limits: Limits) -> Option<Finding> {
    match oddity.kind {
        OddKind::Temporary(written) if limits.now.duration_since(written) <= TEMPORARY_MAX_AGE => None,
        _ => Some(remarks::of_oddity(oddity)),
    }
}

fn name(survey: &Survey, r: usize, t: usize) -> String {
    let repository: &Surveyed = &survey.repositories[r];
    format!("{}:{}", repository.name, repository.tags[t].name)
}
