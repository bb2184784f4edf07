//! One cell: damage, audit, sweep, mend, sweep again; and all cells of a table at the same time.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use janitor_testkit::{Janitor, Outcome, StoreView, Tree, scratch_directory};

use crate::expectation::Expect;
use crate::place::{Place, Target};
use crate::template::{Content, REPOSITORIES, Template};
use crate::witness::{contradictions, look};

/// Most of a doubtful sweep is waiting, for what may be a write in progress.
const AT_ONCE: usize = 16;

/// One row of a table.
pub(crate) struct Damage {
    pub(crate) name: &'static str,
    /// Does it, where it makes sense.
    pub(crate) act: fn(&Scene<'_>) -> Option<Done>,
}

/// What there is to damage.
pub(crate) struct Scene<'a> {
    pub(crate) view: &'a StoreView,
    pub(crate) template: &'a Template,
    pub(crate) place: Place,
    pub(crate) target: Target,
    /// Whether the damage came after a sweep had read what the manifests reference.
    pub(crate) is_remembered: bool,
}

/// What was done, and what has to come of it.
pub(crate) struct Done {
    /// Below the store's directory; put back from the template, they make the store whole again.
    pub(crate) touched: Vec<PathBuf>,
    /// Below the store's directory; not one byte of these may change.
    pub(crate) stays: Vec<PathBuf>,
    pub(crate) expect: Expect,
    /// Whether the store is whole again with the touched put back.
    pub(crate) mends: bool,
}

impl Scene<'_> {
    /// A damage at this path, by what was done to it.
    #[expect(
        clippy::unnecessary_wraps,
        reason = "as every damage answers, also those that make no sense in a place"
    )]
    pub(crate) fn done(&self, path: &Path, expect: Expect) -> Option<Done> {
        Some(Done { touched: vec![self.below(path)], stays: Vec::new(), expect, mends: true })
    }

    /// Something that does not belong there, and has to stay.
    #[expect(
        clippy::unnecessary_wraps,
        reason = "as every damage answers, also those that make no sense in a place"
    )]
    pub(crate) fn stray(&self, path: &Path, expect: Expect) -> Option<Done> {
        let path = self.below(path);
        Some(Done { touched: vec![path.clone()], stays: vec![path], expect, mends: true })
    }

    /// A root in doubt: every repository that has the target keeps its tags.
    pub(crate) fn doubt(&self, told: &impl ToString) -> Expect {
        Expect::Doubt { told: told.to_string(), spared: self.target.repositories(self.template) }
    }

    pub(crate) fn below(&self, path: &Path) -> PathBuf {
        path.strip_prefix(self.view.root()).unwrap().to_owned()
    }
}

/// What reclaims blobs in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Collector {
    /// The registry's, or what is asked for from outside.
    Default,
    /// Nothing.
    Off,
    /// The janitor's own.
    Native,
}

/// Runs every damage in each of these places, with the collector, and for an image that stays also without and with
/// the janitor's own, and tells of every cell that fails.
#[track_caller]
pub(crate) fn run_all(damages: &[Damage], places: &[Place]) {
    run_cells(damages, places, false);
}

/// The same for damage that comes after a sweep had read what the manifests reference.
#[track_caller]
pub(crate) fn run_all_remembered(damages: &[Damage], places: &[Place]) {
    run_cells(damages, places, true);
}

#[track_caller]
fn run_cells(damages: &[Damage], places: &[Place], is_remembered: bool) {
    let template = Template::new();
    let cells: Vec<(&Damage, Place, Collector)> = damages
        .iter()
        .flat_map(|damage| places.iter().map(move |place| (damage, *place)))
        .flat_map(|(damage, place)| {
            [Collector::Default, Collector::Off, Collector::Native]
                .map(|collector| (damage, place, collector))
        })
        .filter(|(_, place, collector)| *collector == Collector::Default || *place == Place::Kept)
        .collect();
    let (next, ran) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((damage, place, collector)) = cells.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let wrong = run(&template, damage, *place, *collector, is_remembered);
                    ran.fetch_add(usize::from(wrong.is_some()), Ordering::SeqCst);
                    for wrong in wrong.into_iter().flatten() {
                        failures.lock().unwrap().push(format!(
                            "{:34} {:9} {:8} {wrong}",
                            damage.name,
                            format!("{place:?}"),
                            format!("{collector:?}")
                        ));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    let mut told = String::new();
    for failure in &failures {
        writeln!(told, "{failure}").unwrap();
    }
    let ran = ran.into_inner();
    assert!(ran >= damages.len(), "{ran} cells");
    assert!(failures.is_empty(), "{} troubles in {ran} cells:\n{told}", failures.len());
}

/// One cell: what is wrong with it; `None` where the damage makes no sense in this place.
fn run(
    template: &Template,
    damage: &Damage,
    place: Place,
    collector: Collector,
    is_remembered: bool,
) -> Option<Vec<String>> {
    let directory = scratch_directory("janitor-cell-");
    let view = if is_remembered {
        template.copy_remembered(directory.path())
    } else {
        template.copy(directory.path())
    };
    let scene = Scene { view: &view, template, place, target: place.target(template), is_remembered };
    let Done { touched, stays, expect, mends } = (damage.act)(&scene)?;
    let mut wrong = Vec::new();
    let mut janitor = template.janitor(&view);
    let mut expect = expect;
    match collector {
        Collector::Off => janitor = janitor.env("RUN_GC", "false"),
        Collector::Native => {
            janitor = janitor.env("GC_ENGINE", "native");
            expect = expect.without_the_registrys_collector();
        }
        // This is about that one, whatever is asked for from outside.
        Collector::Default if expect.is_of_the_registrys_collector() => {
            janitor = janitor.env("GC_ENGINE", "registry");
        }
        Collector::Default => {}
    }
    let collects = collector != Collector::Off;
    let whole_before = look(&view, template);
    let before = Content::of(&view);
    let stayed: Vec<Tree> = stays.iter().map(|path| tree(&view, path)).collect();

    if collects {
        audit(&view, &janitor, &expect, &mut wrong);
    }
    let sweep = janitor.run();
    judge(&sweep, &expect, collects, "sweep", &mut wrong);
    let after = Content::of(&view);
    let whole_after = look(&view, template);
    if place == Place::Kept && collects {
        wrong.extend(contradictions(&view, template, &whole_after));
    }
    for ((repository, reference), lacks) in &whole_before {
        let is_there = template.keeps(repository, reference) || after.tags[repository].contains(reference);
        if let (None, Some(lacks), true) = (lacks, &whole_after[&(*repository, reference.clone())], is_there)
        {
            wrong.push(format!("LOST {repository}:{reference}: {lacks}"));
        }
    }
    for (path, stayed) in stays.iter().zip(&stayed) {
        if view.root().join(path).symlink_metadata().is_err() {
            wrong.push(format!("LOST {}", path.display()));
        } else {
            wrong.extend(
                stayed.changes_to(&tree(&view, path)).iter().map(|it| format!("{}: {it}", path.display())),
            );
        }
    }
    let incomplete = incomplete(&sweep);
    if let Expect::Broken { repository, .. } = &expect
        && SHOWN.contains(&damage.name)
        && before.tags[repository] != template.swept.tags[repository]
        && !incomplete.contains(*repository)
    {
        wrong.push(format!("{repository} has lost tags beside one that is incomplete"));
    }
    contents(template, &expect, &incomplete, [&before, &after], &mut wrong);

    if mends && collects {
        mend(template, &view, &janitor, &touched, &mut wrong);
    }
    if !wrong.is_empty() {
        wrong.push(format!("  (its report: {})", brief(&sweep)));
    }
    Some(wrong)
}

/// Damage that the listings show, so that it is known before a tag goes. (A platform whose revision is gone may never have
/// been pushed.)
const SHOWN: [&str; 4] = ["layer gone", "configuration gone", "_layers gone", "layer link's directory gone"];

/// The repositories that lose no tag, because one that they keep is incomplete.
fn incomplete(sweep: &Outcome) -> BTreeSet<String> {
    let report: serde_json::Value = serde_json::from_str(sweep.stdout.trim()).unwrap_or_default();
    let findings = report["findings"].as_array().into_iter().flatten();
    let incomplete = findings.filter(|it| it["code"] == "kept-incomplete");
    incomplete.filter_map(|it| it["repository"].as_str()).map(str::to_owned).collect()
}

/// An audit changes nothing, and tells what the sweep will tell.
fn audit(view: &StoreView, janitor: &Janitor, expect: &Expect, wrong: &mut Vec<String>) {
    let before = Tree::of(view.root());
    let audit = janitor.clone().audit().run();
    let changes = before.changes_to(&Tree::of(view.root()));
    if !changes.is_empty() {
        wrong.push(format!("the audit changed {changes:?}"));
    }
    // It does not run the collector, so it cannot know.
    if !expect.is_uncollected() {
        judge(&audit, expect, true, "audit", wrong);
    }
}

/// Mended, the store comes to what an undisturbed sweep leaves, and everything that stays pulls.
fn mend(
    template: &Template,
    view: &StoreView,
    janitor: &Janitor,
    touched: &[PathBuf],
    wrong: &mut Vec<String>,
) {
    view.restore_from(&template.view(), touched);
    // A repository that the damage had added is removed by hand, which only a person can tell from a loss.
    let is_removed = touched.iter().any(|path| !template.view().root().join(path).exists());
    let mut janitor = janitor.clone();
    if is_removed {
        janitor = janitor.arg("--accept-losses");
    }
    let again = janitor.run();
    if again.code != Some(0) {
        wrong.push(format!("mended, it ends with {:?}: {}", again.code, again.stdout));
    }
    let mended = Content::of(view);
    if mended != template.swept {
        wrong.push(format!("mended, it comes to {}", difference(&mended, &template.swept)));
    }
    for ((repository, reference), lacks) in look(view, template) {
        if let (Some(lacks), true) = (lacks, template.keeps(repository, &reference)) {
            wrong.push(format!("mended, {repository}:{reference}: {lacks}"));
        }
    }
}

fn tree(view: &StoreView, path: &Path) -> Tree {
    let path = view.root().join(path);
    if fs::metadata(&path).is_ok_and(|meta| meta.is_dir()) { Tree::of(&path) } else { Tree::of_one(&path) }
}

/// Exit code and report.
fn judge(outcome: &Outcome, expect: &Expect, collects: bool, what: &str, wrong: &mut Vec<String>) {
    let code = expect.exit_code(collects);
    if outcome.code != Some(code) {
        wrong.push(format!("{what}: exit code {:?} instead of {code}", outcome.code));
    }
    if let Ok(report) = serde_json::from_str(outcome.stdout.trim()) {
        wrong.extend(expect.untold(&report).map(|untold| format!("{what}: {untold}")));
    } else {
        wrong.push(format!("{what}: no report: {}", outcome.stderr));
    }
}

/// What may have gone, and what has to be gone.
fn contents(
    template: &Template,
    expect: &Expect,
    incomplete: &BTreeSet<String>,
    [before, after]: [&Content; 2],
    wrong: &mut Vec<String>,
) {
    let none = Vec::new();
    let spared = if let Expect::Doubt { spared, .. } = expect { spared } else { &none };
    for name in REPOSITORIES {
        let expected = if spared.contains(&name) || incomplete.contains(name) {
            &before.tags[name]
        } else {
            &template.swept.tags[name]
        };
        if after.tags[name] != *expected {
            wrong.push(format!("{name} has the tags {:?} instead of {expected:?}", after.tags[name]));
        }
    }
    if matches!(expect, Expect::Doubt { .. })
        && (&before.revisions, &before.blobs) != (&after.revisions, &after.blobs)
    {
        wrong.push(format!("in doubt, things went: {}", difference(after, before)));
    }
    let keeps_blobs = expect.is_uncollected() || matches!(expect, Expect::BlobDoubt { .. });
    if keeps_blobs && before.blobs != after.blobs {
        wrong.push("blobs went".to_owned());
    }
}

fn difference(found: &Content, expected: &Content) -> String {
    let mut told = Vec::new();
    for name in REPOSITORIES {
        let (tags, revisions) = (&found.tags[name], &found.revisions[name]);
        told.push(format!(
            "tags of {name} {:?} / {:?}",
            tags - &expected.tags[name],
            &expected.tags[name] - tags
        ));
        let all = &expected.revisions[name];
        told.push(format!("revisions of {name} +{} -{}", (revisions - all).len(), (all - revisions).len()));
    }
    told.push(format!(
        "blobs +{} -{}",
        (&found.blobs - &expected.blobs).len(),
        (&expected.blobs - &found.blobs).len()
    ));
    told.join(", ")
}

fn brief(outcome: &Outcome) -> String {
    let report: serde_json::Value = serde_json::from_str(outcome.stdout.trim()).unwrap_or_default();
    format!("{} {} {} {}", report["exit_code"], report["collection"], report["broken"], report["findings"])
}
