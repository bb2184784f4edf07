//! A disk of a few megabytes, mounted for a test: to be filled, or to split a store.

#![expect(clippy::disallowed_methods, reason = "a small disk is mounted for the test")]

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A disk of a few megabytes; unmounted with the value.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    at: PathBuf,
    own: Option<TempDir>,
}

impl SmallDisk {
    #[track_caller]
    pub(crate) fn mount() -> Self {
        Self::mount_with("size=8m,mode=777")
    }

    /// One that takes so many files and directories.
    #[track_caller]
    pub(crate) fn mount_with_inodes(count: usize) -> Self {
        Self::mount_with(&format!("size=64m,mode=777,nr_inodes={count}"))
    }

    #[track_caller]
    fn mount_with(options: &str) -> Self {
        let own = TempDir::with_prefix("janitor-small-disk-").unwrap();
        let mut disk = Self::mount_over(own.path(), options);
        disk.own = Some(own);
        disk
    }

    /// Hides a directory behind a disk that holds the same.
    #[track_caller]
    pub(crate) fn mount_over_a_copy_of(directory: &Path) -> Self {
        let aside = TempDir::with_prefix("janitor-copied-").unwrap();
        copy(directory, aside.path());
        let disk = Self::mount_over(directory, "size=8m,mode=777");
        copy(aside.path(), directory);
        disk
    }

    #[track_caller]
    fn mount_over(at: &Path, options: &str) -> Self {
        let mounted =
            as_root("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).output().unwrap();
        assert!(
            mounted.status.success(),
            "this test mounts a small tmpfs, which takes root and CAP_SYS_ADMIN: {}",
            String::from_utf8_lossy(&mounted.stderr)
        );
        Self { at: at.to_owned(), own: None }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.at
    }

    /// Writes until not one more byte fits.
    pub(crate) fn fill(&self) {
        let mut filler = File::create(self.path().join("filler")).unwrap();
        for chunk in [vec![b'f'; 4096], vec![b'f']] {
            let full = loop {
                if let Err(error) = filler.write_all(&chunk) {
                    break error;
                }
            };
            assert_eq!(full.kind(), io::ErrorKind::StorageFull, "{full}");
        }
    }

    /// Makes empty files until there is no inode left.
    pub(crate) fn fill_inodes(&self) {
        let fillers = self.path().join("fillers");
        fs::create_dir(&fillers).unwrap();
        let full = (0..).find_map(|number| File::create(fillers.join(number.to_string())).err()).unwrap();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull, "{full}");
    }

    /// Takes so many of those away.
    pub(crate) fn make_room_for_inodes(&self, count: usize) {
        let fillers = fs::read_dir(self.path().join("fillers")).unwrap();
        let removed = fillers.take(count).map(|it| fs::remove_file(it.unwrap().path()).unwrap()).count();
        assert_eq!(removed, count);
    }

    /// Takes away what filled it.
    pub(crate) fn make_room(&self) {
        fs::remove_file(self.path().join("filler")).unwrap();
    }
}

/// With everything that it says of itself.
#[track_caller]
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().unwrap();
    assert!(copied.success(), "cp -a {} {}: {copied}", from.display(), to.display());
}

/// Mounting is for root; elsewhere, as on a hosted runner, for whoever may become root without a password.
fn as_root(program: &str) -> Command {
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, in case that something still has a file open on it; the kernel lets go with that.
        as_root("umount").arg("-l").arg(&self.at).status().ok();
    }
}
