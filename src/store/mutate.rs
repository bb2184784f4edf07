//! The only file that renames, deletes or makes anything in the store.
//!
//! Nothing is unlinked or removed recursively where the registry looks: tags, manifests and the links of empty
//! repositories are renamed as whole directories into the janitor's trash, and only there is a tree removed; blobs and
//! other layer links are unlinked in place, under the name that hides them from the registry, and their directories
//! removed when they are empty.

#![expect(clippy::disallowed_methods, reason = "this is the one mutating file")]

use std::fs::File;
use std::io::{self, Write as _};

use jiff::Timestamp;
use rustix::fs::{self, AtFlags, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps, UTIME_OMIT, Uid};
use rustix::io::Errno;

use super::io::{Attributes, Dir, Io, Op};

const DIR_MODE: Mode = Mode::from_raw_mode(0o777);
const FILE_MODE: Mode = Mode::from_raw_mode(0o666);

/// Makes a directory and those above it; what is there already is fine.
pub(super) fn make_dirs(io: &Io, dir: &Dir, path: &str) -> io::Result<()> {
    let made = io.run(Op::MakeDir, dir.path(), path, || Ok(fs::mkdirat(dir.fd(), path, DIR_MODE)?));
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match path.rsplit_once('/') {
            Some((above, _)) => {
                make_dirs(io, dir, above)?;
                match io.run(Op::MakeDir, dir.path(), path, || Ok(fs::mkdirat(dir.fd(), path, DIR_MODE)?)) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                    made => made,
                }
            }
            None => Err(error),
        },
        made => made,
    }
}

/// Renames a directory. It never replaces content: the system refuses a directory that is not empty.
pub(super) fn rename_dir(io: &Io, from: &Dir, name: &str, to: &Dir, new_name: &str) -> io::Result<()> {
    io.run(Op::Rename, from.path(), name, || Ok(fs::renameat(from.fd(), name, to.fd(), new_name)?))
}

/// Renames a file in the directory that it is in; a file that has the new name is replaced.
///
/// The kernel lets many such renames happen at once. Of those that lead from one directory to another it makes
/// one at a time for the whole file system (`s_vfs_rename_mutex`), which a network's round trips make slow.
pub(super) fn rename_file(io: &Io, dir: &Dir, path: &str, new_path: &str) -> io::Result<()> {
    io.run(Op::Rename, dir.path(), path, || Ok(fs::renameat(dir.fd(), path, dir.fd(), new_path)?))
}

/// The same where nothing has the new name; `false` where something has.
pub(super) fn rename_file_to_free_name(io: &Io, dir: &Dir, path: &str, new_path: &str) -> io::Result<bool> {
    let renamed = io.run(Op::Rename, dir.path(), path, || {
        Ok(fs::renameat_with(dir.fd(), path, dir.fd(), new_path, RenameFlags::NOREPLACE)?)
    });
    match renamed.as_ref().map_err(Errno::from_io_error) {
        Ok(()) => Ok(true),
        Err(Some(Errno::EXIST)) => Ok(false),
        // NFS, among others, knows no such rename.
        Err(Some(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP)) => match io.stat(dir, new_path) {
            Ok(_) => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                rename_file(io, dir, path, new_path).map(|()| true)
            }
            Err(error) => Err(error),
        },
        Err(_) => renamed.map(|()| true),
    }
}

/// Removes a directory if it is empty. `false` when it is not, or is gone.
pub(super) fn remove_empty_dir(io: &Io, dir: &Dir, path: &str) -> io::Result<bool> {
    let removed =
        io.run(Op::Remove, dir.path(), path, || Ok(fs::unlinkat(dir.fd(), path, AtFlags::REMOVEDIR)?));
    match removed {
        Ok(()) => Ok(true),
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => Ok(false),
            _ => Err(error),
        },
    }
}

fn remove_file(io: &Io, dir: &Dir, name: &str) -> io::Result<()> {
    match io.run(Op::Remove, dir.path(), name, || Ok(fs::unlinkat(dir.fd(), name, AtFlags::empty())?)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Removes one of the janitor's own files, or one that it hides.
pub(super) fn give_up(io: &Io, dir: &Dir, name: &str) -> io::Result<()> {
    remove_file(io, dir, name)
}

/// Makes a file anew, so that its times are the storage's, and writes it through to the storage.
pub(super) fn write_new(io: &Io, dir: &Dir, name: &str, content: &[u8]) -> io::Result<()> {
    write_new_by(io, dir, name, |file| file.write_all(content))
}

fn write_new_by(
    io: &Io,
    dir: &Dir,
    name: &str,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    remove_file(io, dir, name)?;
    io.run(Op::Write, dir.path(), name, || {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(fs::openat(dir.fd(), name, flags, FILE_MODE)?);
        write(&mut file)?;
        file.sync_all()
    })
}

/// Replaces a file in one step.
pub(super) fn write_whole(io: &Io, dir: &Dir, name: &str, content: &[u8]) -> io::Result<()> {
    let temporary = format!("{name}.new");
    write_new(io, dir, &temporary, content)?;
    io.run(Op::Rename, dir.path(), name, || Ok(fs::renameat(dir.fd(), &temporary, dir.fd(), name)?))
}

/// Replaces a file in one step by one that is too large to be held in memory. What is left of a failure is removed, since
/// the room may be what is missing.
pub(super) fn write_large(
    io: &Io,
    dir: &Dir,
    name: &str,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = format!("{name}.new");
    let done = write_new_by(io, dir, &temporary, write).and_then(|()| {
        io.run(Op::Rename, dir.path(), name, || Ok(fs::renameat(dir.fd(), &temporary, dir.fd(), name)?))
    });
    if done.is_err() {
        // The failure is what is told.
        remove_file(io, dir, &temporary).ok();
    }
    done
}

/// Writes a link as the registry 3.1 does: whole, beside its place, and then into it by one rename. It gets an
/// owner and a mode under which the registry can write it anew.
pub(super) fn write_link(
    io: &Io,
    dir: &Dir,
    name: &str,
    content: &[u8],
    like: &Attributes,
) -> io::Result<()> {
    let temporary = format!("{name}.janitor.tmp");
    write_new(io, dir, &temporary, content)?;
    let done = own_like(io, dir, &temporary, like).and_then(|()| {
        io.run(Op::Rename, dir.path(), name, || Ok(fs::renameat(dir.fd(), &temporary, dir.fd(), name)?))
    });
    if done.is_err() {
        remove_file(io, dir, &temporary)?;
    }
    done
}

/// Makes a directory with the owner and the mode of another; what is there already is fine.
pub(super) fn make_dir_like(io: &Io, dir: &Dir, name: &str, like: &Attributes) -> io::Result<()> {
    match io.run(Op::MakeDir, dir.path(), name, || Ok(fs::mkdirat(dir.fd(), name, DIR_MODE)?)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.and_then(|()| own_like(io, dir, name, like)),
    }
}

fn own_like(io: &Io, dir: &Dir, name: &str, like: &Attributes) -> io::Result<()> {
    let is = io.stat(dir, name)?;
    if is.owner != like.owner {
        let (user, group) = (Uid::from_raw(like.owner.0), Gid::from_raw(like.owner.1));
        io.run(Op::Write, dir.path(), name, || {
            Ok(fs::chownat(dir.fd(), name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?)
        })?;
    }
    if is.mode != like.mode {
        io.run(Op::Write, dir.path(), name, || {
            Ok(fs::chmodat(dir.fd(), name, Mode::from_raw_mode(like.mode), AtFlags::empty())?)
        })?;
    }
    Ok(())
}

/// Sets a file's mtime, and writes it through to the storage.
pub(super) fn set_modified(io: &Io, dir: &Dir, name: &str, at: Timestamp) -> io::Result<()> {
    let seconds = Timespec { tv_sec: at.as_second(), tv_nsec: at.subsec_nanosecond().into() };
    let unchanged = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    io.run(Op::Write, dir.path(), name, || {
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = fs::openat(dir.fd(), name, flags, Mode::empty())?;
        fs::futimens(&file, &Timestamps { last_access: unchanged, last_modification: seconds })?;
        Ok(fs::fsync(&file)?)
    })
}

/// Opens a file for locking, making it when it is not there.
pub(super) fn open_lock_file(io: &Io, dir: &Dir, name: &str) -> io::Result<File> {
    io.run(Op::Write, dir.path(), name, || {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(fs::openat(dir.fd(), name, flags, FILE_MODE)?))
    })
}
