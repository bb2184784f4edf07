//! `janitor check` on stores that the real registry wrote: what is whole, what is broken, what follows from it.

mod damages;
mod deep;
mod healthy;
mod repairs;

use janitor_testkit::{Janitor, Outcome, Registry, Tree};
use serde_json::Value;

use crate::stage::janitor;

/// A check of this registry's store, told as a document.
fn check(registry: &Registry) -> Janitor {
    janitor(registry).arg("check")
}

/// Runs a check, and sees to it that it changes nothing.
#[track_caller]
fn checked(registry: &Registry) -> Outcome {
    let before = Tree::of(registry.store());
    let outcome = check(registry).run();
    before.assert_unchanged(&Tree::of(registry.store()));
    outcome
}

/// The findings that matter to somebody, each with its severity and its code.
fn codes(outcome: &Outcome) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let report = outcome.report();
    let findings = report["findings"].as_array().unwrap();
    findings.iter().map(|it| (text(&it["severity"]), text(&it["code"]))).collect()
}

/// The one finding that there is.
#[track_caller]
fn only_finding(outcome: &Outcome) -> Value {
    let report = outcome.report();
    let findings = report["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{report:#}");
    findings[0].clone()
}
