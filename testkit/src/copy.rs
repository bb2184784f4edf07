//! Copies of a store, so that one that took long to fill serves many tests.

use std::path::Path;
use std::process::Command;

use crate::StoreView;

impl StoreView {
    /// Copies the store into a directory that is not there yet; every mtime stays.
    #[must_use]
    pub fn copy_to(&self, root: &Path) -> Self {
        copy(self.root(), root);
        Self::new(root)
    }

    /// Puts back what another store has at these paths below the store's directory: nothing where it has nothing, and
    /// nothing where the directory that held it is gone.
    pub fn restore_from(&self, other: &Self, paths: &[impl AsRef<Path>]) {
        for path in paths {
            let (here, there) = (self.root().join(path), other.root().join(path));
            let removed = Command::new("rm").args(["-rf", "--"]).arg(&here).status();
            assert!(removed.is_ok_and(|status| status.success()), "cannot remove {}", here.display());
            let has_room = here.parent().is_some_and(Path::is_dir);
            if has_room && there.symlink_metadata().is_ok() {
                copy(&there, &here);
            }
        }
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").args(["--archive", "--reflink=auto", "--"]).arg(from).arg(to).status();
    assert!(copied.is_ok_and(|status| status.success()), "cannot copy {}", from.display());
}
