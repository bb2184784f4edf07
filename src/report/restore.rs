//! What became of each tag that was to be brought back, for people and for scripts.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;

use super::words::time;
use crate::model::{Digest, Escaped, Problem, RepoName, Severity, TagName, finding_text};

/// What became of each tag. The JSON form is stable within one `schema_version`.
#[derive(Debug, Serialize)]
pub struct RestoreReport {
    schema_version: u32,
    version: &'static str,
    dry_run: bool,
    /// 0 when every tag is back, else 3.
    pub exit_code: u8,
    tags: Vec<RestoredTag>,
    findings: Vec<Problem>,
}

/// What became of a tag.
#[derive(Debug, Serialize)]
pub struct RestoredTag {
    /// The repository.
    pub repository: RepoName,
    /// The tag.
    pub tag: TagName,
    /// The manifest that it names.
    pub digest: Digest,
    /// The sweep that removed it.
    pub sweep: String,
    /// When that was.
    pub removed_at: Timestamp,
    /// What came of it.
    pub outcome: RestoreOutcome,
    /// In words; of what is not back, why and what to do.
    pub detail: String,
}

/// What came of a tag that was to be brought back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestoreOutcome {
    /// It is back, and whole.
    Restored,
    /// It would be back, had this been no dry run.
    WouldRestore,
    /// There is such a tag again; it stays, and the removed one stays in the trash.
    Exists,
    /// Parts of the image are missing; it stays in the trash.
    NotWhole,
    /// It could not be brought back, or is not whole where it is.
    Failed,
}

impl RestoreReport {
    /// Puts the report together.
    pub fn new(dry_run: bool, tags: Vec<RestoredTag>, findings: Vec<Problem>) -> Self {
        let is_fine =
            |it: &RestoredTag| matches!(it.outcome, RestoreOutcome::Restored | RestoreOutcome::WouldRestore);
        let in_doubt = findings.iter().any(|it| it.severity >= Severity::Doubt);
        Self {
            schema_version: 1,
            version: env!("CARGO_PKG_VERSION"),
            dry_run,
            exit_code: if tags.iter().all(is_fine) && !in_doubt { 0 } else { 3 },
            tags,
            findings,
        }
    }

    /// Writes one line of JSON.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        super::json_line(self, out)
    }

    /// Writes a line for each tag.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        for tag in &self.tags {
            let outcome = match tag.outcome {
                RestoreOutcome::Restored => "restored",
                RestoreOutcome::WouldRestore => "would be restored",
                RestoreOutcome::Exists | RestoreOutcome::NotWhole => "not restored",
                RestoreOutcome::Failed => "FAILED",
            };
            writeln!(
                out,
                "{}:{}  {outcome}: {}, removed {}: {}",
                tag.repository,
                tag.tag,
                tag.digest.short(),
                time(tag.removed_at),
                Escaped(finding_text(&tag.detail))
            )?;
        }
        super::table::findings(&self.findings, out)?;
        if self.dry_run {
            writeln!(out, "\nnothing was changed (dry run)")?;
        }
        Ok(())
    }
}
