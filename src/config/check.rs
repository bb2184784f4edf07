//! What a check was asked for.

use std::collections::HashSet;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;

use crate::cli::{Check, LogFormat, LogLevel, OutputFormat, Settings};
use crate::model::RepoName;

/// Everything that a check needs to know.
#[derive(Clone, Debug)]
pub struct CheckConfig {
    /// The registry's root directory.
    pub data_dir: PathBuf,
    /// File operations under way at the same time.
    pub jobs: usize,
    /// The repositories to look at; `None` for all of them.
    pub only: Option<HashSet<RepoName>>,
    /// How old an upload may be.
    pub upload_max_age: SignedDuration,
    /// How to read every blob; `None` when they are not read.
    pub deep: Option<Deep>,
    /// Whether to mend what can be mended.
    pub repair: bool,
    /// Whether to mend it without asking.
    pub yes: bool,
    /// Whether to mend nothing, whoever agrees.
    pub dry_run: bool,
    /// How long a repair waits for the lock.
    pub lock_wait: Duration,
    /// How the report is written to stdout.
    pub output: OutputFormat,
    /// How the log is written.
    pub log_format: LogFormat,
    /// How much is logged.
    pub log_level: LogLevel,
}

/// How to read every blob.
#[derive(Clone, Debug)]
pub struct Deep {
    /// At most so many bytes in a second.
    pub rate: Option<NonZeroU64>,
    /// Where to keep how far it has come.
    pub state: Option<PathBuf>,
}

impl CheckConfig {
    pub(super) fn resolve(check: Check, settings: Settings) -> Self {
        let Check { repositories, upload_max_age, deep, rate, state, repair, yes } = check;
        Self {
            data_dir: settings.data_dir,
            jobs: usize::try_from(settings.jobs).unwrap_or(1),
            only: (!repositories.is_empty()).then(|| repositories.into_iter().collect()),
            upload_max_age: SignedDuration::try_from(upload_max_age).unwrap_or(SignedDuration::MAX),
            deep: deep.then_some(Deep { rate, state }),
            repair,
            yes,
            dry_run: settings.dry_run,
            lock_wait: settings.lock_wait,
            output: settings.output.unwrap_or(OutputFormat::Text),
            log_format: settings.log_format,
            log_level: settings.log_level,
        }
    }
}
