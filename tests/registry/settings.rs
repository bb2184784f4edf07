//! A setting that is wrong stops the janitor before it looks at the store.

use std::fs;
use std::time::Duration;

use janitor_testkit::{Interrupt, Janitor, Registry, Tree};
use serde_json::json;

use crate::stage::{binary, janitor, names, push_versions};

/// One store for the whole table.
fn registry_with_images() -> Registry {
    let registry = Registry::start();
    push_versions(&registry, "app", 3);
    registry
}

/// Exit 2, a message that names all of these, and a store that nobody touched.
#[track_caller]
fn assert_refused(registry: &Registry, janitor: &Janitor, named: &[&str]) {
    let before = Tree::of(registry.store());
    let outcome = janitor.run().assert_code(2);
    before.assert_unchanged(&Tree::of(registry.store()));
    assert_eq!(outcome.stdout, "", "a refusal is no report");
    assert!(outcome.stderr.starts_with("error: "), "{}", outcome.stderr);
    assert!(outcome.stderr.ends_with("\nFor more information, try '--help'.\n"), "{}", outcome.stderr);
    for word in named {
        assert!(outcome.stderr.contains(word), "{word:?} is not in: {}", outcome.stderr);
    }
}

#[test]
fn a_bad_value_is_refused_with_what_is_expected() {
    let registry = registry_with_images();
    for (name, value, allowed) in [
        ("KEEP_LAST_N", "ten", "number"),
        ("KEEP_LAST_N", "-1", "number"),
        ("KEEP_LAST_N", "2.5", "number"),
        ("KEEP_LAST_N", "99999999999", "4294967295"),
        ("MAX_REMOVE_PERCENT", "0", "from 1 to 100"),
        ("MAX_REMOVE_PERCENT", "101", "from 1 to 100"),
        ("MAX_REMOVE_PERCENT", "50%", "from 1 to 100"),
        ("TRUST_EQUAL_PUSH_TIMES", "perhaps", "true"),
        ("JANITOR_ACCEPT_LOSSES", "some", "true"),
        ("DRY_RUN", "treu", "true"),
        ("RUN_ONCE", "si", "true"),
        ("RUN_GC", "maybe", "false"),
        ("GC_DELETE_UNTAGGED", "ja", "false"),
        ("GC_ENGINE", "natvie", "native"),
        ("GC_ENGINE", "fast", "auto"),
        ("GC_GRACE", "soon", "30m"),
        ("GC_GRACE", "-1h", "30m"),
        ("GC_GRACE", "101years", "100 years"),
        ("UNDO_WINDOW", "a week", "30m"),
        ("UNDO_WINDOW", "7", "7d"),
        ("UNDO_WINDOW", "101years", "100 years"),
        ("GC_SETTLE", "a while", "30m"),
        ("GC_SETTLE", "25h", "1 day"),
        ("GC_QUIET", "a while", "30m"),
        ("GC_QUIET_WAIT", "25h", "1 day"),
        ("GC_TIMEOUT", "never", "30m"),
        ("GC_TIMEOUT", "0s", "above zero"),
        ("GC_TIMEOUT", "2years", "a year"),
        ("JANITOR_INTERVAL_SECS", "often", "30m"),
        ("JANITOR_INTERVAL_SECS", "0", "1"),
        ("JANITOR_LOCK_WAIT", "long", "30m"),
        ("JANITOR_LOCK_WAIT", "2years", "a year"),
        ("JANITOR_JOBS", "0", "1"),
        ("JANITOR_JOBS", "many", "number"),
        ("JANITOR_OUTPUT", "yaml", "json"),
        ("JANITOR_UNSAFE_KEEP_NONE", "oui", "true"),
        ("JANITOR_REGISTRY_URL", "registry:5000", "http://registry:5000"),
        ("JANITOR_REGISTRY_URL", "ftp://registry", "http://registry:5000"),
        ("JANITOR_REGISTRY_URL", "http://one,", "separated by commas"),
        ("LOG_FORMAT", "xml", "json"),
        ("LOG_LEVEL", "loud", "debug"),
    ] {
        let janitor = janitor(&registry).env(name, value);
        assert_refused(&registry, &janitor, &[name, value, allowed]);
    }
}

#[test]
fn an_empty_value_is_not_a_default() {
    let registry = registry_with_images();
    for name in [
        "KEEP_LAST_N",
        "MAX_REMOVE_PERCENT",
        "TRUST_EQUAL_PUSH_TIMES",
        "DRY_RUN",
        "RUN_GC",
        "GC_GRACE",
        "GC_ENGINE",
        "GC_QUIET",
        "GC_QUIET_WAIT",
        "JANITOR_DATA_DIR",
        "JANITOR_REGISTRY_CONFIG",
        "JANITOR_REGISTRY_BIN",
        "JANITOR_REGISTRY_URL",
        "JANITOR_REGISTRY_USERNAME",
        "JANITOR_REGISTRY_PASSWORD",
        "JANITOR_REGISTRY_PASSWORD_FILE",
        "JANITOR_DOCKER_CONFIG",
    ] {
        assert_refused(&registry, &janitor(&registry).env(name, ""), &[name]);
    }
}

#[test]
fn a_misspelt_setting_is_refused() {
    let registry = registry_with_images();
    for (name, meant) in [
        ("KEEP_LAST", "KEEP_LAST_N"),
        ("KEEP_LASTN", "KEEP_LAST_N"),
        ("JANITOR_INTERVAL", "JANITOR_INTERVAL_SECS"),
        ("GC_GRACES", "GC_GRACE"),
        ("DRYRUN", "DRY_RUN"),
        ("DRY_RUNS", "DRY_RUN"),
        ("RUN_ONC", "RUN_ONCE"),
        ("JANITOR_REGISTRY_PASSWRD", "JANITOR_REGISTRY_PASSWORD"),
    ] {
        let janitor = janitor(&registry).env(name, "1");
        assert_refused(&registry, &janitor, &[name, meant]);
    }
    let unknown = janitor(&registry).env("JANITOR_FROBNICATE", "1");
    assert_refused(&registry, &unknown, &["JANITOR_FROBNICATE"]);
}

#[test]
fn a_password_in_the_wrong_place_is_refused_and_not_repeated() {
    let registry = registry_with_images();
    let janitor = || janitor(&registry);
    let url = "JANITOR_REGISTRY_URL";
    for (janitor, named) in [
        (janitor().env(url, "http://ci:tulip@registry:5000"), url),
        (janitor().arg("--registry-url=https://tulip@registry"), url),
        (janitor().env("JANITOR_REGISTRY_PASSWORD", "tulip"), "JANITOR_REGISTRY_USERNAME"),
        (janitor().env("JANITOR_REGISTRY_PASSWORD_FILE", "/tulip"), "JANITOR_REGISTRY_USERNAME"),
        (janitor().env("JANITOR_REGISTRY_USERNAME", "ci"), "JANITOR_REGISTRY_PASSWORD_FILE"),
        (
            janitor()
                .env("JANITOR_REGISTRY_USERNAME", "ci")
                .env("JANITOR_REGISTRY_PASSWORD", "tulip")
                .env("JANITOR_REGISTRY_PASSWORD_FILE", "/nowhere"),
            "set only one of them",
        ),
    ] {
        assert_refused(&registry, &janitor, &[named]);
        assert!(!janitor.run().stderr.contains("tulip"));
    }
}

#[test]
fn other_programs_variables_are_none_of_our_business() {
    let registry = registry_with_images();
    janitor(&registry)
        .env("HOSTNAME", "box")
        .env("LANG", "C.UTF-8")
        .env("OTEL_TRACES_EXPORTER", "none")
        .env("REGISTRY_LOG_LEVEL", "warn")
        .env("JANITOR_SERVICE_HOST", "10.0.0.1")
        .env("JANITOR_PORT_8080_TCP_ADDR", "10.0.0.1")
        .env("GC_PORT", "tcp://10.0.0.1:8080")
        .keep(1)
        .run()
        .assert_code(0);

    assert_eq!(registry.client().tags("app"), names(&["v3"]));
}

#[test]
fn a_bad_flag_is_refused_too() {
    let registry = registry_with_images();
    for (flag, named) in [
        ("--keep-last-n=ten", "ten"),
        ("--dry-run=treu", "treu"),
        ("--gc-engine=natvie", "natvie"),
        ("--gc-grace=soon", "soon"),
    ] {
        let name = flag.split('=').next().unwrap();
        assert_refused(&registry, &janitor(&registry).arg(flag), &[name, named]);
    }
    let before = Tree::of(registry.store());
    let unknown = janitor(&registry).arg("--keep-everything").run();
    assert!(unknown.assert_code(2).stderr.contains("--keep-everything"));
    before.assert_unchanged(&Tree::of(registry.store()));
}

#[test]
fn keeping_no_tag_at_all_has_to_be_said_twice() {
    let registry = registry_with_images();
    assert_refused(&registry, &janitor(&registry).keep(0), &["KEEP_LAST_N", "0", "JANITOR_UNSAFE_KEEP_NONE"]);

    janitor(&registry).keep(0).env("JANITOR_UNSAFE_KEEP_NONE", "true").run().assert_code(0);

    assert!(registry.client().tags("app").is_empty());
    assert!(registry.view().blobs().is_empty());
}

#[test]
fn wrong_settings_stop_a_sweep_and_nothing_else() {
    let scratch = tempfile::tempdir().unwrap();
    let sign = scratch.path().join("sign");
    fs::write(&sign, r#"{"good_until":"9999-01-01T00:00:00Z","doing":"sweeping"}"#).unwrap();
    for (name, value) in [("JANITOR_FROBNICATE", "1"), ("KEEP_LAST_N", "ten"), ("GC_GRACE", "")] {
        let wrong = Janitor::bare(binary()).env(name, value);
        let help = wrong.clone().arg("--help").run().assert_code(0);
        assert!(help.stdout.contains("--keep-last-n"), "{}", help.stdout);
        let version = wrong.clone().arg("--version").run().assert_code(0);
        assert!(version.stdout.starts_with("janitor "), "{}", version.stdout);
        let health = wrong.clone().env("JANITOR_HEARTBEAT", &sign.display().to_string());
        assert_eq!(health.arg("health").run().assert_code(0).stdout, "sweeping\n");
        let flag = wrong.clone().arg(&format!("--heartbeat={}", sign.display())).arg("health");
        assert_eq!(flag.run().assert_code(0).stdout, "sweeping\n");
        assert!(wrong.arg("--run-once").run().assert_code(2).stderr.contains(name));
    }
    let unhealthy = Janitor::bare(binary()).arg("health").arg("--heartbeat=/nowhere/sign").run();
    let told = unhealthy.assert_code(1).stderr;
    assert_eq!(told.matches("No such file").count(), 1, "{told}");
}

#[test]
fn a_script_gets_a_document_also_of_a_sweep_that_could_not_be_made() {
    let empty = tempfile::tempdir().unwrap();
    let sign = empty.path().join("sign").display().to_string();
    let store = empty.path().join("store");
    fs::create_dir(&store).unwrap();
    let once = Janitor::bare(binary())
        .env("RUN_ONCE", "true")
        .env("JANITOR_HEARTBEAT", &sign)
        .env("JANITOR_DATA_DIR", &store.display().to_string());

    let outcome = once.clone().env("JANITOR_OUTPUT", "json").run().assert_code(10);
    let report = outcome.report();
    assert_eq!((&report["schema_version"], &report["status"]), (&json!(1), &json!("no-store")));
    assert_eq!(report["exit_code"], 10);
    let error = report["error"].as_str().unwrap();
    assert!(error.contains(&*store.display().to_string()) && outcome.stderr.contains(error), "{error}");

    for silent in ["text", "none"] {
        assert_eq!(once.clone().env("JANITOR_OUTPUT", silent).run().assert_code(10).stdout, "");
    }

    let mut looping = once.looping().env("JANITOR_OUTPUT", "json").spawn();
    looping.wait_until("the loop has told", |it| it.stdout_so_far().contains('\n'));
    looping.signal(Interrupt::Term);
    let ended = looping.end_within(Duration::from_secs(20)).assert_code(143);
    assert_eq!(ended.report()["status"], "no-store");
}
