//! What manifests reference, written down for the next sweep.

use std::io;

use super::Sweep;
use crate::model::{Code, Inventory, Problem, Severity};
use crate::store::{StoreLock, is_full};

impl Sweep<'_> {
    /// Writes it down last, when there is as much room as there will be. Without it, the next sweep reads every
    /// manifest again.
    pub(super) fn remember_references(&mut self, lock: &StoreLock, inventory: &Inventory) {
        // What is still in the trash may be put back, with manifests that are not written down.
        let began = (!self.trash_in_doubt).then_some(self.started_at);
        if let Err(error) = self.store.remember_references(lock, inventory, began) {
            // A sweep makes room, and whoever reads the file closes it; then there is one again.
            let is_passing = is_full(&error) || error.kind() == io::ErrorKind::ResourceBusy;
            self.findings.push(Problem {
                severity: if is_passing { Severity::Warning } else { Severity::Error },
                code: Code::NoReferences,
                repository: None,
                path: "janitor/references".into(),
                cause: format!("what manifests reference could not be written down: {error}"),
                remedy: "nothing; the next sweep reads them again".into(),
            });
        }
        if let Err(error) = self.store.remember_proofs(lock, inventory) {
            self.findings.push(Problem {
                severity: Severity::Warning,
                code: Code::NoReferences,
                repository: None,
                path: "janitor/aliases".into(),
                cause: format!("cannot remember digests that were computed: {error}"),
                remedy: "nothing; the next sweep computes them again".into(),
            });
        }
    }
}
