//! A check from beginning to end: look, look again at what seems broken, tell.

use std::collections::{BTreeSet, HashSet};

use jiff::Timestamp;

use crate::check::{Finding, FindingSeverity, Limits, judge};
use crate::config::CheckConfig;
use crate::model::{RepoName, Survey};
use crate::report::check::CheckReport;
use crate::stop::{Interrupted, Stop};
use crate::store::{LockError, OpenError, StorageClock, Store, WRITE_IN_PROGRESS, path_of};

/// Why a check could not be made, or was not finished.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// There is no store to check.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Another janitor works on the store.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A repository that was named is not there.
    #[error("there is no repository {0} in this store")]
    NoRepository(RepoName),
    /// A stop was asked for.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl CheckError {
    /// The exit code that tells it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Open(OpenError::NoStore { .. }) => 10,
            Self::Open(OpenError::Refused(_)) => 12,
            Self::Open(OpenError::Io { .. } | OpenError::Threads(_)) | Self::Lock(LockError::Io { .. }) => 1,
            Self::Lock(LockError::Held(_)) => 11,
            Self::NoRepository(_) => 2,
            Self::Interrupted(interrupted) => {
                128u8.saturating_add(u8::try_from(interrupted.signal).unwrap_or(0))
            }
        }
    }
}

/// Checks a store. Nothing is changed.
///
/// # Errors
/// [`CheckError`].
pub fn check(config: &CheckConfig, stop: &Stop) -> Result<CheckReport, CheckError> {
    let store = Store::open(&config.data_dir, config.jobs, None)?;
    let now = StorageClock::of_host().now();
    let (survey, findings) = look_twice(&store, config, now, stop)?;
    Ok(CheckReport::new(now, &survey, findings))
}

/// A push that is under way looks like damage: a link is there before what it names, and the registry 2.8
/// truncates a link before it writes it. So only what is found twice counts.
fn look_twice(
    store: &Store,
    config: &CheckConfig,
    now: Timestamp,
    stop: &Stop,
) -> Result<(Survey, Vec<Finding>), CheckError> {
    let (survey, mut findings) = look(store, config, now, stop)?;
    let is_sure = |finding: &Finding| finding.severity <= FindingSeverity::Note;
    if findings.iter().all(is_sure) {
        return Ok((survey, findings));
    }
    stop.wait(WRITE_IN_PROGRESS)?;
    let (survey, again) = look(store, config, now, stop)?;
    let known: HashSet<_> = findings.iter().map(|it| (it.code, it.path.clone())).collect();
    findings = again;
    findings.retain(|it| is_sure(it) || known.contains(&(it.code, it.path.clone())));
    Ok((survey, findings))
}

fn look(
    store: &Store,
    config: &CheckConfig,
    now: Timestamp,
    stop: &Stop,
) -> Result<(Survey, Vec<Finding>), CheckError> {
    let survey = store.survey(config.only.as_ref(), stop)?;
    for wanted in config.only.iter().flatten() {
        if survey.repositories.binary_search_by(|it| it.name.cmp(wanted)).is_err() {
            return Err(CheckError::NoRepository(wanted.clone()));
        }
    }
    let limits = Limits { now, upload_max_age: config.upload_max_age };
    let findings = judge(&survey, &BTreeSet::new(), limits, path_of);
    Ok((survey, findings))
}
