//! Telling: one report of one sweep, and everything that is told comes from it.

mod bar;
pub mod check;
pub mod failure;
pub mod log;
pub mod restore;
pub mod table;
pub mod trash;
pub mod usage;
mod words;

use std::io;

use jiff::Timestamp;
use serde::Serialize;
use smallvec::SmallVec;

use crate::check::Broken;
use crate::model::{Digest, Problem, RepoName, TagName};
use crate::policy::Reason;

/// Everything about one sweep. The JSON form is stable within one `schema_version`.
#[derive(Debug, Serialize)]
pub struct SweepReport {
    /// Raised when a field changes its meaning or goes away.
    pub schema_version: u32,
    /// The janitor's version.
    pub version: &'static str,
    /// This sweep's name, also in the trash.
    pub sweep: String,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// When it began, by the storage's clock (in an audit: this host's).
    pub started_at: Timestamp,
    /// The policy in words.
    pub policy: String,
    /// How it ended.
    pub status: Status,
    /// The exit code that says the same.
    pub exit_code: u8,
    /// Sums.
    pub totals: Totals,
    /// What happened to each repository, by name.
    pub repositories: Vec<RepositoryReport>,
    /// How the blobs fared.
    pub collection: CollectionReport,
    /// Since when sweeps have collected nothing because of doubt; absent when this one was not in doubt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_doubt_since: Option<Timestamp>,
    /// What is held for undo; absent while `UNDO_WINDOW` is zero and nothing is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo: Option<UndoReport>,
    /// Kept tags that do not pull whole.
    pub broken: Vec<Broken>,
    /// Everything else that a person should know.
    pub findings: Vec<Problem>,
    /// How long each stage took, and how many file operations.
    pub stages: Vec<Stage>,
}

/// How a sweep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Everything was done.
    Done,
    /// Nothing was to be changed, and nothing was.
    Audit,
    /// Done, but something was kept in doubt, failed, or is broken.
    Partial,
    /// A guard refused a part of it.
    Refused,
}

/// Sums over all repositories. In an audit, what would be.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Repositories found.
    pub repositories: usize,
    /// Tags found.
    pub tags: usize,
    /// Tags that went.
    pub tags_removed: usize,
    /// Tags that stay.
    pub tags_kept: usize,
    /// Manifests that went.
    pub manifests_removed: usize,
    /// Manifests that nothing reaches, kept for now.
    pub manifests_held: usize,
    /// Blobs that went.
    pub blobs_removed: usize,
    /// Blobs that nothing kept needs, kept for now.
    pub blobs_held: usize,
    /// Empty repositories that went.
    pub repositories_removed: usize,
    /// Bytes of all blobs before, as far as their sizes are known.
    pub bytes_before: u64,
    /// Bytes of all blobs after.
    pub bytes_after: u64,
    /// Bytes of the blobs that went.
    pub bytes_freed: u64,
    /// The blocks, in bytes, that the file system had set aside for them, but for those with another name elsewhere.
    pub bytes_freed_on_disk: u64,
    /// Bytes of the blobs that nothing kept needs, and that are still there.
    pub bytes_held: u64,
    /// When the last of what is held for its age may go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_until: Option<Timestamp>,
}

/// What happened to a repository.
#[derive(Debug, Serialize)]
pub struct RepositoryReport {
    /// Its name.
    pub name: RepoName,
    /// Its tags, by name.
    pub tags: Vec<TagReport>,
    /// Manifests that went.
    pub manifests_removed: Vec<Digest>,
    /// Bytes that only its going images held.
    pub bytes_reclaimable: u64,
    /// Whether the repository itself, being empty, went.
    pub removed: bool,
}

/// What happened to a tag.
#[derive(Debug, Serialize)]
pub struct TagReport {
    /// Its name.
    pub tag: TagName,
    /// The manifest that it names; absent when its link is in doubt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// When it was last pushed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pushed_at: Option<Timestamp>,
    /// What the policy said.
    pub decision: Decision,
    /// Why; never empty.
    pub reasons: SmallVec<[Reason; 1]>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What the policy said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// It stays.
    Keep,
    /// It goes.
    Remove,
}

/// What came of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is there.
    Kept,
    /// It is gone.
    Removed,
    /// It would be gone, had this been no audit.
    WouldRemove,
    /// It was pushed again, or went away, before its turn.
    Changed,
    /// It could not be removed at that moment, because another process had it open.
    InUse,
    /// It could not be removed.
    Failed,
}

/// How the blobs fared.
#[derive(Debug, Serialize)]
pub struct CollectionReport {
    /// Which engine.
    pub engine: &'static str,
    /// What became of it.
    pub status: CollectionStatus,
    /// In words.
    pub detail: String,
    /// Layer links that the native collector deleted: to blobs that went, or to nothing.
    pub layer_links_removed: usize,
    /// Blobs that the native collector had hidden, and that were needed again at its second look.
    pub blobs_rescued: usize,
}

/// What became of the collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CollectionStatus {
    /// It ran.
    Done,
    /// It is turned off.
    Skipped,
    /// There was nothing for it.
    NothingToDo,
    /// It would run, had this been no audit.
    WouldRun,
    /// It waits for something to grow older.
    PutOff,
    /// A guard refused it.
    Refused,
    /// It failed, or is missing.
    Failed,
}

/// What is held for undo after a sweep. In an audit, what would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UndoReport {
    /// Removed tags that can be brought back.
    pub tags: usize,
    /// Bytes of the blobs that nothing but those tags holds.
    pub bytes: u64,
    /// Removed tags that went for good, their time being over.
    pub tags_expired: usize,
    /// When the first of those that are held goes: the first sweep after this takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_due: Option<Timestamp>,
    /// When the last goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_due: Option<Timestamp>,
}

/// A stage of a sweep.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Stage {
    /// Its name.
    pub name: &'static str,
    /// Milliseconds.
    pub millis: u64,
    /// File operations on the store.
    pub operations: u64,
}

impl SweepReport {
    /// Writes the report as one line of JSON, bit by bit: that of a large store is large.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_json(&self, out: impl io::Write) -> io::Result<()> {
        json_line(self, out)
    }

    /// All file operations.
    pub fn operations(&self) -> u64 {
        self.stages.iter().map(|stage| stage.operations).sum()
    }

    /// How long it took, in milliseconds.
    pub fn millis(&self) -> u64 {
        self.stages.iter().map(|stage| stage.millis).sum()
    }
}

/// Writes a report as one line of JSON, bit by bit.
fn json_line(report: &impl Serialize, mut out: impl io::Write) -> io::Result<()> {
    serde_json::to_writer(&mut out, report)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests;
