//! What a check found, as a document and as text.

use std::collections::HashSet;
use std::io;

use jiff::Timestamp;
use serde::Serialize;

use super::words::{bytes, count, time};
use crate::check::{Finding, FindingCode, FindingSeverity};
use crate::model::{Escaped, Survey};

/// What a check found.
#[derive(Debug, Serialize)]
pub struct CheckReport {
    /// Grows when the document's shape changes.
    pub schema_version: u32,
    /// The janitor's.
    pub version: &'static str,
    /// When the check began, by the storage's clock.
    pub checked_at: Timestamp,
    /// What it comes to.
    pub status: CheckStatus,
    /// The exit code.
    pub exit_code: u8,
    /// Sums.
    pub totals: CheckTotals,
    /// Everything that is wrong, the worst first; after a repair, what is left.
    pub findings: Vec<Finding>,
    /// Everything that was to be mended.
    pub repaired: Vec<Repaired>,
    /// What was read, where every blob was to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hashed: Option<Hashed>,
}

/// The blobs that were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Hashed {
    /// How many.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many an earlier, interrupted check had read.
    pub blobs_before: u64,
}

/// What came of mending a finding.
#[derive(Clone, Debug, Serialize)]
pub struct Repaired {
    /// The finding's code.
    pub code: FindingCode,
    /// Where.
    pub path: String,
    /// What there is to do.
    pub action: String,
    /// What came of it.
    pub outcome: RepairOutcome,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What came of a repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RepairOutcome {
    /// It was done.
    Done,
    /// It was listed, and nobody agreed to it.
    Listed,
    /// There was nothing to mend any more.
    Changed,
    /// It could not be done.
    Failed,
}

impl RepairOutcome {
    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Listed => "not done, nobody agreed to it",
            Self::Changed => "left alone, it has changed meanwhile",
            Self::Failed => "failed",
        }
    }
}

/// What a check comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckStatus {
    /// Nothing is broken.
    Whole,
    /// Nothing seems broken, but something could not be looked at.
    Incomplete,
    /// Something is broken.
    Broken,
}

/// Sums over what was looked at.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct CheckTotals {
    /// Repositories.
    pub repositories: usize,
    /// Tags.
    pub tags: usize,
    /// Tags that do not pull.
    pub tags_broken: usize,
    /// Manifests that tags, revisions and indexes name.
    pub manifests: usize,
    /// Blobs.
    pub blobs: usize,
    /// Findings of this weight.
    pub broken: usize,
    /// Findings of this weight.
    pub doubts: usize,
    /// Findings of this weight.
    pub warnings: usize,
    /// Findings of this weight.
    pub notes: usize,
}

impl CheckReport {
    /// Adds up.
    pub fn new(
        checked_at: Timestamp,
        survey: &Survey,
        findings: Vec<Finding>,
        repaired: Vec<Repaired>,
        hashed: Option<Hashed>,
    ) -> Self {
        let of = |severity| findings.iter().filter(|it| it.severity == severity).count();
        let broken_tags: HashSet<&String> = findings.iter().flat_map(|it| &it.tags).collect();
        let totals = CheckTotals {
            repositories: survey.repositories.len(),
            tags: survey.repositories.iter().map(|it| it.tags.len()).sum(),
            tags_broken: broken_tags.len(),
            manifests: survey.manifests.len(),
            blobs: survey.blobs.len(),
            broken: of(FindingSeverity::Broken),
            doubts: of(FindingSeverity::Doubt),
            warnings: of(FindingSeverity::Warning),
            notes: of(FindingSeverity::Note),
        };
        let (status, exit_code) = match (totals.broken, totals.doubts) {
            (0, 0) => (CheckStatus::Whole, 0),
            (0, _) => (CheckStatus::Incomplete, 3),
            _ => (CheckStatus::Broken, 4),
        };
        Self {
            schema_version: 1,
            version: env!("CARGO_PKG_VERSION"),
            checked_at,
            status,
            exit_code,
            totals,
            findings,
            repaired,
            hashed,
        }
    }

    /// Writes the report as one line of JSON.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_json(&self, mut out: impl io::Write) -> io::Result<()> {
        serde_json::to_writer(&mut out, self)?;
        out.write_all(b"\n")
    }

    /// Writes the report for people.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_text(&self, mut out: impl io::Write) -> io::Result<()> {
        for repaired in &self.repaired {
            let error = repaired.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
            let repair = format!("{}: {}{error}", repaired.action, repaired.outcome.as_str());
            writeln!(out, "repair: {}", Escaped(repair))?;
        }
        for finding in &self.findings {
            let severity = match finding.severity {
                FindingSeverity::Note => "note",
                FindingSeverity::Warning => "warning",
                FindingSeverity::Doubt => "doubt",
                FindingSeverity::Broken => "BROKEN",
            };
            let [consequence, cause, path, remedy] = finding.lines();
            writeln!(out, "{severity} {}: {consequence}", finding.code.as_str())?;
            if !finding.consequence.ends_with(&finding.cause) {
                writeln!(out, "    what: {cause}")?;
            }
            writeln!(out, "    where: {path}")?;
            writeln!(out, "    remedy: {remedy}")?;
        }
        if let Some(hashed) = &self.hashed {
            let blobs = usize::try_from(hashed.blobs).unwrap_or(usize::MAX);
            writeln!(out, "{} ({}) read", count(blobs, "blob"), bytes(hashed.bytes))?;
        }
        let totals = &self.totals;
        writeln!(
            out,
            "{}, {}, {}, {} looked at on {}: {}",
            count(totals.repositories, "repository"),
            count(totals.tags, "tag"),
            count(totals.manifests, "manifest"),
            count(totals.blobs, "blob"),
            time(self.checked_at),
            match self.status {
                CheckStatus::Whole if self.findings.is_empty() => "everything is whole".to_owned(),
                CheckStatus::Whole => format!(
                    "nothing is broken; {} and {}",
                    count(totals.warnings, "warning"),
                    count(totals.notes, "note")
                ),
                CheckStatus::Incomplete => {
                    format!(
                        "nothing seems broken, but {} could not be looked at",
                        count(totals.doubts, "place")
                    )
                }
                CheckStatus::Broken => format!(
                    "{} broken, and {}",
                    count(totals.broken, "thing"),
                    match totals.tags_broken {
                        0 => "every tag pulls".to_owned(),
                        1 => "1 tag does not pull".to_owned(),
                        n => format!("{n} tags do not pull"),
                    }
                ),
            }
        )
    }
}
