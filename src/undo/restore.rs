//! Bringing removed tags back, each only when its image is whole.

use std::collections::{BTreeSet, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::UndoError;
use super::choose::{add_companions, choose, repositories_of_companions};
use super::list::pending;
use super::whole;
use crate::check;
use crate::config::{Config, Wanted};
use crate::model::{Digest, Id, Inventory, Place, Problem, RepoName, Severity, TagName, Undoable};
use crate::report::restore::{RestoreOutcome, RestoreReport, RestoredTag};
use crate::stop::Stop;
use crate::store::{RESTORE, RemovedReason, RemovedTag, StorageClock, Store, StoreLock};
use crate::sweep::{SweepError, name_of_run, take_lock};

/// Two tags pushed less far apart might count as pushed at the same time.
const STEP: SignedDuration = SignedDuration::from_secs(2);

/// Brings removed tags back to their places, as if they had just been pushed, and with them the
/// companion tags and tagged referrers that were removed with them. In a dry run, only says what would come of it.
///
/// # Errors
/// [`UndoError`]; nothing was changed then.
pub fn restore(config: &Config, wanted: &Wanted, stop: &Stop) -> Result<RestoreReport, UndoError> {
    restore_in(&Store::open(&config.data_dir, config.jobs, None)?, config, wanted, stop)
}

/// The same in a store that is open already.
///
/// # Errors
/// As [`restore`].
pub fn restore_in(
    store: &Store,
    config: &Config,
    wanted: &Wanted,
    stop: &Stop,
) -> Result<RestoreReport, UndoError> {
    let lock = if config.dry_run {
        None
    } else {
        Some(take_lock(store, config.lock_wait, stop).map_err(SweepError::from)?)
    };
    let mut inventory = Inventory::default();
    let mut findings = store.look_at_undo(&mut inventory, stop)?;
    let mut chosen = choose(store, &inventory, wanted)?;
    let mut names: Vec<RepoName> =
        chosen.iter().map(|tag| tag.repository.clone()).collect::<BTreeSet<_>>().into_iter().collect();
    let mut found = whole::look(store, &names, &mut inventory, stop)?;
    let others = repositories_of_companions(&chosen, &inventory);
    if !others.is_empty() {
        names.extend(others);
        names.sort_unstable();
        found = whole::look(store, &names, &mut inventory, stop)?;
    }
    findings.extend(found);
    add_companions(&mut chosen, &inventory);
    // The order of their pushes stays what it was.
    chosen.sort_by(|a, b| (a.pushed_at, &a.repository, &a.tag).cmp(&(b.pushed_at, &b.repository, &b.tag)));

    let mut told = Vec::with_capacity(chosen.len());
    let clock = match &lock {
        Some(lock) => store.clock(lock).map_err(SweepError::Clock)?,
        None => StorageClock::of_host(),
    };
    let mut restoring = Restoring {
        store,
        inventory: &inventory,
        stop,
        run: name_of_run(clock.now()),
        set_aside: 0,
        in_doubt: findings.iter().any(|it| it.severity >= Severity::Doubt),
        lacked: HashMap::new(),
        findings: Vec::new(),
    };
    for (at, tag) in chosen.iter().enumerate() {
        stop.check()?;
        // Seconds apart, so that their order is one to go by: the last of them counts as pushed now.
        let later = chosen[at + 1..].iter().filter(|it| it.repository == tag.repository).count();
        let apart = STEP.saturating_mul(i32::try_from(later).unwrap_or(i32::MAX));
        let now = clock.now();
        let pushed_at = now.saturating_sub(apart).unwrap_or(now);
        let (outcome, detail) = restoring.one(lock.as_ref(), now, pushed_at, tag, wanted.overwrite)?;
        told.push(RestoredTag {
            repository: tag.repository.clone(),
            tag: tag.tag.clone(),
            digest: inventory.digest(tag.manifest),
            sweep: tag.sweep.id.clone(),
            removed_at: tag.sweep.removed_at,
            outcome,
            detail,
        });
    }
    findings.append(&mut restoring.findings);
    if let Some(lock) = &lock {
        verify(store, &names, &restoring.lacked, &mut told, stop)?;
        findings.extend(tidy(store, lock, stop)?);
    }
    Ok(RestoreReport::new(config.dry_run, told, findings))
}

struct Restoring<'a> {
    store: &'a Store,
    inventory: &'a Inventory,
    stop: &'a Stop,
    /// Names what is set aside.
    run: String,
    set_aside: usize,
    /// Whether anything that was looked at could not be read.
    in_doubt: bool,
    /// Children that tags lacked when they were removed, of those that are not whole.
    lacked: Lacked,
    findings: Vec<Problem>,
}

type Lacked = HashMap<(RepoName, TagName), Vec<Digest>>;

type Told = (RestoreOutcome, String);

impl Restoring<'_> {
    fn one(
        &mut self,
        lock: Option<&StoreLock>,
        now: Timestamp,
        pushed_at: Timestamp,
        tag: &Undoable,
        overwrite: bool,
    ) -> Result<Told, UndoError> {
        let lacking = |lacked: &[Digest]| {
            whole::lacking(self.store, self.inventory, &tag.repository, tag.manifest, lacked, self.stop)
        };
        let mut lacks = lacking(&[])?;
        let mut is = "the image is whole".to_owned();
        if !lacks.is_empty() {
            let lacked = lacked_before(self.store, tag);
            lacks = lacking(&lacked)?;
            let absent = lacked.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            is = format!("the index is as it was: {absent} was not in the repository then, either");
            self.lacked.insert((tag.repository.clone(), tag.tag.clone()), lacked);
        }
        if !lacks.is_empty() {
            let why = format!("the image is not whole: {}; push it again", lacks.join(", "));
            return Ok((RestoreOutcome::NotWhole, why));
        }
        let at = self.inventory.position(&tag.repository);
        let exists =
            at.and_then(|at| self.inventory.repositories[at].tags.iter().find(|it| it.name == tag.tag));
        if let (Some(there), false) = (exists, overwrite) {
            return Ok((RestoreOutcome::Exists, self.exists(there.digest())));
        }
        let Some(lock) = lock else {
            return Ok((RestoreOutcome::WouldRestore, is));
        };
        let mut detail = format!("{is}, and counts as just pushed");
        let mut aside = None;
        if exists.is_some() {
            match self.set_aside(lock, now, tag, exists.and_then(crate::model::Tag::digest)) {
                Ok(id) => aside = Some(id),
                Err(error) => {
                    let why = format!("the tag in its place could not be moved into the trash: {error}");
                    return Ok((RestoreOutcome::Failed, why));
                }
            }
        }
        let place = Place::Tag(tag.repository.clone(), tag.tag.clone());
        Ok(match self.store.bring_back(lock, tag, pushed_at) {
            Ok(true) => {
                if let Some(id) = aside {
                    detail.push_str("; the tag that was in its place is in the trash");
                    if let Err(error) = self.store.hold_overwritten(lock, &id) {
                        self.findings
                            .push(Problem::of_failed_step(format!("janitor/trash/pending/{id}"), &error));
                    }
                }
                (RestoreOutcome::Restored, detail)
            }
            Ok(false) => {
                if let Some(id) = aside {
                    // Somebody pushed in that moment; what was there before is held for undo.
                    self.store.hold_overwritten(lock, &id).ok();
                }
                (RestoreOutcome::Exists, self.exists(None))
            }
            Err(error) => {
                let back = aside.map(|id| self.store.put_set_aside_back(lock, &id, &place));
                let other = match back {
                    None => String::new(),
                    Some(Ok(())) => "; the tag in its place is there again".to_owned(),
                    Some(Err(error)) => {
                        format!("; the tag in its place is put back by the next sweep ({error})")
                    }
                };
                (RestoreOutcome::Failed, format!("it is still in the trash: {error}{other}"))
            }
        })
    }

    fn exists(&self, there: Option<Id>) -> String {
        let named = there.map_or_else(String::new, |id| format!(" ({})", self.inventory.digest(id).short()));
        format!(
            "the tag exists again{named}; --overwrite puts the removed one in its place, and that one into the trash"
        )
    }

    /// Moves what is in a tag's place, and names this manifest, into the trash.
    fn set_aside(
        &mut self,
        lock: &StoreLock,
        now: Timestamp,
        tag: &Undoable,
        there: Option<Id>,
    ) -> std::io::Result<String> {
        let at = self.inventory.position(&tag.repository).filter(|_| !self.in_doubt);
        let absent = at.zip(there).map(|(at, manifest)| {
            check::absent_children(self.inventory, &self.inventory.repositories[at], manifest)
        });
        let removed = RemovedTag {
            repository: tag.repository.to_string(),
            tag: tag.tag.to_string(),
            reasons: vec![RemovedReason {
                code: "overwritten".into(),
                text: format!("a tag that {} had removed was restored over it", tag.sweep.id),
            }],
            lacked: absent.into_iter().flatten().map(|id| self.inventory.digest(id).to_string()).collect(),
        };
        let place = Place::Tag(tag.repository.clone(), tag.tag.clone());
        // A sweep of its own for each, since one file tells of all that lies beside it.
        self.set_aside += 1;
        let id = format!("{}{RESTORE}{}", self.run, self.set_aside);
        self.findings.extend(self.store.set_tag_aside(lock, &id, &place, now, removed)?);
        Ok(id)
    }
}

/// What a tag's index lists and its repository did not have when it was removed.
fn lacked_before(store: &Store, tag: &Undoable) -> Vec<Digest> {
    let told = store.told_of_removed(&tag.sweep);
    let told = told.get(&(tag.repository.to_string(), tag.tag.to_string()));
    told.into_iter().flat_map(|it| &it.lacked).filter_map(|digest| digest.parse().ok()).collect()
}

/// Looks once more, now that the tags are in their places.
fn verify(
    store: &Store,
    names: &[RepoName],
    lacked: &Lacked,
    told: &mut [RestoredTag],
    stop: &Stop,
) -> Result<(), UndoError> {
    if !told.iter().any(|it| it.outcome == RestoreOutcome::Restored) {
        return Ok(());
    }
    let mut inventory = Inventory::default();
    whole::look(store, names, &mut inventory, stop)?;
    for it in told.iter_mut().filter(|it| it.outcome == RestoreOutcome::Restored) {
        let at = inventory.position(&it.repository);
        let tag = at.and_then(|at| inventory.repositories[at].tags.iter().find(|tag| tag.name == it.tag));
        let linked = tag.and_then(crate::model::Tag::digest);
        let lacks = match linked {
            Some(id) if inventory.digest(id) == it.digest => {
                let lacked = lacked.get(&(it.repository.clone(), it.tag.clone()));
                let lacked = lacked.map(Vec::as_slice).unwrap_or_default();
                whole::lacking(store, &inventory, &it.repository, id, lacked, stop)?
            }
            Some(id) => vec![format!("it names {} now; it was pushed in that moment", inventory.digest(id))],
            None => vec!["its link cannot be read".into()],
        };
        if !lacks.is_empty() {
            it.outcome = RestoreOutcome::Failed;
            it.detail = format!("it is in its place, and not as it should be: {}", lacks.join(", "));
        }
    }
    Ok(())
}

/// Takes away what is left of sweeps that have nothing in the trash any more.
fn tidy(store: &Store, lock: &StoreLock, stop: &Stop) -> Result<Vec<Problem>, UndoError> {
    let mut left = Inventory::default();
    let problems = store.look_at_undo(&mut left, stop)?;
    let mut findings: Vec<Problem> = pending(store).into_iter().collect();
    if problems.is_empty() {
        let in_use: HashSet<&str> = left.undo.tags.iter().map(|tag| tag.sweep.id.as_str()).collect();
        for sweep in left.undo.sweeps.iter().filter(|sweep| !in_use.contains(sweep.id.as_str())) {
            if let Err(error) = store.condemn_undo(lock, sweep) {
                findings.push(Problem::of_failed_step(format!("janitor/trash/undo/{}", sweep.id), &error));
            }
        }
        findings.extend(store.delete_condemned_now(lock, stop)?);
    }
    Ok(findings)
}
