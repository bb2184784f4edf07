//! Which blobs are what manifests name by another algorithm than sha256: known from their bytes, never from a link alone.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Algorithm, BlobState, Digest, Id, LinkState, Manifest, Reference, Survey};
use crate::stop::{Interrupted, Stop};
use crate::store::Store;

/// Digests that were computed in this check; `None` where the bytes could not be read or are not the blob's own.
pub(super) type Computed = BTreeMap<(Digest, Algorithm), Option<Digest>>;

/// Adds to a survey which blobs its links of other algorithms really name, and finds the blobs of references whose
/// links are missing or wrong. A blob is read once; what a sweep has read is not read again.
pub(super) fn prove(
    store: &Store,
    survey: &mut Survey,
    computed: &mut Computed,
    stop: &Stop,
) -> Result<(), Interrupted> {
    if !survey.digests.has_others() {
        return Ok(());
    }
    store.recall_proofs(&mut survey.proofs, &survey.digests);
    let linked: BTreeSet<(Id, Id)> = survey.repositories.iter().flat_map(|it| links(&it.layers)).collect();
    let wanted: Vec<(Id, Algorithm)> =
        linked.iter().map(|(alias, blob)| (*blob, survey.digests.get(*alias).algorithm())).collect();
    compute(store, survey, computed, &wanted, stop)?;
    for alias in needed(survey) {
        let algorithm = survey.digests.get(alias).algorithm();
        if survey.proofs.blob(alias).is_some() {
            continue;
        }
        // The link is lost, but a push by this digest made another one, under sha256.
        for blob in of_claimed_size(survey, alias) {
            compute(store, survey, computed, &[(blob, algorithm)], stop)?;
            if survey.proofs.of(blob, algorithm) == Some(alias) {
                break;
            }
        }
    }
    Ok(())
}

/// Layer links of other algorithms: what they are filed under, and the blobs that they name.
fn links(layers: &BTreeMap<Id, LinkState>) -> impl Iterator<Item = (Id, Id)> {
    layers.iter().filter_map(|(alias, link)| match link {
        LinkState::To(blob) if alias.slot().is_none() => Some((*alias, *blob)),
        _ => None,
    })
}

/// What manifests name by another algorithm.
fn needed(survey: &Survey) -> BTreeSet<Id> {
    let ids = survey.references.ids();
    let manifests = ids.iter().filter_map(|id| survey.references.get(id));
    let references = manifests.flat_map(Manifest::references).filter(Reference::is_needed);
    references.map(|it| it.blob).filter(|id| id.slot().is_none()).collect()
}

/// The blobs with a layer link that are as large as manifests say that a reference is.
fn of_claimed_size(survey: &Survey, alias: Id) -> Vec<Id> {
    let Some(claims) = survey.claims.get(&alias) else { return Vec::new() };
    let is_as_large =
        |id: &Id| matches!(survey.blobs.get(id), Some(BlobState::Data(size)) if claims.contains(size));
    let linked = survey.repositories.iter().flat_map(|it| it.layers.keys().copied());
    let linked: BTreeSet<Id> = linked.filter(|id| id.slot().is_some()).filter(is_as_large).collect();
    linked.into_iter().collect()
}

fn compute(
    store: &Store,
    survey: &mut Survey,
    computed: &mut Computed,
    wanted: &[(Id, Algorithm)],
    stop: &Stop,
) -> Result<(), Interrupted> {
    let has_data = |id: &Id| matches!(survey.blobs.get(id), Some(BlobState::Data(_)));
    let unproven = wanted.iter().filter(|(id, by)| has_data(id) && survey.proofs.of(*id, *by).is_none());
    let mut unproven: Vec<(Digest, Algorithm)> =
        unproven.map(|(id, by)| (survey.digests.get(*id), *by)).collect();
    unproven.sort_unstable();
    unproven.dedup();
    let unread: Vec<_> = unproven.iter().filter(|it| !computed.contains_key(it)).cloned().collect();
    let found = store.compute_digests(&unread, stop)?;
    computed.extend(unread.into_iter().zip(found));
    for (blob, by) in unproven {
        if let (Some(id), Some(Some(long))) = (survey.digests.id(&blob), computed.get(&(blob, by))) {
            let long = survey.digests.intern(long);
            survey.proofs.computed(id, long, &survey.digests);
        }
    }
    Ok(())
}
