//! Directories for stores that a test damages, sweeps and forgets.

use std::env;
use std::path::Path;

use rustix::fs::statvfs;
use tempfile::TempDir;

/// Beyond what a few tests at the same time fill; a container may have no more than 64 MiB of it.
const ENOUGH_BYTES: u64 = 256 << 20;

/// A directory in memory where there is enough of it: many small files are made, synced and removed, which takes most
/// of a test's time on a disk.
///
/// # Panics
/// Where no directory can be made.
pub fn scratch_directory(prefix: &str) -> TempDir {
    let memory = Path::new("/dev/shm");
    let has_room = statvfs(memory).is_ok_and(|it| it.f_bavail.saturating_mul(it.f_frsize) >= ENOUGH_BYTES);
    let above = if has_room { memory.into() } else { env::temp_dir() };
    TempDir::with_prefix_in(prefix, above).expect("a temporary directory")
}
