//! Which findings can be mended without guessing, and how.

use super::Limits;
use super::finding::{Finding, FindingCode};
use super::judge::TEMPORARY_MAX_AGE;
use crate::model::{BlobState, Digest, Id, LinkState, ManifestState, Mend, Place, Spot, Survey, SurveyedTag};

/// How to mend a finding; `None` where only a push helps, or where it would be a guess.
///
/// A link gives everybody who may pull from a repository what it leads to. So one is written only where the repository is
/// known to have had that: the link's directory is there, or a manifest that was pushed to this repository needs it and
/// says so unmistakably, since the registry looks for links before it takes a manifest. What a manifest names anywhere
/// else, or what one names that was uploaded as a blob, proves nothing.
pub fn repair(survey: &Survey, finding: &Finding, limits: Limits) -> Option<Mend> {
    use FindingCode as Is;
    if matches!(finding.spot, Spot::Link(Place::Revision(..) | Place::Layer(..))) && !finding.was_there {
        return None;
    }
    match (&finding.spot, finding.code) {
        (Spot::Link(place @ Place::Tag(repository, tag)), Is::TagLinkEmpty | Is::TagLinkGarbled) => {
            let at = survey.repositories.binary_search_by(|it| it.name.cmp(repository)).ok()?;
            let repository = &survey.repositories[at];
            let tag = repository.tags.iter().find(|it| it.name == *tag)?;
            let newest = newest(tag)?;
            let is_linked = repository.revisions.get(&newest) == Some(&LinkState::To(newest));
            let is_whole = is_linked && is_manifest(survey, newest);
            is_whole.then(|| Mend::WriteLink(place.clone(), survey.digests.get(newest)))
        }
        (
            Spot::Link(place @ Place::Revision(_, digest)),
            Is::RevisionLinkEmpty | Is::RevisionLinkGarbled | Is::RevisionLinkOther | Is::RevisionLinkMissing,
        ) => is_manifest(survey, survey.digests.id(digest)?)
            .then(|| Mend::WriteLink(place.clone(), digest.clone())),
        (
            Spot::Link(place @ Place::Layer(_, digest)),
            Is::LayerLinkEmpty | Is::LayerLinkGarbled | Is::LayerLinkOther | Is::LayerLinkMissing,
        ) => {
            let id = survey.digests.id(digest)?;
            // A link under another algorithm names the blob whose bytes have that digest.
            let blob = if id.slot().is_some() { id } else { survey.proofs.blob(id)? };
            let digest = survey.digests.get(blob);
            has_data(survey, blob, &digest).then(|| Mend::WriteLink(place.clone(), digest))
        }
        (Spot::Layers(repository), Is::LayersDirectoryMissing) => Some(Mend::MakeLayers(repository.clone())),
        (
            Spot::Blob(digest),
            Is::ManifestEmpty
            | Is::ManifestCutShort
            | Is::ManifestWrongHash
            | Is::BlobEmpty
            | Is::BlobWrongSize
            | Is::BlobWrongHash,
        ) => Some(Mend::SetAside(digest.clone())),
        (Spot::Hidden(file), Is::HiddenLeftover) => Some(Mend::ShowHidden(file.clone())),
        (Spot::Path(path), Is::StrayTemporaryFile) => {
            let limit = limits.now.saturating_sub(TEMPORARY_MAX_AGE).ok()?;
            Some(Mend::RemoveTemporary(path.clone(), limit))
        }
        (Spot::Upload(repository, id), Is::StaleUpload | Is::UploadWithoutStart) => {
            let limit = limits.now.saturating_sub(limits.upload_max_age).ok()?;
            Some(Mend::RemoveUpload(repository.clone(), id.clone(), limit))
        }
        _ => None,
    }
}

/// The manifest that a tag named last. None where two are equally new, or where a damaged link hides how
/// new it is: picking one would be a guess.
fn newest(tag: &SurveyedTag) -> Option<Id> {
    let there = || tag.past.iter().filter(|(_, link, _)| *link != LinkState::Missing);
    if there().any(|(id, link, _)| *link != LinkState::To(*id)) {
        return None;
    }
    let (newest, _, written) = there().max_by_key(|(_, _, written)| *written)?;
    let as_new = there().filter(|(_, _, other)| other == written).count();
    (as_new == 1).then_some(*newest)
}

fn is_manifest(survey: &Survey, id: Id) -> bool {
    matches!(survey.manifests.get(&id), Some(ManifestState::Manifest))
}

fn has_data(survey: &Survey, id: Id, digest: &Digest) -> bool {
    match survey.blobs.get(&id) {
        Some(BlobState::Data(0)) => *digest == Digest::of(b""),
        Some(BlobState::Data(_)) => !survey.is_of_unclaimed_size(id) || survey.intact.contains(&id),
        Some(BlobState::Hollow | BlobState::Unreadable) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::Digests;

    #[test]
    fn a_tag_is_restored_only_where_its_past_says_which_manifest_was_last() {
        let mut digests = Digests::default();
        let [a, b] = [b"a", b"b"].map(|it| digests.intern(&Digest::of(it)));
        let at = |second| Timestamp::from_second(second).unwrap();
        let newest_of =
            |past| newest(&SurveyedTag { name: "v1".parse().unwrap(), current: LinkState::Empty, past });
        assert_eq!(newest_of(vec![]), None);
        assert_eq!(newest_of(vec![(a, LinkState::To(a), at(2)), (b, LinkState::To(b), at(1))]), Some(a));
        assert_eq!(
            newest_of(vec![(a, LinkState::To(a), at(1)), (b, LinkState::To(b), at(1))]),
            None,
            "a tie"
        );
        assert_eq!(
            newest_of(vec![(a, LinkState::To(a), at(1)), (b, LinkState::Empty, at(0))]),
            None,
            "hidden"
        );
        assert_eq!(newest_of(vec![(a, LinkState::To(b), at(1))]), None, "another's");
        assert_eq!(newest_of(vec![(a, LinkState::To(a), at(1)), (b, LinkState::Missing, at(0))]), Some(a));
    }
}
