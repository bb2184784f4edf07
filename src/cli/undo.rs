//! What is to be done with removed tags.

use clap::Subcommand;

use super::settings::shown;
use super::values::tag_of_repository;
use crate::model::{RepoName, TagName};

pub(super) const TRASH_AFTER: &str = "\
Exit codes:
  0    done
  1    failed, or the question was answered with no
  2    wrong usage, or nobody could be asked: janitor trash empty needs a terminal or --yes
  3    a part of the trash cannot be read, or not all of it could be deleted
  10   there is no store
  11   another janitor holds the lock (see --lock-wait)

Examples:
  janitor trash                          what can be brought back, and until when
  janitor trash --output json            the same, for a script
  janitor trash empty --yes              give the space back with the next sweep
";

pub(super) const RESTORE_AFTER: &str = "\
Exit codes:
  0    every tag is back
  1    failed; also when one of the tags is not in the trash: nothing was restored then
  2    wrong usage
  3    something was not restored: the tag exists again, or its image is not whole
  10   there is no store
  11   another janitor holds the lock (see --lock-wait)

Examples:
  janitor restore team/app:v1            bring a tag back
  janitor restore --sweep 20261121T041800000Z-1
                                         all that one sweep removed (janitor trash names it)
  janitor restore --dry-run team/app:v1  is all of it still there?
";

/// What to do with the trash instead of listing it.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum TrashCommand {
    /// Throw away all removed tags: they cannot be brought back then, and the next sweep reclaims their space
    #[command(args = shown(&["dry_run", "lock_wait", "jobs", "data_dir", "output", "log_format", "log_level"]))]
    Empty {
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Which removed tags are to be brought back.
#[derive(Clone, Debug, clap::Args)]
pub struct RestoreArguments {
    /// Removed tags, as repository:tag; of several removals of one, the last
    #[arg(value_name = "REPOSITORY:TAG", required_unless_present = "sweep", value_parser = tag_of_repository)]
    pub tags: Vec<(RepoName, TagName)>,

    /// Restore what this sweep removed: those that are named, else all of it
    #[arg(long, value_name = "ID")]
    pub sweep: Option<String>,

    /// Take the place of a tag that exists again, which goes into the trash
    #[arg(long)]
    pub overwrite: bool,
}
