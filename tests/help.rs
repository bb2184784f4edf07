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
fn trash_help() {
    insta::assert_snapshot!("trash_help", said("trash --help"));
}

#[test]
fn trash_empty_help() {
    insta::assert_snapshot!("trash_empty_help", said("trash empty -h"));
}

#[test]
fn restore_help() {
    insta::assert_snapshot!("restore_help", said("restore --help"));
}

#[test]
fn health_help() {
    insta::assert_snapshot!("health_help", said("health --help"));
}

#[test]
fn settings_that_do_nothing_for_a_command_are_taken_and_not_shown() {
    for (command, silent) in [
        (
            "health",
            ["--undo-window", "--dry-run", "--lock-wait", "--jobs", "--data-dir", "--output"].as_slice(),
        ),
        ("check", &["--undo-window", "--heartbeat"]),
        ("trash", &["--dry-run", "--lock-wait", "--heartbeat"]),
        ("trash empty", &["--undo-window", "--heartbeat"]),
        ("restore", &["--undo-window", "--heartbeat"]),
    ] {
        let help = said(&format!("{command} --help"));
        for setting in silent {
            assert!(!help.contains(&format!("  {setting} <")), "{command} shows {setting}");
            assert!(!help.contains(&format!("  {setting}[")), "{command} shows {setting}");
        }
    }
    let taken =
        "--undo-window 7d --heartbeat /tmp/nobody check --undo-window 7d --heartbeat /tmp/nobody --help";
    assert_eq!(said(taken), said("check --help"));
}

/// The variables that a text names, in its order, at the beginnings of lines.
fn settings_in(text: &str, before: &str, after: char) -> Vec<String> {
    let name = |line: &str| {
        let (name, _) = line.strip_prefix('#').unwrap_or(line).strip_prefix(before)?.split_once(after)?;
        let is_name = |it: char| it.is_ascii_uppercase() || it == '_';
        (!name.is_empty() && name.chars().all(is_name)).then(|| name.to_owned())
    };
    text.lines().filter_map(name).collect()
}

#[test]
fn the_readme_and_the_example_list_the_same_settings_in_the_same_order() {
    let (readme, example) = (include_str!("../README.md"), include_str!("../.env.example"));
    let table = settings_in(readme, "| `", '`');
    assert!(table.len() > 30, "{table:?}");
    assert_eq!(table, settings_in(example, "", '='));
}

#[test]
fn version_is_the_one_of_the_package() {
    assert_eq!(said("--version"), format!("janitor {}\n", env!("CARGO_PKG_VERSION")));
}
