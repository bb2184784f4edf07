//! The report for the log: what the loop has to say about a sweep.

use tracing::{error, info, warn};

use super::words::{bytes, count, millis, time};
use super::{CollectionStatus, Decision, Outcome, SweepReport};
use crate::model::Severity;

/// Logs a report: each tag that went with its reason, each trouble, one line of sums.
pub fn log(report: &SweepReport) {
    for repository in &report.repositories {
        for tag in repository.tags.iter().filter(|tag| tag.decision == Decision::Remove) {
            let why = tag.reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            let name = format!("{}:{}", repository.name, tag.tag);
            match tag.outcome {
                Outcome::Removed => info!("removed {name}: {why}"),
                Outcome::WouldRemove => info!("would remove {name}: {why}"),
                Outcome::Kept | Outcome::Changed => info!("kept {name}: it changed meanwhile"),
                Outcome::InUse => warn!("kept {name}: it is in use"),
                Outcome::Failed => error!("could not remove {name}"),
            }
        }
        if repository.removed {
            let removed = if report.dry_run { "would remove" } else { "removed" };
            info!("{removed} the empty repository {}", repository.name);
        }
    }
    for finding in &report.findings {
        match finding.severity {
            Severity::Note => info!("{finding}"),
            Severity::Warning | Severity::Doubt => warn!("{finding}"),
            Severity::Error => error!("{finding}"),
        }
    }
    for broken in &report.broken {
        error!("{}:{} does not pull: {}", broken.repository, broken.tag, broken.detail);
    }
    for line in report.collection.detail.lines() {
        match report.collection.status {
            CollectionStatus::Refused | CollectionStatus::Failed => error!("collector: {line}"),
            CollectionStatus::PutOff => warn!("collector: {line}"),
            _ => info!("collector: {line}"),
        }
    }
    if let Some(undo) = report.undo.as_ref().filter(|undo| undo.tags > 0) {
        let until = undo.last_due.map_or_else(String::new, |at| format!(" until {}", time(at)));
        info!(
            "{} can be brought back{until}: {} held by nothing else",
            count(undo.tags, "removed tag"),
            bytes(undo.bytes)
        );
    }
    let totals = &report.totals;
    let held = match (totals.bytes_held, totals.held_until) {
        (0, _) => String::new(),
        (held, Some(at)) => format!(", {} more after {}", bytes(held), time(at)),
        (held, None) => format!(", {} more later", bytes(held)),
    };
    info!(
        "{}: {} of {}, {} and {} {}, {} {}{held}; {} in {}",
        if report.dry_run { "audit" } else { "sweep" },
        totals.tags_removed,
        count(totals.tags, "tag"),
        count(totals.manifests_removed, "manifest"),
        count(totals.blobs_removed, "blob"),
        if report.dry_run { "would go" } else { "removed" },
        bytes(totals.bytes_freed),
        if report.dry_run { "would come back" } else { "freed" },
        count(usize::try_from(report.operations()).unwrap_or(usize::MAX), "file operation"),
        millis(report.millis()),
    );
}
