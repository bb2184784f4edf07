//! What a check is to do.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use super::values::{age, path, rate, repository};
use crate::model::RepoName;

pub(super) const CHECK: &str = "\
Tells what is broken in the store, and what that means for each tag.

Every directory is listed, every link and every manifest is read, and nothing is changed; a registry may \
go on working meanwhile. What seems broken is looked at twice.

With --repair, links that can say only one thing are written anew, missing directories of layer links are \
made, and manifests and blobs whose bytes are not their own are moved to the trash, so that the next push \
brings them anew; old temporary files and uploads are removed. Without --yes, and without a terminal to ask \
on, that is listed and nothing is changed.";

pub(super) const CHECK_AFTER: &str = "\
Exit codes:
  0    nothing is broken
  3    something could not be looked at
  4    something is broken
  Others as for a sweep: 1, 2, 10, 11, 12, 130.
";

/// What a check is to do.
#[derive(Clone, Debug, clap::Args)]
pub struct Check {
    /// Look only at these repositories, and at what they need
    #[arg(value_name = "REPOSITORY", value_parser = repository)]
    pub repositories: Vec<RepoName>,

    /// Age from which an upload that nobody goes on with is told of
    #[arg(long, env = "UPLOAD_MAX_AGE", value_name = "DURATION", default_value = "7d", value_parser = age)]
    pub upload_max_age: Duration,

    /// Also read every blob, and compare its bytes with its digest
    #[arg(long)]
    pub deep: bool,

    /// Read no faster than this, such as 50MiB/s
    #[arg(long, value_name = "RATE", value_parser = rate, requires = "deep")]
    pub rate: Option<NonZeroU64>,

    /// Keep in this file how far --deep has come, and go on from there; without it, an interrupted --deep
    /// begins anew
    #[arg(long, value_name = "FILE", value_parser = path, requires = "deep")]
    pub state: Option<PathBuf>,

    /// Mend what can be mended without guessing, after listing it and asking
    #[arg(long)]
    pub repair: bool,

    /// Repair without asking
    #[arg(long, requires = "repair")]
    pub yes: bool,
}
