//! The order of an audit: a sweep's own steps up to the acting.

use super::outcome::Outcomes;
use super::reclaim::Reclaim;
use super::{Sweep, SweepError, verify};
use crate::model::{Code, Problem, Revision, Severity};
use crate::plan;
use crate::report::SweepReport;

impl Sweep<'_> {
    pub(super) fn audit(mut self) -> Result<SweepReport, SweepError> {
        if self.store.unsettled() > 0 {
            self.findings.push(Problem {
                severity: Severity::Warning,
                code: Code::PutBack,
                repository: None,
                path: "janitor/trash/pending".into(),
                cause: "an interrupted sweep had taken things away; this audit does not see them".into(),
                remedy: "nothing; the next sweep puts them back and decides anew".into(),
            });
        }
        let (mut inventory, verdicts, losses, expired) = self.look_and_decide(None)?;
        let refusals = self.guard(&mut inventory, &verdicts, losses, &expired)?;
        let expected = plan::tags(&inventory, &verdicts);
        self.is_refused = !refusals.is_empty();
        self.findings.extend(refusals);
        let mut outcomes = Outcomes::new(&inventory, verdicts);
        outcomes.would_remove(&expected);
        let named = self.named(&inventory, &expected);
        let inventory = self.held_for_undo(inventory, &expected);
        let inventory = plan::without(inventory, &expected);
        if self.holds_for_undo() && !expected.is_empty() {
            self.undo_due.push(self.undo_window().due(self.clock.now()));
        }
        drop(expected);
        let plan = self.plan_revisions(&inventory, &named)?;
        let empty = self.empty_repositories(&inventory, &plan)?;
        self.lap("decide");
        let going: Vec<Revision> = plan.remove.iter().map(|(revision, _)| *revision).collect();
        let gone = going.iter().chain(&plan.empty).copied();
        let mut inventory = plan::without_revisions(inventory, gone);
        let reclaim = Reclaim::plan(&mut self, &mut inventory, &going, !plan.doubts.is_empty())?;
        self.report_garbage_ahead();
        self.lap("blobs");
        let collected = self.would_collect(&inventory, &reclaim);
        if empty.len() < inventory.repositories.len() || collected.blobs_removed == inventory.blobs.len() {
            for (repository, _) in &empty {
                outcomes.repository_removed(repository);
            }
        }
        let mut inventory = plan::without_revisions(inventory, self.hollow.young.iter().copied());
        let kept = verify::kept(&inventory);
        let broken = self.verify_once(&mut inventory, &kept)?;
        self.lap("verify");
        outcomes.manifests(going, plan.held.len());
        let (digests, problems) = inventory.finish();
        self.findings.extend(problems);
        Ok(outcomes.into_report(self, &digests, &reclaim, collected, broken))
    }
}
