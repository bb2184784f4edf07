//! A store full of names and contents that somebody made to act on a terminal, and manifests that would make findings of
//! megabytes: whatever the janitor says of them is harmless and short.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use janitor_testkit::{Image, Janitor, Outcome, StoreBuilder, ago};
use serde_json::Value;

const WEEK: Duration = Duration::from_secs(7 * 86400);
/// More than all that one run may say of this store.
const MOST_BYTES: usize = 200_000;

/// Names that are no names of the registry's, each with something that acts on a terminal or is no text at all.
const NAMES: [&[u8]; 6] = [
    b"\x1b]0;title\x07\x1b[31mred",
    b"line\nerror: forged",
    "\u{202e}gpj.exe\u{2066}".as_bytes(),
    "\u{9b}31m\u{85}\u{200b}\u{feff}".as_bytes(),
    b"\xff\xfe\x1b[2J",
    b"carriage\r\x08\x7f\ttab",
];

fn make_all(dir: &Path) {
    for name in NAMES {
        fs::create_dir_all(dir.join(OsStr::from_bytes(name)).join("_manifests/tags")).unwrap();
        fs::write(dir.join(OsStr::from_bytes(&[name, b".file"].concat())), "x").unwrap();
        let temporary = dir.join(OsStr::from_bytes(&[b"link.", name, b".tmp"].concat()));
        fs::write(&temporary, "x").unwrap();
        fs::File::open(&temporary).unwrap().set_modified(ago(WEEK)).unwrap();
        std::os::unix::fs::symlink("/etc", dir.join(OsStr::from_bytes(&[name, b".link"].concat()))).unwrap();
    }
}

fn hostile_store(root: &Path) -> StoreBuilder {
    let store = StoreBuilder::new(root);
    for number in 0..3 {
        store.push("team/app", &format!("v{number}"), &Image::small(number), ago(WEEK));
    }
    let view = store.view();
    let repository = view.repository("team/app");
    for dir in [
        repository.parent().unwrap().to_owned(),
        repository.join("_manifests/tags"),
        repository.join("_manifests/tags/v1"),
        repository.join("_manifests/revisions"),
        repository.join("_manifests/revisions/sha256"),
        repository.join("_layers/sha256"),
        view.v2().join("blobs"),
        view.v2().join("blobs/sha256"),
        root.join("janitor/trash/undo"),
    ] {
        make_all(&dir);
    }
    for name in NAMES {
        let upload = repository.join("_uploads").join(OsStr::from_bytes(name));
        fs::create_dir_all(&upload).unwrap();
        fs::write(upload.join("data"), "x").unwrap();
    }
    let link = view.current_link("team/app", "v0");
    fs::write(link, "sha256:\x1b[31m\n\u{202e}error: forged").unwrap();
    // Removed tags, with reasons that somebody changed.
    let undo = root.join("janitor/trash/undo/20261121T041800000Z-1\n\x1b[31m");
    let tag = undo.join("repositories/team/app/_manifests/tags/old/current");
    fs::create_dir_all(&tag).unwrap();
    fs::write(tag.join("link"), Image::small(1).digest().as_str()).unwrap();
    let reasons = serde_json::json!([{"repository": "team/app", "tag": "old", "lacked": [],
        "reasons": [{"code": "\u{1b}[31m", "text": format!("\n\u{202e}{}", "x".repeat(100_000))}]}]);
    fs::write(undo.join("reasons.json"), reasons.to_string()).unwrap();
    store
}

/// Manifests of nearly 4 MiB, each of which has its own way to be told of at length.
fn huge_manifests(store: &StoreBuilder) {
    let long = r"\u001b[31m\n".repeat(340_000);
    let layer = |number: u32| format!(r#"{{"size":{number},"digest":"sha256:{number:064x}"}}"#);
    let layers: Vec<String> = (1..8_000).map(layer).collect();
    let claim = |number: u32| format!(r#"{{"size":{number},"digest":"sha256:{:064x}"}}"#, 1);
    let claims: Vec<String> = (1..8_000).map(claim).collect();
    for (tag, manifest) in [
        ("type", format!(r#"{{"mediaType":"{long}","manifests":"x"}}"#)),
        ("shape", format!(r#"{{"schemaVersion":2,"manifests":"{long}"}}"#)),
        ("digest", format!(r#"{{"schemaVersion":2,"config":{{"size":1,"digest":"{long}"}},"layers":[]}}"#)),
        ("layers", format!(r#"{{"schemaVersion":2,"config":{},"layers":[{}]}}"#, layer(1), layers.join(","))),
        ("claims", format!(r#"{{"schemaVersion":2,"config":{},"layers":[{}]}}"#, claim(1), claims.join(","))),
    ] {
        let digest = store.manifest("team/huge", manifest.as_bytes(), ago(WEEK));
        let link = store.view().current_link("team/huge", tag);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        fs::write(&link, digest.as_str()).unwrap();
    }
}

/// Everything that a person or a log collector would see.
#[track_caller]
fn assert_harmless(what: &str, outcome: &Outcome) {
    for (stream, text) in [("stdout", &outcome.stdout), ("stderr", &outcome.stderr)] {
        let bad = text.char_indices().find(|(_, it)| *it != '\n' && is_bad(*it));
        let line = bad.and_then(|(at, _)| text[..at].lines().next_back());
        assert!(bad.is_none(), "{what}: {bad:?} on {stream} after {line:?}");
        assert!(text.len() < MOST_BYTES, "{what}: {} bytes on {stream}", text.len());
        assert!(!text.contains("\nerror: forged"), "{what}: a forged line on {stream}\n{text}");
    }
}

/// Control characters, marks of direction, and what cannot be seen.
fn is_bad(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Every command that tells of the store.
const COMMANDS: [&str; 12] = [
    "--dry-run",
    "",
    "check",
    "check --deep",
    "check --repair",
    "check --repair --yes",
    "du",
    "du --tags --top=all",
    "trash",
    "restore --dry-run team/app:old",
    "restore team/app:old",
    "trash empty --yes",
];

fn runs(store: &StoreBuilder, commands: &[&str]) -> Vec<(String, Janitor)> {
    let config = store.root().join("config.yml");
    fs::write(
        &config,
        format!("version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\n", store.root().display()),
    )
    .unwrap();
    let mut runs = Vec::new();
    for arguments in commands {
        for (output, log) in [("text", "text"), ("json", "json")] {
            let mut janitor = Janitor::bare(env!("CARGO_BIN_EXE_janitor"))
                .env("RUN_ONCE", "true")
                .env("GC_ENGINE", "native")
                .env("GC_GRACE", "0s")
                .env("GC_SETTLE", "0s")
                .env("KEEP_LAST_N", "1")
                .env("UNDO_WINDOW", "7d")
                .env("JANITOR_ACCEPT_LOSSES", "true")
                .env("LOG_LEVEL", "debug")
                .env("LOG_FORMAT", log)
                .env("JANITOR_OUTPUT", output)
                .env("JANITOR_REGISTRY_CONFIG", &config.display().to_string())
                .env("JANITOR_DATA_DIR", &store.root().display().to_string());
            for argument in arguments.split_whitespace() {
                janitor = janitor.arg(argument);
            }
            runs.push((format!("janitor {arguments} ({output}, log {log})"), janitor));
        }
    }
    runs
}

#[track_caller]
fn assert_all_harmless(
    store: &StoreBuilder,
    commands: &[&str],
    is_document_right: impl Fn(&str, &Value),
    is_told: impl Fn(&str) -> bool,
) {
    for (what, janitor) in runs(store, commands) {
        let outcome = janitor.run();
        assert_harmless(&what, &outcome);
        if what.contains("(json") {
            let report = outcome.report();
            is_document_right(&what, &report);
            for line in outcome.stderr.lines().filter(|line| !line.starts_with("to mend: ")) {
                let is_log = serde_json::from_str::<serde_json::Value>(line).is_ok();
                assert!(
                    is_log || line.starts_with("error: ") || line.starts_with("nothing was changed"),
                    "{line}"
                );
            }
        }
        if what.contains("janitor check (text") || what.contains("janitor --dry-run (text") {
            assert!(is_told(&outcome.stdout), "{what}\n{}", outcome.stdout);
        }
    }
}

#[test]
fn names_that_act_on_a_terminal_are_shown_with_escapes() {
    let dir = tempfile::tempdir().unwrap();
    let store = hostile_store(&dir.path().join("store"));
    let has_raw_names = |what: &str, report: &Value| {
        let whole = report.to_string();
        assert!(!whole.contains(r"\\u{"), "{what}: escaped twice\n{whole}");
        if what.contains("janitor check (") {
            assert!(whole.contains(r"\u001b[31mred") && whole.contains("\u{202e}gpj"), "{what}\n{whole}");
        }
    };
    assert_all_harmless(&store, &COMMANDS, has_raw_names, |said| {
        said.contains(r"\u{1b}[31mred")
            && said.contains(r"line\nerror: forged")
            && said.contains(r"\u{202e}gpj")
    });
}

#[test]
fn a_manifest_makes_a_few_short_findings_however_large_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = StoreBuilder::new(dir.path().join("store"));
    store.push("team/app", "v1", &Image::small(1), ago(WEEK));
    huge_manifests(&store);
    let is_bounded = |what: &str, report: &Value| {
        for finding in report["findings"].as_array().unwrap() {
            assert!(finding.to_string().len() < 2000, "{what}: {finding}");
        }
    };
    assert_all_harmless(&store, &["--dry-run", "", "check", "du", "trash"], is_bounded, |said| {
        said.contains("more characters)")
    });
}
