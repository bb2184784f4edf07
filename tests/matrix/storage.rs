//! A storage that errs below the real binary and the real collector: nothing live is lost, and the next sweep comes
//! to the same end.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use janitor_testkit::{BadStorage, Collector, Outcome, StoreView, scratch_directory};

use crate::template::{Content, Template};
use crate::witness::look;

const AT_ONCE: usize = 12;

/// Every look at a directory or file: the janitor's calls, and the collector's.
const OPENS: &str = "openat2,openat";
const LISTS: &str = "getdents64";
const READS: &str = "read";
const STATS: &str = "statx,newfstatat";

struct Case {
    calls: &'static str,
    end: &'static str,
    /// Anywhere if it is not said, and then only for the janitor itself: the collector's own faults are told below.
    at: Option<PathBuf>,
}

/// What is wrong with the store after a sweep that was disturbed, and after one that was not.
fn judge(template: &Template, view: &StoreView, disturbed: &Outcome) -> Vec<String> {
    let mut wrong = Vec::new();
    if !matches!(disturbed.code, Some(0 | 1 | 3 | 10 | 12)) {
        wrong.push(format!("exit code {:?}: {}", disturbed.code, disturbed.stderr));
    }
    if disturbed.code != Some(0) && disturbed.stderr.is_empty() {
        wrong.push("nothing was told".to_owned());
    }
    wrong.extend(lost(template, view, "disturbed"));
    let again = template.janitor(view).run();
    if again.code != Some(0) {
        wrong.push(format!("then {:?}: {}", again.code, again.stdout));
    }
    wrong.extend(lost(template, view, "then"));
    if Content::of(view) != template.swept {
        wrong.push("it comes to another end".to_owned());
    }
    wrong
}

fn lost(template: &Template, view: &StoreView, when: &str) -> Vec<String> {
    let looked = look(view, template).into_iter();
    let kept = looked.filter(|((repository, reference), _)| template.keeps(repository, reference));
    let lost = |((repository, reference), lacks): ((&str, String), Option<String>)| {
        lacks.map(|lacks| format!("{when}: LOST {repository}:{reference}: {lacks}"))
    };
    kept.filter_map(lost).collect()
}

/// Runs each of these on a copy of its own, and tells of all that fail.
#[track_caller]
fn run_all(cases: impl Fn(&StoreView, &Template) -> Vec<Case> + Sync) {
    let template = Template::new();
    let count = cases(&template.view(), &template).len();
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= count {
                        break;
                    }
                    let directory = scratch_directory("janitor-cell-");
                    let view = template.copy(directory.path());
                    let Case { calls, end, at } = cases(&view, &template).swap_remove(number);
                    let bad = BadStorage::new(calls, end);
                    let bad =
                        at.as_ref().map_or_else(|| bad.clone().not_for_children(), |at| bad.clone().at(at));
                    let disturbed = bad.for_janitor(template.janitor(&view)).run();
                    for wrong in judge(&template, &view, &disturbed) {
                        let at = at.as_deref().unwrap_or(Path::new("anywhere")).display();
                        failures.lock().unwrap().push(format!("{calls} {end} at {at}: {wrong}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} troubles in {count} cells:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn a_directory_that_cannot_be_opened_or_listed_or_lists_empty_once_costs_nothing_live() {
    run_all(|view, template| {
        let manifests = view.repository("app/_manifests");
        let shard = |digest| view.blob_data(digest).ancestors().nth(2).unwrap().to_owned();
        let places = [
            view.v2().join("repositories"),
            view.repository("app"),
            manifests.join("tags"),
            manifests.join("revisions/sha256"),
            view.repository("app/_layers/sha256"),
            view.v2().join("blobs/sha256"),
            shard(&template.versions[2].digest()),
            shard(&template.referrer.digest()),
        ];
        let ends = [
            (OPENS, "error=EIO"),
            (OPENS, "error=EACCES"),
            (OPENS, "error=ENOENT"),
            (OPENS, "error=ENOENT:when=1"),
            (LISTS, "error=ESTALE"),
            (LISTS, "error=EIO:when=1"),
            (LISTS, "retval=0:when=1"),
        ];
        let cases =
            places.iter().flat_map(|at| ends.map(|(calls, end)| Case { calls, end, at: Some(at.clone()) }));
        cases.collect()
    });
}

#[test]
fn a_file_that_cannot_be_opened_or_read_costs_nothing_live() {
    run_all(|view, template| {
        let kept = template.versions[2].digest();
        let places = [
            view.current_link("app", "v3"),
            view.revision_link("app", &kept),
            view.blob_data(&kept),
            view.blob_data(&template.children[0].digest()),
            view.blob_data(&template.referrer.digest()),
        ];
        let ends = [
            (OPENS, "error=EACCES"),
            (OPENS, "error=ENOENT:when=1"),
            (READS, "error=EIO"),
            (READS, "error=ESTALE:when=1"),
            (READS, "retval=0:when=1"),
        ];
        let cases =
            places.iter().flat_map(|at| ends.map(|(calls, end)| Case { calls, end, at: Some(at.clone()) }));
        cases.collect()
    });
}

#[test]
fn a_storage_that_errs_at_some_change_or_look_costs_nothing_live() {
    run_all(|_, _| {
        let ends = [
            ("renameat", "error=EIO:when=1"),
            ("renameat", "error=EACCES:when=3+"),
            ("renameat", "error=ESTALE:when=2+3"),
            ("unlinkat", "error=EIO:when=1"),
            ("unlinkat", "error=EACCES"),
            ("unlinkat", "error=ESTALE:when=4+2"),
            ("mkdirat", "error=ENOSPC"),
            ("mkdirat", "error=EIO:when=5"),
            ("fsync,fdatasync", "error=EIO"),
            (STATS, "error=EIO:when=20+7"),
            (STATS, "error=ESTALE:when=15"),
            (OPENS, "error=EIO:when=40+9"),
            (OPENS, "error=ENOENT:when=60"),
            (LISTS, "error=EIO:when=12+5"),
            (LISTS, "retval=0:when=9"),
        ];
        ends.map(|(calls, end)| Case { calls, end, at: None }).into()
    });
}

/// A sweep whose collector alone finds the storage bad, and only when it is let loose.
fn collected_badly(end: &str) -> (Template, tempfile::TempDir, StoreView, Outcome) {
    let template = Template::new();
    let directory = scratch_directory("janitor-cell-");
    let view = template.copy(directory.path());
    let link = view.revision_link("lib", &template.lib[2].digest());
    let bad = BadStorage::new(OPENS, end).at(&link);
    let scripts = Collector::scripts_in(directory.path());
    let collector = scripts.with_real_run("unlucky", &format!("exec {} \"$REAL\" \"$@\"", bad.prefix()));
    let outcome = template.janitor(&view).collector(&collector).run();
    (template, directory, view, outcome)
}

#[test]
fn a_collector_that_meets_an_error_only_when_let_loose_deletes_nothing() {
    for end in ["error=EIO", "error=EACCES", "error=ESTALE"] {
        let (template, _directory, view, outcome) = collected_badly(end);
        let outcome = outcome.assert_code(3);
        assert_eq!(outcome.report()["collection"]["status"], "failed", "{end}");
        assert_eq!(judge(&template, &view, &outcome), Vec::<String>::new(), "{end}");
    }
}

/// The stock collector takes a link that is not found for the end of its repository, and says nothing.
#[test]
fn what_a_collector_loses_by_a_link_that_is_not_found_once_is_told_by_the_same_sweep() {
    let (template, _directory, view, outcome) = collected_badly("error=ENOENT");
    let lost = lost(&template, &view, "collected");
    assert!(!lost.is_empty(), "the collector is what this test is about");
    let report = outcome.assert_code(3).report();
    for line in lost {
        let is_told = report["broken"].as_array().unwrap().iter().any(|broken| {
            line.contains(&format!(
                "{}:{}:",
                broken["repository"].as_str().unwrap(),
                broken["tag"].as_str().unwrap()
            ))
        });
        assert!(is_told, "{line}\n{report}");
    }
}
