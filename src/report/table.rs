//! The report for a terminal.

use std::fmt::Write as _;

use comfy_table::{Table, presets};

use super::words::{self, bytes, count, millis, time};
use super::{CollectionStatus, Decision, Outcome, RepositoryReport, Stage, Status, SweepReport};
use crate::model::Severity;

/// How many kept tags of a repository are named; all that go always are.
const KEPT_NAMED: usize = 3;

/// Renders a report as text. An audit never says that something was removed.
pub fn render(report: &SweepReport) -> String {
    let mut text = String::new();
    let what = if report.dry_run { "audit" } else { "sweep" };
    line(&mut text, &format!("{what} of {}: {}", time(report.started_at), report.policy));
    let touched: Vec<&RepositoryReport> = report.repositories.iter().filter(|it| is_touched(it)).collect();
    if !touched.is_empty() {
        line(&mut text, "");
        line(&mut text, &tags(&touched, report.dry_run));
    }
    let untouched = report.repositories.len() - touched.len();
    if untouched > 0 {
        let tags: usize =
            report.repositories.iter().filter(|it| !is_touched(it)).map(|it| it.tags.len()).sum();
        line(&mut text, "");
        let stay = if untouched == 1 { "stays as it is" } else { "stay as they are" };
        line(&mut text, &format!("{} with {} {stay}", count(untouched, "repository"), count(tags, "tag")));
    }
    line(&mut text, "");
    totals(&mut text, report);
    troubles(&mut text, report);
    line(&mut text, "");
    line(&mut text, &stages(report));
    if report.dry_run {
        line(&mut text, "nothing was changed (dry run)");
    }
    text
}

fn line(text: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}", line.trim_end());
}

fn is_touched(repository: &RepositoryReport) -> bool {
    repository.removed
        || !repository.manifests_removed.is_empty()
        || repository.tags.iter().any(|tag| tag.decision == Decision::Remove)
}

fn tags(repositories: &[&RepositoryReport], dry_run: bool) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["REPOSITORY", "TAG", "PUSHED", "", "WHY"]);
    for repository in repositories {
        let mut name = repository.name.to_string();
        let mut first = || std::mem::take(&mut name);
        for tag in repository.tags.iter().filter(|tag| tag.decision == Decision::Remove) {
            let reasons: Vec<String> = tag.reasons.iter().map(ToString::to_string).collect();
            let outcome = match tag.outcome {
                Outcome::Removed => "removed",
                Outcome::WouldRemove => "would go",
                Outcome::Changed | Outcome::Kept => "kept, changed meanwhile",
                Outcome::Failed => "FAILED",
            };
            let pushed = tag.pushed_at.map(time).unwrap_or_default();
            table.add_row([
                first(),
                words::tag(tag.tag.as_str()),
                pushed,
                outcome.into(),
                reasons.join("; "),
            ]);
        }
        let kept: Vec<String> = repository
            .tags
            .iter()
            .filter(|tag| tag.decision == Decision::Keep)
            .map(|tag| words::tag(tag.tag.as_str()))
            .collect();
        let mut rest = Vec::new();
        if !kept.is_empty() {
            let more = if kept.len() > KEPT_NAMED { ", …" } else { "" };
            let named = kept[..kept.len().min(KEPT_NAMED)].join(", ");
            rest.push(format!("{} kept ({named}{more})", count(kept.len(), "tag")));
        }
        if !repository.manifests_removed.is_empty() {
            rest.push(format!(
                "{} that nothing reaches",
                count(repository.manifests_removed.len(), "manifest")
            ));
        }
        if repository.bytes_reclaimable > 0 {
            rest.push(format!("{} held by nothing else", bytes(repository.bytes_reclaimable)));
        }
        if repository.removed {
            let went = if dry_run { "would go" } else { "removed" };
            rest.push(format!("empty repository {went}"));
        }
        table.add_row([first(), "·".into(), String::new(), String::new(), rest.join(", ")]);
    }
    if let Some(column) = table.column_mut(0) {
        column.set_padding((0, 1));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

fn totals(text: &mut String, report: &SweepReport) {
    let totals = &report.totals;
    let (go, went) = if report.dry_run { ("would go", "would come back") } else { ("removed", "freed") };
    line(
        text,
        &format!(
            "tags       {} of {} {go}, {} kept",
            totals.tags_removed,
            count(totals.tags, "tag"),
            totals.tags_kept
        ),
    );
    line(text, &format!("manifests  {} {go}, {} held back", totals.manifests_removed, totals.manifests_held));
    line(text, &format!("blobs      {} {go}, {} held back", totals.blobs_removed, totals.blobs_held));
    if totals.repositories_removed > 0 {
        line(text, &format!("empty      {} {go}", count(totals.repositories_removed, "repository")));
    }
    line(
        text,
        &format!(
            "space      {} {went} ({} on disk); blobs {} before, {} after",
            bytes(totals.bytes_freed),
            bytes(totals.bytes_freed_on_disk),
            bytes(totals.bytes_before),
            bytes(totals.bytes_after)
        ),
    );
    if totals.bytes_held > 0 {
        let when = totals.held_until.map_or_else(String::new, |at| {
            format!("; the first sweep after {} takes what is held for its age", time(at))
        });
        line(text, &format!("           {} more that nothing kept needs{when}", bytes(totals.bytes_held)));
    }
    let detail = report.collection.detail.replace('\n', "\n           ");
    line(text, &format!("collector  {detail}"));
}

fn troubles(text: &mut String, report: &SweepReport) {
    if !report.broken.is_empty() {
        line(text, "");
        line(
            text,
            &format!(
                "{} not pull whole:",
                if report.broken.len() == 1 {
                    "1 kept tag does".to_owned()
                } else {
                    format!("{} kept tags do", report.broken.len())
                }
            ),
        );
        for broken in &report.broken {
            line(text, &format!("  {}:{}: {}", broken.repository, broken.tag, broken.detail));
        }
    }
    if !report.findings.is_empty() {
        line(text, "");
        for finding in &report.findings {
            let severity = match finding.severity {
                Severity::Note => "note",
                Severity::Warning => "warning",
                Severity::Doubt => "doubt",
                Severity::Error => "error",
            };
            line(text, &format!("{severity}: {}: {}", finding.path, finding.cause));
            line(text, &format!("  {}", finding.remedy));
        }
    }
    let verdict = match (report.status, report.collection.status) {
        (Status::Done | Status::Audit, _) => return,
        (_, CollectionStatus::Refused) => "a guard refused to reclaim blobs; see above",
        (Status::Refused, _) => "refused by a guard; see above",
        (_, CollectionStatus::Failed) => "no space was reclaimed; see above",
        _ => "not everything could be done; see above",
    };
    line(text, "");
    line(text, &format!("{verdict} (exit code {})", report.exit_code));
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
