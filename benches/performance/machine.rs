//! What the numbers were measured on; no host name and no path.

use std::fs;
use std::num::NonZero;
use std::path::Path;
use std::process::Command;
use std::thread;

use janitor_testkit::registry_bin;

/// Each property with its value.
pub(crate) fn describe(stores: &Path) -> Vec<(&'static str, String)> {
    let memory =
        field("/proc/meminfo", "MemTotal").and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let mut findmnt = Command::new("findmnt");
    let unknown = || "unknown".to_owned();
    vec![
        (
            "processor",
            format!("{}, {cores} cores", field("/proc/cpuinfo", "model name").unwrap_or_else(unknown)),
        ),
        ("memory", memory.map_or_else(unknown, |kib| format!("{} GiB", kib.div_ceil(1 << 20)))),
        (
            "kernel",
            fs::read_to_string("/proc/sys/kernel/osrelease")
                .map_or_else(|_| unknown(), |it| it.trim().split('-').next().unwrap_or_default().into()),
        ),
        (
            "file system",
            output(findmnt.args(["--noheadings", "--output", "FSTYPE", "--target"]).arg(stores))
                .map_or_else(unknown, |kind| format!("{kind}, local disk")),
        ),
        (
            "registry",
            output(Command::new(registry_bin()).arg("--version"))
                .and_then(|text| text.split(' ').next_back().map(ToOwned::to_owned))
                .unwrap_or_else(unknown),
        ),
        ("janitor", env!("CARGO_PKG_VERSION").to_owned()),
        ("date", jiff::Timestamp::now().strftime("%Y-%m-%d").to_string()),
    ]
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim_start().strip_prefix(':')?.trim().to_owned())
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
