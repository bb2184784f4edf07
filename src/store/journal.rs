//! The lists of hidden files: written before anything on them is hidden, given up after all of it is back or deleted.
//!
//! A line for each file: `sha256:<hex>` for a blob, `<repository> sha256:<hex>` for a layer link. They lie in the
//! sweep's part of the trash, `pending/<sweep>/hidden-<number>`, and become condemned with it by its one rename.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io;

use super::hide::Done;
use super::{Store, StoreLock, layout, mutate};
use crate::model::{Code, HiddenFile, Problem, Severity};
use crate::stop::{Interrupted, Stop};

/// Far more than a list ever takes: its lines are counted when it is written.
const JOURNAL_MAX_BYTES: u64 = 16 << 20;

impl Store {
    pub(super) fn write_journal(
        &self,
        lock: &StoreLock,
        batch: &str,
        number: usize,
        files: &[HiddenFile],
    ) -> io::Result<()> {
        let path = format!("{}/{batch}", layout::PENDING);
        self.make_room_and_dirs(lock, &path)?;
        let dir = self.io.open_dir(&lock.dir, &path)?;
        self.write_with_room(lock, &dir, &layout::journal(number), text(files).as_bytes())
    }

    /// What a list has on it; `path` is below the janitor's directory.
    fn read_journal(&self, lock: &StoreLock, path: &str) -> Result<Vec<HiddenFile>, Box<Problem>> {
        let read = self.io.read(&lock.dir, path, JOURNAL_MAX_BYTES);
        let parsed = read.and_then(|content| {
            parse(&content.bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is garbled"))
        });
        parsed.map_err(|error| {
            Box::new(Problem {
                severity: Severity::Doubt,
                code: Code::Unreadable,
                repository: None,
                path: format!("{}/{path}", layout::JANITOR),
                cause: format!("the list of what an interrupted sweep had hidden cannot be read: {error}"),
                remedy: "check the storage; where the list is garbled, move the list out of the trash and run janitor check --repair, which finds what is hidden without it".into(),
            })
        })
    }

    /// All that lists of sweeps have on them, whoever holds the lock. A list that cannot be read tells of nothing.
    pub(super) fn listed_as_hidden(&self) -> HashSet<HiddenFile> {
        let mut listed = HashSet::new();
        for part in [layout::PENDING, layout::CONDEMNED] {
            let path = format!("{}/{part}", layout::JANITOR);
            let Ok(part) = self.io.open_dir(&self.data, &path) else { continue };
            for sweep in self.io.list(&part).unwrap_or_default() {
                let Ok(dir) = self.io.open_dir(&part, &sweep.name) else { continue };
                let entries = self.io.list(&dir).unwrap_or_default();
                for list in entries.iter().filter(|entry| layout::is_journal(&entry.name)) {
                    let read = self.io.read(&dir, &list.name, JOURNAL_MAX_BYTES).ok();
                    listed.extend(read.and_then(|it| parse(&it.bytes)).into_iter().flatten());
                }
            }
        }
        listed
    }

    /// Brings back all that some lists have on them; a list of which nothing is left is given up. Says how many files
    /// are back.
    pub(super) fn show_listed(
        &self,
        lock: &StoreLock,
        lists: &[String],
        problems: &mut Vec<Problem>,
        stop: &Stop,
    ) -> Result<usize, Interrupted> {
        self.with_listed(lock, lists, problems, |files| self.show(lock, files, stop))
    }

    /// Deletes all that some lists have on them; a list of which nothing is left is given up.
    pub(super) fn delete_listed(
        &self,
        lock: &StoreLock,
        lists: &[String],
        problems: &mut Vec<Problem>,
        stop: &Stop,
    ) -> Result<(), Interrupted> {
        self.with_listed(lock, lists, problems, |files| self.delete_hidden(lock, files, stop)).map(drop)
    }

    fn with_listed(
        &self,
        lock: &StoreLock,
        lists: &[String],
        problems: &mut Vec<Problem>,
        act: impl Fn(Vec<HiddenFile>) -> Result<Done, Interrupted>,
    ) -> Result<usize, Interrupted> {
        let mut count = 0;
        for path in lists {
            match self.read_journal(lock, path) {
                Ok(files) => {
                    let done = act(files)?;
                    count += done.count();
                    if done.problems.is_empty() {
                        problems.extend(self.give_up_journal(lock, path));
                    }
                    problems.extend(done.problems);
                }
                Err(problem) => problems.push(*problem),
            }
        }
        Ok(count)
    }

    fn give_up_journal(&self, lock: &StoreLock, path: &str) -> Option<Problem> {
        let given_up = mutate::give_up(&self.io, &lock.dir, path);
        given_up.err().map(|error| Problem::of_failed_step(path.to_owned(), &error))
    }
}

fn text(files: &[HiddenFile]) -> String {
    let mut text = String::new();
    for file in files {
        let written = match file {
            HiddenFile::Blob(digest) => writeln!(text, "{digest}"),
            HiddenFile::Link(repository, digest) => writeln!(text, "{repository} {digest}"),
        };
        // Writing to a string does not fail.
        written.ok();
    }
    text
}

/// What a list has on it, if every line of it can be told.
fn parse(bytes: &[u8]) -> Option<Vec<HiddenFile>> {
    let text = std::str::from_utf8(bytes).ok()?;
    if !text.is_empty() && !text.ends_with('\n') {
        return None;
    }
    let file = |line: &str| match line.split_once(' ') {
        None => Some(HiddenFile::Blob(line.parse().ok()?)),
        Some((repository, digest)) => Some(HiddenFile::Link(repository.parse().ok()?, digest.parse().ok()?)),
    };
    text.lines().map(file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Digest;
    use proptest::prelude::*;

    #[test]
    fn a_list_is_read_as_it_was_written() {
        let sha512 = format!("sha512:{}", "0a".repeat(64)).parse().unwrap();
        let files = [
            HiddenFile::Link("mina/daemon".parse().unwrap(), Digest::of(b"a")),
            HiddenFile::Link("a".parse().unwrap(), sha512),
            HiddenFile::Blob(Digest::of(b"b")),
        ];
        assert_eq!(parse(text(&files).as_bytes()).as_deref(), Some(&files[..]));
        assert_eq!(parse(b""), Some(Vec::new()));
    }

    #[test]
    fn what_is_cut_short_or_names_no_file_of_a_store_is_no_list() {
        let whole = text(&[HiddenFile::Blob(Digest::of(b"b"))]);
        for garbled in [
            &whole[..whole.len() - 1],
            &whole[..20],
            "\n",
            "../../etc sha256:00\n",
            "a/../b sha256:00\n",
            &format!("../x {}\n", Digest::of(b"b")),
            &format!("a  {}\n", Digest::of(b"b")),
        ] {
            assert_eq!(parse(garbled.as_bytes()), None, "{garbled:?}");
        }
    }

    proptest! {
        #[test]
        fn no_content_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(parse(&bytes).is_none_or(|files| files.len() <= bytes.len()));
        }
    }
}
