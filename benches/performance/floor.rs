//! The floor: the requests that any correct collector must make of a store that it has not seen, one after another by what they
//! are for.
//!
//! It is counted in the slow file system's requests and in its terms: what a directory's listing brought along need not
//! be looked up, every other name on a path must be, and a listing takes three requests (open, list, and hear that this
//! was all). It leaves out what may be remembered for too short a time, and everything that one collector may want and
//! another not. It is worked out from what was written into the store and from what goes, not from what was measured.

use std::fs;
use std::path::Path;

use janitor_testkit::{BulkSpec, BulkSummary};

use crate::cases::Totals;

/// Requests for one purpose.
pub(crate) struct Part {
    pub(crate) what: &'static str,
    pub(crate) each: &'static str,
    pub(crate) count: usize,
    pub(crate) requests_each: usize,
}

impl Part {
    pub(crate) const fn requests(&self) -> usize {
        self.count * self.requests_each
    }
}

/// The floor of an audit.
pub(crate) struct Floor {
    /// To know what may go.
    pub(crate) decide: Vec<Part>,
    /// To know also that what stays is whole.
    pub(crate) verify: Vec<Part>,
}

impl Floor {
    /// The floor of a store that holds nothing else than what was written into it at once.
    pub(crate) fn of(spec: &BulkSpec, summary: &BulkSummary, totals: &Totals, store: &Path) -> Self {
        let part = |what, count, requests_each, each| Part { what, each, count, requests_each };
        let teams = spec.repositories.min(20);
        let shards = shards(store);
        let kept_tags = totals.tags - totals.tags_removed;
        // Layers and a configuration that only one image has.
        let own = spec.own_layers + 1;
        let going = totals.manifests_removed;
        let candidates = totals.blobs_removed + totals.blobs_held;
        let kept_blobs = summary.blobs - candidates - (summary.manifests - going);
        let kept_links = spec.repositories * spec.shared_layers + kept_tags * own;
        let listing = "open, list, end of the list";
        Self {
            decide: vec![
                part(
                    "way into the store: `docker`, `registry`, `v2`, `repositories`, `blobs`, `sha256`",
                    6,
                    1,
                    "look up",
                ),
                part(
                    "directory that leads to a repository, or is one: it may hold more of them",
                    1 + teams + spec.repositories,
                    3,
                    listing,
                ),
                part("repository: `_manifests/tags` and `revisions`", 2 * spec.repositories, 1, "look up"),
                part(
                    "repository: its tags; its revisions and layer links, and the algorithms above them",
                    5 * spec.repositories,
                    3,
                    listing,
                ),
                part(
                    "tag: `current` and `link`, whose digest and time decide",
                    summary.tags,
                    4,
                    "look up twice, open, read",
                ),
                part("blob shard, and the directory of them", 1 + shards, 3, listing),
                part("manifest: what it references", summary.manifests, 3, "look up `data`, open, read"),
                part(
                    "manifest that no tag names: the age of its revision's link",
                    spec.repositories * spec.untagged,
                    1,
                    "look up",
                ),
                part(
                    "blob that may go and is no manifest: its age and size",
                    candidates - going,
                    1,
                    "look up `data`",
                ),
                part("layer link to such a blob: its age", going * own, 1, "look up"),
            ],
            verify: vec![
                part(
                    "blob of a kept tag that is no manifest: that its data is there and whole",
                    kept_blobs,
                    1,
                    "look up `data`",
                ),
                part("layer link of a kept tag: that it is whole", kept_links, 1, "look up"),
                part("revision of a kept tag: that its link is whole", kept_tags, 1, "look up"),
            ],
        }
    }

    /// To decide.
    pub(crate) fn to_decide(&self) -> usize {
        self.decide.iter().map(Part::requests).sum()
    }

    /// To decide and to verify.
    pub(crate) fn to_verify(&self) -> usize {
        self.to_decide() + self.verify.iter().map(Part::requests).sum::<usize>()
    }
}

fn shards(store: &Path) -> usize {
    fs::read_dir(store.join("docker/registry/v2/blobs/sha256")).expect("a store has blobs").count()
}
