//! References by another algorithm than sha256: which blob each one means, and what is unknown about that.

use crate::gc::mark::{AliasDoubt, AliasReference, Why};
use crate::model::{Code, Digest, Id, Inventory, Place, Problem, Severity, Spot};
use crate::stop::{Interrupted, Length, Stop};
use crate::store::{LayerLink, Store, WRITE_IN_PROGRESS, path_of};

/// Finds the references by another algorithm of which it is unknown which blob they mean. While there is one, any blob
/// may be what it means, so no blob may go.
///
/// Costs nothing in a store without such references. Elsewhere, each blob that a link of this kind names is read once,
/// ever: a link alone does not tell that it is right.
pub(crate) fn alias_doubts(
    store: &Store,
    inventory: &mut Inventory,
    stop: &Stop,
) -> Result<Vec<Problem>, Interrupted> {
    let references = AliasReference::all(inventory);
    if references.is_empty() {
        return Ok(Vec::new());
    }
    store.recall_proofs(&mut inventory.proofs, &inventory.digests);
    look_again(store, inventory, &references, stop)?;
    let algorithm = |inventory: &Inventory, alias: Id| inventory.digests.get(alias).algorithm();
    let mut unproven: Vec<_> = references
        .iter()
        .filter_map(|it| Some((it.unproven(inventory)?, algorithm(inventory, it.alias))))
        .collect();
    unproven.sort_unstable();
    unproven.dedup();
    let blobs: Vec<_> = unproven.iter().map(|(blob, by)| (inventory.digest(*blob), *by)).collect();
    stop.begin("reading layers that manifests name by sha512", Length::Steps(blobs.len() as u64));
    for ((blob, _), long) in unproven.into_iter().zip(store.compute_digests(&blobs, stop)?) {
        if let Some(long) = long {
            let long = inventory.digests.intern(&long);
            inventory.proofs.computed(blob, long, &inventory.digests);
        }
    }
    let doubts: Vec<AliasDoubt> = references.iter().filter_map(|it| it.doubt(inventory)).collect();
    let places: Vec<Place> = doubts.iter().map(|doubt| place(inventory, doubt.reference)).collect();
    let links = store.layer_links(&places, stop)?;
    let told = doubts.iter().zip(&places).zip(links);
    Ok(told.map(|((doubt, place), link)| problem(inventory, *doubt, place, link)).collect())
}

/// Reads links again that said nothing: registry 2.8 truncates a link before it writes it.
fn look_again(
    store: &Store,
    inventory: &mut Inventory,
    references: &[AliasReference],
    stop: &Stop,
) -> Result<(), Interrupted> {
    let unlinked: Vec<AliasReference> =
        references.iter().copied().filter(|it| it.blob(inventory).is_none()).collect();
    if unlinked.is_empty() {
        return Ok(());
    }
    stop.wait(WRITE_IN_PROGRESS)?;
    let places: Vec<Place> = unlinked.iter().map(|it| place(inventory, *it)).collect();
    for (reference, link) in unlinked.into_iter().zip(store.layer_links(&places, stop)?) {
        if let LayerLink::To(blob) = link {
            let blob = inventory.digests.intern(&blob);
            let aliases = &mut inventory.repositories[reference.repository as usize].aliases;
            let at = aliases.partition_point(|(alias, _)| *alias < reference.alias);
            aliases.insert(at, (reference.alias, blob));
        }
    }
    Ok(())
}

fn place(inventory: &Inventory, reference: AliasReference) -> Place {
    inventory.layer_link(reference.repository, reference.alias)
}

fn problem(inventory: &Inventory, doubt: AliasDoubt, place: &Place, link: LayerLink) -> Problem {
    let alias: Digest = inventory.digest(doubt.reference.alias);
    let what = format!("a manifest needs {alias}, and its layer link does not say which blob that is");
    let (code, cause, remedy) = match (doubt.why, link) {
        (Why::Unlinked, LayerLink::Nothing(why)) => (Code::BadLink, format!("{what}: {why}"), REPAIR),
        (Why::Unlinked, LayerLink::To(_)) => (
            Code::BadLink,
            format!("{what}: it was missing a moment ago"),
            "nothing; the next sweep looks again",
        ),
        (Why::Gone(blob), _) => (
            Code::BadLink,
            format!("{what}: it names {}, which is not there", inventory.digest(blob)),
            REPAIR,
        ),
        (Why::Other(blob), _) => (
            Code::BadLink,
            format!("{what}: it names {}, which is another blob", inventory.digest(blob)),
            REPAIR,
        ),
        (Why::Unproven(blob), _) => (
            Code::Unreadable,
            format!("{what}: it names {}, which could not be read or is damaged", inventory.digest(blob)),
            "check the storage; where the blob is damaged, run 'janitor check --deep --repair' and push the layer again",
        ),
    };
    Problem {
        severity: Severity::Doubt,
        code,
        repository: Some(place.repository().clone()),
        path: path_of(&Spot::Link(place.clone())),
        cause,
        remedy: remedy.into(),
    }
}

const REPAIR: &str = "push the layer again, run 'janitor check --repair', or delete the tags that need it; 'janitor check' lists these";
