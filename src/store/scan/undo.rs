//! Removed tags that can be brought back: what they name are roots of their repositories.

use super::Scanner;
use crate::model::{Repository, TagName, UndoTrash, Undoable};
use crate::stop::Interrupted;
use crate::store::undo::without_repository;

impl Scanner<'_> {
    /// Reads the undo trash, and has the repositories, sorted by name, hold what it holds of them.
    pub(super) fn undo(&self, repositories: &mut [Repository]) -> Result<UndoTrash, Interrupted> {
        let (undo, problems) = self.store.undo_trash_into(&self.digests, self.stop)?;
        self.report_all(problems);
        for of_one in undo.tags.chunk_by(|a, b| a.repository == b.repository) {
            let name = &of_one[0].repository;
            if let Ok(at) = repositories.binary_search_by(|it| it.name.cmp(name)) {
                repositories[at].undoable.extend(of_one.iter().map(|tag| tag.manifest));
            } else {
                let tags: Vec<&TagName> = of_one.iter().map(|Undoable { tag, .. }| tag).collect();
                self.report(without_repository(name, &tags));
            }
        }
        Ok(undo)
    }
}
