//! What holds the disk: one look, what the next sweep would reclaim of it, the sizes, and who holds them.
//!
//! It takes no lock and changes nothing. Its cost is a scan's, one stat for each blob, and for what no tag reaches
//! what an audit asks to decide on it; and one listing for each directory of the trash.

mod next;
mod rows;

use crate::config::{Config, UsageQuery};
use crate::gc::usage;
use crate::model::{FirstSeen, Inventory, RepoName, TagName};
use crate::report::usage::{UsageReport, UsageTotals, Waiting};
use crate::stop::{Interrupted, Stop};
use crate::store::{OpenError, StorageClock, Store};
use next::{Next, Sight};

/// Why nothing can be told.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// There is no store to look at.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What was asked for by name is not there.
    #[error("there is no {0} in this store")]
    NotThere(String),
    /// A stop was asked for.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl UsageError {
    /// The exit code that says the same.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Open(OpenError::NoStore { .. }) => 10,
            Self::Open(OpenError::Refused(_)) => 12,
            Self::Open(OpenError::Io { .. } | OpenError::Threads(_)) => 1,
            Self::NotThere(_) => 2,
            Self::Interrupted(interrupted) => {
                128_u8.saturating_add(u8::try_from(interrupted.signal).unwrap_or(0))
            }
        }
    }
}

/// Tells what holds the disk. Changes nothing.
///
/// # Errors
/// [`UsageError`].
pub fn of(config: &Config, query: &UsageQuery, stop: &Stop) -> Result<UsageReport, UsageError> {
    of_store(&Store::open(&config.data_dir, config.jobs, None)?, config, query, stop)
}

/// The same of a store that is open already.
///
/// # Errors
/// As [`of`].
pub fn of_store(
    store: &Store,
    config: &Config,
    query: &UsageQuery,
    stop: &Stop,
) -> Result<UsageReport, UsageError> {
    let now = StorageClock::of_host().now();
    let inventory = store.scan(stop)?;
    are_there(&inventory, query)?;
    let (earlier, problem) = store.first_seen();
    let mut sight = Sight {
        store,
        config,
        stop,
        now,
        first_seen: FirstSeen::new(earlier),
        measure: query.measure,
        findings: problem.into_iter().collect(),
    };
    let (mut inventory, next) = sight.next_sweep(inventory)?;
    let (trash, problems) = store.trash_sizes(query.measure, stop)?;
    let mut findings = std::mem::take(&mut inventory.problems);
    findings.append(&mut sight.findings);
    findings.extend(problems);

    let usage = usage::usage(&inventory, &next.bytes);
    let not_kept = usage.untagged_bytes.saturating_add(usage.unreferenced_bytes);
    let waiting_bytes = not_kept.saturating_sub(next.reclaimable_bytes);
    let totals = UsageTotals {
        repositories: inventory.repositories.len(),
        tags: inventory.repositories.iter().map(|repository| repository.tags.len()).sum(),
        blobs: inventory.blobs.len(),
        total_bytes: usage.total_bytes(),
        tags_bytes: usage.tags_bytes,
        undo_bytes: usage.undo_bytes,
        undo_tags: inventory.undo.tags.len(),
        undo_tags_expired: next.expired_tags,
        untagged_bytes: usage.untagged_bytes,
        unreferenced_bytes: usage.unreferenced_bytes,
        reclaimable_bytes: next.reclaimable_bytes,
        waiting_bytes,
        waiting_for: (waiting_bytes > 0).then(|| waiting_for(config, &next)),
        waiting_until: next.held_until,
        trash_pending_bytes: trash.pending.saturating_add(next.hidden_bytes),
        trash_condemned_bytes: trash.condemned,
        trash_mended_bytes: trash.mended,
    };
    let rows = rows::choose(&inventory, &usage, query);
    Ok(UsageReport::new(now, query.measure, totals, rows, findings))
}

fn waiting_for(config: &Config, next: &Next) -> Waiting {
    if next.in_doubt {
        Waiting::Doubt
    } else if next.held_until.is_some() {
        Waiting::Age
    } else if config.delete_untagged {
        Waiting::Artifact
    } else {
        Waiting::Setting
    }
}

/// Whether the store has what was asked for by name.
fn are_there(inventory: &Inventory, query: &UsageQuery) -> Result<(), UsageError> {
    for (name, tag) in &query.names {
        let Some(at) = inventory.position(name) else {
            return Err(UsageError::NotThere(format!("repository {name}{}", beside(inventory, name))));
        };
        let has = |tag: &TagName| inventory.repositories[at].tags.iter().any(|it| it.name == *tag);
        if let Some(tag) = tag.as_ref().filter(|tag| !has(tag)) {
            return Err(UsageError::NotThere(format!("tag {name}:{tag}")));
        }
    }
    Ok(())
}

/// A directory of repositories is easily taken for one.
fn beside(inventory: &Inventory, name: &RepoName) -> String {
    let below = format!("{name}/");
    let mut names = inventory.repositories.iter().map(|it| it.name.as_str());
    names.find(|it| it.starts_with(&below)).map_or_else(String::new, |it| format!(" (but {it})"))
}
