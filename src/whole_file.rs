//! Replacing a file outside of the store in one step: the sign of life, the state of a long check.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use tempfile::NamedTempFile;

/// The pauses between tries, in milliseconds.
const PAUSES_MILLIS: [u64; 5] = [20, 60, 120, 300, 500];

/// Replaces a file with new content.
///
/// A CIFS server does not replace a file that somebody has open: the client deletes the old one, fails, and the new one
/// keeps its temporary name. So this is tried again for about a second, and the temporary file is deleted only where the
/// old one is known to be there.
///
/// # Errors
/// Whatever the system says. Where the old file may be gone, the error says where the content is.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    persist(write(path, content)?, path, |file| file.persist(path))
}

/// The same, and the content is on the storage before it gets its name.
///
/// # Errors
/// As [`replace`].
pub(crate) fn replace_durably(path: &Path, content: &[u8]) -> io::Result<()> {
    let file = write(path, content)?;
    file.as_file().sync_all()?;
    persist(file, path, |file| file.persist(path))
}

fn write(path: &Path, content: &[u8]) -> io::Result<NamedTempFile> {
    let directory = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(directory)?;
    file.write_all(content)?;
    Ok(file)
}

fn persist(
    mut file: NamedTempFile,
    path: &Path,
    mut move_into_place: impl FnMut(NamedTempFile) -> Result<File, tempfile::PersistError>,
) -> io::Result<()> {
    let mut pauses = PAUSES_MILLIS.into_iter();
    loop {
        let Err(failed) = move_into_place(file) else { return Ok(()) };
        // The directory lets files be made, so what is refused here is a file that is open.
        let is_in_use = Errno::from_io_error(&failed.error) == Some(Errno::ACCESS);
        if let Some(pause) = pauses.next().filter(|_| is_in_use) {
            std::thread::sleep(Duration::from_millis(pause));
            file = failed.file;
            continue;
        }
        // One that is deleted once it is closed can still be opened.
        if !is_in_use && File::open(path).is_ok() {
            return Err(failed.error);
        }
        return match failed.file.keep() {
            Ok((_, kept)) => Err(io::Error::new(
                failed.error.kind(),
                format!("{}; it is in {}", failed.error, kept.display()),
            )),
            Err(_) => Err(failed.error),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails as a CIFS client does while somebody has the file open.
    fn refuse(file: NamedTempFile, path: &Path) -> Result<File, tempfile::PersistError> {
        #[expect(clippy::disallowed_methods, reason = "the storage's part is played here")]
        std::fs::remove_file(path).ok();
        Err(tempfile::PersistError { error: Errno::ACCESS.into(), file })
    }

    fn scene() -> (tempfile::TempDir, std::path::PathBuf, NamedTempFile) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        std::fs::write(&path, "old").unwrap();
        let mut file = NamedTempFile::new_in(directory.path()).unwrap();
        file.write_all(b"new").unwrap();
        (directory, path, file)
    }

    #[test]
    fn a_file_that_was_open_for_a_moment_is_replaced() {
        let (_directory, path, file) = scene();
        let mut tries = 0;
        persist(file, &path, |file| {
            tries += 1;
            if tries < 3 { refuse(file, &path) } else { file.persist(&path) }
        })
        .unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn the_content_is_never_deleted_with_what_it_was_to_replace() {
        let (directory, path, file) = scene();
        let error = persist(file, &path, |file| refuse(file, &path)).unwrap_err();
        let left: Vec<_> =
            std::fs::read_dir(directory.path()).unwrap().map(|it| it.unwrap().path()).collect();
        assert_eq!(left.len(), 1);
        assert_eq!(std::fs::read(&left[0]).unwrap(), b"new");
        assert!(error.to_string().contains(&left[0].display().to_string()), "{error}");
    }

    #[test]
    fn of_a_failure_that_left_the_old_file_nothing_stays() {
        let (directory, path, file) = scene();
        let full = |file| Err(tempfile::PersistError { error: io::ErrorKind::StorageFull.into(), file });
        persist(file, &path, full).unwrap_err();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
    }
}
