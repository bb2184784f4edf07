//! What requests ask for, done on the disk. Nothing here waits or counts.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use fuser::{FileAttr, FileHandle, INodeNo, TimeOrNow};
use rustix::fs::{
    self, AtFlags, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, Uid,
};
use rustix::io::Errno;

use super::attributes;
use super::handles::Handles;
use super::listing::Listing;
use super::nodes::Nodes;

/// A directory of the disk, by the numbers that the kernel knows things by.
pub(super) struct Disk {
    pub(super) nodes: Nodes,
    root: OwnedFd,
    device: (u32, u32),
    pub(super) files: Handles<OpenFile>,
    pub(super) listings: Handles<Listing>,
}

/// A file that a caller has open.
pub(super) struct OpenFile {
    file: File,
    /// What the kernel knows it by.
    node: INodeNo,
}

/// What is to change of a file's attributes.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) mode: Option<u32>,
    pub(super) owner: (Option<u32>, Option<u32>),
    pub(super) size: Option<u64>,
    pub(super) accessed: Option<TimeOrNow>,
    pub(super) modified: Option<TimeOrNow>,
}

/// Who asks, and what may be set on what they make.
#[derive(Clone, Copy, Debug)]
pub(super) struct Maker {
    pub(super) owner: (u32, u32),
    pub(super) mode: u32,
}

impl Disk {
    pub(super) fn new(root: OwnedFd) -> io::Result<Self> {
        let (_, device) = attributes::of(&root, Path::new(""))?;
        Ok(Self { nodes: Nodes::default(), root, device, files: Handles::new(), listings: Handles::new() })
    }

    /// Attributes of a name, which the kernel is told of.
    pub(super) fn lookup(&self, parent: INodeNo, name: &OsStr) -> io::Result<FileAttr> {
        let attributes = self.look(&self.root, &self.nodes.path(parent)?.join(name))?;
        self.nodes.tell(attributes.ino, parent, name)?;
        Ok(attributes)
    }

    fn look(&self, directory: &OwnedFd, path: &Path) -> io::Result<FileAttr> {
        let (attributes, device) = attributes::of(directory, path)?;
        if device != self.device || attributes.ino == INodeNo::ROOT {
            return Err(Errno::XDEV.into());
        }
        Ok(attributes)
    }

    pub(super) fn attributes(&self, node: INodeNo) -> io::Result<FileAttr> {
        let at_path = self.nodes.path(node).and_then(|path| attributes::of(&self.root, &path));
        let found = at_path.or_else(|error| match self.files.find(|open| open.node == node) {
            // Removed, and still open.
            Some(open) => attributes::of(&open.file, Path::new("")),
            None => Err(error),
        });
        Ok(found?.0)
    }

    pub(super) fn change(
        &self,
        node: INodeNo,
        handle: Option<FileHandle>,
        changes: &Changes,
    ) -> io::Result<FileAttr> {
        let path = self.nodes.path(node)?;
        if let Some(size) = changes.size {
            match handle {
                Some(handle) => self.files.get(handle)?.file.set_len(size)?,
                None => self.open_at(&path, OFlags::WRONLY)?.set_len(size)?,
            }
        }
        if changes.owner != (None, None) {
            let (user, group) = (changes.owner.0.map(Uid::from_raw), changes.owner.1.map(Gid::from_raw));
            fs::chownat(&self.root, &path, user, group, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if let Some(mode) = changes.mode {
            fs::chmodat(&self.root, &path, Mode::from_raw_mode(mode), AtFlags::empty())?;
        }
        if changes.accessed.is_some() || changes.modified.is_some() {
            let times = Timestamps {
                last_access: timespec(changes.accessed),
                last_modification: timespec(changes.modified),
            };
            fs::utimensat(&self.root, &path, &times, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(attributes::of(&self.root, &path)?.0)
    }

    fn open_at(&self, path: &Path, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(fs::openat(&self.root, path, flags, Mode::empty())?.into())
    }

    pub(super) fn open(&self, node: INodeNo, flags: i32) -> io::Result<FileHandle> {
        let file = self.open_at(&self.nodes.path(node)?, open_flags(flags))?;
        Ok(self.files.add(OpenFile { file, node }))
    }

    pub(super) fn create(
        &self,
        parent: INodeNo,
        name: &OsStr,
        flags: i32,
        maker: Maker,
    ) -> io::Result<(FileAttr, FileHandle)> {
        let path = self.nodes.path(parent)?.join(name);
        let flags = open_flags(flags) | OFlags::CREATE | OFlags::NOFOLLOW;
        let opened = fs::openat(&self.root, &path, flags, Mode::from_raw_mode(maker.mode))?;
        let attributes = self.made(&path, maker)?;
        self.nodes.tell(attributes.ino, parent, name)?;
        let open = OpenFile { file: opened.into(), node: attributes.ino };
        Ok((attributes, self.files.add(open)))
    }

    pub(super) fn read(&self, handle: FileHandle, offset: u64, size: u32) -> io::Result<Vec<u8>> {
        let open = self.files.get(handle)?;
        let mut bytes = vec![0; usize::try_from(size).map_err(|_| Errno::INVAL)?];
        let mut filled = 0;
        while filled < bytes.len() {
            match open.file.read_at(&mut bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    pub(super) fn write(&self, handle: FileHandle, offset: u64, bytes: &[u8]) -> io::Result<u32> {
        self.files.get(handle)?.file.write_all_at(bytes, offset)?;
        u32::try_from(bytes.len()).map_err(|_| Errno::INVAL.into())
    }

    pub(super) fn sync(&self, handle: FileHandle, data_only: bool) -> io::Result<()> {
        let open = self.files.get(handle)?;
        if data_only { open.file.sync_data() } else { open.file.sync_all() }
    }

    pub(super) fn open_listing(&self, node: INodeNo) -> io::Result<FileHandle> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = fs::openat(&self.root, &self.nodes.path(node)?, flags, Mode::empty())?;
        Ok(self.listings.add(Listing::of(directory, node)))
    }

    /// The entries of an open directory from a position on, each with its attributes; what went away since it was listed
    /// is left out. `take` says whether there was room; where asked to, the kernel is told of what was taken.
    pub(super) fn list(
        &self,
        handle: FileHandle,
        from: u64,
        tell: bool,
        mut take: impl FnMut(&OsStr, u64, &FileAttr) -> bool,
    ) -> io::Result<()> {
        let listing = self.listings.get(handle)?;
        let names = listing.names(from == 0)?;
        let first = usize::try_from(from).unwrap_or(usize::MAX);
        for (name, next) in names.iter().zip(1..).skip(first) {
            let is_dots = matches!(name.as_bytes(), b"." | b"..");
            let looked = if is_dots {
                attributes::of(listing.directory(), Path::new("")).map(|(attributes, _)| attributes)
            } else {
                self.look(listing.directory(), Path::new(name))
            };
            let attributes = match looked {
                Ok(looked) => looked,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if !take(name, next, &attributes) {
                return Ok(());
            }
            if tell && !is_dots {
                self.nodes.tell(attributes.ino, listing.node(), name)?;
            }
        }
        Ok(())
    }

    pub(super) fn make_dir(&self, parent: INodeNo, name: &OsStr, maker: Maker) -> io::Result<FileAttr> {
        let path = self.nodes.path(parent)?.join(name);
        fs::mkdirat(&self.root, &path, Mode::from_raw_mode(maker.mode))?;
        let attributes = self.made(&path, maker)?;
        self.nodes.tell(attributes.ino, parent, name)?;
        Ok(attributes)
    }

    pub(super) fn make_link(&self, parent: INodeNo, name: &OsStr, target: &Path) -> io::Result<FileAttr> {
        fs::symlinkat(target, &self.root, self.nodes.path(parent)?.join(name))?;
        self.lookup(parent, name)
    }

    pub(super) fn make_name(&self, node: INodeNo, parent: INodeNo, name: &OsStr) -> io::Result<FileAttr> {
        let (from, to) = (self.nodes.path(node)?, self.nodes.path(parent)?.join(name));
        fs::linkat(&self.root, from, &self.root, to, AtFlags::empty())?;
        self.lookup(parent, name)
    }

    pub(super) fn read_link(&self, node: INodeNo) -> io::Result<Vec<u8>> {
        Ok(fs::readlinkat(&self.root, self.nodes.path(node)?, Vec::new())?.into_bytes())
    }

    pub(super) fn remove(&self, parent: INodeNo, name: &OsStr, flags: AtFlags) -> io::Result<()> {
        Ok(fs::unlinkat(&self.root, self.nodes.path(parent)?.join(name), flags)?)
    }

    pub(super) fn rename(
        &self,
        from: (INodeNo, &OsStr),
        to: (INodeNo, &OsStr),
        flags: RenameFlags,
    ) -> io::Result<()> {
        let at = |(parent, name): (INodeNo, &OsStr)| Ok::<_, io::Error>(self.nodes.path(parent)?.join(name));
        let (old, new) = (at(from)?, at(to)?);
        fs::renameat_with(&self.root, &old, &self.root, &new, flags)?;
        let mut moved = vec![(&new, to)];
        if flags.contains(RenameFlags::EXCHANGE) {
            moved.push((&old, from));
        }
        for (path, (parent, name)) in moved {
            self.nodes.moved(attributes::of(&self.root, path)?.0.ino, parent, name)?;
        }
        Ok(())
    }

    pub(super) fn space(&self) -> io::Result<fs::StatFs> {
        Ok(fs::fstatfs(&self.root)?)
    }

    /// What was just made, with the mode that was asked for, whatever this process's own mask is, and the owner that asked.
    fn made(&self, path: &Path, maker: Maker) -> io::Result<FileAttr> {
        let attributes = self.look(&self.root, path)?;
        let is_owned = (attributes.uid, attributes.gid) == maker.owner;
        let is_as_asked = u32::from(attributes.perm) & 0o777 == maker.mode & 0o777;
        if is_owned && is_as_asked {
            return Ok(attributes);
        }
        if !is_owned {
            let (user, group) = (Uid::from_raw(maker.owner.0), Gid::from_raw(maker.owner.1));
            fs::chownat(&self.root, path, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if !is_as_asked {
            fs::chmodat(&self.root, path, Mode::from_raw_mode(maker.mode & 0o7777), AtFlags::empty())?;
        }
        self.look(&self.root, path)
    }
}

/// Positions are the kernel's business, as is whether data is on the disk.
fn open_flags(flags: i32) -> OFlags {
    let flags = OFlags::from_bits_retain(flags.cast_unsigned());
    let not_ours = OFlags::APPEND | OFlags::DIRECT | OFlags::CREATE | OFlags::NOFOLLOW;
    (flags - not_ours) | OFlags::CLOEXEC | OFlags::NONBLOCK
}

fn timespec(time: Option<TimeOrNow>) -> Timespec {
    let special = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
    match time {
        None => special(UTIME_OMIT),
        Some(TimeOrNow::Now) => special(UTIME_NOW),
        Some(TimeOrNow::SpecificTime(at)) => since_1970(at),
    }
}

fn since_1970(at: SystemTime) -> Timespec {
    let seconds = |duration: std::time::Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    match at.duration_since(UNIX_EPOCH) {
        Ok(after) => Timespec { tv_sec: seconds(after), tv_nsec: after.subsec_nanos().into() },
        Err(before) => {
            let before = before.duration();
            let part = u32::from(before.subsec_nanos() > 0);
            Timespec {
                tv_sec: -seconds(before) - i64::from(part),
                tv_nsec: (part * 1_000_000_000 - before.subsec_nanos()).into(),
            }
        }
    }
}
