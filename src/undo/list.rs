//! What can be brought back, until when, and what it costs meanwhile.

use super::UndoError;
use crate::config::Config;
use crate::gc::mark;
use crate::model::{Code, FirstSeen, Problem, Severity, Thing, excerpt};
use crate::plan::Grace;
use crate::report::trash::{ReasonTold, TrashReport, TrashTag};
use crate::stop::Stop;
use crate::store::{StorageClock, Store};

/// Lists the removed tags that can be brought back. Changes nothing.
///
/// # Errors
/// [`UndoError`].
pub fn list(config: &Config, stop: &Stop) -> Result<TrashReport, UndoError> {
    let store = Store::open(&config.data_dir, config.jobs, None)?;
    let inventory = store.scan(stop)?;
    let window = Grace { age: config.undo_window, now: StorageClock::of_host().now() };
    let mut first_seen = FirstSeen::new(store.first_seen().0);
    let marks = mark::blobs(&inventory);
    let alone = mark::held_alone(&inventory, &marks);
    let mut tags = Vec::with_capacity(inventory.undo.tags.len());
    for sweep in &inventory.undo.sweeps {
        let removed = store.told_of_removed(sweep);
        let counts_from = first_seen.counts_from(Thing::Removed(&sweep.id), sweep.removed_at, window.now);
        let of_sweep = inventory.undo.tags.iter().zip(&alone).filter(|(tag, _)| tag.sweep.id == sweep.id);
        tags.extend(of_sweep.map(|(tag, bytes_alone)| {
            let key = (tag.repository.to_string(), tag.tag.to_string());
            let told = removed.get(&key).into_iter().flat_map(|it| &it.reasons);
            TrashTag {
                repository: tag.repository.clone(),
                tag: tag.tag.clone(),
                digest: inventory.digest(tag.manifest),
                pushed_at: tag.pushed_at,
                sweep: sweep.id.clone(),
                removed_at: sweep.removed_at,
                gone_after: window.due(counts_from),
                reasons: told
                    .map(|it| ReasonTold { code: excerpt(&it.code), text: excerpt(&it.text) })
                    .collect(),
                bytes_alone: *bytes_alone,
            }
        }));
    }
    tags.sort_by(|a, b| (&a.repository, &a.tag, a.removed_at).cmp(&(&b.repository, &b.tag, b.removed_at)));
    let bytes = inventory.blobs.iter().filter(|blob| marks.fate(**blob) == mark::Fate::Undoable);
    let bytes = bytes.fold(0, |sum, blob| u64::saturating_add(sum, inventory.sizes.of(*blob)));
    let of_trash = |problem: &Problem| problem.path.starts_with("janitor/");
    let mut findings: Vec<Problem> = inventory.problems.into_iter().filter(of_trash).collect();
    findings.extend(pending(&store));
    Ok(TrashReport::new(window, tags, bytes, findings))
}

/// What to tell of tags that an interrupted sweep left.
pub(super) fn pending(store: &Store) -> Option<Problem> {
    (store.unsettled() > 0).then(|| Problem {
        severity: Severity::Note,
        code: Code::PutBack,
        repository: None,
        path: "janitor/trash/pending".into(),
        cause: "a sweep is under way, or was interrupted, and has taken things away that are not listed here"
            .into(),
        remedy: "nothing; the next sweep puts back what an interrupted one had taken".into(),
    })
}
