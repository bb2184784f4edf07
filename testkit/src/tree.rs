//! A snapshot of a directory tree that shows every change a program made to it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::Digest;

/// Every entry below a directory: kind, mode, inode, mtime, content. The ctime and the atime stay out: looking
/// may move the one, and restoring a test's times moves the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    entries: BTreeMap<PathBuf, Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// `file <digest of the content>`, `directory`, `link to <target>`, `other`.
    content: String,
    mode: u32,
    owner: (u32, u32),
    inode: u64,
    hard_links: u64,
    modified: (i64, i64),
}

impl Tree {
    /// Takes a snapshot of everything below (and of) this directory.
    pub fn of(root: &Path) -> Self {
        Self::without(root, &[])
    }

    /// Takes a snapshot of one entry that is no directory, and of what a symbolic link leads to.
    pub fn of_one(path: &Path) -> Self {
        let mut entries = BTreeMap::from([(PathBuf::from("."), Entry::of(path))]);
        if let Ok(target) = path.canonicalize().as_deref()
            && target != path
        {
            entries.insert(target.to_owned(), Entry::of(target));
        }
        Self { entries }
    }

    /// Takes a snapshot that leaves out these entries directly below the directory.
    pub fn without(root: &Path, left_out: &[&str]) -> Self {
        let mut entries = BTreeMap::new();
        entries.insert(PathBuf::from("."), Entry::of(root));
        collect(root, Path::new(""), left_out, &mut entries);
        Self { entries }
    }

    /// One line for each entry that is new, gone or different; empty when nothing changed.
    pub fn changes_to(&self, later: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        for (path, before) in &self.entries {
            match later.entries.get(path) {
                None => changes.push(format!("gone:    {} ({before})", path.display())),
                Some(after) => {
                    let differences = before.differences_to(after);
                    if !differences.is_empty() {
                        changes.push(format!("changed: {}: {differences}", path.display()));
                    }
                }
            }
        }
        for (path, after) in &later.entries {
            if !self.entries.contains_key(path) {
                changes.push(format!("new:     {} ({after})", path.display()));
            }
        }
        changes
    }

    /// Fails the test, and names every change, unless the later snapshot is identical.
    #[track_caller]
    pub fn assert_unchanged(&self, later: &Self) {
        let changes = self.changes_to(later);
        assert!(changes.is_empty(), "the tree changed in {} places:\n{}", changes.len(), changes.join("\n"));
    }
}

impl Entry {
    fn of(path: &Path) -> Self {
        let fail = |error: std::io::Error| -> ! { panic!("{}: {error}", path.display()) };
        let meta = fs::symlink_metadata(path).unwrap_or_else(|error| fail(error));
        let kind = meta.file_type();
        let content = if kind.is_dir() {
            "directory".to_owned()
        } else if kind.is_file() {
            let bytes = fs::read(path).unwrap_or_else(|error| fail(error));
            format!("file of {} bytes, {}", bytes.len(), Digest::of(&bytes))
        } else if kind.is_symlink() {
            let target = fs::read_link(path).unwrap_or_else(|error| fail(error));
            format!("link to {}", target.display())
        } else {
            "other".to_owned()
        };
        Self {
            content,
            mode: meta.mode(),
            owner: (meta.uid(), meta.gid()),
            inode: meta.ino(),
            hard_links: meta.nlink(),
            modified: (meta.mtime(), meta.mtime_nsec()),
        }
    }

    fn differences_to(&self, after: &Self) -> String {
        let mut differences = Vec::new();
        let mut compare = |name: &str, before: String, after: String| {
            if before != after {
                differences.push(format!("{name} {before} -> {after}"));
            }
        };
        compare("content", self.content.clone(), after.content.clone());
        compare("mode", format!("{:o}", self.mode), format!("{:o}", after.mode));
        compare("owner", format!("{:?}", self.owner), format!("{:?}", after.owner));
        compare("inode", self.inode.to_string(), after.inode.to_string());
        compare("hard links", self.hard_links.to_string(), after.hard_links.to_string());
        compare("mtime", format!("{:?}", self.modified), format!("{:?}", after.modified));
        differences.join(", ")
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.content)
    }
}

fn collect(root: &Path, below: &Path, left_out: &[&str], entries: &mut BTreeMap<PathBuf, Entry>) {
    let directory = root.join(below);
    let listed = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    for entry in listed {
        let name = entry.expect("a directory is listed").file_name();
        let is_left_out = below.as_os_str().is_empty()
            && left_out.iter().any(|left_out| left_out.as_bytes() == name.as_bytes());
        if is_left_out {
            continue;
        }
        let relative = below.join(&name);
        let found = Entry::of(&root.join(&relative));
        let is_directory = found.content == "directory";
        entries.insert(relative.clone(), found);
        if is_directory {
            collect(root, &relative, left_out, entries);
        }
    }
}
