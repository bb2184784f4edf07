//! The answer to `--help` and `-h`, as people see it.

#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "this test runs the binary")]

use std::process::Command;

fn said(arguments: &str) -> String {
    let mut janitor = Command::new(env!("CARGO_BIN_EXE_janitor"));
    let output = janitor.args(arguments.split(' ')).env_clear().output().unwrap();
    assert!(output.status.success(), "{arguments}: {}", output.status);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn long_help() {
    insta::assert_snapshot!("long_help", said("--help"));
}

#[test]
fn short_help() {
    insta::assert_snapshot!("short_help", said("-h"));
}

#[test]
fn check_help() {
    insta::assert_snapshot!("check_help", said("check --help"));
}

#[test]
fn du_help() {
    insta::assert_snapshot!("du_help", said("du --help"));
}

#[test]
fn version_is_the_one_of_the_package() {
    assert_eq!(said("--version"), format!("janitor {}\n", env!("CARGO_PKG_VERSION")));
}
