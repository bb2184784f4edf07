//! A directory of the disk, seen as over a network: a FUSE file system that answers each request after a fixed
//! time, any number of them at once, and counts them by kind.
//!
//! The kernel's FUSE client stands for the client of a network file system. It is set up to ask when that one
//! would ask:
//!
//! - *What it remembers.* Names and attributes, also of what is not there, for one second: CIFS's `actimeo`. A
//!   mount begins with nothing remembered, so mounting again ([`SlowFs::remount`]) makes everything cold but the
//!   disk below, whose cache is the server's.
//! - *Listings bring attributes along* (READDIRPLUS, always), as those of CIFS do, and most of NFS: what was listed
//!   within that second can be opened or asked for without looking it up. Entries tell their kind.
//! - *A listing costs three requests* when it fits into the caller's buffer: to open, to list, and to hear that this
//!   was all. CIFS asks as often (open with the first part, the end, close), NFS fewer times.
//! - *A file costs a request to look it up, one to open, one to read.* Each name on its path is looked up unless it
//!   is remembered. CIFS and NFS do the same, but NFS 4 may open a name that it has not looked up.
//! - *Nobody waits for a close.* FUSE sends RELEASE behind the caller's back; it is counted as
//!   [`RequestKind::Close`], which is in no total. CIFS keeps a handle for another second and then closes it, also
//!   behind the caller's back, if it was given a lease; without one, and for directories, its callers wait.
//! - *No FLUSH*: a client with nothing left to write has nothing to say when a file is closed. Writes are passed on as
//!   they are made, where CIFS and NFS gather those of a file until it is closed; for files written by one call, as
//!   links are, that is the same number.
//! - *No permission is asked for*: the server acts as the user that mounts, as CIFS's `noperm` has it. NFS asks
//!   (ACCESS).
//! - *Locks stay on this machine*, for flock and fcntl alike; CIFS and NFS ask the server. The janitor takes one in
//!   a sweep and none in an audit.
//! - *Creating* costs a lookup and a request (CIFS does it in one), *renaming* the lookups of what is not remembered,
//!   and a request. Whatever changes a directory has its attributes asked for anew, as there.
//! - A directory is never flushed (NFS and CIFS have nothing to do there either); a file is, for real.
//!
//! Requests are independent: as many as callers make are under way, none waits for another one, and the time of each
//! runs from when it arrives, so the disk's own time is part of it. A real server has limits: CIFS grants some
//! hundred credits, NFS some 64 slots. Nothing here is compounded into one message or leased as SMB 3 and NFS 4 can.
//!
//! Numbers of inodes, times, sizes, hard links (for directories, too) and the errors of the disk are passed on as they are. What
//! lies on another file system than the directory is refused (EXDEV), since numbers may repeat there. Extended
//! attributes, `mknod`, `fallocate` and `poll` are not there (ENOSYS, which the kernel remembers).
//!
//! Root mounts it itself; other users need `fusermount3`. The end of the value unmounts it, whatever is still open
//! there: that gets errors then. What is killed leaves a dead mount: `umount --lazy` removes it.

mod attributes;
mod disk;
mod handles;
mod line;
mod listing;
mod nodes;
mod requests;
mod server;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fuser::{BackgroundSession, Config, MountOption, Session, SessionACL};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::geteuid;

use line::Line;
pub use requests::{RequestKind, Requests};
use server::Server;

/// Threads that take requests in and do them on the disk. An answer waits elsewhere, so these do not limit how many
/// are under way; a few keep one slow access of the disk from holding up the rest.
const THREADS: usize = 3;

/// How slow, and how forgetful.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowFsOptions {
    /// From the arrival of a request to its answer.
    pub delay: Duration,
    /// How long names and attributes are remembered.
    pub remembers: Duration,
}

impl Default for SlowFsOptions {
    fn default() -> Self {
        Self { delay: Duration::from_millis(1), remembers: Duration::from_secs(1) }
    }
}

/// A slow file system; unmounted with the value.
#[derive(Debug)]
pub struct SlowFs {
    disk: PathBuf,
    at: PathBuf,
    options: SlowFsOptions,
    line: Arc<Line>,
    session: Option<BackgroundSession>,
}

impl SlowFs {
    /// Mounts a directory at another path, which is made if need be.
    ///
    /// # Errors
    /// Where the machine has no FUSE, or does not let this user mount.
    pub fn mount(disk: &Path, at: &Path, options: SlowFsOptions) -> io::Result<Self> {
        fs::create_dir_all(at)?;
        let line = Arc::new(Line::new(options.delay)?);
        let mut mounted = Self {
            disk: disk.to_owned(),
            at: at.to_owned(),
            options,
            line: Arc::clone(&line),
            session: None,
        };
        mounted.start()?;
        Ok(mounted)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.at
    }

    /// Unmounts and mounts again, so that nothing is remembered. The counts go on; the most at once begins anew.
    ///
    /// # Errors
    /// As [`SlowFs::mount`].
    pub fn remount(&mut self) -> io::Result<()> {
        self.stop();
        self.line.begin_most_anew();
        self.start()
    }

    /// How long each request takes from now on.
    pub fn set_delay(&self, delay: Duration) {
        self.line.set_delay(delay);
    }

    /// The requests so far.
    pub fn requests(&self) -> Requests {
        self.line.requests()
    }

    /// The most requests that were under way at the same time since it was mounted.
    pub fn most_at_once(&self) -> usize {
        self.line.most_at_once()
    }

    fn start(&mut self) -> io::Result<()> {
        let is_root = geteuid().is_root();
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::FSName("slow".into()),
            MountOption::NoSuid,
            MountOption::NoDev,
            MountOption::NoAtime,
        ];
        config.acl = if is_root { SessionACL::All } else { SessionACL::Owner };
        config.n_threads = Some(THREADS);
        let server = Server::new(File::open(&self.disk)?, Arc::clone(&self.line), self.options.remembers)?;
        self.session = Some(Session::new(server, &self.at, &config)?.spawn()?);
        Ok(())
    }

    fn stop(&mut self) {
        let Some(session) = self.session.take() else { return };
        let now = |flags| unmount(&self.at, flags);
        // Root's own calls, since the library's give up where something is still open.
        let unmounted =
            now(UnmountFlags::empty()).or_else(|_| now(UnmountFlags::FORCE | UnmountFlags::DETACH));
        let ended = if unmounted.is_ok() {
            session.join()
        } else if self.abort() {
            session.umount_and_join()
        } else {
            // It goes on behind the scenes for as long as something is open there.
            drop(session);
            Ok(())
        };
        if let Err(error) = ended {
            report(&self.at, &error);
        }
    }

    /// Has the kernel end the connection, as its owner may; says whether it did.
    fn abort(&self) -> bool {
        let number = fs::metadata(&self.at).map(|at| rustix::fs::minor(at.dev()));
        let aborted =
            number.and_then(|number| fs::write(format!("/sys/fs/fuse/connections/{number}/abort"), "1"));
        aborted.is_ok()
    }
}

impl Drop for SlowFs {
    fn drop(&mut self) {
        self.stop();
    }
}

#[expect(clippy::print_stderr, reason = "a test that failed may be what left it so, and should say so")]
fn report(at: &Path, error: &io::Error) {
    eprintln!("{}: the slow file system did not end well: {error}", at.display());
}
