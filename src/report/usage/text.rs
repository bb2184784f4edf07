//! What holds the disk, for a terminal.

use std::io::{self, Write};

use super::{RepositoryRow, TagRow, UsageReport, Waiting};
use crate::model::Severity;
use crate::report::bar::Bar;
use crate::report::table;
use crate::report::words::{self, bytes, count, time};

/// How wide the columns of the sizes are, with what is between them.
const SIZES: usize = 3 * 11 + 2 * 2;
/// Beside their tags, so many repositories are told of at most.
const REPOSITORIES_TOLD: usize = 3;

/// A line of the table.
struct Line {
    /// Total, alone, shared.
    held: Option<[u64; 3]>,
    /// How many tags, or when it was pushed.
    about: String,
    name: String,
}

impl UsageReport {
    /// Writes a table, with a bar in each line where a terminal is so many `columns` wide that there is room.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_text(&self, columns: Option<usize>, out: &mut impl Write) -> io::Result<()> {
        let tags = self.rows.tags.as_deref();
        let one = if tags.is_some() { "tag" } else { "repository" };
        if tags.map_or(self.rows.repositories.len(), <[TagRow]>::len) > 0 {
            self.table(columns, out)?;
            if self.rows.left_out > 0 {
                writeln!(out, "... and {} more (--top all)", count(self.rows.left_out, one))?;
            }
            self.more_than_tags(out)?;
            writeln!(out)?;
        }
        self.sums(out)?;
        table::findings(&self.findings, out)
    }

    /// The sizes first, as people know it from du(1). The lines are made twice, to be measured and to be written, so
    /// that they never exist all at once.
    fn table(&self, columns: Option<usize>, out: &mut impl Write) -> io::Result<()> {
        let [about, name] = if self.rows.tags.is_some() { ["PUSHED", "TAG"] } else { ["TAGS", "REPOSITORY"] };
        let (mut abouts, mut names, mut most) = (about.len(), name.len(), 0);
        for line in self.lines() {
            abouts = abouts.max(line.about.chars().count());
            names = names.max(line.name.chars().count());
            most = most.max(line.held.map_or(0, |[total, ..]| total));
        }
        let bar = columns
            .and_then(|all| Bar::fitting(all.saturating_sub(SIZES + 2 + abouts + 2 + names + 2), most));
        let no_bar = || " ".repeat(bar.map_or(0, Bar::width));
        let mut write = |[total, alone, shared]: &[String; 3], drawn: String, about: &str, name: &str| {
            let drawn = if bar.is_some() { format!("  {drawn}") } else { drawn };
            writeln!(out, "{total:>11}  {alone:>11}  {shared:>11}{drawn}  {about:>abouts$}  {name}")
        };
        write(&["TOTAL", "ALONE", "SHARED"].map(String::from), no_bar(), about, name)?;
        for Line { held, about, name } in self.lines() {
            let cells = held.map_or_else(|| ["?"; 3].map(String::from), |held| held.map(bytes));
            let drawn = bar.zip(held).map_or_else(no_bar, |(bar, [total, alone, _])| bar.draw(total, alone));
            write(&cells, drawn, &about, &name)?;
        }
        Ok(())
    }

    fn lines(&self) -> impl Iterator<Item = Line> {
        let tags = self.rows.tags.iter().flatten().map(Line::of_tag);
        let repositories = self.rows.repositories.iter().filter(|_| self.rows.tags.is_none());
        tags.chain(repositories.map(Line::of_repository))
    }

    /// What the repositories of the tags hold that is no tag's, unless that would be a table of its own.
    fn more_than_tags(&self, out: &mut impl Write) -> io::Result<()> {
        let repositories = if self.rows.tags.is_some() { &self.rows.repositories[..] } else { &[] };
        if repositories.len() <= REPOSITORIES_TOLD {
            for repository in repositories.iter().filter(|it| it.untagged_bytes > 0) {
                let (name, held) = (&repository.name, bytes(repository.untagged_bytes));
                writeln!(out, "{name} holds {held} more by manifests that no tag reaches")?;
            }
        }
        Ok(())
    }

    fn sums(&self, out: &mut impl Write) -> io::Result<()> {
        let totals = &self.totals;
        let waits = match (totals.waiting_for, totals.waiting_until) {
            (Some(Waiting::Age), Some(until)) => {
                format!("younger than GC_GRACE; the first sweep after {} takes it", time(until))
            }
            (Some(Waiting::Doubt), _) => "nothing goes while something is in doubt; see below".into(),
            (Some(Waiting::Setting), _) => "untagged manifests stay (GC_DELETE_UNTAGGED=false)".into(),
            (Some(Waiting::Artifact), _) => "a tagged artifact refers to it".into(),
            (Some(Waiting::Age) | None, _) => String::new(),
        };
        let expired = match totals.undo_tags_expired {
            0 => String::new(),
            n => format!(", {} whose UNDO_WINDOW is over included", count(n, "removed tag")),
        };
        let trash = |what: &str| format!("in the trash: {what}");
        let lines = [
            ("tags", totals.tags_bytes, format!("held by {}", count(totals.tags, "tag"))),
            (
                "undo",
                totals.undo_bytes,
                format!("held by nothing but {} (janitor trash)", count(totals.undo_tags, "removed tag")),
            ),
            (
                "reclaimable",
                totals.reclaimable_bytes,
                format!("by the next sweep, even if no tag goes{expired}"),
            ),
            ("waiting", totals.waiting_bytes, waits),
            (
                "total",
                totals.total_bytes,
                format!("{} in {}", count(totals.blobs, "blob"), count(totals.repositories, "repository")),
            ),
            (
                "pending",
                totals.trash_pending_bytes,
                "taken away by a sweep that is under way, or was interrupted".into(),
            ),
            ("condemned", totals.trash_condemned_bytes, trash("being deleted")),
            (
                "mended",
                totals.trash_mended_bytes,
                trash("moved aside by janitor check --repair, for you to delete"),
            ),
        ];
        let always = ["tags", "reclaimable", "total"];
        for (what, held, told) in lines.iter().filter(|(what, held, _)| *held > 0 || always.contains(what)) {
            writeln!(out, "{what:<11}  {:>11}  {told}", bytes(*held))?;
        }
        if self.findings.iter().any(|it| it.severity >= Severity::Doubt) {
            writeln!(
                out,
                "\nwhat is in doubt is not counted: totals may be more, and what is held alone less"
            )?;
        }
        Ok(())
    }
}

impl Line {
    fn of_repository(row: &RepositoryRow) -> Self {
        Self {
            held: Some([row.total_bytes, row.alone_bytes, row.shared_bytes]),
            about: row.tags.to_string(),
            name: row.name.to_string(),
        }
    }

    fn of_tag(row: &TagRow) -> Self {
        let held = row.total_bytes.zip(row.alone_bytes).zip(row.shared_bytes);
        Self {
            held: held.map(|((total, alone), shared)| [total, alone, shared]),
            about: row.pushed_at.map_or_else(|| "in doubt".into(), time),
            name: format!("{}:{}", row.repository, words::tag(row.tag.as_str())),
        }
    }
}
