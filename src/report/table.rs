//! The report for a terminal.

use std::io::{self, Write};

use super::words::{self, bytes, count, millis, time};
use super::{CollectionStatus, Decision, Outcome, RepositoryReport, Stage, Status, SweepReport};
use crate::model::{Problem, Severity};

/// How many kept tags of a repository are named; all that go always are.
const KEPT_NAMED: usize = 3;

/// Writes a report as text, row by row: that of a large store is large. An audit never says that
/// something was removed.
///
/// # Errors
/// When it cannot be written.
pub fn write(report: &SweepReport, mut out: impl Write) -> io::Result<()> {
    let out = &mut out;
    let what = if report.dry_run { "audit" } else { "sweep" };
    writeln!(out, "{what} of {}: {}", time(report.started_at), report.policy)?;
    let (mut untouched, mut untouched_tags) = (0, 0);
    for repository in report.repositories.iter().filter(|it| !is_touched(it)) {
        untouched += 1;
        untouched_tags += repository.tags.len();
    }
    if untouched < report.repositories.len() {
        writeln!(out)?;
        tags(report, out)?;
    }
    if untouched > 0 {
        let stay = if untouched == 1 { "stays as it is" } else { "stay as they are" };
        let (repositories, tags) = (count(untouched, "repository"), count(untouched_tags, "tag"));
        writeln!(out, "\n{repositories} with {tags} {stay}")?;
    }
    writeln!(out)?;
    totals(report, out)?;
    troubles(report, out)?;
    writeln!(out, "\n{}", stages(report))?;
    if report.dry_run {
        writeln!(out, "nothing was changed (dry run)")?;
    }
    Ok(())
}

fn is_touched(repository: &RepositoryReport) -> bool {
    repository.removed
        || !repository.manifests_removed.is_empty()
        || repository.tags.iter().any(|tag| tag.decision == Decision::Remove)
}

type Row = [String; 5];

/// The table of what goes. Its rows are made twice, to be measured and to be written, so that they
/// never exist all at once.
fn tags(report: &SweepReport, out: &mut impl Write) -> io::Result<()> {
    let mut widths = [0; 5];
    each_row(report, |row| {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
        Ok(())
    })?;
    each_row(report, |row| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())
    })
}

fn each_row(report: &SweepReport, mut tell: impl FnMut(&Row) -> io::Result<()>) -> io::Result<()> {
    tell(&["REPOSITORY", "TAG", "PUSHED", "", "WHY"].map(String::from))?;
    for repository in report.repositories.iter().filter(|it| is_touched(it)) {
        let mut name = repository.name.to_string();
        let mut first = || std::mem::take(&mut name);
        for tag in repository.tags.iter().filter(|tag| tag.decision == Decision::Remove) {
            let reasons: Vec<String> = tag.reasons.iter().map(ToString::to_string).collect();
            let outcome = match tag.outcome {
                Outcome::Removed => "removed",
                Outcome::WouldRemove => "would go",
                Outcome::Changed | Outcome::Kept => "kept, changed meanwhile",
                Outcome::InUse => "kept, in use",
                Outcome::Failed => "FAILED",
            };
            let pushed = tag.pushed_at.map(time).unwrap_or_default();
            tell(&[first(), words::tag(tag.tag.as_str()), pushed, outcome.into(), reasons.join("; ")])?;
        }
        tell(&[first(), "·".into(), String::new(), String::new(), rest(repository, report.dry_run)])?;
    }
    Ok(())
}

/// What there is to say of a repository but for the tags that go.
fn rest(repository: &RepositoryReport, dry_run: bool) -> String {
    let mut rest = Vec::new();
    let kept = || repository.tags.iter().filter(|tag| tag.decision == Decision::Keep);
    let named: Vec<String> = kept().take(KEPT_NAMED).map(|tag| words::tag(tag.tag.as_str())).collect();
    if !named.is_empty() {
        let more = if kept().count() > KEPT_NAMED { ", …" } else { "" };
        rest.push(format!("{} kept ({}{more})", count(kept().count(), "tag"), named.join(", ")));
    }
    if !repository.manifests_removed.is_empty() {
        rest.push(format!("{} that nothing reaches", count(repository.manifests_removed.len(), "manifest")));
    }
    if repository.bytes_reclaimable > 0 {
        rest.push(format!("{} held by nothing else", bytes(repository.bytes_reclaimable)));
    }
    if repository.removed {
        let went = if dry_run { "would go" } else { "removed" };
        rest.push(format!("empty repository {went}"));
    }
    rest.join(", ")
}

fn totals(report: &SweepReport, out: &mut impl Write) -> io::Result<()> {
    let totals = &report.totals;
    let (go, went) = if report.dry_run { ("would go", "would come back") } else { ("removed", "freed") };
    writeln!(
        out,
        "tags       {} of {} {go}, {} kept",
        totals.tags_removed,
        count(totals.tags, "tag"),
        totals.tags_kept
    )?;
    writeln!(out, "manifests  {} {go}, {} held back", totals.manifests_removed, totals.manifests_held)?;
    writeln!(out, "blobs      {} {go}, {} held back", totals.blobs_removed, totals.blobs_held)?;
    if totals.repositories_removed > 0 {
        writeln!(out, "empty      {} {go}", count(totals.repositories_removed, "repository"))?;
    }
    writeln!(
        out,
        "space      {} {went} ({} on disk); blobs {} before, {} after",
        bytes(totals.bytes_freed),
        bytes(totals.bytes_freed_on_disk),
        bytes(totals.bytes_before),
        bytes(totals.bytes_after)
    )?;
    if totals.bytes_held > 0 {
        let when = totals.held_until.map_or_else(String::new, |at| {
            format!("; the first sweep after {} takes what is held for its age", time(at))
        });
        writeln!(out, "           {} more that nothing kept needs{when}", bytes(totals.bytes_held))?;
    }
    undo(report, out)?;
    let detail = report.collection.detail.replace('\n', "\n           ");
    writeln!(out, "collector  {detail}")?;
    if let Some(since) = report.in_doubt_since {
        writeln!(out, "           nothing has been collected since {} because of doubt", time(since))?;
    }
    Ok(())
}

fn undo(report: &SweepReport, out: &mut impl Write) -> io::Result<()> {
    let Some(undo) = &report.undo else { return Ok(()) };
    if undo.tags_expired > 0 {
        let go = if report.dry_run { "would go" } else { "went" };
        writeln!(
            out,
            "undo       {} {go} for good, UNDO_WINDOW being over",
            count(undo.tags_expired, "removed tag")
        )?;
    }
    let (true, Some(first), Some(last)) = (undo.tags > 0, undo.first_due, undo.last_due) else {
        return Ok(());
    };
    let when = if first == last {
        format!("until {}", time(last))
    } else {
        format!("the first until {}, the last until {}", time(first), time(last))
    };
    writeln!(
        out,
        "undo       {} can be brought back (janitor trash), {when}; {} held by nothing else",
        count(undo.tags, "removed tag"),
        bytes(undo.bytes)
    )
}

fn troubles(report: &SweepReport, out: &mut impl Write) -> io::Result<()> {
    if !report.broken.is_empty() {
        let which = match report.broken.len() {
            1 => "1 kept tag does".to_owned(),
            n => format!("{n} kept tags do"),
        };
        writeln!(out, "\n{which} not pull whole:")?;
        for broken in &report.broken {
            writeln!(out, "  {}:{}: {}", broken.repository, broken.tag, broken.detail)?;
            writeln!(out, "    {}", broken.remedy)?;
        }
    }
    findings(&report.findings, out)?;
    let verdict = match (report.status, report.collection.status) {
        (Status::Done | Status::Audit, _) => return Ok(()),
        (Status::Refused, _) if report.dry_run => "a guard would refuse this; see above",
        (_, CollectionStatus::Refused) => "a guard refused to reclaim blobs; see above",
        (Status::Refused, _) => "refused by a guard; see above",
        (_, CollectionStatus::Failed) => "no space was reclaimed; see above",
        _ => "not everything could be done; see above",
    };
    writeln!(out, "\n{verdict} (exit code {})", report.exit_code)
}

/// What a person should know, each with what to do.
pub(super) fn findings(findings: &[Problem], out: &mut impl Write) -> io::Result<()> {
    if !findings.is_empty() {
        writeln!(out)?;
    }
    for finding in findings {
        let severity = match finding.severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Doubt => "doubt",
            Severity::Error => "error",
        };
        let [found, remedy] = finding.lines();
        writeln!(out, "{severity}: {found}")?;
        writeln!(out, "  {remedy}")?;
    }
    Ok(())
}

fn stages(report: &SweepReport) -> String {
    let told = |stage: &Stage| format!("{} {}", stage.name, millis(stage.millis));
    format!(
        "took {} and {} ({})",
        millis(report.millis()),
        count(usize::try_from(report.operations()).unwrap_or(usize::MAX), "file operation"),
        report.stages.iter().filter(|stage| stage.millis > 0).map(told).collect::<Vec<_>>().join(", ")
    )
}
