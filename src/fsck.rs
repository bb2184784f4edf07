//! A check from beginning to end: look, look again at what seems broken, mend if asked to, tell.

use std::collections::{BTreeSet, HashSet};

use jiff::Timestamp;

use crate::check::{Finding, FindingSeverity, Limits, judge, repair};
use crate::config::CheckConfig;
use crate::model::{Mend, RepoName, Survey};
use crate::report::check::{CheckReport, RepairOutcome, Repaired};
use crate::stop::{Interrupted, Stop};
use crate::store::{LockError, Mended, OpenError, StorageClock, Store, WRITE_IN_PROGRESS, path_of};

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
    /// The storage's clock could not be read.
    #[error("cannot read the storage's clock: {0}")]
    Clock(std::io::Error),
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
            Self::Open(OpenError::Io { .. } | OpenError::Threads(_))
            | Self::Lock(LockError::Io { .. })
            | Self::Clock(_) => 1,
            Self::Lock(LockError::Held(_)) => 11,
            Self::NoRepository(_) => 2,
            Self::Interrupted(interrupted) => {
                128u8.saturating_add(u8::try_from(interrupted.signal).unwrap_or(0))
            }
        }
    }
}

/// Checks a store, and mends it where that was asked for and `confirm` agrees to the list of repairs. Without
/// that nothing is changed.
///
/// # Errors
/// [`CheckError`].
pub fn check(
    config: &CheckConfig,
    stop: &Stop,
    confirm: impl FnOnce(&[Mend]) -> bool,
) -> Result<CheckReport, CheckError> {
    let store = Store::open(&config.data_dir, config.jobs, None)?;
    let now = StorageClock::of_host().now();
    let (survey, findings) = look_twice(&store, config, now, stop)?;
    if !config.repair {
        return Ok(CheckReport::new(now, &survey, findings, Vec::new()));
    }
    let repairs = repairs(config, now, &survey, &findings);
    if repairs.is_empty() {
        return Ok(CheckReport::new(now, &survey, findings, Vec::new()));
    }
    let mends: Vec<Mend> = repairs.iter().map(|(_, mend)| mend.clone()).collect();
    if !confirm(&mends) {
        let listed = repairs.iter().map(|(finding, mend)| told(finding, mend, RepairOutcome::Listed, None));
        let listed = listed.collect();
        return Ok(CheckReport::new(now, &survey, findings, listed));
    }
    let lock = store.lock(now)?;
    // What is old enough to go, the storage's own clock says; this host's may be wrong.
    let clock = store.clock(&lock).map_err(CheckError::Clock)?.now();
    let agreed = repairs;
    let mut repairs = self::repairs(config, clock, &survey, &judged(&survey, config, clock));
    repairs
        .retain(|(it, _)| agreed.iter().any(|(known, _)| (known.code, &known.path) == (it.code, &it.path)));
    let run = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut repaired = Vec::new();
    for (finding, mend) in &repairs {
        stop.check()?;
        let (outcome, error) = match store.mend(&lock, &run, mend, stop) {
            Mended::Done => (RepairOutcome::Done, None),
            Mended::Changed => (RepairOutcome::Changed, None),
            Mended::Failed(error) => (RepairOutcome::Failed, Some(error)),
        };
        repaired.push(told(finding, mend, outcome, error));
    }
    drop(lock);
    let (survey, findings) = look_twice(&store, config, clock, stop)?;
    Ok(CheckReport::new(clock, &survey, findings, repaired))
}

/// What can be mended, in the order of the findings.
fn repairs(
    config: &CheckConfig,
    now: Timestamp,
    survey: &Survey,
    findings: &[Finding],
) -> Vec<(Finding, Mend)> {
    let limits = Limits { now, upload_max_age: config.upload_max_age };
    findings.iter().filter_map(|it| Some((it.clone(), repair(survey, it, limits)?))).collect()
}

fn told(finding: &Finding, mend: &Mend, outcome: RepairOutcome, error: Option<String>) -> Repaired {
    Repaired { code: finding.code, path: finding.path.clone(), action: mend.to_string(), outcome, error }
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
    let findings = judged(&survey, config, now);
    Ok((survey, findings))
}

fn judged(survey: &Survey, config: &CheckConfig, now: Timestamp) -> Vec<Finding> {
    let limits = Limits { now, upload_max_age: config.upload_max_age };
    judge(survey, &BTreeSet::new(), limits, path_of)
}
