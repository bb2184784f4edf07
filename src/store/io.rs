//! The one door to the file system: every operation on the store is counted here.
//!
//! On a network box each open, listing and stat is a round trip, so the counts are the cost. A
//! [`Watch`] sees each operation before and after it happens; tests use it to count, to fail an
//! operation, and to let somebody push at the worst moment.
//!
//! Everything is opened relative to an open directory and without following symbolic links.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags, StatxFlags};
use rustix::io::Errno;

use super::attributes::attributes;
pub use super::attributes::{Attributes, Kind};
use super::busy::Patience;
pub use super::watch::{IoCounts, Op, Watch};

/// How much of a listing is asked for at a time.
const LIST_BYTES: usize = 32 * 1024;

/// An entry of a listing.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name; bytes that are not UTF-8 are replaced, which no parser of names accepts.
    pub name: String,
    /// What it is.
    pub kind: Kind,
}

/// A file that was read whole.
#[derive(Debug)]
pub struct Content {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The file's attributes when it was opened.
    pub attributes: Attributes,
}

/// An open directory that knows its path below the registry's root directory.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

impl Dir {
    /// Its path below the registry's root directory, for people to read.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The door: counts, and an optional watch.
#[derive(Default)]
pub struct Io {
    counts: [AtomicU64; 8],
    watch: Option<Box<dyn Watch>>,
    without_openat2: AtomicBool,
    pub(super) patience: Patience,
}

impl std::fmt::Debug for Io {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Io").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

impl Io {
    /// A door with a watch at it.
    pub fn watched(watch: Option<Box<dyn Watch>>) -> Self {
        Self { watch, ..Self::default() }
    }

    /// A door as on a kernel that does not have `openat2`.
    #[cfg(test)]
    pub(super) fn without_openat2() -> Self {
        Self { without_openat2: AtomicBool::new(true), ..Self::default() }
    }

    /// The counts so far.
    pub fn counts(&self) -> IoCounts {
        let count = |op: Op| self.counts[op as usize].load(Ordering::Relaxed);
        IoCounts {
            opens: count(Op::Open),
            reads: count(Op::Read),
            lists: count(Op::List),
            stats: count(Op::Stat),
            make_dirs: count(Op::MakeDir),
            renames: count(Op::Rename),
            removes: count(Op::Remove),
            writes: count(Op::Write),
        }
    }

    /// Opens the directory that everything else is relative to.
    ///
    /// # Errors
    /// Whatever the system says; symbolic links are followed here, since a person named the path.
    pub fn open_root(&self, path: &Path) -> io::Result<Dir> {
        self.run(Op::Open, path, "", || {
            let fd = fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
            Ok(Dir { fd, path: PathBuf::new() })
        })
    }

    /// Opens a directory below another one.
    ///
    /// # Errors
    /// Whatever the system says; a symbolic link on the way is an error.
    pub fn open_dir(&self, dir: &Dir, path: &str) -> io::Result<Dir> {
        self.run(Op::Open, &dir.path, path, || {
            let fd = self.open(dir, path, OFlags::DIRECTORY)?;
            Ok(Dir { fd, path: dir.path.join(path) })
        })
    }

    /// Opens a directory only to find things from there: it cannot be listed, and costs no request where its name is
    /// known.
    ///
    /// # Errors
    /// As [`Io::open_dir`].
    pub fn find_dir(&self, dir: &Dir, path: &str) -> io::Result<Dir> {
        self.run(Op::Open, &dir.path, path, || {
            let fd = self.open(dir, path, OFlags::DIRECTORY | OFlags::PATH)?;
            Ok(Dir { fd, path: dir.path.join(path) })
        })
    }

    /// Opens a directory below another one, unless that was done ahead, and lists it.
    ///
    /// What lists nothing is opened by its name after all: that of before may have been removed since.
    ///
    /// # Errors
    /// As [`Io::open_dir`] and [`Io::list`].
    pub fn open_and_list(&self, dir: &Dir, path: &str, ahead: Option<Dir>) -> io::Result<(Dir, Vec<Entry>)> {
        if let Some(ahead) = ahead {
            let entries = self.list(&ahead)?;
            if !entries.is_empty() {
                return Ok((ahead, entries));
            }
        }
        let opened = self.open_dir(dir, path)?;
        let entries = self.list(&opened)?;
        Ok((opened, entries))
    }

    /// Lists an open directory, sorted by name. What lists nothing is listed once more: a storage in trouble may do
    /// that, and an empty directory means that things may go.
    ///
    /// # Errors
    /// Whatever the system says, at whichever entry; a part of a listing is never returned.
    pub fn list(&self, dir: &Dir) -> io::Result<Vec<Entry>> {
        let mut entries = self.list_as(dir, |name, kind| Entry { name: name.to_owned(), kind })?;
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// The same, as whatever is made of each entry, in the storage's order.
    ///
    /// # Errors
    /// As [`Io::list`].
    pub fn list_as<T>(&self, dir: &Dir, take: impl Fn(&str, Kind) -> T) -> io::Result<Vec<T>> {
        let entries = self.list_once(dir, &dir.fd, &take)?;
        if !entries.is_empty() {
            return Ok(entries);
        }
        let again = self.run(Op::Open, &dir.path, "", || Ok(self.open(dir, ".", OFlags::DIRECTORY)?));
        let entries = match again {
            Ok(again) => self.list_once(dir, &again, &take)?,
            // It was removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => entries,
            Err(error) => return Err(error),
        };
        // Where the file system counts, each directory in it is a link to it, beside its name and its own `.`.
        let links = fs::statx(&dir.fd, c"", AtFlags::EMPTY_PATH, StatxFlags::NLINK)?.stx_nlink;
        if entries.is_empty() && links > 2 {
            return Err(io::Error::other(format!(
                "it lists nothing, and should hold {} directories",
                links - 2
            )));
        }
        Ok(entries)
    }

    fn list_once<T>(&self, dir: &Dir, fd: &OwnedFd, take: impl Fn(&str, Kind) -> T) -> io::Result<Vec<T>> {
        self.run(Op::List, &dir.path, "", || {
            let mut buffer = Vec::with_capacity(LIST_BYTES);
            let mut raw = RawDir::new(fd, buffer.spare_capacity_mut());
            let mut entries = Vec::new();
            while let Some(entry) = raw.next() {
                let entry = entry?;
                let name = entry.file_name();
                if matches!(name.to_bytes(), b"." | b"..") {
                    continue;
                }
                let kind = match entry.file_type() {
                    FileType::Directory => Kind::Dir,
                    FileType::RegularFile => Kind::File,
                    FileType::Unknown => {
                        self.count(Op::Stat);
                        attributes(&dir.fd, name, AtFlags::SYMLINK_NOFOLLOW)?.kind
                    }
                    _ => Kind::Other,
                };
                entries.push(take(&name.to_string_lossy(), kind));
            }
            Ok(entries)
        })
    }

    /// Reads a small file whole, with its attributes from the same handle.
    ///
    /// # Errors
    /// Whatever the system says; [`io::ErrorKind::FileTooLarge`] above `limit_bytes`;
    /// [`io::ErrorKind::InvalidInput`] for what is not a regular file.
    pub fn read(&self, dir: &Dir, path: &str, limit_bytes: u64) -> io::Result<Content> {
        let fd = self.run(Op::Open, &dir.path, path, || Ok(self.open(dir, path, OFlags::NONBLOCK)?))?;
        self.run(Op::Read, &dir.path, path, || {
            let attributes = attributes(&fd, c"", AtFlags::EMPTY_PATH)?;
            if attributes.kind != Kind::File {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
            }
            if attributes.size_bytes > limit_bytes {
                return Err(io::Error::new(
                    io::ErrorKind::FileTooLarge,
                    format!("{} bytes; at most {limit_bytes} are expected here", attributes.size_bytes),
                ));
            }
            let size = usize::try_from(attributes.size_bytes).map_err(io::Error::other)?;
            let mut bytes = vec![0; size];
            let mut filled = 0;
            while filled < size {
                match rustix::io::read(&fd, &mut bytes[filled..]) {
                    Ok(0) => break,
                    Ok(read) => filled += read,
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            bytes.truncate(filled);
            Ok(Content { bytes, attributes })
        })
    }

    /// Opens a regular file to read it bit by bit.
    ///
    /// # Errors
    /// Whatever the system says; [`io::ErrorKind::InvalidInput`] for what is not a regular file.
    pub(super) fn open_file(&self, dir: &Dir, path: &str) -> io::Result<std::fs::File> {
        self.run(Op::Open, &dir.path, path, || {
            let fd = self.open(dir, path, OFlags::NONBLOCK)?;
            if attributes(&fd, c"", AtFlags::EMPTY_PATH)?.kind != Kind::File {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
            }
            Ok(fd.into())
        })
    }

    /// Asks for attributes by path.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn stat(&self, dir: &Dir, path: &str) -> io::Result<Attributes> {
        self.run(Op::Stat, &dir.path, path, || Ok(attributes(&dir.fd, path, AtFlags::SYMLINK_NOFOLLOW)?))
    }

    /// Asks the storage itself for attributes by path, past what this host remembers of them.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn stat_now(&self, dir: &Dir, path: &str) -> io::Result<Attributes> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::STATX_FORCE_SYNC;
        self.run(Op::Stat, &dir.path, path, || Ok(attributes(&dir.fd, path, flags)?))
    }

    /// Attributes of an open directory, which need no round trip of their own.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn stat_open(&self, dir: &Dir) -> io::Result<Attributes> {
        Ok(attributes(&dir.fd, c"", AtFlags::EMPTY_PATH)?)
    }

    /// Counts an operation, shows it to the watch, and makes it.
    pub(super) fn run<T>(
        &self,
        op: Op,
        parent: &Path,
        path: &str,
        act: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        self.count(op);
        let Some(watch) = &self.watch else {
            return act();
        };
        let path = parent.join(path);
        watch.before(op, &path)?;
        let done = act()?;
        watch.after(op, &path);
        Ok(done)
    }

    /// Runs something on a name, with the open directory that the name is in.
    ///
    /// A system call that takes a path of several components follows symbolic links in the middle of it. So the
    /// directory above the last component is opened first, without following any. That takes a system call more, and on
    /// network storage no round trip more: a path has to be looked up in either case. It is part of the operation that
    /// needs it, and is not counted by itself.
    ///
    /// # Errors
    /// Whatever the system says; a symbolic link on the way is an error.
    pub(super) fn at<T>(
        &self,
        dir: &Dir,
        path: &str,
        act: impl FnOnce(BorrowedFd<'_>, &str) -> io::Result<T>,
    ) -> io::Result<T> {
        match path.rsplit_once('/') {
            None => act(dir.fd.as_fd(), path),
            Some((above, name)) => {
                let above = self.open(dir, above, OFlags::DIRECTORY | OFlags::PATH)?;
                act(above.as_fd(), name)
            }
        }
    }

    /// Counts an operation that is a part of another one.
    pub(super) fn count(&self, op: Op) {
        self.counts[op as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn open(&self, dir: &Dir, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        if !self.without_openat2.load(Ordering::Relaxed) {
            let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::BENEATH;
            match fs::openat2(&dir.fd, path, flags, Mode::empty(), resolve) {
                // Kernels before 5.6 do not have it, and some container profiles deny it.
                Err(Errno::NOSYS | Errno::PERM) => self.without_openat2.store(true, Ordering::Relaxed),
                done => return done,
            }
        }
        // As with RESOLVE_BENEATH.
        if path.starts_with('/') || path.split('/').any(|part| part == "..") {
            return Err(Errno::XDEV);
        }
        let mut parent = None;
        let mut rest = path;
        while let Some((first, after)) = rest.split_once('/') {
            let walk = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            self.count(Op::Open);
            parent = Some(fs::openat(parent.as_ref().unwrap_or(&dir.fd), first, walk, Mode::empty())?);
            rest = after;
        }
        fs::openat(parent.as_ref().unwrap_or(&dir.fd), rest, flags, Mode::empty())
    }
}
