//! The only file that renames, deletes or makes anything in the store.
//!
//! Nothing is unlinked or removed recursively where the registry looks: tags, manifests and the links of empty
//! repositories are renamed as whole directories into the janitor's trash, and only there is a tree removed; blobs and
//! other layer links are unlinked in place, under the name that hides them from the registry, and their directories
//! removed when they are empty.
//!
//! No operation follows a symbolic link, neither at the end of a path nor in the middle of it ([`Io::at`]).
//!
//! **Replacing a file.** A CIFS server does not replace a file that is open: the client deletes the old file, fails all
//! the same, and leaves the new one under its temporary name. So nothing here renames over a file that this process has
//! open, a link of the registry is never replaced by such a rename at all (the registry may have it open), and a
//! temporary file is deleted only where the file that it was to replace is known to be there.

#![expect(clippy::disallowed_methods, reason = "this is the one mutating file")]

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Write as _};

use jiff::Timestamp;
use rustix::fs::{
    self, Access, AtFlags, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps, UTIME_OMIT, Uid,
};
use rustix::io::Errno;

use super::busy::is_busy;
use super::io::{Attributes, Dir, Io, Op};
use super::layout::LINK_TEMPORARY;
use super::reserve::is_full;

const DIR_MODE: Mode = Mode::from_raw_mode(0o777);
const FILE_MODE: Mode = Mode::from_raw_mode(0o666);
/// What is added to the name of a link that makes way for another one.
const LINK_ASIDE: &str = ".janitor.old.tmp";
/// How often a link is tried to be written that comes and goes.
const LINK_TRIES: usize = 4;

/// Makes a directory and those above it; what is there already is fine.
pub(super) fn make_dirs(io: &Io, dir: &Dir, path: &str) -> io::Result<()> {
    match make_dir(io, dir, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match path.rsplit_once('/') {
            Some((above, _)) => {
                make_dirs(io, dir, above)?;
                match make_dir(io, dir, path) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                    made => made,
                }
            }
            None => Err(error),
        },
        made => made,
    }
}

fn make_dir(io: &Io, dir: &Dir, path: &str) -> io::Result<()> {
    io.run(Op::MakeDir, dir.path(), path, || {
        io.at(dir, path, |above, name| Ok(fs::mkdirat(above, name, DIR_MODE)?))
    })
}

/// Renames something from one name to another, which may be in another directory.
fn rename(io: &Io, from: &Dir, path: &str, to: &Dir, new_path: &str) -> io::Result<()> {
    io.run(Op::Rename, from.path(), path, || {
        io.at(from, path, |from, name| {
            io.at(to, new_path, |to, new_name| Ok(fs::renameat(from, name, to, new_name)?))
        })
    })
}

/// Removes a file, or an empty directory.
fn unlink(io: &Io, dir: &Dir, path: &str, flags: AtFlags) -> io::Result<()> {
    io.run(Op::Remove, dir.path(), path, || {
        io.at(dir, path, |above, name| Ok(fs::unlinkat(above, name, flags)?))
    })
}

/// Renames a directory. It never replaces content: the system refuses a directory that is not empty.
///
/// A directory with a file in it that another process has open is tried again for about a second.
///
/// # Errors
/// [`io::ErrorKind::ResourceBusy`] where it is still in use then.
pub(super) fn rename_dir(io: &Io, from: &Dir, name: &str, to: &Dir, new_name: &str) -> io::Result<()> {
    let rename = || rename(io, from, name, to, new_name);
    match rename() {
        Err(error) if is_busy(&error) && is_permitted(io, &[(from, "."), (to, "."), (from, name)]) => {
            io.patience.retry(error, rename)
        }
        renamed => renamed,
    }
}

/// Whether this process may write to all of these directories: what is refused nevertheless is in use. Where that
/// cannot be told, it is taken for permitted, which only costs a wait.
fn is_permitted(io: &Io, dirs: &[(&Dir, &str)]) -> bool {
    let refuses = |(dir, path): &(&Dir, &str)| {
        let asked = io.run(Op::Stat, dir.path(), path, || {
            io.at(dir, path, |above, name| Ok(fs::accessat(above, name, Access::WRITE_OK, AtFlags::EACCESS)?))
        });
        asked.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    };
    !dirs.iter().any(refuses)
}

/// Renames a file in the directory that it is in; a file that has the new name is replaced. Both names are below the
/// directory that is given, in the same directory.
///
/// The kernel lets many such renames happen at once. Of those that lead from one directory to another it makes
/// one at a time for the whole file system (`s_vfs_rename_mutex`), which a network's round trips make slow.
pub(super) fn rename_file(io: &Io, dir: &Dir, path: &str, new_path: &str) -> io::Result<()> {
    rename_beside(io, dir, path, new_path, RenameFlags::empty())
}

/// The directory is opened once for both names.
fn rename_beside(io: &Io, dir: &Dir, path: &str, new_path: &str, flags: RenameFlags) -> io::Result<()> {
    let new_name = file_name(new_path);
    if path.rsplit_once('/').map(|it| it.0) != new_path.rsplit_once('/').map(|it| it.0) {
        return Err(io::ErrorKind::CrossesDevices.into());
    }
    io.run(Op::Rename, dir.path(), path, || {
        io.at(dir, path, |dir, name| {
            if flags.is_empty() {
                return Ok(fs::renameat(dir, name, dir, new_name)?);
            }
            Ok(fs::renameat_with(dir, name, dir, new_name, flags)?)
        })
    })
}

fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// The same where nothing has the new name; `false` where something has.
pub(super) fn rename_file_to_free_name(io: &Io, dir: &Dir, path: &str, new_path: &str) -> io::Result<bool> {
    let renamed = rename_beside(io, dir, path, new_path, RenameFlags::NOREPLACE);
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
    match unlink(io, dir, path, AtFlags::REMOVEDIR) {
        Ok(()) => Ok(true),
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => Ok(false),
            _ => Err(error),
        },
    }
}

fn remove_file(io: &Io, dir: &Dir, name: &str) -> io::Result<()> {
    match unlink(io, dir, name, AtFlags::empty()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Removes one of the janitor's own files, or one that it hides.
pub(super) fn give_up(io: &Io, dir: &Dir, name: &str) -> io::Result<()> {
    remove_file(io, dir, name)
}

/// Makes a directory with so many empty files in it, each of which takes an inode. A watch sees one operation.
pub(super) fn make_spare_files(io: &Io, dir: &Dir, name: &str, count: usize) -> io::Result<()> {
    make_dirs(io, dir, name)?;
    io.run(Op::Write, dir.path(), name, || {
        for number in 0..count {
            io.count(Op::Write);
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let made = io.at(dir, &format!("{name}/{number}"), |above, name| {
                Ok(fs::openat(above, name, flags, FILE_MODE)?)
            });
            match made {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => drop(made?),
            }
        }
        Ok(())
    })
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
        let mut file =
            io.at(dir, name, |above, name| Ok(File::from(fs::openat(above, name, flags, FILE_MODE)?)))?;
        write(&mut file)?;
        file.sync_all()
    })
}

/// Replaces one of the janitor's own files, in one step where the storage can do that.
pub(super) fn write_whole(io: &Io, dir: &Dir, name: &str, content: &[u8]) -> io::Result<()> {
    let temporary = format!("{name}.new");
    write_new(io, dir, &temporary, content)?;
    replace(io, dir, &temporary, name)
}

/// The same for a file that is too large to be held in memory. What is left of a failed write is removed, since the room
/// may be what is missing.
pub(super) fn write_large(
    io: &Io,
    dir: &Dir,
    name: &str,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = format!("{name}.new");
    if let Err(error) = write_new_by(io, dir, &temporary, write) {
        // The first failure is the one to report.
        remove_file(io, dir, &temporary).ok();
        return Err(error);
    }
    replace(io, dir, &temporary, name)
}

/// Sets the mtime of a file that is being written.
pub(super) fn date(file: &File, at: Timestamp) -> io::Result<()> {
    let at = Timespec { tv_sec: at.as_second(), tv_nsec: at.subsec_nanosecond().into() };
    let unchanged = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    Ok(fs::futimens(file, &Timestamps { last_access: unchanged, last_modification: at })?)
}

/// Gives a file that was written whole the name of the one that it replaces.
fn replace(io: &Io, dir: &Dir, temporary: &str, name: &str) -> io::Result<()> {
    let renamed = io.run(Op::Rename, dir.path(), name, || {
        io.at(dir, name, |above, name| Ok(fs::renameat(above, file_name(temporary), above, name)?))
    });
    let Err(error) = renamed else { return Ok(()) };
    // Over a network the answer may be lost.
    if is_gone(&io.stat_now(dir, temporary)) && io.stat_now(dir, name).is_ok() {
        return Ok(());
    }
    let is_old_there = Cell::new(false);
    let replaced = if is_busy(&error) && is_permitted(io, &[(dir, ".")]) {
        // A CIFS client deletes the old file before it fails. Until that is closed, it still can be listed, looked at and
        // read, but it cannot be renamed: so that is what tells.
        let make_way = || replace_in_two_steps(io, dir, temporary, name, &is_old_there);
        match make_way() {
            Err(error) if is_busy(&error) => io.patience.retry(error, make_way),
            done => done,
        }
    } else {
        // On a full disk nothing was touched, and the room may be what is missing.
        is_old_there.set(is_full(&error) || io.stat_now(dir, name).is_ok());
        Err(error)
    };
    if replaced.is_err() && is_old_there.get() {
        remove_file(io, dir, temporary).ok();
    }
    replaced
}

/// Moves the old file out of the way, and the new one to its name. The old one comes back if that fails.
fn replace_in_two_steps(
    io: &Io,
    dir: &Dir,
    temporary: &str,
    name: &str,
    is_old_there: &Cell<bool>,
) -> io::Result<()> {
    let aside = format!("{name}.old");
    is_old_there.set(false);
    remove_file(io, dir, &aside)?;
    let had_old = match rename_file_to_free_name(io, dir, name, &aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        moved => moved?,
    };
    let moved = rename_file(io, dir, temporary, name);
    if had_old {
        match moved {
            Ok(()) => {
                remove_file(io, dir, &aside).ok();
            }
            Err(_) => is_old_there.set(rename_file(io, dir, &aside, name).is_ok()),
        }
    }
    moved
}

fn is_gone<T>(looked: &io::Result<T>) -> bool {
    looked.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// What came of writing a link.
#[derive(Debug)]
pub(super) enum Written {
    /// It is in its place. The file that it replaced, if there was one, has this name now.
    Replaced(Option<String>),
    /// Another process wrote a link there in that moment, and that one stays.
    Superseded,
}

/// Writes a link as the registry 3.1 does: whole, beside its place, and then into it. It gets an owner and a mode under
/// which the registry can write to it again.
///
/// The registry may have the old link open, so it is not replaced: the two files change names, or the old one makes way.
/// So whatever the registry writes into it until then is still there to be read.
pub(super) fn write_link(
    io: &Io,
    dir: &Dir,
    name: &str,
    content: &[u8],
    like: &Attributes,
) -> io::Result<Written> {
    let temporary = format!("{name}{LINK_TEMPORARY}");
    let written = write_new(io, dir, &temporary, content).and_then(|()| own_like(io, dir, &temporary, like));
    if let Err(error) = written {
        remove_file(io, dir, &temporary).ok();
        return Err(error);
    }
    for _ in 0..LINK_TRIES {
        let exchanged = io.run(Op::Rename, dir.path(), name, || {
            io.at(dir, name, |above, name| {
                Ok(fs::renameat_with(above, file_name(&temporary), above, name, RenameFlags::EXCHANGE)?)
            })
        });
        match exchanged.as_ref().map_err(Errno::from_io_error) {
            Ok(()) => return Ok(Written::Replaced(Some(temporary))),
            Err(Some(Errno::NOENT)) => {
                if rename_file_to_free_name(io, dir, &temporary, name)? {
                    return Ok(Written::Replaced(None));
                }
            }
            // CIFS and NFS, among others, know no such rename.
            Err(Some(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP)) => {
                return write_link_in_two_steps(io, dir, &temporary, name);
            }
            Err(_) => {
                let is_there = io.stat_now(dir, name).is_ok();
                if is_there {
                    remove_file(io, dir, &temporary).ok();
                }
                return exchanged.map(|()| Written::Superseded);
            }
        }
    }
    remove_file(io, dir, &temporary)?;
    Ok(Written::Superseded)
}

fn write_link_in_two_steps(io: &Io, dir: &Dir, temporary: &str, name: &str) -> io::Result<Written> {
    let aside = format!("{name}{LINK_ASIDE}");
    remove_file(io, dir, &aside)?;
    let old = match rename_file_to_free_name(io, dir, name, &aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Ok(true) => Some(aside),
        Ok(false) => return Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) => return Err(error),
    };
    match rename_file_to_free_name(io, dir, temporary, name) {
        Ok(true) => Ok(Written::Replaced(old)),
        Ok(false) => {
            for name in old.iter().map(String::as_str).chain([temporary]) {
                remove_file(io, dir, name)?;
            }
            Ok(Written::Superseded)
        }
        Err(error) => {
            if let Some(old) = old
                && rename_file_to_free_name(io, dir, &old, name).is_ok()
            {
                remove_file(io, dir, temporary).ok();
            }
            Err(error)
        }
    }
}

/// Makes a directory with the owner and the mode of another; what is there already is fine.
pub(super) fn make_dir_like(io: &Io, dir: &Dir, name: &str, like: &Attributes) -> io::Result<()> {
    match make_dir(io, dir, name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.and_then(|()| own_like(io, dir, name, like)),
    }
}

fn own_like(io: &Io, dir: &Dir, name: &str, like: &Attributes) -> io::Result<()> {
    let is = io.stat(dir, name)?;
    if is.owner != like.owner {
        let (user, group) = (Uid::from_raw(like.owner.0), Gid::from_raw(like.owner.1));
        io.run(Op::Write, dir.path(), name, || {
            io.at(dir, name, |above, name| {
                Ok(fs::chownat(above, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?)
            })
        })?;
    }
    if is.mode != like.mode {
        io.run(Op::Write, dir.path(), name, || {
            // By its handle: changing a mode by name follows a symbolic link.
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let open = io.at(dir, name, |above, name| Ok(fs::openat(above, name, flags, Mode::empty())?))?;
            Ok(fs::fchmod(&open, Mode::from_raw_mode(like.mode))?)
        })?;
    }
    Ok(())
}

/// Sets a file's mtime, and writes it through to the storage.
pub(super) fn set_modified(io: &Io, dir: &Dir, name: &str, at: Timestamp) -> io::Result<()> {
    io.run(Op::Write, dir.path(), name, || {
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file =
            io.at(dir, name, |above, name| Ok(File::from(fs::openat(above, name, flags, Mode::empty())?)))?;
        date(&file, at)?;
        file.sync_all()
    })
}

/// Opens a file for locking, making it when it is not there.
pub(super) fn open_lock_file(io: &Io, dir: &Dir, name: &str) -> io::Result<File> {
    io.run(Op::Write, dir.path(), name, || {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        io.at(dir, name, |above, name| Ok(File::from(fs::openat(above, name, flags, FILE_MODE)?)))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    type Change = fn(&Io, &Dir) -> io::Result<()>;

    /// Every operation, on a path that leads through a symbolic link to where it would work.
    const CHANGES: [(&str, Change); 9] = [
        ("make_dirs", |io, dir| make_dirs(io, dir, "link/made/deep")),
        ("rename_dir from", |io, dir| rename_dir(io, dir, "link/directory", dir, "moved")),
        ("rename_dir to", |io, dir| rename_dir(io, dir, "own", dir, "link/moved")),
        ("rename_file", |io, dir| rename_file(io, dir, "link/file", "link/renamed")),
        ("rename_file_to_free_name", |io, dir| {
            rename_file_to_free_name(io, dir, "link/file", "link/renamed").map(drop)
        }),
        ("remove_empty_dir", |io, dir| remove_empty_dir(io, dir, "link/directory").map(drop)),
        ("give_up", |io, dir| give_up(io, dir, "link/file")),
        ("write_new", |io, dir| write_new(io, dir, "link/new", b"x")),
        ("set_modified", |io, dir| set_modified(io, dir, "link/file", Timestamp::UNIX_EPOCH)),
    ];

    fn refuses(io: &Io, change: Change) -> io::Result<()> {
        let (store, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("file"), "theirs").unwrap();
        fs::create_dir(outside.path().join("directory")).unwrap();
        fs::create_dir(store.path().join("own")).unwrap();
        symlink(outside.path(), store.path().join("link")).unwrap();
        let before = fs::metadata(outside.path().join("file")).unwrap().modified().unwrap();

        let done = change(io, &io.open_root(store.path()).unwrap());

        let mut names: Vec<_> =
            fs::read_dir(outside.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["directory", "file"]);
        assert_eq!(fs::metadata(outside.path().join("file")).unwrap().modified().unwrap(), before);
        assert!(store.path().join("own").is_dir());
        done
    }

    #[test]
    fn no_change_is_made_behind_a_symbolic_link() {
        for (name, change) in CHANGES {
            for io in [Io::default(), Io::without_openat2()] {
                assert!(refuses(&io, change).is_err(), "{name}");
            }
        }
    }

    #[test]
    fn nothing_is_changed_above_the_directory() {
        let store = tempfile::tempdir().unwrap();
        fs::create_dir(store.path().join("inside")).unwrap();
        fs::write(store.path().join("file"), "x").unwrap();
        for io in [Io::default(), Io::without_openat2()] {
            let inside = io.open_root(&store.path().join("inside")).unwrap();
            assert!(give_up(&io, &inside, "../inside/../file").is_err());
            assert!(store.path().join("file").exists());
        }
    }
}
