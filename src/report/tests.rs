//! The same sweep as a table, as JSON and as log lines.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use super::*;
use crate::model::{Code, Severity};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_900_000_000 + second).unwrap()
}

fn digest(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

fn tag(name: &str, outcome: Outcome, reason: Reason) -> TagReport {
    let goes = matches!(reason, Reason::BeyondKeepLast { .. } | Reason::ImageGone { .. });
    let in_doubt = reason == Reason::InDoubt;
    TagReport {
        tag: name.parse().unwrap(),
        digest: (!in_doubt).then(|| digest(name)),
        pushed_at: (!in_doubt).then(|| at(-3600)),
        decision: if goes { Decision::Remove } else { Decision::Keep },
        reasons: [reason].into(),
        outcome,
    }
}

fn repository(name: &str, tags: Vec<TagReport>) -> RepositoryReport {
    RepositoryReport {
        name: name.parse().unwrap(),
        tags,
        manifests_removed: Vec::new(),
        bytes_reclaimable: 0,
        removed: false,
    }
}

fn problem(severity: Severity, code: Code, repository: Option<&str>, path: &str, cause: &str) -> Problem {
    Problem {
        severity,
        code,
        repository: repository.map(|name| name.parse().unwrap()),
        path: path.into(),
        cause: cause.into(),
        remedy: "what a person can do".into(),
    }
}

/// A repository of which a part goes.
fn app() -> RepositoryReport {
    let newest = |rank| Reason::Newest { rank, of: 4 };
    let beyond = |rank| Reason::BeyondKeepLast { rank, keep: 4 };
    RepositoryReport {
        manifests_removed: vec![digest("v1"), digest("untagged")],
        bytes_reclaimable: 1536,
        ..repository(
            "team/app",
            vec![
                tag("v1", Outcome::Removed, beyond(8)),
                tag("v2", Outcome::Changed, beyond(7)),
                tag("v3", Outcome::Failed, beyond(6)),
                tag("v4", Outcome::Removed, beyond(5)),
                tag("v5", Outcome::Kept, newest(4)),
                tag("v6", Outcome::Kept, newest(3)),
                tag("v7", Outcome::Kept, newest(2)),
                tag("v8", Outcome::Kept, newest(1)),
                tag(
                    &format!("sha256-{}.sig", digest("v1").hex()),
                    Outcome::Removed,
                    Reason::ImageGone { image: Box::new(digest("v1")) },
                ),
                tag(
                    &format!("sha256-{}.sig", digest("v8").hex()),
                    Outcome::Kept,
                    Reason::FollowsImage { image: Box::new(digest("v8")) },
                ),
            ],
        )
    }
}

/// A sweep in which everything happened.
fn eventful() -> SweepReport {
    let emptied = RepositoryReport {
        removed: true,
        manifests_removed: vec![digest("last")],
        ..repository("team/emptied", Vec::new())
    };
    SweepReport {
        schema_version: 1,
        version: "0.0.0",
        sweep: "20300317T174640000Z-1".into(),
        dry_run: false,
        started_at: at(0),
        policy: "keep the newest 4 tags of each repository".into(),
        status: Status::Partial,
        exit_code: 3,
        totals: Totals {
            repositories: 4,
            tags: 14,
            tags_removed: 3,
            tags_kept: 11,
            manifests_removed: 3,
            manifests_held: 1,
            blobs_removed: 9,
            blobs_held: 2,
            repositories_removed: 1,
            bytes_before: 10 << 20,
            bytes_after: 7 << 20,
            bytes_freed: 3 << 20,
            bytes_freed_on_disk: (3 << 20) + 4096,
            bytes_held: 2048,
            held_until: Some(at(1800)),
        },
        repositories: vec![
            app(),
            emptied,
            repository("team/doubtful", vec![tag("odd", Outcome::Kept, Reason::InDoubt)]),
            repository(
                "team/quiet",
                vec![
                    tag("latest", Outcome::Kept, Reason::Newest { rank: 1, of: 4 }),
                    tag("sha256-x", Outcome::Kept, Reason::Newest { rank: 2, of: 4 }),
                    tag("young", Outcome::Kept, Reason::ImageMayCome { image: Box::new(digest("coming")) }),
                ],
            ),
        ],
        in_doubt_since: None,
        undo: None,
        collection: CollectionReport {
            engine: "registry",
            status: CollectionStatus::Done,
            detail: "registry garbage-collect deleted 9 blobs".into(),
            layer_links_removed: 0,
            blobs_rescued: 0,
        },
        broken: vec![Broken {
            repository: "team/app".parse().unwrap(),
            tag: "v5".parse().unwrap(),
            missing: vec![digest("layer")],
            missing_more: 0,
            detail: format!("blob {} is missing", digest("layer")),
            remedy: "what a person can do",
        }],
        findings: vec![
            problem(
                Severity::Error,
                Code::ActionFailed,
                Some("team/app"),
                "team/app:v3",
                "permission denied",
            ),
            problem(
                Severity::Doubt,
                Code::BadLink,
                Some("team/doubtful"),
                "repositories/team/doubtful/_manifests/tags/odd/current/link",
                "the link is empty",
            ),
            problem(Severity::Warning, Code::ClockSkew, None, "clock", "the clocks differ by 10m"),
            problem(
                Severity::Note,
                Code::ChangedMeanwhile,
                Some("team/app"),
                "team/app:v2",
                "it was pushed again",
            ),
        ],
        stages: vec![
            Stage { name: "scan", millis: 1250, operations: 400 },
            Stage { name: "decide", millis: 0, operations: 0 },
            Stage { name: "tags", millis: 12, operations: 34 },
        ],
    }
}

/// The audit of the same store.
/// With removed tags that can be brought back, of two sweeps.
fn held() -> SweepReport {
    let mut report = quiet();
    let due = |hour: i64| Timestamp::from_second(1_790_000_000 + 3600 * hour).ok();
    report.undo =
        Some(UndoReport { tags: 3, bytes: 5 << 20, tags_expired: 1, first_due: due(0), last_due: due(5) });
    report
}

fn audit() -> SweepReport {
    let mut report = eventful();
    report.dry_run = true;
    report.status = Status::Audit;
    report.exit_code = 0;
    report.broken.clear();
    report.findings.clear();
    report.collection.status = CollectionStatus::WouldRun;
    report.collection.detail = "registry garbage-collect would run for 9 blobs".into();
    for tag in report.repositories.iter_mut().flat_map(|repository| &mut repository.tags) {
        tag.outcome = if tag.decision == Decision::Remove { Outcome::WouldRemove } else { Outcome::Kept };
    }
    report.totals.tags_removed = 5;
    report.totals.tags_kept = 9;
    report
}

/// A sweep that had nothing to do.
fn quiet() -> SweepReport {
    let mut report = eventful();
    report.status = Status::Done;
    report.exit_code = 0;
    report.broken.clear();
    report.findings.clear();
    report.repositories.drain(..3);
    report.collection.status = CollectionStatus::NothingToDo;
    report.collection.detail = "not run: there is nothing to reclaim".into();
    report.totals = Totals {
        repositories: 1,
        tags: 3,
        tags_kept: 3,
        bytes_before: 7 << 20,
        bytes_after: 7 << 20,
        ..Totals::default()
    };
    report
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(report: &SweepReport) -> String {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .without_time()
        .with_target(false)
        .with_ansi(false)
        .finish();
    tracing::subscriber::with_default(subscriber, || log::log(report));
    let lines = lines.0.lock().unwrap();
    String::from_utf8(lines.clone()).unwrap()
}

fn rendered(report: &SweepReport) -> String {
    let mut text = Vec::new();
    table::write(report, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn tables() {
    insta::assert_snapshot!("eventful_table", rendered(&eventful()));
    insta::assert_snapshot!("audit_table", rendered(&audit()));
    insta::assert_snapshot!("quiet_table", rendered(&quiet()));
    insta::assert_snapshot!("held_table", rendered(&held()));
}

#[test]
fn log_lines() {
    insta::assert_snapshot!("eventful_log", logged(&eventful()));
    insta::assert_snapshot!("audit_log", logged(&audit()));
    insta::assert_snapshot!("quiet_log", logged(&quiet()));
    insta::assert_snapshot!("held_log", logged(&held()));
}

#[test]
fn json_is_one_line_of_schema_version_1() {
    let mut text = Vec::new();
    eventful().write_json(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text.lines().count(), 1);
    let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
    insta::assert_json_snapshot!("eventful_json", parsed);
}

#[test]
fn an_audit_never_says_that_something_was_removed() {
    for text in [rendered(&audit()), logged(&audit())] {
        assert!(!text.contains("removed") && !text.contains("freed"), "{text}");
        assert!(text.contains("would go"), "{text}");
    }
}

#[test]
fn a_guard_that_refused_and_a_collector_that_failed_are_told_with_the_exit_code() {
    let mut report = quiet();
    for (status, collection, code, said) in [
        (Status::Refused, CollectionStatus::Refused, 12, "a guard refused to reclaim blobs"),
        (Status::Partial, CollectionStatus::Failed, 3, "no space was reclaimed"),
        (Status::Partial, CollectionStatus::Done, 3, "not everything could be done"),
    ] {
        (report.status, report.exit_code, report.collection.status) = (status, code, collection);
        let text = rendered(&report);
        assert!(text.contains(said) && text.contains(&format!("(exit code {code})")), "{text}");
        let is_error = logged(&report).lines().any(|line| line.starts_with("ERROR collector"));
        assert_eq!(is_error, collection != CollectionStatus::Done);
    }
}
