//! Attributes of files and directories, as the system tells them.

use std::os::fd::OwnedFd;

use jiff::Timestamp;
use rustix::fs::{self, AtFlags, FileType, StatxFlags, StatxTimestamp};
use rustix::io::Errno;
use rustix::path::Arg;

use crate::model::BLOCK_BYTES;

/// What a directory entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A regular file.
    File,
    /// A symbolic link, a device, a socket.
    Other,
}

/// Attributes of a file or directory.
#[derive(Clone, Copy, Debug)]
pub struct Attributes {
    /// What it is.
    pub kind: Kind,
    /// Last change of the content.
    pub modified: Timestamp,
    /// Last change of the content, the name or the attributes.
    pub changed: Timestamp,
    /// Length in bytes.
    pub size_bytes: u64,
    /// Bytes that the file system sets aside for it.
    pub allocated_bytes: u64,
    /// How many names it has.
    pub names: u32,
    /// The file system that it is on.
    pub device: (u32, u32),
    /// Its number on that file system.
    pub inode: u64,
    /// User and group.
    pub owner: (u32, u32),
    /// The permission bits.
    pub mode: u32,
}

/// Asks the system.
pub(super) fn attributes(fd: &OwnedFd, path: impl Arg, flags: AtFlags) -> Result<Attributes, Errno> {
    // Nobody needs the time of the last access, and a read makes what is remembered of it stale.
    let stat = fs::statx(fd, path, flags, StatxFlags::BASIC_STATS.difference(StatxFlags::ATIME))?;
    let time = |at: StatxTimestamp| {
        let nanos = i32::try_from(at.tv_nsec).unwrap_or(0);
        // A time outside of what can be told counts as the newest, which keeps.
        Timestamp::new(at.tv_sec, nanos).unwrap_or(Timestamp::MAX)
    };
    Ok(Attributes {
        kind: match FileType::from_raw_mode(stat.stx_mode.into()) {
            FileType::Directory => Kind::Dir,
            FileType::RegularFile => Kind::File,
            _ => Kind::Other,
        },
        modified: time(stat.stx_mtime),
        changed: time(stat.stx_ctime),
        size_bytes: stat.stx_size,
        allocated_bytes: stat.stx_blocks.saturating_mul(BLOCK_BYTES),
        names: stat.stx_nlink,
        device: (stat.stx_dev_major, stat.stx_dev_minor),
        inode: stat.stx_ino,
        owner: (stat.stx_uid, stat.stx_gid),
        mode: u32::from(stat.stx_mode) & 0o7777,
    })
}
