//! What was typed: flags, and the environment variables that stand in for them.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

use crate::model::{RepoName, TagName};
use crate::probe::Address;

/// Shown above the options.
const ABOUT: &str = "Keeps a self-hosted container registry from growing forever";

const LONG_ABOUT: &str = "\
Keeps a self-hosted container registry (CNCF Distribution, filesystem driver) from growing forever.

A sweep looks at the registry's store, keeps the newest tags of each repository by push time, removes \
the others and the manifests that no tag reaches any more, and runs the registry's own \
garbage-collect to give the disk space back. Signatures and other companions follow their image; \
multi-arch images stay whole. What cannot be trusted is kept and reported.

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
  janitor trash; janitor restore team/app:v1       which ones, and one of them back
";

const TRASH_AFTER: &str = "\
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

const RESTORE_AFTER: &str = "\
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
        let command = Self::command().mut_args(|argument| {
            if argument.get_id() == "heartbeat" { argument } else { argument.env(None::<&str>) }
        });
        let cli = Self::from_arg_matches(&command.try_get_matches().ok()?).ok()?;
        matches!(cli.command, Some(Command::Health)).then_some(cli.settings.heartbeat)
    }
}

/// What to do instead of sweeping.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Tell by the exit code whether the loop is alive: 0 when it is, 1 when it is not
    Health,
    /// Tell what is broken in the store, and what that means for each tag
    #[command(long_about = CHECK, after_long_help = CHECK_AFTER)]
    Check(Check),

    /// List the removed tags that can be brought back, or throw them away
    ///
    /// With `UNDO_WINDOW` set, the tags that a sweep removes stay in the trash that long, and so do their
    /// manifests and blobs. The list tells of each when and why it was removed, when the first sweep may
    /// take it for good, and how many bytes nothing but it holds.
    #[command(after_long_help = TRASH_AFTER)]
    Trash {
        /// What to do instead of listing.
        #[command(subcommand)]
        command: Option<TrashCommand>,
    },

    /// Bring removed tags back
    ///
    /// An image comes back only when all of it is there; otherwise what is missing is told, and nothing is
    /// changed. Signatures and other companion tags that were removed with an image come back with it. A
    /// restored tag counts as just pushed.
    #[command(after_long_help = RESTORE_AFTER)]
    Restore(RestoreArguments),
}

const CHECK: &str = "\
Tells what is broken in the store, and what that means for each tag.

Every directory is listed, every link and every manifest is read, and nothing is changed; a registry may \
go on working meanwhile. What seems broken is looked at twice.

With --repair, links that can say only one thing are written anew, missing directories of layer links are \
made, and manifests and blobs whose bytes are not their own are moved to the trash, so that the next push \
brings them anew; old temporary files and uploads are removed. Without --yes, and without a terminal to ask \
on, that is listed and nothing is changed.";

const CHECK_AFTER: &str = "\
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

/// What to do with the trash instead of listing it.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum TrashCommand {
    /// Throw away all removed tags: they cannot be brought back then, and the next sweep reclaims their space
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

/// Which engine was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineChoice {
    /// The registry's collector where its binary is found.
    Auto,
    /// The registry's collector.
    Registry,
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

/// What a sweep is to do. Every one of these is a flag and a variable.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "these are switches")]
pub struct Settings {
    /// Tags kept in each repository, newest by push time
    #[arg(long, env = "KEEP_LAST_N", value_name = "N", default_value = "10", value_parser = count, help_heading = "Retention")]
    pub keep_last_n: u32,

    /// Keep the newest also where many images of a repository were pushed in the same second
    ///
    /// A store that was copied or restored without its times looks like this. There, push time says
    /// nothing about which is newest, and no tag goes by it unless this is set.
    #[arg(long, env = "TRUST_EQUAL_PUSH_TIMES", value_name = "BOOL", default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, value_parser = switch(), help_heading = "Retention")]
    pub trust_equal_push_times: bool,

    /// Permit --keep-last-n 0, which removes every tag of every repository
    #[arg(long, env = "JANITOR_UNSAFE_KEEP_NONE", value_name = "BOOL", default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, value_parser = switch(), help_heading = "Retention")]
    pub unsafe_keep_none: bool,

    /// Remove manifests that no tag reaches, so that their blobs can be reclaimed
    #[arg(long, env = "GC_DELETE_UNTAGGED", value_name = "BOOL", default_value = "true", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, value_parser = switch(), help_heading = "Retention")]
    pub gc_delete_untagged: bool,

    /// Age below which a manifest or blob that nothing reaches is kept
    ///
    /// A push in progress looks like garbage until its last step, so do not go below the time that
    /// your longest push takes.
    #[arg(long, env = "GC_GRACE", value_name = "DURATION", default_value = "1h", value_parser = age, help_heading = "Retention")]
    pub gc_grace: Duration,

    /// Most that one sweep may remove, in percent of the store's tags, and of its blobs that no tag held
    ///
    /// A sweep that would remove more removes nothing, ends with exit code 12, and tells how to confirm
    /// it. Only from 20 tags, or blobs, upward; 100 turns this off.
    #[arg(long, env = "MAX_REMOVE_PERCENT", value_name = "PERCENT", default_value = "50", value_parser = percent, help_heading = "Retention")]
    pub max_remove_percent: u8,

    /// Go on in a store that has lost most of its repositories, tags or blobs since the last sweep
    ///
    /// A storage that is mounted in part looks like that, so such a sweep removes nothing and ends with
    /// exit code 12. Meant for one sweep, after somebody has deleted so much.
    #[arg(long, env = "JANITOR_ACCEPT_LOSSES", value_name = "BOOL", default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, value_parser = switch(), help_heading = "Retention")]
    pub accept_losses: bool,

    /// How long removed tags stay in the trash, from where `janitor restore` brings them back
    ///
    /// Their manifests and blobs stay as long, so the disk space comes back that much later.
    #[arg(long, env = "UNDO_WINDOW", value_name = "DURATION", default_value = "0s", value_parser = age, help_heading = "Retention", global = true)]
    pub undo_window: Duration,

    /// Say what would go and change nothing
    #[arg(long, env = "DRY_RUN", value_name = "BOOL", default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, value_parser = switch(), help_heading = "Running", global = true)]
    pub dry_run: bool,

    /// Sweep once, then exit
    #[arg(long, env = "RUN_ONCE", value_name = "BOOL", default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, value_parser = switch(), help_heading = "Running")]
    pub run_once: bool,

    /// Time between the starts of two sweeps: seconds, or a duration such as 30m or 1h
    #[arg(long, env = "JANITOR_INTERVAL_SECS", value_name = "SECS", default_value = "3600", value_parser = interval, help_heading = "Running")]
    pub interval_secs: Duration,

    /// How long a single sweep waits for another janitor's lock
    #[arg(long, env = "JANITOR_LOCK_WAIT", value_name = "DURATION", default_value = "0s", value_parser = lock_wait, help_heading = "Running", global = true)]
    pub lock_wait: Duration,

    /// File operations under way at the same time
    #[arg(long, env = "JANITOR_JOBS", value_name = "N", default_value = "16", value_parser = jobs, help_heading = "Running", global = true)]
    pub jobs: u32,

    /// The registry's rootdirectory
    #[arg(long, env = "JANITOR_DATA_DIR", value_name = "DIR", default_value = "/var/lib/registry", value_parser = path, help_heading = "The registry", global = true)]
    pub data_dir: PathBuf,

    /// The registry's configuration, handed to its collector
    /// [default: /etc/docker/registry/config.yml, or registry:3's /etc/distribution/config.yml]
    #[arg(long, env = "JANITOR_REGISTRY_CONFIG", value_name = "FILE", value_parser = path, help_heading = "The registry")]
    pub registry_config: Option<PathBuf>,

    /// The registry's binary, which has the stock collector in it
    #[arg(long, env = "JANITOR_REGISTRY_BIN", value_name = "FILE", default_value = "registry", value_parser = path, help_heading = "The registry")]
    pub registry_bin: PathBuf,

    /// Where the registry answers, such as `http://registry:5000`; all of them, separated by commas
    ///
    /// Before blobs are reclaimed, each is asked whether it goes by the disk or by what it remembers: a
    /// few bytes are uploaded to a scratch repository, taken out of the store, and asked for again.
    /// Unset, or `none`: the registry's configuration has to do.
    #[arg(long, env = "JANITOR_REGISTRY_URL", value_name = "URL", value_parser = registry_url, help_heading = "The registry")]
    pub registry_url: Option<String>,

    /// User name for a registry that asks for one; the password is in `JANITOR_REGISTRY_PASSWORD`
    #[arg(long, env = "JANITOR_REGISTRY_USERNAME", value_name = "NAME", value_parser = text, help_heading = "The registry")]
    pub registry_username: Option<String>,

    /// A file with the password in it, in place of `JANITOR_REGISTRY_PASSWORD`
    #[arg(long, env = "JANITOR_REGISTRY_PASSWORD_FILE", value_name = "FILE", value_parser = path, help_heading = "The registry")]
    pub registry_password_file: Option<PathBuf>,

    /// The file that `docker login` writes, for user name and password
    /// [default: config.json in `DOCKER_CONFIG` or ~/.docker]
    #[arg(long, env = "JANITOR_DOCKER_CONFIG", value_name = "FILE", value_parser = path, help_heading = "The registry")]
    pub docker_config: Option<PathBuf>,

    /// Reclaim blobs after pruning
    #[arg(long, env = "RUN_GC", value_name = "BOOL", default_value = "true", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, value_parser = switch(), help_heading = "Collection")]
    pub run_gc: bool,

    /// What reclaims the blobs: auto or registry, which both run the registry's own collector
    #[arg(long, env = "GC_ENGINE", value_name = "ENGINE", default_value = "auto", value_parser = engine, help_heading = "Collection")]
    pub gc_engine: EngineChoice,

    /// Time limit for one run of the registry's collector
    #[arg(long, env = "GC_TIMEOUT", value_name = "DURATION", default_value = "6h", value_parser = timeout, help_heading = "Collection")]
    pub gc_timeout: Duration,

    /// How long nobody may have pushed before the registry's collector runs; 0s does not ask
    ///
    /// The collector is unsafe beside pushes, and this makes it less likely to meet one: no upload, layer
    /// link, manifest or tag is fresher than this.
    #[arg(long, env = "GC_QUIET", value_name = "DURATION", default_value = "1m", value_parser = settle, help_heading = "Collection")]
    pub gc_quiet: Duration,

    /// How long to wait for such a moment; the collector then runs all the same, and a warning is told
    #[arg(long, env = "GC_QUIET_WAIT", value_name = "DURATION", default_value = "5m", value_parser = settle, help_heading = "Collection")]
    pub gc_quiet_wait: Duration,

    /// Time between taking things away and the second look that permits deleting them
    ///
    /// Longer than any single request to your registry takes; a push that was under way is then
    /// seen by the second look, and what it needs is put back.
    #[arg(long, env = "GC_SETTLE", value_name = "DURATION", default_value = "60s", value_parser = settle, help_heading = "Collection")]
    pub gc_settle: Duration,

    /// Report on stdout [default: text for a single sweep, none in the loop]
    #[arg(long, env = "JANITOR_OUTPUT", value_name = "FORMAT", help_heading = "Telling", global = true)]
    pub output: Option<OutputFormat>,

    /// Format of the log on stderr
    #[arg(
        long,
        env = "LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text",
        help_heading = "Telling",
        global = true
    )]
    pub log_format: LogFormat,

    /// How much to log
    #[arg(
        long,
        env = "LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "info",
        help_heading = "Telling",
        global = true
    )]
    pub log_level: LogLevel,

    /// The file by which `janitor health` sees that the loop is alive
    #[arg(long, env = "JANITOR_HEARTBEAT", value_name = "FILE", default_value = "/tmp/janitor-heartbeat.json", value_parser = path, help_heading = "Telling", global = true)]
    pub heartbeat: PathBuf,
}

fn tag_of_repository(text: &str) -> Result<(RepoName, TagName), String> {
    let parsed = text
        .rsplit_once(':')
        .and_then(|(repository, tag)| Some((repository.parse().ok()?, tag.parse().ok()?)));
    parsed.ok_or_else(|| "a repository and a tag, such as team/app:v1".into())
}

fn switch() -> impl clap::builder::TypedValueParser<Value = bool> {
    BoolishValueParser::new()
}

fn count(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("a whole number from 1 to {}", u32::MAX))
}

fn jobs(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|jobs| (1..=1024).contains(jobs))
        .ok_or_else(|| "a whole number from 1 to 1024".into())
}

fn percent(text: &str) -> Result<u8, String> {
    text.parse()
        .ok()
        .filter(|percent| (1..=100).contains(percent))
        .ok_or_else(|| "a whole number from 1 to 100".into())
}

const DAY: Duration = Duration::from_secs(86400);
const YEAR: Duration = Duration::from_secs(366 * 86400);

/// An age: further back than there can be a push.
fn age(text: &str) -> Result<Duration, String> {
    within(text, Duration::ZERO, 100 * YEAR)
        .ok_or_else(|| "a duration with its unit, such as 60s, 30m, 1h or 7d; at most 100 years".into())
}

/// The sweep holds the lock meanwhile.
fn settle(text: &str) -> Result<Duration, String> {
    within(text, Duration::ZERO, DAY)
        .ok_or_else(|| "a duration with its unit, such as 0s, 60s or 30m; at most 1 day".into())
}

fn lock_wait(text: &str) -> Result<Duration, String> {
    within(text, Duration::ZERO, YEAR)
        .ok_or_else(|| "a duration with its unit, such as 0s, 30m or 1h; at most a year".into())
}

fn timeout(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_nanos(1), YEAR)
        .ok_or_else(|| "a duration above zero with its unit, such as 60s, 30m or 6h; at most a year".into())
}

fn within(text: &str, least: Duration, most: Duration) -> Option<Duration> {
    humantime::parse_duration(text).ok().filter(|it| (least..=most).contains(it))
}

fn interval(text: &str) -> Result<Duration, String> {
    let parsed = text.parse().ok().map(Duration::from_secs).or_else(|| humantime::parse_duration(text).ok());
    parsed
        .filter(|it| (Duration::from_secs(1)..=YEAR).contains(it))
        .ok_or_else(|| "seconds, or a duration such as 30m or 1h; from 1 second to a year".into())
}

/// Bytes in a second.
fn rate(text: &str) -> Result<NonZeroU64, String> {
    let bytes = text.strip_suffix("/s").unwrap_or(text).parse::<bytesize::ByteSize>().ok();
    bytes
        .and_then(|bytes| NonZeroU64::new(bytes.as_u64()))
        .ok_or_else(|| "bytes in a second with their unit, such as 500KiB/s or 50MiB/s; more than 0".into())
}

fn repository(text: &str) -> Result<RepoName, String> {
    text.parse().map_err(|_| "a repository's name, such as team/app".into())
}

fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("a path".into()) } else { Ok(text.into()) }
}

fn text(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("a text".into()) } else { Ok(text.into()) }
}

/// What may have a password in it is refused elsewhere, in a message that does not repeat it.
fn registry_url(text: &str) -> Result<String, String> {
    if !text.contains('@') {
        Address::parse_all(text).map_err(|error| error.to_string())?;
    }
    Ok(text.into())
}

fn engine(text: &str) -> Result<EngineChoice, String> {
    match text {
        "auto" => Ok(EngineChoice::Auto),
        "registry" => Ok(EngineChoice::Registry),
        "native" => Err("auto or registry; the janitor's own collector, native, is not there yet".into()),
        _ => Err("auto or registry".into()),
    }
}
