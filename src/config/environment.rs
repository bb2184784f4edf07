//! The process's environment: read once, and searched for misspelt settings.

#![expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;

use clap::CommandFactory as _;

use super::access::PASSWORD;
use super::refusal;
use crate::cli::{self, Cli};

/// Variables with these beginnings are the janitor's own.
const OURS: [&str; 4] = ["JANITOR_", "GC_", "KEEP_", "UNDO_"];

/// Reads all variables.
pub(super) fn read() -> BTreeMap<String, OsString> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect()
}

/// How alike a name must be to the nearest setting to be worth a tip: more than two thirds of its letters.
const ALIKE: f64 = 0.66;

/// Refuses variables that look like settings and are none.
pub(super) fn refuse_misspelt(environment: &BTreeMap<String, OsString>) -> Result<(), clap::Error> {
    let command = Cli::command();
    let arguments = cli::arguments(&command).into_iter().filter_map(|it| it.get_env()?.to_str());
    let mut seen = HashSet::new();
    // Settings that every command takes appear once for each command.
    let known: Vec<&str> = arguments.chain([PASSWORD]).filter(|name| seen.insert(*name)).collect();
    let Some(name) = environment.keys().find(|name| misspelt(name, &known)) else { return Ok(()) };
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(known, &name.to_uppercase());
    let nearest = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let tip = match nearest.filter(|nearest| likeness(nearest) > ALIKE) {
        Some(nearest) => format!("\n\n  tip: a similar variable exists: '{nearest}'"),
        None => String::new(),
    };
    Err(refusal::of(format!("unexpected environment variable '{name}' found{tip}")))
}

/// A misspelt setting would silently leave a default in force, and that may delete more.
fn misspelt(name: &str, known: &[&str]) -> bool {
    if known.contains(&name) || tells_of_a_service(name) {
        return false;
    }
    let bare = |text: &str| text.replace(['_', '-'], "").to_uppercase();
    OURS.iter().any(|ours| name.to_uppercase().starts_with(ours))
        || known.iter().any(|known| {
            bare(known) == bare(name) || (known.len() >= 7 && strsim::damerau_levenshtein(known, name) == 1)
        })
}

/// Kubernetes tells every container of each Service in these variables, and so do Docker's links;
/// a Service named `janitor` is no misspelt setting.
fn tells_of_a_service(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some(rest) = OURS.iter().find_map(|ours| name.strip_prefix(ours)) else {
        return false;
    };
    if matches!(rest, "SERVICE_HOST" | "SERVICE_PORT" | "PORT") {
        return true;
    }
    if let Some(port_name) = rest.strip_prefix("SERVICE_PORT_") {
        return !port_name.is_empty();
    }
    let mut parts = rest.split('_');
    parts.next() == Some("PORT")
        && parts.next().is_some_and(is_number)
        && matches!(parts.next(), Some("TCP" | "UDP" | "SCTP"))
        && matches!(parts.next(), None | Some("ADDR" | "PORT" | "PROTO"))
        && parts.next().is_none()
}

/// The variables that the registry's collector reads, too.
pub(super) fn registry_variables(environment: &BTreeMap<String, OsString>) -> BTreeMap<String, String> {
    environment
        .iter()
        .filter(|(name, _)| name.starts_with("REGISTRY_"))
        .filter_map(|(name, value)| Some((name.clone(), value.to_str()?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_settings_are_known_from_others() {
        let known = ["KEEP_LAST_N", "DRY_RUN", "RUN_ONCE", "GC_GRACE", "JANITOR_JOBS", "LOG_LEVEL"];
        for wrong in [
            "KEEP_LAST",
            "KEEP_LAST_M",
            "DRYRUN",
            "DRY_RUNN",
            "RUN_ONCEE",
            "GC_GRCE",
            "UNDO_WINDOWS",
            "JANITOR_JOB",
            "dry_run",
            "janitor_jobs",
        ] {
            assert!(misspelt(wrong, &known), "{wrong}");
        }
        for other in ["KEEP_LAST_N", "PATH", "HOME", "REGISTRY_PORT", "RUN_ID", "LOG_FILE", "LOGNAME"] {
            assert!(!misspelt(other, &known), "{other}");
        }
    }

    #[test]
    fn what_kubernetes_and_docker_tell_of_a_service_is_no_setting() {
        for ours in OURS {
            for told in [
                "SERVICE_HOST",
                "SERVICE_PORT",
                "SERVICE_PORT_HTTP",
                "SERVICE_PORT_HTTP_METRICS",
                "PORT",
                "PORT_8080_TCP",
                "PORT_8080_TCP_ADDR",
                "PORT_8080_TCP_PORT",
                "PORT_8080_TCP_PROTO",
                "PORT_53_UDP",
            ] {
                assert!(!misspelt(&format!("{ours}{told}"), &["KEEP_LAST_N"]), "{ours}{told}");
            }
            for wrong in [
                "SERVICE",
                "SERVICE_HOSTS",
                "SERVICE_PORT_",
                "PORTS",
                "PORT_HTTP",
                "PORT_8080",
                "PORT__TCP",
                "PORT_8080_HTTP",
                "PORT_8080_TCP_HOST",
                "PORT_8080_TCP_ADDR_X",
                "X_PORT",
            ] {
                assert!(misspelt(&format!("{ours}{wrong}"), &["KEEP_LAST_N"]), "{ours}{wrong}");
            }
        }
    }
}
