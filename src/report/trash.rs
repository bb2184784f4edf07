//! The list of removed tags that can be brought back, for people and for scripts.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;

use super::words::{self, bytes, count, time};
use crate::model::{Digest, Escaped, Problem, RepoName, Severity, TagName};
use crate::plan::Grace;

/// So many digits of a digest tell it from others.
const DIGITS: usize = 12;

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

    /// A group for each sweep, the oldest first: what it removed shares its times.
    fn table(&self, out: &mut impl Write) -> io::Result<()> {
        let row = |tag: &TrashTag| {
            let why: Vec<&str> = tag.reasons.iter().map(|reason| reason.text.as_str()).collect();
            [
                tag.repository.to_string(),
                words::tag(tag.tag.as_str()),
                tag.digest.hex().chars().take(DIGITS).collect(),
                bytes(tag.bytes_alone),
                if why.is_empty() {
                    "not known any more".into()
                } else {
                    Escaped(why.join("; ")).to_string()
                },
            ]
        };
        let head = ["REPOSITORY", "TAG", "DIGEST", "HELD ALONE", "WHY REMOVED"].map(String::from);
        let mut tags: Vec<&TrashTag> = self.tags.iter().collect();
        // Within a sweep, they stay in the order of their names.
        tags.sort_by_key(|tag| (tag.removed_at, &tag.sweep));
        let rows: Vec<[String; 5]> = tags.iter().map(|tag| row(tag)).collect();
        let all = || rows.iter().chain([&head]);
        let widths: [usize; 5] =
            std::array::from_fn(|column| all().map(|row| row[column].chars().count()).max().unwrap_or(0));
        let line = |row: &[String; 5]| {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
            format!("  {}", cells.collect::<Vec<_>>().join("  ").trim_end())
        };
        writeln!(out, "{}", line(&head))?;
        let mut rows = rows.iter();
        for of_sweep in tags.chunk_by(|a, b| a.sweep == b.sweep) {
            writeln!(out, "{}", self.sweep(of_sweep[0]))?;
            for row in rows.by_ref().take(of_sweep.len()) {
                writeln!(out, "{}", line(row))?;
            }
        }
        writeln!(
            out,
            "\n{} can be brought back with janitor restore REPOSITORY:TAG; nothing but they holds {}",
            count(self.totals.tags, "removed tag"),
            bytes(self.totals.bytes)
        )
    }

    /// What all tags of a sweep share.
    fn sweep(&self, tag: &TrashTag) -> String {
        let sweep = Escaped(&tag.sweep);
        if tag.removed_at == Timestamp::MAX {
            return format!("removed by {sweep}, nobody knows when; stays until it is thrown away");
        }
        let removed = words::span(self.now.duration_since(tag.removed_at));
        let gone = if tag.gone_after <= self.now {
            "goes with the next sweep".into()
        } else {
            format!(
                "gone in {} ({})",
                words::span(tag.gone_after.duration_since(self.now)),
                time(tag.gone_after)
            )
        };
        format!("removed {removed} ago by {sweep}, {gone}")
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A tag that a sweep of an earlier hour removed.
    fn removed(name: &str, tag: &str, hours_ago: i64, why: &str) -> TrashTag {
        let removed_at = now() - jiff::SignedDuration::from_hours(hours_ago);
        TrashTag {
            repository: name.parse().unwrap(),
            tag: tag.parse().unwrap(),
            digest: Digest::of(tag.as_bytes()),
            pushed_at: removed_at,
            sweep: format!("{}-1234567", removed_at.strftime("%Y%m%dT%H%M%S000Z")),
            removed_at,
            gone_after: removed_at + jiff::SignedDuration::from_hours(7 * 24),
            reasons: vec![ReasonTold { code: "a-code".into(), text: why.into() }],
            bytes_alone: 987_654_321,
        }
    }

    fn now() -> Timestamp {
        "2026-11-27T22:15:30Z".parse().unwrap()
    }

    #[test]
    fn the_table_of_usual_names_fits_a_terminal_of_100_columns() {
        let why = "number 101 by push time, 100 are kept";
        let tags = vec![
            removed("team/app", "v2.11.0", 2, why),
            removed("team/backend-api", "v1.2.3-rc1", 200, why),
            removed("team/backend-api", "2026-11-21", 2, why),
            removed("web", "main", 2, why),
        ];
        let window = Grace { age: jiff::SignedDuration::from_hours(7 * 24), now: now() };
        let report = TrashReport::new(window, tags, 3 << 30, Vec::new());
        let mut text = Vec::new();
        report.write_text(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        for line in text.lines() {
            assert!(line.chars().count() <= 100, "{} columns: {line}", line.chars().count());
        }
        insta::assert_snapshot!("trash_table", text);
    }
}
