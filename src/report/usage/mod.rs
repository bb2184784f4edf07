//! What holds the disk, for people and for scripts.

mod text;

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;

use crate::model::{Digest, Measure, Problem, RepoName, Severity, TagName};

/// What holds the disk. The JSON form is stable within one `schema_version`.
#[derive(Debug, Serialize)]
pub struct UsageReport {
    schema_version: u32,
    version: &'static str,
    looked_at: Timestamp,
    /// The exit code that says whether all of it could be read.
    pub exit_code: u8,
    sizes: Measure,
    /// Sums over the whole store.
    pub totals: UsageTotals,
    /// What was asked for.
    #[serde(flatten)]
    pub rows: Rows,
    findings: Vec<Problem>,
}

/// Sums over the whole store. The bytes that tags, removed tags, the next sweep and what waits come to are
/// all of it, and so are those of tags, removed tags, untagged manifests and what nothing references.
#[derive(Debug, Default, Serialize)]
pub struct UsageTotals {
    /// Repositories.
    pub repositories: usize,
    /// Tags.
    pub tags: usize,
    /// Blobs.
    pub blobs: usize,
    /// Of all blobs.
    pub total_bytes: u64,
    /// Of the blobs that tags reach.
    pub tags_bytes: u64,
    /// Of the others that removed tags reach which can be brought back.
    pub undo_bytes: u64,
    /// How many of those there are.
    pub undo_tags: usize,
    /// Removed tags whose time is over: the next sweep takes them for good.
    pub undo_tags_expired: usize,
    /// Of the other blobs, those that manifests reach which no tag does.
    pub untagged_bytes: u64,
    /// Of the blobs that nothing references.
    pub unreferenced_bytes: u64,
    /// What the next sweep reclaims even if it removes no tag.
    pub reclaimable_bytes: u64,
    /// What nothing kept needs, and that the next sweep leaves.
    pub waiting_bytes: u64,
    /// What that waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<Waiting>,
    /// When the last of what waits for its age may go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_until: Option<Timestamp>,
    /// What a sweep has taken away, or hidden from the registry, that is under way or was interrupted.
    pub trash_pending_bytes: u64,
    /// In the trash: what is being deleted.
    pub trash_condemned_bytes: u64,
    /// In the trash: what repairs moved aside.
    pub trash_mended_bytes: u64,
}

/// What it is that something waits for which no tag needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Waiting {
    /// To be older than `GC_GRACE`.
    Age,
    /// Something is in doubt.
    Doubt,
    /// `GC_DELETE_UNTAGGED` is false.
    Setting,
    /// A tagged artifact refers to it.
    Artifact,
}

/// What was asked for, in the order that was asked for.
#[derive(Debug, Default, Serialize)]
pub struct Rows {
    /// Repositories.
    pub repositories: Vec<RepositoryRow>,
    /// Their tags, where tags were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<TagRow>>,
    /// How many more there are.
    pub left_out: usize,
}

/// What a repository holds.
#[derive(Debug, Serialize)]
pub struct RepositoryRow {
    /// Its name.
    pub name: RepoName,
    /// How many tags it has.
    pub tags: usize,
    /// Of every blob that it reaches, each counted once.
    pub total_bytes: u64,
    /// Of those that nothing else in the store reaches.
    pub alone_bytes: u64,
    /// Of the others.
    pub shared_bytes: u64,
    /// Of those that of all in it only manifests reach which no tag does.
    pub untagged_bytes: u64,
    /// Whether something in it cannot be read, so that it may hold more.
    pub in_doubt: bool,
}

/// What a tag holds. Of a tag whose link is in doubt, nothing is known.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "they are told at RepositoryRow")]
pub struct TagRow {
    pub repository: RepoName,
    pub tag: TagName,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pushed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alone_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_bytes: Option<u64>,
}

impl UsageReport {
    /// Puts the report together.
    pub fn new(
        looked_at: Timestamp,
        sizes: Measure,
        totals: UsageTotals,
        rows: Rows,
        findings: Vec<Problem>,
    ) -> Self {
        Self {
            schema_version: 1,
            version: env!("CARGO_PKG_VERSION"),
            looked_at,
            exit_code: if findings.iter().any(|it| it.severity >= Severity::Doubt) { 3 } else { 0 },
            sizes,
            totals,
            rows,
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
}

#[cfg(test)]
mod tests;
