//! Which repositories and tags are told, and in which order: pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::cli::UsageOrder;
use crate::config::UsageQuery;
use crate::gc::usage::{Held, Usage};
use crate::model::{Inventory, TagName, TagState};
use crate::report::usage::{RepositoryRow, Rows, TagRow};

/// Chooses the rows.
pub(super) fn choose(inventory: &Inventory, usage: &Usage, query: &UsageQuery) -> Rows {
    let wanted = wanted(inventory, query);
    let mut repositories: Vec<(usize, Held)> =
        wanted.keys().map(|at| (*at, usage.repositories[*at].held)).collect();
    sort(&mut repositories, query.order, |(_, held)| *held);
    if !query.tags {
        let left_out = cut(&mut repositories, query.top);
        let repositories = repositories.into_iter().map(|(at, _)| repository(inventory, usage, at));
        return Rows { repositories: repositories.collect(), tags: None, left_out };
    }
    let mut tags: Vec<(usize, usize, Held)> = Vec::new();
    for (at, names) in &wanted {
        let known = usage.repositories[*at].tags.iter().map(|held| held.unwrap_or_default());
        for (tag, held) in known.enumerate() {
            let name = &inventory.repositories[*at].tags[tag].name;
            if names.as_ref().is_none_or(|names| names.contains(name)) {
                tags.push((*at, tag, held));
            }
        }
    }
    sort(&mut tags, query.order, |(_, _, held)| *held);
    let left_out = cut(&mut tags, query.top);
    Rows {
        repositories: repositories.into_iter().map(|(at, _)| repository(inventory, usage, at)).collect(),
        tags: Some(tags.into_iter().map(|(at, tag, _)| tag_row(inventory, usage, at, tag)).collect()),
        left_out,
    }
}

/// The positions of repositories, each with those of its tags that are told; `None` for all of them.
fn wanted<'a>(
    inventory: &Inventory,
    query: &'a UsageQuery,
) -> BTreeMap<usize, Option<BTreeSet<&'a TagName>>> {
    if query.names.is_empty() {
        return (0..inventory.repositories.len()).map(|at| (at, None)).collect();
    }
    let mut wanted: BTreeMap<usize, Option<BTreeSet<&TagName>>> = BTreeMap::new();
    for (name, tag) in &query.names {
        let Some(at) = inventory.position(name) else { continue };
        let names = wanted.entry(at).or_insert_with(|| Some(BTreeSet::new()));
        match (tag, names) {
            (Some(tag), Some(names)) => _ = names.insert(tag),
            (Some(_), None) => {}
            (None, names) => *names = None,
        }
    }
    wanted
}

/// They come by name, and what is equal stays so.
fn sort<T>(rows: &mut [T], order: UsageOrder, held: impl Fn(&T) -> Held) {
    match order {
        UsageOrder::Size => rows.sort_by_key(|row| Reverse(held(row).total_bytes)),
        UsageOrder::Alone => {
            rows.sort_by_key(|row| Reverse((held(row).alone_bytes, held(row).total_bytes)));
        }
        UsageOrder::Name => {}
    }
}

fn cut<T>(rows: &mut Vec<T>, top: usize) -> usize {
    let left_out = rows.len().saturating_sub(top);
    rows.truncate(top);
    left_out
}

fn repository(inventory: &Inventory, usage: &Usage, at: usize) -> RepositoryRow {
    let (repository, used) = (&inventory.repositories[at], &usage.repositories[at]);
    RepositoryRow {
        name: repository.name.clone(),
        tags: repository.tags.len(),
        total_bytes: used.held.total_bytes,
        alone_bytes: used.held.alone_bytes,
        shared_bytes: used.held.shared_bytes(),
        untagged_bytes: used.untagged_bytes,
        in_doubt: repository.in_doubt,
    }
}

fn tag_row(inventory: &Inventory, usage: &Usage, at: usize, tag: usize) -> TagRow {
    let repository = &inventory.repositories[at];
    let held = usage.repositories[at].tags[tag];
    let (digest, pushed_at) = match repository.tags[tag].state {
        TagState::Linked { digest, pushed_at } => (Some(inventory.digest(digest)), Some(pushed_at)),
        TagState::Doubtful => (None, None),
    };
    TagRow {
        repository: repository.name.clone(),
        tag: repository.tags[tag].name.clone(),
        digest,
        pushed_at,
        total_bytes: held.map(|it| it.total_bytes),
        alone_bytes: held.map(|it| it.alone_bytes),
        shared_bytes: held.map(Held::shared_bytes),
    }
}
