//! A clock that was wrong for a while, beside a real registry: what is pushed afterwards stays.

#![expect(clippy::disallowed_methods, reason = "the test runs the command of a hint, and counts from now")]

use std::process::Command;
use std::time::{Duration, SystemTime};

use janitor_testkit::{Image, Registry, ago};

use crate::stage::{assert_all_pull, janitor, names, push_versions};

const HOUR: Duration = Duration::from_secs(3600);

fn finding(report: &serde_json::Value, code: &str) -> serde_json::Value {
    let mut findings = report["findings"].as_array().unwrap().iter();
    findings.find(|finding| finding["code"] == code).unwrap_or_else(|| panic!("no {code}: {report}")).clone()
}

#[test]
fn tags_pushed_while_the_clock_was_ahead_remove_no_later_push() {
    let registry = Registry::start();
    push_versions(&registry, "app", 12);
    for number in 3..=12 {
        registry.set_push_time("app", &format!("v{number}"), SystemTime::now() + 5 * HOUR);
    }
    let mut pushed: Vec<String> = (1..=12).map(|number| format!("v{number}")).collect();
    for seed in 21..=23 {
        let tag = format!("v{seed}");
        registry.client().push("app", &tag, &Image::small(seed));
        pushed.push(tag);
        let outcome = janitor(&registry).keep(10).run().assert_code(0);
        let tags: Vec<&str> = pushed.iter().map(String::as_str).collect();
        assert_eq!(registry.client().tags("app"), names(&tags));
        let told = finding(&outcome.report(), "time-ahead");
        assert_eq!((&told["severity"], &told["repository"]), (&"warning".into(), &"app".into()));
        let tag = outcome.tag("app", "v12");
        assert_eq!(tag["reasons"][0]["code"], "time-ahead", "{tag}");
    }
    assert_all_pull(&registry, "app");

    // The command in the hint gives each its rank.
    while let Some(told) = {
        let report = janitor(&registry).keep(10).audit().run().assert_code(0).report();
        let mut findings = report["findings"].as_array().unwrap().clone().into_iter();
        findings.find(|finding| finding["code"] == "time-ahead")
    } {
        let remedy = told["remedy"].as_str().unwrap();
        let (_, touch) = remedy.split_once("or: ").unwrap();
        assert!(Command::new("sh").arg("-c").arg(touch).status().unwrap().success(), "{touch}");
    }
    janitor(&registry).keep(10).arg("--trust-equal-push-times").run().assert_code(0);
    assert_eq!(registry.client().tags("app").len(), 10);
    assert_all_pull(&registry, "app");
}

#[test]
fn a_tag_pushed_while_the_clock_was_behind_stays_like_any_other_push() {
    let registry = Registry::start();
    push_versions(&registry, "app", 3);
    for (number, hours) in [(1, 3), (2, 2), (3, 1)] {
        registry.set_push_time("app", &format!("v{number}"), ago(hours * HOUR));
    }
    janitor(&registry).keep(2).run().assert_code(0);
    let client = registry.client();
    client.push("app", "behind", &Image::small(31));
    registry.set_push_time("app", "behind", ago(48 * HOUR));

    let outcome = janitor(&registry).keep(2).run().assert_code(0);

    assert_eq!(finding(&outcome.report(), "time-behind")["repository"], "app");
    assert_eq!(outcome.tag("app", "behind")["reasons"][0]["code"], "first-seen");
    for seed in 32..=33 {
        janitor(&registry).keep(2).run().assert_code(0);
        assert!(client.tags("app").contains("behind"));
        client.push("app", &format!("v{seed}"), &Image::small(seed));
    }
    janitor(&registry).keep(2).run().assert_code(0);
    assert_eq!(client.tags("app"), names(&["v32", "v33"]));
    assert_all_pull(&registry, "app");
}
