//! Stand-ins for the stock collector that fail, hang, chatter or lie, as shell scripts around the real one.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::registry_bin;

/// Writes scripts that take the place of the registry's binary.
#[derive(Debug)]
pub struct Collector {
    directory: PathBuf,
}

impl Collector {
    /// Writes its scripts into this directory.
    pub fn scripts_in(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// A script with this body, in which `$REAL` is the real binary and `$CALLS` a file that each call adds
    /// its arguments to.
    pub fn script(&self, name: &str, body: &str) -> PathBuf {
        let path = self.directory.join(name);
        let mut text = String::from("#!/bin/sh\n");
        writeln!(text, "REAL='{}'", registry_bin().display()).expect("a string takes every write");
        writeln!(text, "CALLS='{}'", self.calls_path(name).display()).expect("a string takes every write");
        text.push_str("echo \"$*\" >> \"$CALLS\"\n");
        text.push_str(body);
        text.push('\n');
        install(&path, &text);
        path
    }

    /// Does what the real one does, and remembers its calls.
    pub fn recording(&self, name: &str) -> PathBuf {
        self.script(name, "exec \"$REAL\" \"$@\"")
    }

    /// Answers a dry run as the real one does, and runs this instead of the real collection.
    pub fn with_real_run(&self, name: &str, body: &str) -> PathBuf {
        let body = format!("case \" $* \" in *' --dry-run '*|*' -d '*) exec \"$REAL\" \"$@\";; esac\n{body}");
        self.script(name, &body)
    }

    /// The arguments of every call of a script so far, one line each.
    pub fn calls(&self, name: &str) -> Vec<String> {
        std::fs::read_to_string(self.calls_path(name))
            .unwrap_or_default()
            .lines()
            .map(ToOwned::to_owned)
            .collect()
    }

    fn calls_path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.calls"))
    }
}

/// Writes an executable file through another process: a file that this one has open for writing while a second
/// test forks cannot be executed ("text file busy").
fn install(path: &Path, text: &str) {
    let mut child = Command::new("install")
        .args(["-m", "755", "/dev/stdin"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("install(1) of coreutils runs");
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    stdin.write_all(text.as_bytes()).expect("a script is written");
    drop(stdin);
    let status = child.wait().expect("install(1) ends");
    assert!(status.success(), "cannot write {}", path.display());
}
