//! The janitor's own collector at work: hide, wait, look again, bring back what is needed, delete the rest.

use super::Sweep;
use super::aliases::alias_doubts;
use super::collect::Told;
use super::reclaim::Reclaim;
use crate::gc::native;
use crate::model::{Code, Hidden, Id, Inventory, Problem, Severity};
use crate::report::CollectionStatus;
use crate::stop::Interrupted;
use crate::store::{Done, StoreLock};

/// How often manifests that were pushed again meanwhile are brought back before the second look is given up: an
/// index of indexes takes a look for each level.
const LOOKS: usize = 4;

/// What a single list takes of a disk that is full, whatever the names of repositories, fits into the janitor's reserve.
const FILES_ON_FULL_DISK: usize = 2048;

/// How many files are hidden without a list, where there is no room for one.
const FILES_WITHOUT_LIST: usize = 256;

/// What the janitor's own collector did.
pub(super) struct Run {
    /// The blobs that are gone, sorted by number.
    pub(super) gone: Vec<Id>,
    /// How many layer links went with them, or led nowhere.
    pub(super) links_removed: usize,
    /// How many blobs were needed again, and came back.
    pub(super) blobs_rescued: usize,
    pub(super) told: Told,
}

impl Sweep<'_> {
    /// Collects what is due. The inventory is that of the second look afterwards.
    pub(super) fn collect_natively(
        &mut self,
        lock: &StoreLock,
        inventory: &mut Inventory,
        reclaim: &mut Reclaim,
    ) -> Result<Run, Interrupted> {
        let batch = format!("{}-blobs", self.id);
        let due = reclaim.plan.due.iter().map(|due| due.blob).collect();
        let mut hidden = native::to_hide(inventory, due, std::mem::take(&mut reclaim.links));
        self.hide(lock, &batch, inventory, &mut hidden)?;
        self.lap("hide");
        let mut run = Run {
            gone: Vec::new(),
            links_removed: 0,
            blobs_rescued: 0,
            told: (CollectionStatus::PutOff, String::new()),
        };
        if !hidden.is_empty() {
            self.wait_to_settle()?;
        }
        let problems = std::mem::take(&mut inventory.problems);
        let all_back = self.config.skip_second_look
            || self.look_and_bring_back(lock, inventory, &mut hidden, &mut run)?;
        let in_doubt = inventory.in_doubt();
        inventory.problems.extend(problems);
        self.lap("second look");
        self.tell_of_rescue(run.blobs_rescued, in_doubt);
        if !all_back {
            self.trash_in_doubt = true;
            let why =
                "not finished: what is needed again could not be brought back; the next sweep tries again";
            run.told = (CollectionStatus::Failed, why.into());
        } else if hidden.is_empty() {
            self.hides_unlisted = false;
            if let Err(error) = self.store.give_up_batch(lock, &batch) {
                self.failed("janitor/trash".into(), &error);
            }
            let why = if in_doubt {
                "put off: at the second look something in the store was in doubt, so everything was brought back; see the findings"
            } else {
                "put off: all of it was needed again, or could not be hidden; the next sweep tries again"
            };
            run.told = (CollectionStatus::PutOff, why.into());
        } else {
            self.delete_hidden(lock, &batch, inventory, &hidden, &mut run)?;
        }
        self.lap("delete");
        Ok(run)
    }

    /// Hides what is to be hidden: what is left in `hidden` is.
    fn hide(
        &mut self,
        lock: &StoreLock,
        batch: &str,
        inventory: &Inventory,
        hidden: &mut Hidden,
    ) -> Result<(), Interrupted> {
        self.begin("hiding blobs and layer links", hidden.len());
        let mut hid = self.store.hide(lock, batch, &inventory.digests, hidden, self.stop)?;
        if hid.is_full && self.hide_nothing(lock, batch, inventory, hidden, &hid.hidden.done)? {
            native::keep_largest(hidden, &inventory.sizes, FILES_ON_FULL_DISK);
            self.findings.push(Problem {
                severity: Severity::Warning,
                code: Code::ActionFailed,
                repository: None,
                path: "janitor/trash".into(),
                cause: "the disk has no room for the lists of all that is to go, so only the largest blobs go in this sweep"
                    .into(),
                remedy: "nothing; the next sweep finds more room".into(),
            });
            hid = self.store.hide(lock, batch, &inventory.digests, hidden, self.stop)?;
            if hid.is_full && self.hide_nothing(lock, batch, inventory, hidden, &hid.hidden.done)? {
                hid.hidden = self.hide_unlisted(lock, inventory, hidden)?;
            }
        }
        let Done { mut done, problems } = hid.hidden;
        self.findings.extend(problems);
        // A directory without a link has nothing to hide, and goes with the others.
        for (done, link) in done.iter_mut().zip(&hidden.links) {
            *done |= link.written.is_none();
        }
        hidden.retain(&done);
        Ok(())
    }

    /// Hides a few files without a list, where there is no room for the shortest one: some room has to come first.
    fn hide_unlisted(
        &mut self,
        lock: &StoreLock,
        inventory: &Inventory,
        hidden: &mut Hidden,
    ) -> Result<Done, Interrupted> {
        native::keep_largest(hidden, &inventory.sizes, FILES_WITHOUT_LIST);
        if let Err(error) = self.store.forget(lock) {
            let problems = vec![Problem::of_failed_step("janitor/last-sweep.json".into(), &error)];
            return Ok(Done { done: vec![false; hidden.len()], problems });
        }
        self.memory = None;
        self.hides_unlisted = true;
        self.store.hide_unlisted(lock, &inventory.digests, hidden, self.stop)
    }

    /// Brings back what is hidden already. Says whether all of it is back.
    fn hide_nothing(
        &mut self,
        lock: &StoreLock,
        batch: &str,
        inventory: &Inventory,
        hidden: &Hidden,
        done: &[bool],
    ) -> Result<bool, Interrupted> {
        let mut back = hidden.clone();
        back.retain(done);
        let shown = self.store.show(lock, back.files(&inventory.digests), self.stop)?;
        let is_back = shown.problems.is_empty();
        self.findings.extend(shown.problems);
        Ok(is_back && self.store.give_up_batch(lock, batch).is_ok())
    }

    /// Takes the second look, and brings back what is needed again: what is left in `hidden` is not. `false` when
    /// something could not be brought back.
    fn look_and_bring_back(
        &mut self,
        lock: &StoreLock,
        inventory: &mut Inventory,
        hidden: &mut Hidden,
        run: &mut Run,
    ) -> Result<bool, Interrupted> {
        for look in 1..=LOOKS {
            *inventory = self.judge_unread(self.store.scan_again(std::mem::take(inventory), self.stop)?)?;
            if hidden.is_empty() {
                return Ok(true);
            }
            let doubts = alias_doubts(self.store, inventory, self.stop)?;
            inventory.problems.extend(doubts);
            let manifests = native::manifests_among(hidden, inventory);
            let are_all_seen = !manifests.contains(&true);
            let is_last = look == LOOKS || are_all_seen;
            let needed = match (is_last, are_all_seen) {
                (false, _) => manifests,
                (true, true) => self.needed_back(inventory, hidden)?,
                // What the rest of them needs is unknown.
                (true, false) => vec![true; hidden.len()],
            };
            let back = hidden.split_off(&needed);
            let shown = self.store.show(lock, back.files(&inventory.digests), self.stop)?;
            if !shown.problems.is_empty() {
                run.blobs_rescued += shown.done[back.links.len()..].iter().filter(|done| **done).count();
                self.findings.extend(shown.problems);
                return Ok(false);
            }
            run.blobs_rescued += back.blobs.len();
            if is_last {
                break;
            }
        }
        Ok(true)
    }

    fn needed_back(&mut self, look: &Inventory, hidden: &Hidden) -> Result<Vec<bool>, Interrupted> {
        let links = native::links_to_hidden(hidden, look);
        let mut linked: Vec<Id> = Vec::new();
        let problems = self.store.link_times(links, self.stop, |blob, at| linked.extend(at.map(|_| blob)))?;
        self.findings.extend(problems);
        linked.sort_unstable();
        let written = self.store.written_while_hidden(&look.digests, hidden, self.stop)?;
        self.findings.extend(written.problems);
        Ok(native::needed_back(hidden, &written.done, &linked, look))
    }

    fn delete_hidden(
        &mut self,
        lock: &StoreLock,
        batch: &str,
        inventory: &mut Inventory,
        hidden: &Hidden,
        run: &mut Run,
    ) -> Result<(), Interrupted> {
        self.begin("deleting blobs and layer links", hidden.len());
        let deleted = if self.hides_unlisted {
            let deleted = self.store.delete_hidden(lock, hidden.files(&inventory.digests), self.stop)?;
            self.hides_unlisted = !deleted.problems.is_empty();
            Ok(deleted)
        } else {
            self.store.delete_batch(lock, batch, &inventory.digests, hidden, self.stop)?
        };
        let deleted = match deleted {
            Ok(deleted) => deleted,
            Err(error) => {
                self.trash_in_doubt = true;
                let why = format!(
                    "not finished: what was hidden could not be condemned ({error}); the next sweep brings it back and tries again"
                );
                run.told = (CollectionStatus::Failed, why);
                return Ok(());
            }
        };
        let (links, blobs) = deleted.done.split_at(hidden.links.len());
        run.links_removed = links.iter().filter(|done| **done).count();
        let gone = hidden.blobs.iter().zip(blobs).filter(|(_, done)| **done).map(|(blob, _)| *blob);
        run.gone = gone.collect();
        run.gone.sort_unstable();
        inventory.blobs.retain(|blob| run.gone.binary_search(blob).is_err());
        for (link, done) in hidden.links.iter().zip(links) {
            let name = &hidden.repositories[link.repository as usize];
            if let (true, Some(at)) = (*done, inventory.position(name)) {
                let layers = &mut inventory.repositories[at].layers;
                if let Ok(at) = layers.binary_search(&link.layer) {
                    layers.remove(at);
                }
            }
        }
        let failed = !deleted.problems.is_empty();
        self.findings.extend(deleted.problems);
        let (blobs, links) = (run.gone.len(), run.links_removed);
        run.told = if failed {
            let why =
                format!("deleted {blobs} blobs and {links} layer links; the next sweep deletes the rest");
            (CollectionStatus::Failed, why)
        } else {
            (CollectionStatus::Done, format!("deleted {blobs} blobs and {links} layer links to them"))
        };
        Ok(())
    }

    fn tell_of_rescue(&mut self, blobs: usize, in_doubt: bool) {
        if blobs > 0 {
            let (cause, remedy) = if in_doubt {
                (
                    "were brought back, since what needs them was in doubt at the second look",
                    "see the other findings",
                )
            } else {
                (
                    "were needed again between the two looks, and were brought back",
                    "nothing; a push came in between",
                )
            };
            self.findings.push(Problem {
                severity: Severity::Note,
                code: Code::ChangedMeanwhile,
                repository: None,
                path: "blobs".into(),
                cause: format!("{blobs} of them {cause}"),
                remedy: format!("{remedy}; the next sweep decides anew"),
            });
        }
    }
}
