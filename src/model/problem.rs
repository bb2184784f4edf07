//! What a person should know about the store: a path, a cause, a remedy.

use std::fmt;

use serde::{Serialize, Serializer};

use super::{Escaped, RepoName, finding_text};

/// What to do about something that another process has open.
pub const IN_USE: &str = "nothing; the next sweep tries again. If it says so every time, see who has the file open, or may not rename it";

/// How much a problem matters. The order is the order of weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; changes nothing.
    Note,
    /// Something is not as it should be; the sweep goes on.
    Warning,
    /// A root of the store (tag, revision, manifest) cannot be trusted: no manifest and no blob is
    /// removed in this sweep, and its repository loses no tag.
    Doubt,
    /// Something that was to be done failed.
    Error,
}

/// Stable codes of problems, for reports and alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// A directory or file could not be read.
    Unreadable,
    /// A link file is empty or holds no digest.
    BadLink,
    /// A tag has no `current/link`.
    TagWithoutLink,
    /// A manifest's bytes do not match its digest.
    WrongHash,
    /// A manifest is not JSON of a known shape.
    BadManifest,
    /// A tag names a manifest that is not there.
    ManifestMissing,
    /// A name that the registry could not have written.
    OddName,
    /// A symbolic link or other kind of file where the registry makes directories.
    OddKind,
    /// Both the storage's clock and ours are known, and they differ.
    ClockSkew,
    /// A step of the sweep failed.
    ActionFailed,
    /// Something changed between decision and action; it was kept.
    ChangedMeanwhile,
    /// Another process had a file open that was in the way; it was kept.
    InUse,
    /// The trash held what an interrupted sweep left; it was put back.
    PutBack,
    /// More would go than one sweep may take.
    TooMuchGoes,
    /// Push times that give no order, so that nothing goes by them.
    EqualPushTimes,
    /// A tag that is to be kept cannot be pulled completely, so its repository loses none.
    KeptIncomplete,
    /// What the last sweep left is not known.
    NoMemory,
    /// What manifests reference is not remembered, or could not be.
    NoReferences,
    /// A time that is too far ahead of the clock to be believed.
    TimeAhead,
    /// A push time from before a sweep that did not see the push.
    TimeBehind,
    /// When things with such times were first seen is not known, or could not be remembered.
    NoFirstSeen,
    /// Most of what the last sweep left is gone.
    StoreShrank,
    /// A repository, or most of its tags, is gone without the janitor's doing.
    TagsMissing,
    /// Blobs were collected beside pushes.
    NotQuiet,
    /// What the trash holds for undo cannot be brought back.
    Undo,
    /// The collector could not be trusted, started, or finished.
    Collector,
}

impl Code {
    /// The code as it stands in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::BadLink => "bad-link",
            Self::TagWithoutLink => "tag-without-link",
            Self::WrongHash => "wrong-hash",
            Self::BadManifest => "bad-manifest",
            Self::ManifestMissing => "manifest-missing",
            Self::OddName => "odd-name",
            Self::OddKind => "odd-kind",
            Self::ClockSkew => "clock-skew",
            Self::ActionFailed => "action-failed",
            Self::ChangedMeanwhile => "changed-meanwhile",
            Self::InUse => "in-use",
            Self::PutBack => "put-back",
            Self::TooMuchGoes => "too-much-goes",
            Self::EqualPushTimes => "equal-push-times",
            Self::KeptIncomplete => "kept-incomplete",
            Self::NoMemory => "no-memory",
            Self::NoReferences => "no-references",
            Self::TimeAhead => "time-ahead",
            Self::TimeBehind => "time-behind",
            Self::NoFirstSeen => "no-first-seen",
            Self::StoreShrank => "store-shrank",
            Self::TagsMissing => "tags-missing",
            Self::NotQuiet => "not-quiet",
            Self::Undo => "undo",
            Self::Collector => "collector",
        }
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One thing to tell a person, with where, why and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How much it matters.
    pub severity: Severity,
    /// Its stable code.
    pub code: Code,
    /// The repository it belongs to, when it belongs to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepoName>,
    /// Where: a path below the registry's root directory, or the name of a setting.
    pub path: String,
    /// What was found.
    #[serde(serialize_with = "not_too_long")]
    pub cause: String,
    /// What a person can do.
    #[serde(serialize_with = "not_too_long")]
    pub remedy: String,
}

/// Serializes a text of a finding, which may have been made of anything in the store.
pub(crate) fn not_too_long<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&finding_text(text))
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [found, remedy] = self.lines();
        write!(formatter, "{found}; {remedy}")
    }
}

impl Problem {
    /// Where and what, and the remedy: each is one line, whatever names from the store are in it.
    pub fn lines(&self) -> [String; 2] {
        let found = finding_text(format_args!("{}: {}", self.path, self.cause));
        [found, finding_text(&self.remedy)].map(|line| Escaped(line).to_string())
    }

    /// A step that failed for a reason of the storage's, and that the next sweep takes again.
    pub fn of_failed_step(path: String, error: &std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::ResourceBusy {
            return Self {
                severity: Severity::Warning,
                code: Code::InUse,
                repository: None,
                path,
                cause: error.to_string(),
                remedy: IN_USE.into(),
            };
        }
        Self {
            severity: Severity::Error,
            code: Code::ActionFailed,
            repository: None,
            path,
            cause: error.to_string(),
            remedy: "check the storage; the next sweep tries again".into(),
        }
    }
}
