//! How much memory a sweep and a check take where many manifests are as large as the registry accepts.

#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "this test runs the binary")]

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};

use janitor_testkit::{Digest, StoreBuilder, ago, scratch_directory};
use wait4::Wait4 as _;

/// So many indexes of nearly 4 MiB, the largest manifest that the registry accepts.
const INDEXES: usize = 16;
const INDEX_BYTES: usize = 4 << 20;
/// All of them parsed at the same time take 270 MiB. An allocator may keep what one thread has freed.
const MOST_BYTES: u64 = 160 << 20;

/// Lists the same children in every index, so that what has to be remembered of them is little.
fn index(number: usize) -> String {
    let mut text = format!(r#"{{"schemaVersion":2,"annotations":{{"number":"{number}"}},"manifests":["#);
    let mut comma = "";
    for child in 0_u32.. {
        let digest = Digest::of(&child.to_le_bytes());
        if text.len() + 100 > INDEX_BYTES {
            break;
        }
        write!(text, r#"{comma}{{"digest":"{digest}"}}"#).unwrap();
        comma = ",";
    }
    text.push_str("]}");
    text
}

fn peak(arguments: &[&str], store: &std::path::Path) -> u64 {
    // A child begins with the peak of the process that it was forked from.
    fs::write("/proc/self/clear_refs", "5").ok();
    let mut child = Command::new(env!("CARGO_BIN_EXE_janitor"))
        .args(arguments)
        .env_clear()
        .envs([
            ("RUN_ONCE", "true"),
            ("GC_ENGINE", "native"),
            ("DRY_RUN", "true"),
            ("JANITOR_OUTPUT", "none"),
            ("MAX_REMOVE_PERCENT", "100"),
        ])
        .env("JANITOR_DATA_DIR", store)
        .env("JANITOR_REGISTRY_CONFIG", store.join("config.yml"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let used = child.wait4().unwrap();
    assert!(used.status.code().is_some_and(|code| code < 10), "{}", used.status);
    used.rusage.maxrss
}

#[test]
fn large_manifests_are_not_held_all_at_once() {
    let directory = scratch_directory("janitor-memory-");
    let builder = StoreBuilder::new(directory.path());
    for number in 0..INDEXES {
        // No tag names them, since each child that a tag lacks would be reported.
        builder.manifest("many", index(number).as_bytes(), ago(std::time::Duration::from_secs(3600)));
    }
    fs::create_dir_all(builder.view().repository("many").join("_layers")).unwrap();
    let config =
        format!("version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\n", directory.path().display());
    fs::write(directory.path().join("config.yml"), config).unwrap();
    for arguments in [&[][..], &["check"]] {
        let bytes = peak(arguments, directory.path());
        assert!(bytes < MOST_BYTES, "{arguments:?} took {} MiB", bytes >> 20);
    }
}
