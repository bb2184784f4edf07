//! The list of removed tags that can be brought back, for people and for scripts.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;

use super::words::{self, bytes, count, time};
use crate::model::{Digest, Problem, RepoName, Severity, TagName};
use crate::plan::Grace;

/// The removed tags that can be brought back. The JSON form is stable within one `schema_version`.
#[derive(Debug, Serialize)]
pub struct TrashReport {
    schema_version: u32,
    version: &'static str,
    /// The exit code that says whether all of it could be read.
    pub exit_code: u8,
    undo_window_secs: i64,
    #[serde(skip)]
    now: Timestamp,
    totals: TrashTotals,
    tags: Vec<TrashTag>,
    findings: Vec<Problem>,
}

#[derive(Debug, Serialize)]
struct TrashTotals {
    tags: usize,
    bytes: u64,
}

/// A removed tag that can be brought back.
#[derive(Debug, Serialize)]
pub struct TrashTag {
    /// The repository.
    pub repository: RepoName,
    /// The tag.
    pub tag: TagName,
    /// The manifest that it names.
    pub digest: Digest,
    /// When it was last pushed.
    pub pushed_at: Timestamp,
    /// The sweep that removed it.
    pub sweep: String,
    /// When that was.
    pub removed_at: Timestamp,
    /// The first sweep after this takes it for good.
    pub gone_after: Timestamp,
    /// Why it was removed; empty when that is not known any more.
    pub reasons: Vec<ReasonTold>,
    /// Bytes of the blobs that nothing but this tag holds.
    pub bytes_alone: u64,
}

/// Why a tag was removed.
#[derive(Debug, Serialize)]
pub struct ReasonTold {
    /// The stable code.
    pub code: String,
    /// The same in words.
    pub text: String,
}

impl TrashReport {
    /// Puts the list together.
    pub fn new(window: Grace, tags: Vec<TrashTag>, bytes: u64, findings: Vec<Problem>) -> Self {
        Self {
            schema_version: 1,
            version: env!("CARGO_PKG_VERSION"),
            exit_code: if findings.iter().any(|it| it.severity >= Severity::Doubt) { 3 } else { 0 },
            undo_window_secs: window.age.as_secs(),
            now: window.now,
            totals: TrashTotals { tags: tags.len(), bytes },
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

    /// Writes a table.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        if self.tags.is_empty() {
            writeln!(out, "no removed tag can be brought back")?;
            if self.undo_window_secs == 0 {
                writeln!(out, "UNDO_WINDOW is 0s: what a sweep removes is gone")?;
            }
        } else {
            self.table(out)?;
        }
        super::table::findings(&self.findings, out)
    }

    fn table(&self, out: &mut impl Write) -> io::Result<()> {
        let row = |tag: &TrashTag| {
            let why: Vec<&str> = tag.reasons.iter().map(|reason| reason.text.as_str()).collect();
            let gone = if tag.gone_after <= self.now { "next sweep".into() } else { time(tag.gone_after) };
            [
                tag.repository.to_string(),
                words::tag(tag.tag.as_str()),
                tag.digest.short(),
                time(tag.removed_at),
                gone,
                bytes(tag.bytes_alone),
                tag.sweep.clone(),
                if why.is_empty() { "not known any more".into() } else { why.join("; ") },
            ]
        };
        let head =
            ["REPOSITORY", "TAG", "DIGEST", "REMOVED", "GONE AFTER", "HELD ALONE", "SWEEP", "WHY REMOVED"];
        let rows: Vec<[String; 8]> =
            std::iter::once(head.map(String::from)).chain(self.tags.iter().map(row)).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 8] = std::array::from_fn(width);
        for row in &rows {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
            writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        writeln!(
            out,
            "\n{} can be brought back with janitor restore REPOSITORY:TAG; nothing but they holds {}",
            count(self.totals.tags, "removed tag"),
            bytes(self.totals.bytes)
        )
    }
}

/// What came of throwing the removed tags away.
#[derive(Debug, Serialize)]
pub struct EmptyReport {
    schema_version: u32,
    version: &'static str,
    dry_run: bool,
    /// 0 when all of it is gone, else 3.
    pub exit_code: u8,
    tags_thrown_away: usize,
    findings: Vec<Problem>,
}

impl EmptyReport {
    /// Puts the report together.
    pub fn new(dry_run: bool, tags: usize, findings: Vec<Problem>) -> Self {
        Self {
            schema_version: 1,
            version: env!("CARGO_PKG_VERSION"),
            dry_run,
            exit_code: if findings.is_empty() { 0 } else { 3 },
            tags_thrown_away: tags,
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

    /// Writes a line, and one for each trouble.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        let tags = count(self.tags_thrown_away, "removed tag");
        if self.dry_run {
            writeln!(out, "{tags} would be thrown away; nothing was changed (dry run)")?;
        } else {
            writeln!(out, "{tags} thrown away; the next sweep reclaims what only they held")?;
        }
        super::table::findings(&self.findings, out)
    }
}
