//! A registry that asks who is there gets user name and password, and nobody else does.

use std::fs;
use std::path::Path;

use janitor_testkit::{Asked, Digest, Gate, Outcome, Registry, Verdict};
use serde_json::json;

use crate::probe::{again_with, asking, assert_not_collected, assert_nothing_left, detail};
use crate::stage::{blobs_on_disk, digests_of, push_versions};

/// `open-sesame`, as `htpasswd -B` writes it.
const HTPASSWD: &str = "ci:$2b$04$CdP1Kq59GJEOHss9PBEYKuQDnQWgYeJiJX8H1BQV.pEYdxn.tpSNO\n";

fn with_passwords(registry: Registry) -> (Registry, Registry) {
    let file = registry.scratch().join("htpasswd");
    fs::write(&file, HTPASSWD).unwrap();
    again_with(
        registry,
        &[
            ("REGISTRY_AUTH", "htpasswd"),
            ("REGISTRY_AUTH_HTPASSWD_REALM", "registry"),
            ("REGISTRY_AUTH_HTPASSWD_PATH", &file.display().to_string()),
        ],
    )
}

/// With the most telling log: neither in words, nor as the bytes that an HTTP client sends and logs.
#[track_caller]
fn assert_keeps_secret(outcome: &Outcome, secrets: &[&str]) {
    let told = format!("{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stderr.contains("DEBUG the registry at"), "{told}");
    assert!(!told.contains("TRACE"), "a library's own log is passed on: {told}");
    for secret in secrets {
        assert!(!told.contains(secret), "{secret} in {told}");
    }
}

#[test]
fn user_name_and_password_come_from_variables_a_file_or_docker_login() {
    let registry = Registry::start();
    push_versions(&registry, "app", 2);
    let (registry, _kept) = with_passwords(registry);
    let file = |name: &str, text: &str| {
        let path = registry.scratch().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let auths = json!({ "auths": { registry.address(): { "auth": "Y2k6b3Blbi1zZXNhbWU=" } } }).to_string();
    let home = file("home/.docker/config.json", &auths);
    let home = Path::new(&home).ancestors().nth(2).unwrap().display().to_string();
    let config = file("docker/config.json", &auths);
    let directory = Path::new(&config).parent().unwrap().display().to_string();
    let password = file("password", "open-sesame\n");

    for (number, settings) in [
        vec![("JANITOR_REGISTRY_USERNAME", "ci"), ("JANITOR_REGISTRY_PASSWORD", "open-sesame")],
        vec![("JANITOR_REGISTRY_USERNAME", "ci"), ("JANITOR_REGISTRY_PASSWORD_FILE", &password)],
        vec![("JANITOR_DOCKER_CONFIG", &config)],
        vec![("JANITOR_DOCKER_CONFIG", &directory)],
        vec![("DOCKER_CONFIG", &directory)],
        vec![("HOME", &home)],
    ]
    .into_iter()
    .enumerate()
    {
        // Something to collect, put there as a push would.
        let content = format!("blob {number}");
        let digest = Digest::of(content.as_bytes());
        let data = registry.view().blob_data(&digest);
        fs::create_dir_all(data.parent().unwrap()).unwrap();
        fs::write(&data, content).unwrap();
        let mut janitor = asking(&registry, &registry.url()).env("LOG_LEVEL", "trace");
        for (name, value) in &settings {
            janitor = janitor.env(name, value);
        }

        let outcome = janitor.run().assert_code(0);

        assert_eq!(outcome.report()["collection"]["status"], "done", "{settings:?}");
        assert!(!registry.view().has_blob(&digest), "{settings:?}");
        assert_keeps_secret(&outcome, &["open-sesame", "Y2k6b3Blbi1zZXNhbWU"]);
        assert_nothing_left(&registry);
    }
}

#[test]
fn a_registry_that_does_not_let_the_janitor_in_is_not_collected_beside() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 2);
    let (registry, _kept) = with_passwords(registry);
    let helper = registry.scratch().join("helper.json");
    fs::write(&helper, r#"{"credsStore":"desktop"}"#).unwrap();
    let helper = helper.display().to_string();
    for (settings, told) in [
        (
            vec![("JANITOR_REGISTRY_USERNAME", "ci"), ("JANITOR_REGISTRY_PASSWORD", "wrong-word")],
            "does not accept",
        ),
        (vec![], "JANITOR_REGISTRY_USERNAME"),
        (vec![("JANITOR_DOCKER_CONFIG", &*helper)], "docker-credential-desktop"),
        (vec![("JANITOR_DOCKER_CONFIG", "/nowhere/config.json")], "/nowhere/config.json"),
    ] {
        let mut janitor = asking(&registry, &registry.url());
        for (name, value) in settings {
            janitor = janitor.env(name, value);
        }

        let outcome = janitor.run().assert_code(3);

        assert_not_collected(&outcome, &registry, &images, "failed");
        assert!(detail(&outcome).contains(told), "{}", detail(&outcome));
        assert!(!outcome.stderr.contains("wrong-word"), "{}", outcome.stderr);
    }
}

#[test]
fn a_token_is_fetched_where_the_registry_says_and_an_upload_goes_on_at_the_address_that_was_given() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 2);
    let gate = Gate::before(&registry, |asked: &Asked| {
        let authorization = asked.headers.get("authorization").map_or("", String::as_str);
        let host = &asked.headers["host"];
        if asked.line.starts_with("GET /token") {
            let is_known = authorization == "Basic Y2k6b3Blbi1zZXNhbWU="
                && asked.line.contains("service=the%20registry")
                && asked.line.contains("scope=repository%3Ajanitor-probe%2F");
            return if is_known {
                Verdict::Answer("200 OK", String::new(), r#"{"token":"t0ken"}"#.into())
            } else {
                Verdict::Answer("401 Unauthorized", String::new(), String::new())
            };
        }
        if authorization == "Bearer t0ken" {
            return Verdict::PassAs("hub.example.com");
        }
        let repository = asked.line.split('/').skip(2).take(2).collect::<Vec<_>>().join("/");
        let challenge = format!(
            "WWW-Authenticate: Bearer realm=\"http://{host}/token\",service=\"the registry\",scope=\"repository:{repository}:pull,push\"\r\n"
        );
        Verdict::Answer("401 Unauthorized", challenge, String::new())
    });
    let asking =
        asking(&registry, &gate.url()).env("JANITOR_REGISTRY_USERNAME", "ci").env("LOG_LEVEL", "trace");

    let wrong = asking.clone().env("JANITOR_REGISTRY_PASSWORD", "wrong").run().assert_code(3);
    assert!(detail(&wrong).contains("does not accept"), "{}", detail(&wrong));

    let outcome = asking.env("JANITOR_REGISTRY_PASSWORD", "open-sesame").run().assert_code(0);

    assert_eq!(blobs_on_disk(&registry), digests_of(&images[1..]));
    assert_nothing_left(&registry);
    assert_keeps_secret(&outcome, &["t0ken", "open-sesame", "Y2k6b3Blbi1zZXNhbWU"]);
}
