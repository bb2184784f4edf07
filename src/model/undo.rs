//! Tags that sweeps removed and that can be brought back.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Id, RepoName, TagName};

/// What the trash holds for undo.
#[derive(Clone, Debug, Default)]
pub struct UndoTrash {
    /// The sweeps that removed something, the oldest first.
    pub sweeps: Vec<Arc<UndoSweep>>,
    /// What they removed, by repository and tag, the oldest removal first.
    pub tags: Vec<Undoable>,
}

/// A sweep whose removed tags are held for undo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndoSweep {
    /// Its name.
    pub id: String,
    /// When it removed them, by the storage's clock.
    pub removed_at: Timestamp,
}

/// A removed tag that can be brought back.
#[derive(Clone, Debug)]
pub struct Undoable {
    /// The sweep that removed it.
    pub sweep: Arc<UndoSweep>,
    /// The repository it belongs to.
    pub repository: RepoName,
    /// Its name.
    pub tag: TagName,
    /// The manifest that it names.
    pub manifest: Id,
    /// When it was last pushed.
    pub pushed_at: Timestamp,
}

impl UndoTrash {
    /// Splits off what some sweeps removed.
    #[must_use]
    pub fn split_off(&mut self, of: impl Fn(&UndoSweep) -> bool) -> Self {
        Self {
            sweeps: self.sweeps.extract_if(.., |sweep| of(sweep)).collect(),
            tags: self.tags.extract_if(.., |tag| of(&tag.sweep)).collect(),
        }
    }
}
