//! A check from beginning to end: look, look again at what seems broken, mend if asked to, tell.

mod aliases;
mod deep;
mod progress;
mod rate;
mod state;

use std::collections::{BTreeSet, HashSet};

use std::path::PathBuf;

use jiff::Timestamp;

use crate::check::{Finding, FindingCode, FindingSeverity, Limits, judge, repair};
use crate::config::{CheckConfig, Deep};
use crate::model::{Digest, Mend, RepoName, Survey};
use crate::report::check::{CheckReport, Hashed, RepairOutcome, Repaired};
use crate::stop::{Interrupted, Stop};
use crate::store::{Hash, LockError, Mended, OpenError, StorageClock, Store, WRITE_IN_PROGRESS, path_of};
use crate::sweep::{NoLock, take_lock};
use aliases::Computed;

/// How often a repair may uncover more to mend.
const ROUNDS: usize = 4;

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
    /// How far the reading of blobs had come is unknown, or could not be kept.
    #[error("cannot use the state file {}: {why}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A stop was asked for.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl From<NoLock> for CheckError {
    fn from(error: NoLock) -> Self {
        match error {
            NoLock::Lock(error) => Self::Lock(error),
            NoLock::Interrupted(error) => Self::Interrupted(error),
        }
    }
}

impl CheckError {
    /// The exit code that tells it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Open(OpenError::NoStore { .. }) => 10,
            Self::Open(OpenError::Refused(_)) => 12,
            Self::Open(OpenError::Io { .. } | OpenError::Threads(_))
            | Self::Lock(LockError::Io { .. } | LockError::Full { .. })
            | Self::Clock(_)
            | Self::State { .. } => 1,
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
    confirm: impl FnMut(&[Mend]) -> bool,
) -> Result<CheckReport, CheckError> {
    check_store(&Store::open(&config.data_dir, config.jobs, None)?, config, stop, confirm)
}

/// Checks a store that is open.
///
/// # Errors
/// [`CheckError`].
pub fn check_store(
    store: &Store,
    config: &CheckConfig,
    stop: &Stop,
    mut confirm: impl FnMut(&[Mend]) -> bool,
) -> Result<CheckReport, CheckError> {
    let mut check = Check {
        store,
        config,
        stop,
        now: StorageClock::of_host().now(),
        wrong: BTreeSet::new(),
        intact: BTreeSet::new(),
        computed: Computed::new(),
    };
    let mut look = check.look_twice()?;
    let hashed = match &config.deep {
        None => None,
        Some(deep) => Some(check.hash(deep, &mut look)?),
    };
    let mut repaired = Vec::new();
    if config.repair {
        check.repair(&mut look, &mut repaired, &mut confirm)?;
    }
    let Look { survey, findings } = look;
    Ok(CheckReport::new(check.now, &survey, findings, repaired, hashed))
}

struct Check<'a> {
    store: &'a Store,
    config: &'a CheckConfig,
    stop: &'a Stop,
    now: Timestamp,
    /// Blobs whose bytes were read, and are not their own.
    wrong: BTreeSet<Digest>,
    /// Blobs of a size that no manifest claims whose bytes were read, and are right.
    intact: BTreeSet<Digest>,
    /// Digests that were computed under other algorithms.
    computed: Computed,
}

struct Look {
    survey: Survey,
    findings: Vec<Finding>,
}

impl Check<'_> {
    /// A push that is under way looks like damage: a link is there before what it names, and the registry 2.8
    /// truncates a link before it writes it. So only what is found twice counts.
    fn look_twice(&mut self) -> Result<Look, CheckError> {
        let first = self.look()?;
        let is_sure = |finding: &Finding| finding.severity <= FindingSeverity::Note;
        if first.findings.iter().all(is_sure) {
            return Ok(first);
        }
        self.stop.wait(WRITE_IN_PROGRESS)?;
        let mut second = self.look()?;
        let known = keys(&first.findings);
        second.findings.retain(|it| is_sure(it) || known.contains(&(it.code, it.path.clone())));
        Ok(second)
    }

    fn look(&mut self) -> Result<Look, CheckError> {
        let mut survey = self.store.survey(self.config.only.as_ref(), self.stop)?;
        self.read_odd_sizes(&mut survey)?;
        aliases::prove(self.store, &mut survey, &mut self.computed, self.stop)?;
        for wanted in self.config.only.iter().flatten() {
            if survey.repositories.binary_search_by(|it| it.name.cmp(wanted)).is_err() {
                return Err(CheckError::NoRepository(wanted.clone()));
            }
        }
        let findings = self.judged(&survey);
        Ok(Look { survey, findings })
    }

    /// Reads the blobs of a size that no manifest claims: either the blob is damaged, or the manifests are wrong.
    fn read_odd_sizes(&mut self, survey: &mut Survey) -> Result<(), CheckError> {
        let odd = survey.blobs.keys().copied().filter(|id| survey.is_of_unclaimed_size(*id));
        let odd: Vec<Digest> = odd.map(|id| survey.digests.get(id)).collect();
        let unread: Vec<Digest> = odd.iter().filter(|it| !self.intact.contains(it)).cloned().collect();
        if !unread.is_empty() {
            let hashes = self.store.hash_blobs(&unread, |_| self.stop.check())?;
            let right = unread.into_iter().zip(hashes).filter(|(_, hash)| matches!(hash, Hash::Right));
            self.intact.extend(right.map(|(digest, _)| digest));
        }
        let intact = odd.iter().filter(|digest| self.intact.contains(digest));
        survey.intact = intact.filter_map(|digest| survey.digests.id(digest)).collect();
        Ok(())
    }

    fn judged(&self, survey: &Survey) -> Vec<Finding> {
        let wrong = self.wrong.iter().filter_map(|digest| survey.digests.id(digest)).collect();
        judge(survey, &wrong, self.limits(), path_of)
    }

    fn limits(&self) -> Limits {
        Limits { now: self.now, upload_max_age: self.config.upload_max_age }
    }

    /// Reads every blob.
    fn hash(&mut self, deep: &Deep, look: &mut Look) -> Result<Hashed, CheckError> {
        let (wrong, unreadable, hashed) = deep::hash(self.store, &look.survey, deep, self.stop)?;
        self.wrong.extend(wrong);
        look.survey.oddities.extend(unreadable);
        let known = keys(&look.findings);
        look.findings = self.judged(&look.survey);
        let is_new = |it: &Finding| matches!(it.code, FindingCode::BlobWrongHash | FindingCode::Unreadable);
        look.findings.retain(|it| is_new(it) || known.contains(&(it.code, it.path.clone())));
        Ok(hashed)
    }

    /// Mends, round by round: a tag that is back may need what is to be mended as well.
    fn repair(
        &mut self,
        look: &mut Look,
        repaired: &mut Vec<Repaired>,
        confirm: &mut impl FnMut(&[Mend]) -> bool,
    ) -> Result<(), CheckError> {
        for _ in 0..ROUNDS {
            let agreed = self.repairs(look);
            if agreed.is_empty() {
                break;
            }
            let mends: Vec<Mend> = agreed.iter().map(|(_, mend)| mend.clone()).collect();
            if !confirm(&mends) || self.config.dry_run {
                repaired.extend(agreed.iter().map(|(it, mend)| told(it, mend, RepairOutcome::Listed, None)));
                break;
            }
            let store_lock = take_lock(self.store, self.config.lock_wait, self.stop)?;
            // What an interrupted sweep had taken away or hidden is no damage.
            let left = self.store.settle_leftovers(&store_lock, self.stop)?;
            if let Some(problem) = left.problems.first() {
                let failed = |(it, mend): &(Finding, Mend)| {
                    told(it, mend, RepairOutcome::Failed, Some(problem.to_string()))
                };
                repaired.extend(agreed.iter().map(failed));
                break;
            }
            // Much may have happened while somebody thought about it.
            *look = self.look_twice()?;
            // What is old enough to go, the storage's own clock says; this host's may be wrong.
            self.now = self.store.clock(&store_lock).map_err(CheckError::Clock)?.now();
            let is_it = |a: &Finding, b: &Finding| (a.code, &a.path) == (b.code, &b.path);
            look.findings.retain(|it| agreed.iter().any(|(known, _)| is_it(known, it)));
            let gone = agreed.iter().filter(|(known, _)| !look.findings.iter().any(|it| is_it(known, it)));
            repaired.extend(gone.map(|(it, mend)| told(it, mend, RepairOutcome::Changed, None)));
            let run = self.now.strftime("%Y%m%dT%H%M%S%.3fZ").to_string();
            let mut is_done = false;
            for (finding, mend) in self.repairs(look) {
                self.stop.check()?;
                let (outcome, error) = match self.store.mend(&store_lock, &run, &mend, self.stop) {
                    Mended::Done => (RepairOutcome::Done, None),
                    Mended::Changed => (RepairOutcome::Changed, None),
                    Mended::Failed(error) => (RepairOutcome::Failed, Some(error)),
                };
                // An interruption leaves no report, but this.
                tracing::info!("{mend}: {}", outcome.as_str());
                is_done |= outcome == RepairOutcome::Done;
                repaired.push(told(&finding, &mend, outcome, error));
            }
            drop(store_lock);
            *look = self.look_twice()?;
            if !is_done {
                break;
            }
        }
        Ok(())
    }

    /// What can be mended, in the order of the findings.
    fn repairs(&self, look: &Look) -> Vec<(Finding, Mend)> {
        let mend = |it: &Finding| Some((it.clone(), repair(&look.survey, it, self.limits())?));
        look.findings.iter().filter_map(mend).collect()
    }
}

fn keys(findings: &[Finding]) -> HashSet<(FindingCode, String)> {
    findings.iter().map(|it| (it.code, it.path.clone())).collect()
}

fn told(finding: &Finding, mend: &Mend, outcome: RepairOutcome, error: Option<String>) -> Repaired {
    Repaired { code: finding.code, path: finding.path.clone(), action: mend.to_string(), outcome, error }
}
