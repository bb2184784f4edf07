//! The same usage as a table and as JSON.

use super::*;
use crate::model::Code;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_900_000_000 + second).unwrap()
}

fn repository(name: &str, tags: usize, total_bytes: u64, alone_bytes: u64) -> RepositoryRow {
    RepositoryRow {
        name: name.parse().unwrap(),
        tags,
        total_bytes,
        alone_bytes,
        shared_bytes: total_bytes - alone_bytes,
        untagged_bytes: 0,
        in_doubt: false,
    }
}

fn tag(name: &str, held: Option<(u64, u64)>) -> TagRow {
    TagRow {
        repository: "team/app".parse().unwrap(),
        tag: name.parse().unwrap(),
        digest: held.map(|_| Digest::of(name.as_bytes())),
        pushed_at: held.map(|_| at(-3600)),
        total_bytes: held.map(|(total, _)| total),
        alone_bytes: held.map(|(_, alone)| alone),
        shared_bytes: held.map(|(total, alone)| total - alone),
    }
}

fn totals() -> UsageTotals {
    UsageTotals {
        repositories: 14,
        tags: 210,
        blobs: 1602,
        total_bytes: 4 << 30,
        tags_bytes: 3 << 30,
        undo_bytes: 200 << 20,
        undo_tags: 3,
        undo_tags_expired: 1,
        untagged_bytes: 700 << 20,
        unreferenced_bytes: 124 << 20,
        reclaimable_bytes: 800 << 20,
        waiting_bytes: 24 << 20,
        waiting_for: Some(Waiting::Age),
        waiting_until: Some(at(1800)),
        trash_mended_bytes: 4096,
        ..UsageTotals::default()
    }
}

/// The first of many repositories.
fn large() -> UsageReport {
    let repositories = vec![
        repository("team/app", 120, 2 << 30, (2 << 30) - (300 << 20)),
        repository("team/web", 41, 1 << 30, 200 << 20),
        repository("tools/builder", 7, 90 << 20, 0),
        repository("empty", 0, 0, 0),
    ];
    let rows = Rows { repositories, tags: None, left_out: 10 };
    UsageReport::new(at(0), Measure::Allocated, totals(), rows, Vec::new())
}

/// The tags of one, of which something cannot be read.
fn doubtful() -> UsageReport {
    let companion = format!("sha256-{}.sig", Digest::of(b"v1").hex());
    let app =
        RepositoryRow { untagged_bytes: 5 << 20, in_doubt: true, ..repository("team/app", 4, 64 << 20, 1) };
    let tags = vec![
        tag("v1", Some((40 << 20, 30 << 20))),
        tag("v2", Some((20 << 20, 0))),
        tag(&companion, Some((8192, 8192))),
        tag("odd", None),
    ];
    let finding = Problem {
        severity: Severity::Doubt,
        code: Code::TagWithoutLink,
        repository: Some("team/app".parse().unwrap()),
        path: "docker/registry/v2/repositories/team/app/_manifests/tags/odd/current/link".into(),
        cause: "the link is empty".into(),
        remedy: "push the tag again".into(),
    };
    let totals = UsageTotals {
        reclaimable_bytes: 0,
        waiting_bytes: 824 << 20,
        waiting_for: Some(Waiting::Doubt),
        waiting_until: None,
        undo_tags_expired: 0,
        trash_mended_bytes: 0,
        ..totals()
    };
    let rows = Rows { repositories: vec![app], tags: Some(tags), left_out: 0 };
    UsageReport::new(at(0), Measure::Allocated, totals, rows, vec![finding])
}

fn text(report: &UsageReport, columns: Option<usize>) -> String {
    let mut out = Vec::new();
    report.write_text(columns, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_table_has_bars_where_a_terminal_has_room_for_them() {
    insta::assert_snapshot!("usage_table", text(&large(), Some(90)));
    insta::assert_snapshot!("usage_table_piped", text(&large(), None));
    assert_eq!(text(&large(), Some(60)), text(&large(), None), "no room");
    for line in text(&large(), Some(90)).lines().take(5) {
        assert!(line.chars().count() <= 90, "{line}");
    }
}

#[test]
fn what_is_in_doubt_is_told_below_and_its_tag_has_no_figures() {
    insta::assert_snapshot!("usage_tags_table", text(&doubtful(), Some(100)));
    assert_eq!((large().exit_code, doubtful().exit_code), (0, 3));
}

#[test]
fn a_store_without_repositories_is_told_by_its_sums() {
    let report =
        UsageReport::new(at(0), Measure::Allocated, UsageTotals::default(), Rows::default(), Vec::new());
    insta::assert_snapshot!(text(&report, Some(80)), @r"
    tags                 0 B  held by 0 tags
    reclaimable          0 B  by the next sweep, even if no tag goes
    total                0 B  0 blobs in 0 repositories
    ");
}

#[test]
fn json_has_every_figure_in_bytes() {
    let mut out = Vec::new();
    let report = UsageReport { version: "0.0.0", ..doubtful() };
    report.write_json(&mut out).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
    insta::assert_json_snapshot!("usage_json", value);
}
