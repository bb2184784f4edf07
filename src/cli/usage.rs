//! What is to be told of the disk.

use clap::ValueEnum;

use super::values::{repository_or_tag, top};
use crate::model::{RepoName, TagName};

pub(super) const DU: &str = "\
Tells what holds the disk, and changes nothing; a registry and a sweep may go on beside it.

TOTAL is every blob that a repository or a tag reaches, counted once; what several reach counts for each \
of them. ALONE is the part that nothing else in the store reaches: what would come back if it went (a \
repository: with all its tags, untagged manifests, and removed tags that can be brought back). SHARED is \
the rest. An index counts with its platforms, an image with its referrers. Bytes are what the file system \
sets aside, measured at the files themselves.

Below the table: what tags hold, what removed tags hold that can be brought back (UNDO_WINDOW), what the \
next sweep reclaims even if it removes no tag, what waits for its age (GC_GRACE), and what lies in the \
trash. Give it the settings of your sweeps. Uploads in progress are not counted. On a terminal, a bar \
shows each TOTAL beside the largest, filled as far as it is held ALONE.";

pub(super) const DU_AFTER: &str = "\
Exit codes:
  0    done
  1    failed
  2    wrong usage, or a repository or tag that is not there
  3    something could not be read, so what it holds is not known; see the findings
  Others as for a sweep: 10, 12, 130.

Examples:
  janitor du                             the 20 largest repositories
  janitor du --sort alone --tags         the tags whose removal would free most
  janitor du team/app                    the tags of a repository
  janitor du --output json | jq '.totals.reclaimable_bytes'
";

/// What is to be told of the disk.
#[derive(Clone, Debug, clap::Args)]
pub struct UsageArguments {
    /// Tell of these repositories' tags, or of these tags
    #[arg(value_name = "REPOSITORY[:TAG]", value_parser = repository_or_tag)]
    pub names: Vec<(RepoName, Option<TagName>)>,

    /// Tell of the tags of all repositories
    #[arg(long)]
    pub tags: bool,

    /// How many lines to tell, or `all` [default: 20; in JSON, all]
    #[arg(long, value_name = "N", value_parser = top)]
    pub top: Option<Top>,

    /// What comes first
    #[arg(long, value_name = "ORDER", default_value = "size")]
    pub sort: UsageOrder,

    /// Tell the lengths of files instead of what the file system sets aside for them
    #[arg(long)]
    pub apparent_size: bool,
}

/// How many lines are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Top {
    /// The first so many.
    First(usize),
    /// All of them.
    All,
}

/// What comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum UsageOrder {
    /// The largest
    Size,
    /// What would free most
    Alone,
    /// By name
    Name,
}
