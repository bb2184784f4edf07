//! What was typed: flags, and the environment variables that stand in for them.

mod check;
mod settings;
mod undo;
mod usage;
mod values;

use std::path::PathBuf;

use clap::error::ContextKind;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

pub use check::Check;
use check::{CHECK, CHECK_AFTER};
pub use settings::Settings;
use settings::shown;
use undo::{RESTORE_AFTER, TRASH_AFTER};
pub use undo::{RestoreArguments, TrashCommand};
use usage::{DU, DU_AFTER};
pub use usage::{Top, UsageArguments, UsageOrder};

/// Shown above the options.
const ABOUT: &str = "Keeps a self-hosted container registry from growing forever";

const LONG_ABOUT: &str = "\
Keeps a self-hosted container registry (CNCF Distribution, filesystem driver) from growing forever.

A sweep looks at the registry's store, keeps the newest tags of each repository by push time, removes \
the others and the manifests that no tag reaches any more, and gives the disk space back, by the \
registry's own garbage-collect or by a collector of its own. Signatures and other companions follow \
their image; multi-arch images stay whole. What cannot be trusted is kept and reported.

Without a command, janitor sweeps every JANITOR_INTERVAL_SECS until it is stopped; with --run-once, \
once. --dry-run says what would go and changes nothing.";

const AFTER: &str = "\
Each option can be given by the variable in brackets instead; an option wins over its variable.
Misspelt JANITOR_, GC_, KEEP_ and UNDO_ variables are errors.

Exit codes:
  0    done
  1    failed
  2    wrong usage or configuration; nothing was done
  3    finished, but something was kept in doubt, failed, or is broken
  4    a check found something broken
  10   there is no store (never pushed to, or the storage is not mounted)
  11   another janitor holds the lock
  12   refused by a guard
  130  interrupted (143 by SIGTERM); the next sweep tidies up

Examples:
  janitor --run-once --dry-run --keep-last-n 5     what would a sweep remove?
  janitor --run-once --data-dir /mnt/box/registry  one sweep of a store that is mounted there
  janitor --run-once --output json | jq .totals    the same, for a script
  janitor --run-once --undo-window 7d              removed tags can be brought back for a week
  janitor du                                       what holds the disk, and what can be reclaimed?
  janitor trash; janitor restore team/app:v1       which ones, and one of them back
";

/// The command line of `janitor`.
#[derive(Debug, Parser)]
#[command(name = "janitor", version, about = ABOUT, long_about = LONG_ABOUT, after_long_help = AFTER, max_term_width = 100)]
pub struct Cli {
    /// What to do instead of sweeping.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// What a sweep is to do.
    #[command(flatten)]
    pub settings: Settings,
}

impl Cli {
    /// The sign of life to look at, where that is what was asked for. Of the variables only this
    /// path's is read: a bad value elsewhere stops a sweep, which then tells of it itself.
    pub fn asks_for_health() -> Option<PathBuf> {
        let command = without_variables(Self::command(), Some("heartbeat"));
        let cli = Self::from_arg_matches(&command.try_get_matches().ok()?).ok()?;
        matches!(cli.command, Some(Command::Health)).then_some(cli.settings.heartbeat)
    }

    /// Whether this error is there without any variable, so that it is about what was typed.
    pub fn is_typed(error: &clap::Error) -> bool {
        let typed = without_variables(Self::command(), None).try_get_matches();
        typed.is_err_and(|typed| {
            [ContextKind::InvalidArg, ContextKind::InvalidValue]
                .into_iter()
                .all(|kind| typed.get(kind) == error.get(kind))
                && typed.kind() == error.kind()
        })
    }
}

/// A command and its subcommands, reading no variable except that of one argument.
fn without_variables(command: clap::Command, except: Option<&str>) -> clap::Command {
    let without = |argument: clap::Arg| {
        let is_exception = except.is_some_and(|id| argument.get_id() == id);
        if is_exception { argument } else { argument.env(None::<&str>) }
    };
    command.mut_args(without).mut_subcommands(|it| without_variables(it, except))
}

/// All arguments of a command and its subcommands.
pub fn arguments(command: &clap::Command) -> Vec<&clap::Arg> {
    let below = command.get_subcommands().flat_map(arguments);
    command.get_arguments().chain(below).collect()
}

/// Whether an address that is wrong may have a password in it, so that no message may repeat it.
pub fn may_hold_a_secret(url: &str) -> bool {
    values::may_hold_a_secret(url)
}

/// What to do instead of sweeping.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Tell by the exit code whether the loop is alive: 0 when it is, 1 when it is not
    #[command(args = shown(&["heartbeat"]))]
    Health,
    /// Tell what is broken in the store, and what that means for each tag
    #[command(long_about = CHECK, after_long_help = CHECK_AFTER, args = shown(&["dry_run", "lock_wait", "jobs", "data_dir", "output", "log_format", "log_level"]))]
    Check(Check),

    /// Tell what holds the disk, and what of that can be reclaimed
    #[command(long_about = DU, after_long_help = DU_AFTER)]
    Du(UsageArguments),

    /// List the removed tags that can be brought back, or throw them away
    ///
    /// With `UNDO_WINDOW` set, the tags that a sweep removes stay in the trash that long, and so do their
    /// manifests and blobs. The list tells of each when and why it was removed, when the first sweep may
    /// take it for good, and how many bytes nothing but it holds.
    #[command(after_long_help = TRASH_AFTER, args = shown(&["undo_window", "jobs", "data_dir", "output", "log_format", "log_level"]))]
    Trash {
        /// What to do instead of listing.
        #[command(subcommand)]
        command: Option<TrashCommand>,
    },

    /// Bring removed tags back
    ///
    /// An image comes back only when all of it is there; otherwise what is missing is told, and nothing is
    /// changed. Platforms that an index lacked already when it was removed do not count. Signatures and other companion tags that were removed with an image come back with it. A
    /// restored tag counts as just pushed.
    #[command(after_long_help = RESTORE_AFTER, args = shown(&["dry_run", "lock_wait", "jobs", "data_dir", "output", "log_format", "log_level"]))]
    Restore(RestoreArguments),
}

/// Which collector was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EngineChoice {
    /// The registry's where --registry-bin is found, the janitor's own elsewhere
    Auto,
    /// The registry's own garbage-collect
    Registry,
    /// The janitor's own
    Native,
}

/// How the report is written to stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// A table
    Text,
    /// One JSON document on one line
    Json,
    /// Not at all
    None,
}

/// How the log is written to stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// What failed
    Error,
    /// And what is odd
    Warn,
    /// And what was done
    Info,
    /// And the collector's own output
    Debug,
    /// Everything
    Trace,
}
