//! What can happen in a history, and how often.

use proptest::prelude::*;
use proptest::sample::select;

use crate::settings::{Engine, Settings};

/// The repositories of a history, one inside another.
const REPOSITORIES: [&str; 3] = ["app", "app/web", "lib"];
/// Tags in their natural order, which is not that of their bytes.
const TAGS: [&str; 5] = ["latest", "v1", "v2", "v9", "v10"];
/// How many families of images there are.
const FAMILIES: usize = 7;
pub(crate) const MINUTE: i64 = 60_000;

/// One step of a history.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    /// A whole push; with `reuse`, whatever the registry has is not sent again.
    Push { repository: &'static str, tag: &'static str, family: usize, reuse: bool },
    /// A push of what serves an image, which need not be there.
    Serve { repository: &'static str, family: usize, how: Serve },
    /// Children and layers of an image, and then the client ends.
    HalfPush { repository: &'static str, family: usize, manifests: usize },
    /// Layer links to what another repository has.
    Mount { repository: &'static str, family: usize },
    /// The registry's own delete of one of a repository's manifests.
    Delete { repository: &'static str, which: usize },
    /// A part of a layer, and then the client waits.
    Upload { repository: &'static str },
    /// The registry clears uploads away.
    EndUploads { repository: &'static str },
    /// Time passes; backwards where somebody sets a clock.
    Wait { minutes: i64 },
    /// A sweep to its end.
    Sweep(Settings),
    /// A sweep that ends at the change of this number.
    Crash(Settings, usize),
    /// A look that changes nothing.
    Audit(Settings),
}

/// How something serves an image.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Serve {
    /// A referrer, by digest.
    Referrer,
    /// A referrer and what refers to it, by digest.
    TwoReferrers,
    /// A referrer under a tag of its own.
    Tagged,
    /// A referrer by digest, and a list of referrers under `sha256-<hex>`.
    Fallback,
    /// A signature under `sha256-<hex>.sig`.
    Signature,
}

/// Histories of some length, for an engine.
pub(crate) fn histories(engine: Engine, steps: usize) -> impl Strategy<Value = Vec<Operation>> {
    proptest::collection::vec(operation(engine), 1..steps)
}

fn operation(engine: Engine) -> impl Strategy<Value = Operation> {
    let repository = || select(&REPOSITORIES[..]);
    let family = 0..FAMILIES;
    let push = (repository(), select(&TAGS[..]), family.clone(), any::<bool>())
        .prop_map(|(repository, tag, family, reuse)| Operation::Push { repository, tag, family, reuse });
    let how =
        select(&[Serve::Referrer, Serve::TwoReferrers, Serve::Tagged, Serve::Fallback, Serve::Signature][..]);
    let serve = (repository(), family.clone(), how).prop_map(|(repository, family, how)| Operation::Serve {
        repository,
        family,
        how,
    });
    let half = (repository(), family.clone(), 0..3_usize)
        .prop_map(|(repository, family, manifests)| Operation::HalfPush { repository, family, manifests });
    let mount =
        (repository(), family).prop_map(|(repository, family)| Operation::Mount { repository, family });
    let delete =
        (repository(), 0..16_usize).prop_map(|(repository, which)| Operation::Delete { repository, which });
    let changes = if engine == Engine::Native { 160 } else { 70_usize };
    let crash = (settings(engine), 0..changes).prop_map(|(settings, at)| Operation::Crash(settings, at));
    prop_oneof![
        12 => push,
        5 => serve,
        2 => half,
        2 => mount,
        3 => delete,
        1 => repository().prop_map(|repository| Operation::Upload { repository }),
        1 => repository().prop_map(|repository| Operation::EndUploads { repository }),
        4 => select(&[10_i64, 50, 70, 200, -30, -100, -400, 500][..]).prop_map(|minutes| Operation::Wait { minutes }),
        5 => settings(engine).prop_map(Operation::Sweep),
        3 => crash,
        1 => settings(engine).prop_map(Operation::Audit),
    ]
}

fn settings(engine: Engine) -> impl Strategy<Value = Settings> {
    let engines = match engine {
        Engine::Off => vec![Engine::Off],
        Engine::Registry | Engine::Native => vec![engine, engine, Engine::Off],
    };
    let parts = (
        1..4_usize,
        any::<bool>(),
        any::<bool>(),
        select(&[0, 60, 60][..]),
        0..2_u64,
        select(&[1_usize, 4][..]),
    );
    (parts, select(engines)).prop_map(|((keep, a, b, grace, settle_ms, jobs), engine)| Settings {
        keep,
        // Three times out of four, as it is by default.
        untagged_go: a || b,
        // No history has times that are just so far apart.
        grace_ms: if grace == 0 { 0 } else { grace * MINUTE + MINUTE / 2 },
        settle_ms,
        jobs,
        engine,
    })
}
