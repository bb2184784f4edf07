//! The order of a sweep that acts.

use super::engine::Engine;
use super::outcome::Outcomes;
use super::reclaim::Reclaim;
use super::{Sweep, SweepError, verify};
use crate::apply;
use crate::model::{Code, Counts, Expected, HiddenFile, Inventory, Problem, RepoName, Revision, Severity};
use crate::plan;
use crate::report::SweepReport;
use crate::stop::Interrupted;
use crate::store::{FREE_BY_HAND, StoreLock};

/// What the first half of a sweep leaves to the second.
struct Halfway {
    outcomes: Outcomes,
    /// What will be left of the store, whatever happens.
    least: Counts,
    /// Repositories that hold nothing any more, with their layer links.
    empty: Vec<(RepoName, Vec<Expected>)>,
    /// The manifests that went.
    going: Vec<Revision>,
    has_doubts: bool,
}

impl Sweep<'_> {
    pub(super) fn act(mut self, lock: &StoreLock) -> Result<SweepReport, SweepError> {
        self.tidy_up(lock)?;
        let (mut inventory, verdicts, losses, expired) = self.look_and_decide(Some(lock))?;
        let refusals = self.guard(&mut inventory, &verdicts, losses, &expired)?;
        let expected = plan::tags(&inventory, &verdicts);
        if !refusals.is_empty() {
            return Err(self.refuse(&refusals));
        }
        // Before anything is written down that tells of this sweep.
        self.show_unlisted(lock, &inventory)?;
        self.throw_away(lock, &mut inventory, expired)?;
        let companions = plan::companions(&inventory, &verdicts);
        // What is there less what this sweep removes, written down beforehand: should it be cut short, the
        // next one does not miss that. What goes away meanwhile without its doing is missed.
        let mut least = Counts::of(&inventory);
        least.tags = least.tags.saturating_sub(expected.len());
        self.remember(lock, least, self.told_blobs);
        let mut outcomes = Outcomes::new(&inventory, verdicts);
        let lacked = self.lacked(&inventory, &expected);

        let batch = if self.holds_for_undo() {
            self.store.batch_with_undo(lock, &self.id)
        } else {
            self.store.batch(lock, &self.id)
        };
        self.own_touches.add(expected.iter().map(|expected| &expected.place));
        self.begin("taking tags away", expected.len());
        let mut tags = apply::take(&batch, expected, self.stop)?;
        outcomes.removed(&tags);
        self.findings.append(&mut tags.problems);
        let named = self.named(&inventory, &tags.taken);
        let inventory = self.held_for_undo(inventory, &tags.taken);
        let inventory = plan::without(inventory, &tags.taken);
        self.lap("tags");

        let mut plan = self.plan_revisions(&inventory, &named)?;
        drop(named);
        let mut empty = self.empty_repositories(&inventory, &plan)?;
        // A registry that remembers blobs believes in these layer links, too.
        if !empty.is_empty() && self.probe(lock, &inventory)?.is_some() {
            empty.clear();
        }
        let hollow = std::mem::take(&mut self.hollow.old);
        self.remove_empty_revisions(lock, &inventory, &hollow)?;
        self.remove_empty_revisions(lock, &inventory, &plan.empty)?;
        let inventory = plan::without_revisions(inventory, plan.empty.iter().copied());
        let expected = plan::expected(&inventory, &std::mem::take(&mut plan.remove));
        self.own_touches.add(expected.iter().map(|expected| &expected.place));
        self.begin("taking manifests away", expected.len());
        let mut revisions = apply::take(&batch, expected, self.stop)?;
        self.findings.append(&mut revisions.problems);
        let inventory = plan::without(inventory, &revisions.taken);
        empty.retain(|(name, _)| is_empty(&inventory, name));
        let links: Vec<Expected> = empty.iter().flat_map(|(_, links)| links).cloned().collect();
        self.own_touches.add(links.iter().map(|expected| &expected.place));
        let mut links = apply::take(&batch, links, self.stop)?;
        self.findings.append(&mut links.problems);
        let mut inventory = plan::without(inventory, &links.taken);
        self.lap("manifests");

        let is_stuck = tags.is_stuck || revisions.is_stuck || links.is_stuck;
        // To the most of them: a second copy of a million would be felt.
        let mut taken = revisions.taken;
        taken.extend(tags.taken);
        taken.extend(links.taken);
        let has_waited = !taken.is_empty() || is_stuck;
        let removed = self.holds_for_undo().then(|| outcomes.removed_tags(&lacked));
        let settled =
            self.settle(batch, &taken, &companions, is_stuck, &mut inventory, removed.as_deref())?;
        drop(removed);
        self.own_touches.end(self.clock.now());
        if self.holds_for_undo() {
            let back: Vec<_> =
                taken.iter().filter(|it| settled.rescued.contains(&it.place)).cloned().collect();
            inventory = plan::not_held_for_undo(inventory, &back);
        }
        taken.retain(|expected| !settled.rescued.contains(&expected.place));
        outcomes.rescued(&settled.rescued);
        if !settled.are_tags_gone {
            outcomes.left_pending(&taken);
        }
        if !settled.is_emptied {
            taken.clear();
        }
        // Positions of repositories in what the outcomes tell of, whatever a later look finds.
        let going: Vec<Revision> = taken.iter().filter_map(|it| inventory.revision(&it.place)).collect();
        drop(taken);
        self.lap("settle");
        if has_waited && matches!(self.engine, Engine::Native) {
            // Blobs that were pushed again meanwhile are not even hidden.
            inventory = self.look_anew(inventory)?;
            self.lap("look anew");
        }
        outcomes.manifests(going.clone(), plan.held.len());
        let half = Halfway { outcomes, least, empty, going, has_doubts: !plan.doubts.is_empty() };
        self.act_on_blobs(lock, inventory, half, settled.is_emptied)
    }

    /// The second half: blobs, empty repositories, and whether all that was kept is there.
    fn act_on_blobs(
        mut self,
        lock: &StoreLock,
        mut inventory: Inventory,
        half: Halfway,
        is_trash_emptied: bool,
    ) -> Result<SweepReport, SweepError> {
        let Halfway { mut outcomes, mut least, mut empty, going, has_doubts } = half;
        let has_doubts = self.notice_what_went_away(&inventory)? || has_doubts;
        let mut reclaim = Reclaim::plan(&mut self, &mut inventory, &going, has_doubts)?;
        drop(going);
        self.report_garbage_ahead();
        self.remove_hollow_blobs(lock, &inventory, &reclaim)?;
        self.lap("blobs");
        least.repositories = least.repositories.saturating_sub(empty.len());
        least.blobs = least.blobs.saturating_sub(reclaim.plan.due.len() + reclaim.hollow.len());
        let is_plausible = self.strays(&inventory, &reclaim).is_none();
        let released = if is_plausible { reclaim.not_kept.0 } else { self.told_blobs };
        self.remember(lock, least, released);
        let collected = self.collect(lock, &mut inventory, &mut reclaim)?;
        self.note_doubt(lock, reclaim.in_doubt);
        self.lap("collect");
        empty.retain(|(name, _)| is_trash_emptied && is_empty(&inventory, name));
        self.remove_repositories(lock, &inventory, &empty, &mut outcomes)?;
        if collected.ran {
            // What was pushed while the registry's collector ran is verified as well.
            inventory = self.look_anew(inventory)?;
        }
        let kept = verify::kept(&inventory);
        let broken = self.verify(lock, &mut inventory, kept)?;
        let mut left = Counts::of(&inventory);
        if !collected.ran {
            left.repositories = left.repositories.saturating_sub(outcomes.repositories_removed());
        }
        let held = if is_plausible { collected.blobs_held } else { self.told_blobs };
        self.remember(lock, left.or_more(least), held);
        // A tag whose manifest is known looks as if it had always been there: when it was first seen comes first.
        if self.remember_first_seen(lock, &inventory, !reclaim.in_doubt) {
            self.remember_references(lock, &inventory);
        }
        self.lap("verify");
        let (digests, problems) = inventory.finish();
        self.findings.extend(problems);
        self.tell_of_lacking_room(collected.bytes_freed > 0);
        Ok(outcomes.into_report(self, &digests, &reclaim, collected, broken))
    }

    /// Says what to do where the disk was too full for all that was to go.
    fn tell_of_lacking_room(&mut self, has_freed: bool) {
        if !self.store.has_lacked_room() {
            return;
        }
        let remedy =
            if has_freed { "nothing; this sweep made room, and the next one goes on" } else { FREE_BY_HAND };
        self.findings.push(Problem {
            severity: Severity::Warning,
            code: Code::ActionFailed,
            repository: None,
            path: "janitor".into(),
            cause: "the disk is full (no free space, or no free inode), and what the janitor keeps in reserve was not enough for all that was to go"
                .into(),
            remedy: remedy.into(),
        });
    }

    /// Removes the empty directories that interrupted collectors left of blobs.
    fn remove_hollow_blobs(
        &mut self,
        lock: &StoreLock,
        inventory: &Inventory,
        reclaim: &Reclaim,
    ) -> Result<(), Interrupted> {
        for blob in &reclaim.hollow {
            self.stop.check()?;
            let digest = inventory.digest(*blob);
            match self.store.remove_hollow_blob(lock, &digest) {
                Ok(true) => {}
                // It is not empty: a sweep that was cut short, and whose list is lost, may have hidden its data.
                Ok(false) => self.show(lock, vec![HiddenFile::Blob(digest)]).map(drop)?,
                Err(error) => self.failed(format!("blob {digest}"), &error),
            }
        }
        Ok(())
    }
}

/// Whether a repository has neither a tag, removed or not, nor a revision.
fn is_empty(inventory: &Inventory, name: &RepoName) -> bool {
    inventory.position(name).is_some_and(|at| {
        let repository = &inventory.repositories[at];
        repository.roots().next().is_none() && repository.revisions.is_empty()
    })
}
