//! Messages about arguments and variables that are wrong, as people see them.

#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "this test runs the binary")]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;

/// All that the janitor says to these arguments, with these variables set. It must be a usage error.
#[track_caller]
fn refusal<V: AsRef<OsStr>>(variables: &[(&str, V)], arguments: &str) -> String {
    let mut janitor = Command::new(env!("CARGO_BIN_EXE_janitor"));
    janitor.args(arguments.split_whitespace()).env_clear();
    let set = variables.iter().map(|(name, value)| (name, OsString::from(value.as_ref())));
    let output = janitor.envs(set).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments}");
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

/// The same for several, each below what was typed.
#[track_caller]
fn refusals(cases: &[(&[(&str, &str)], &str)]) -> String {
    let told = cases.iter().map(|(variables, arguments)| {
        let set: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value} ")).collect();
        format!("$ {}janitor {arguments}\n{}", set.concat(), refusal(variables, arguments))
    });
    told.collect::<Vec<_>>().join("\n")
}

#[test]
fn wrong_arguments() {
    insta::assert_snapshot!(
        "wrong_arguments",
        refusals(&[
            (&[], "--keep-last=5"),
            (&[], "--keep-last-n ten"),
            (&[], "--keep-last-n"),
            (&[], "--keep-last-n 0"),
            (&[], "--gc-engine natvie"),
            (&[], "--dry-run=treu"),
            (&[], "chekc"),
            (&[], "restore"),
            (&[], "check --yes"),
            (&[], "trash emtpy"),
            (&[], "du --sort age"),
        ])
    );
}

#[test]
fn wrong_variables() {
    insta::assert_snapshot!(
        "wrong_variables",
        refusals(&[
            (&[("KEEP_LAST_N", "ten")], ""),
            (&[("KEEP_LAST_N", "0")], ""),
            (&[("GC_GRACE", "")], ""),
            (&[("GC_ENGINE", "natvie")], ""),
            (&[("DRY_RUN", "treu")], ""),
            (&[("UPLOAD_MAX_AGE", "1")], "check"),
            (&[("JANITOR_JOBS", "0")], "trash empty"),
            (&[("KEEP_LAST", "5")], ""),
            (&[("JANITOR_FROBNICATE", "1")], ""),
        ])
    );
}

#[test]
fn the_variable_is_named_only_where_the_value_came_from_it() {
    let set = [("KEEP_LAST_N", "ten")];
    assert!(refusal(&set, "--run-once").contains("'ten' for 'KEEP_LAST_N'"));
    let typed = refusal(&set, "--keep-last-n ten");
    assert!(typed.contains("'ten' for '--keep-last-n <N>'"), "{typed}");
    let other = refusal(&[("KEEP_LAST_N", "5")], "--keep-last-n ten");
    assert!(other.contains("'ten' for '--keep-last-n <N>'"), "{other}");
    let garbled = refusal(&[("KEEP_LAST_N", OsStr::from_bytes(b"\xff"))], "");
    assert!(garbled.starts_with("error: invalid value for 'KEEP_LAST_N': it is not UTF-8\n"), "{garbled}");
}

#[test]
fn what_may_be_a_password_is_not_repeated() {
    let url = "JANITOR_REGISTRY_URL";
    for value in [
        "http://ci:tulip@registry:5000",
        "http://ci:tulip",
        "ci:tulip@registry",
        "tulip@registry",
        "http://ci:tu,lip@registry",
        "http://registry:5000,http://ci:tulip@registry",
        "http://registry?password=tulip",
        "http://ci%3Atulip",
    ] {
        for said in [refusal(&[(url, value)], ""), refusal::<&str>(&[], &format!("--registry-url={value}"))] {
            assert!(!said.contains("tulip") && !said.contains("lip@"), "{said}");
        }
    }
    for said in [
        refusal(&[("JANITOR_REGISTRY_PASSWRD", "tulip")], ""),
        refusal::<&str>(&[], "--registry-password=tulip"),
        refusal(&[("JANITOR_REGISTRY_PASSWORD", "tulip")], ""),
    ] {
        assert!(!said.contains("tulip"), "{said}");
    }
    assert!(refusal(&[(url, "registry:5000")], "").contains("'registry:5000' for 'JANITOR_REGISTRY_URL'"));
    let help = Command::new(env!("CARGO_BIN_EXE_janitor"))
        .arg("--help")
        .env(url, "http://ci:tulip@registry")
        .output()
        .unwrap();
    assert!(!String::from_utf8(help.stdout).unwrap().contains("tulip"));
}
