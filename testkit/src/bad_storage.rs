//! A storage that errs, for a process and all that it starts: system calls fail as strace is told.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Janitor;
use crate::registry::find_program;

/// Which system calls fail, where, and how.
#[derive(Clone, Debug)]
pub struct BadStorage {
    strace: PathBuf,
    arguments: Vec<String>,
}

impl BadStorage {
    /// These system calls (`openat2,openat`) end in this way (`error=EIO`, `retval=0`, `error=EIO:when=2`).
    ///
    /// # Panics
    /// Without strace, or where processes must not be traced.
    pub fn new(calls: &str, end: &str) -> Self {
        let strace = find_program(&["strace"])
            .expect("no strace to make a storage err with: install the Debian package strace");
        let arguments =
            ["-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e"].map(ToOwned::to_owned).into_iter();
        let arguments = arguments.chain([format!("trace={calls}"), format!("--inject={calls}:{end}")]);
        let bad = Self { strace, arguments: arguments.collect() };
        let tried = Command::new(&bad.strace).args(&bad.arguments).args(["-P", "/nowhere", "true"]).output();
        let tried = tried.expect("strace runs");
        assert!(
            tried.status.success(),
            "strace cannot trace here (a container needs the capability SYS_PTRACE): {}",
            String::from_utf8_lossy(&tried.stderr)
        );
        bad
    }

    /// Only where they concern this file or directory: by its whole path, or by a handle on it.
    #[must_use]
    pub fn at(mut self, path: &Path) -> Self {
        self.arguments.extend(["-P".to_owned(), path.display().to_string()]);
        self
    }

    /// Only for the process itself, not for what it starts.
    #[must_use]
    pub fn not_for_children(mut self) -> Self {
        self.arguments.extend(["-b".to_owned(), "execve".to_owned()]);
        self
    }

    /// A janitor, and the collector that it starts, on this storage.
    #[must_use]
    pub fn for_janitor(&self, janitor: Janitor) -> Janitor {
        janitor.under(&self.strace.display().to_string(), &self.arguments)
    }

    /// What to put before a command, for a shell.
    pub fn prefix(&self) -> String {
        let quoted = self.arguments.iter().map(|argument| format!("'{argument}'"));
        let words: Vec<String> = std::iter::once(self.strace.display().to_string()).chain(quoted).collect();
        words.join(" ")
    }
}
