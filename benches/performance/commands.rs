//! The commands that are measured, each with the environment that it needs and no other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use janitor_testkit::registry_bin;

/// Makes the commands; what they read lies in a directory of the benchmark's.
#[derive(Debug)]
pub(crate) struct Commands {
    scratch: PathBuf,
}

impl Commands {
    pub(crate) fn new(scratch: &Path) -> Self {
        Self { scratch: scratch.to_owned() }
    }

    /// One sweep, with nothing in its environment but this.
    pub(crate) fn janitor(&self, store: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_janitor"));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("RUN_ONCE", "true")
            .env("LOG_LEVEL", "warn")
            // As the image has it.
            .env("MALLOC_ARENA_MAX", "2")
            .env("MALLOC_MMAP_THRESHOLD_", "65536")
            // The stores have far more tags than stay.
            .env("GC_QUIET", "0s")
            .env("MAX_REMOVE_PERCENT", "100")
            .env("JANITOR_DATA_DIR", store)
            .env("JANITOR_REGISTRY_CONFIG", self.config(store))
            .env("JANITOR_REGISTRY_BIN", registry_bin());
        command
    }

    /// An audit.
    pub(crate) fn audit(&self, store: &Path) -> Command {
        with(self.janitor(store), "DRY_RUN", "true")
    }

    /// A sweep that waits for nothing, with the janitor's own collector.
    pub(crate) fn native_sweep(&self, store: &Path) -> Command {
        with(with(no_grace(self.janitor(store)), "GC_ENGINE", "native"), "GC_SETTLE", "0s")
    }

    /// A registry's collector.
    pub(crate) fn collector(&self, binary: &Path, store: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary);
        command.env_clear().arg("garbage-collect").args(arguments).arg(self.config(store));
        command
    }

    /// A registry's configuration for a store.
    fn config(&self, store: &Path) -> PathBuf {
        let path = self.scratch.join("config.yml");
        let root = store.display();
        let text = format!(
            "version: 0.1\nlog:\n  level: warn\nstorage:\n  filesystem:\n    rootdirectory: {root}\n  delete:\n    \
             enabled: true\nhttp:\n  addr: 127.0.0.1:0\n"
        );
        fs::write(&path, text).expect("a configuration");
        path
    }
}

/// Lists every file.
pub(crate) fn find(store: &Path) -> Command {
    let mut find = Command::new("find");
    find.arg(store).args(["-type", "f"]);
    find
}

/// Sets a variable.
pub(crate) fn with(mut command: Command, name: &str, value: &str) -> Command {
    command.env(name, value);
    command
}

/// The stores have just been written, so that with a grace every blob is too young to go.
pub(crate) fn no_grace(command: Command) -> Command {
    with(command, "GC_GRACE", "0s")
}
