//! The sections on the local disk: a small store, large ones, whole sweeps.

use std::fmt::Write as _;

use super::{fill, millis, peak, times};
use crate::cases::{Large, Small, Sweeps, Told};

pub(super) fn render(small: &Small, sweeps: &Sweeps, large: &[Large]) -> String {
    let mut values: Vec<(&str, String)> = Vec::new();
    let mut put = |name: &'static str, text: &str| values.push((name, text.to_owned()));
    put(
        "small_store",
        &format!(
            "{} repositories with {} tags and {} untagged manifests each; {} blobs, {} files",
            small.spec.repositories, small.spec.tags, small.spec.untagged, small.summary.blobs, small.files
        ),
    );
    put("small_rounds", &small.rounds.to_string());
    put("would_go", &would_go(&small.told));
    put("warm", &times(&small.warm));
    let cold = small.cold.as_ref().map_or_else(
        || "Not measured with cold caches: that takes root.".to_owned(),
        |cold| {
            format!(
                "From the disk, the kernel's caches dropped before every run ({} rounds):\n\n{}",
                cold.first().map_or(0, |it| it.runs.len()),
                times(cold)
            )
        },
    );
    put("cold", &cold);
    put("operations", &operations(small));
    put("sweep_rounds", &sweeps.rounds.to_string());
    put("swept", &sweeps.blobs_removed.to_string());
    put("sweeps", &times(&sweeps.measured));
    put("large_store", &large.last().map_or_else(|| "Not measured".to_owned(), large_store));
    put("large", &large_table(large));
    put("linear", &linear(large));
    put("per_tag", &per_tag(large));
    fill(include_str!("local.md"), &values)
}

fn large_store(large: &Large) -> String {
    format!(
        "Up to {} tags in {} repositories, {} blobs",
        large.summary.tags, large.repositories, large.summary.blobs
    )
}

fn large_table(large: &[Large]) -> String {
    let mut text =
        String::from("| tags | | median | least – most | processor | per 1,000 tags | peak memory |\n");
    text.push_str("|--:|---|--:|--:|--:|--:|--:|\n");
    for store in large {
        for it in &store.measured {
            let (median, least, most) = it.wall();
            writeln!(
                text,
                "| {} | {} | {} | {} – {} | {} | {:.1} ms | {} |",
                store.summary.tags,
                it.name,
                millis(median),
                millis(least),
                millis(most),
                millis(it.cpu()),
                median / store.summary.tags as f64 * 1e3,
                peak(it)
            )
            .expect("a string takes every write");
        }
    }
    text
}

fn linear(large: &[Large]) -> String {
    let (Some(first), Some(last)) = (large.first(), large.last()) else { return String::new() };
    let per_tag = |store: &Large| store.measured[0].wall().0 / store.summary.tags as f64;
    let operations = |store: &Large| {
        store.told.stages.iter().map(|it| it.operations).sum::<u64>() as f64 / store.summary.tags as f64
    };
    format!(
        "From {} to {} tags, the time of an audit for each tag changes by a factor of {:.2}, its file operations from \
         {:.2} to {:.2}.",
        first.summary.tags,
        last.summary.tags,
        per_tag(last) / per_tag(first),
        operations(first),
        operations(last)
    )
}

fn per_tag(large: &[Large]) -> String {
    large.last().map_or_else(
        || "unmeasured".to_owned(),
        |store| format!("{} bytes", store.measured[0].peak_bytes().0 / store.summary.tags as u64),
    )
}

fn would_go(told: &Told) -> String {
    let totals = &told.totals;
    format!(
        "{} of {} tags, {} manifests, {} blobs; {} more blobs are held back",
        totals.tags_removed, totals.tags, totals.manifests_removed, totals.blobs_removed, totals.blobs_held
    )
}

fn operations(small: &Small) -> String {
    let mut text = String::from("| stage | operations |\n|---|--:|\n");
    for stage in &small.told.stages {
        writeln!(text, "| {} | {} |", stage.name, stage.operations).expect("a string takes every write");
    }
    write!(
        text,
        "\nBy the first five rows above, and 11 for opening the store, looking for what is remembered (manifests, and when things dated ahead were first seen) and for removed tags, and reading the clock, the scan should make {}.",
        small.scan_operations
    )
    .expect("a string takes every write");
    text
}
