//! What was asked for, resolved and validated. Only here is the environment read.

mod access;
mod check;
mod environment;
mod refusal;
pub mod registry;
mod usage;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};
use jiff::SignedDuration;

pub use check::{CheckConfig, Deep};
pub use usage::UsageQuery;

use crate::cli::{
    Cli, Command, EngineChoice, LogFormat, LogLevel, OutputFormat, RestoreArguments, Settings, TrashCommand,
};
use crate::model::{RepoName, TagName};
use crate::policy::Policy;
use crate::probe::Access;

/// Where the registry images keep their configuration: 2.x, then 3.x.
const REGISTRY_CONFIGS: [&str; 2] = ["/etc/docker/registry/config.yml", "/etc/distribution/config.yml"];

/// Everything that a run of the janitor needs to know; each value is in force.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a setting of its own, and one is no setting at all"
)]
pub struct Config {
    /// Which tags stay.
    pub policy: Policy,
    /// Whether manifests that no tag reaches are removed.
    pub delete_untagged: bool,
    /// The age below which what nothing reaches is kept.
    pub grace: SignedDuration,
    /// What a sweep may do without being told twice.
    pub guards: Guards,
    /// How long removed tags can be brought back.
    pub undo_window: SignedDuration,
    /// Whether nothing is to be changed.
    pub dry_run: bool,
    /// Whether to end after one sweep.
    pub run_once: bool,
    /// Time between the starts of two sweeps.
    pub interval: Duration,
    /// How long a single sweep waits for the lock.
    pub lock_wait: Duration,
    /// File operations under way at the same time.
    pub jobs: usize,
    /// The registry's root directory.
    pub data_dir: PathBuf,
    /// Time between taking away and the second look.
    pub settle: Duration,
    /// How blobs are reclaimed; `None` when they are not.
    pub collection: Option<Collection>,
    /// The registries that are asked before blobs are reclaimed; `None` when their addresses are unknown.
    pub probe: Option<Access>,
    /// How the report is written to stdout.
    pub output: OutputFormat,
    /// How the log is written.
    pub log_format: LogFormat,
    /// How much is logged.
    pub log_level: LogLevel,
    /// The loop's sign of life.
    pub heartbeat: PathBuf,
    /// How long doubt may keep the store from being collected before the loop counts as unhealthy.
    pub doubt_max_age: SignedDuration,
    /// Whether blobs are deleted without a second look, which loses images. No flag and no variable sets it: it is
    /// for tests that have to see what the look is for.
    #[doc(hidden)]
    pub skip_second_look: bool,
}

/// What a sweep may do without being told twice.
#[derive(Clone, Copy, Debug)]
pub struct Guards {
    /// The share of all tags, or blobs, in percent, that it may take away.
    pub max_remove_percent: u8,
    /// Whether it works on a store that has lost most of its content.
    pub accept_losses: bool,
}

/// How blobs are reclaimed.
#[derive(Clone, Debug)]
pub struct Collection {
    /// Which engine was asked for.
    pub engine: EngineChoice,
    /// The registry's binary, a path or a name.
    pub binary: PathBuf,
    /// Whether somebody gave the binary, so that it should be there.
    pub is_binary_given: bool,
    /// Where a name is looked for.
    pub search: Vec<PathBuf>,
    /// The registry's configuration file.
    pub config: PathBuf,
    /// The `REGISTRY_` variables, which the collector reads too.
    pub environment: BTreeMap<String, String>,
    /// The time limit for one run.
    pub timeout: Duration,
    /// The moment at which it may run.
    pub quiet: Quiet,
}

/// A moment at which nobody pushes.
#[derive(Clone, Copy, Debug)]
pub struct Quiet {
    /// How long ago the last push must be; zero when that does not matter.
    pub age: Duration,
    /// How long to wait for that.
    pub patience: Duration,
}

/// Which removed tags are to be brought back.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// These, or all of the sweep's when there is none.
    pub tags: Vec<(RepoName, TagName)>,
    /// What this sweep removed; otherwise what was removed last.
    pub sweep: Option<String>,
    /// Whether one takes the place of a tag that exists again.
    pub overwrite: bool,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Asked {
    /// Sweeps.
    Sweep(Box<Config>),
    /// A check of the store.
    Check(Box<CheckConfig>),
    /// What holds the disk.
    Usage(Box<Config>, UsageQuery),
    /// A look at the loop's sign of life, in this file.
    Health(PathBuf),
    /// A list of what can be brought back.
    Trash(Box<Config>),
    /// To throw all of it away; without a question when told so.
    EmptyTrash(Box<Config>, bool),
    /// To bring removed tags back.
    Restore(Box<Config>, Wanted),
}

/// The settings as they were given, and where each came from.
struct Given<'a> {
    settings: Settings,
    matches: &'a ArgMatches,
    environment: &'a BTreeMap<String, OsString>,
}

impl Given<'_> {
    fn source(&self, id: &str) -> Option<ValueSource> {
        self.matches.value_source(id)
    }
}

impl Config {
    /// Reads the process's arguments and environment.
    ///
    /// # Errors
    /// Whatever is to be printed instead: the help, the version, or what is wrong with a setting.
    pub fn from_process() -> Result<Asked, clap::Error> {
        let environment = environment::read();
        // What only a sweep needs is no matter for a look at its sign of life.
        if let Some(heartbeat) = Cli::asks_for_health() {
            return Ok(Asked::Health(heartbeat));
        }
        let matches = match Cli::command().try_get_matches() {
            Err(answer) if !answer.use_stderr() => return Err(answer),
            Err(error) => return Err(refusal::name_the_variable(error, &environment)),
            Ok(matches) => matches,
        };
        let cli = Cli::from_arg_matches(&matches)?;
        environment::refuse_misspelt(&environment)?;
        let config = |settings: Settings| {
            let given = Given { settings, matches: &matches, environment: &environment };
            Ok::<_, clap::Error>(Box::new(Self::resolve(given)?))
        };
        // What is asked for on the spot is answered there.
        let told = |settings: Settings| {
            let settings = Settings { output: settings.output.or(Some(OutputFormat::Text)), ..settings };
            config(settings)
        };
        Ok(match cli.command {
            None => Asked::Sweep(config(cli.settings)?),
            Some(Command::Health) => Asked::Health(cli.settings.heartbeat),
            Some(Command::Check(check)) => Asked::Check(Box::new(CheckConfig::resolve(check, cli.settings))),
            Some(Command::Du(arguments)) => {
                let config = told(cli.settings)?;
                let query = UsageQuery::resolve(arguments, config.output);
                Asked::Usage(config, query)
            }
            Some(Command::Trash { command: None }) => Asked::Trash(told(cli.settings)?),
            Some(Command::Trash { command: Some(TrashCommand::Empty { yes }) }) => {
                Asked::EmptyTrash(told(cli.settings)?, yes)
            }
            Some(Command::Restore(RestoreArguments { tags, sweep, overwrite })) => {
                Asked::Restore(told(cli.settings)?, Wanted { tags, sweep, overwrite })
            }
        })
    }

    fn resolve(given: Given<'_>) -> Result<Self, clap::Error> {
        if given.settings.keep_last_n == 0 && !given.settings.unsafe_keep_none {
            let name = match given.source("keep_last_n") {
                Some(ValueSource::EnvVariable) => "KEEP_LAST_N",
                _ => "--keep-last-n",
            };
            return Err(refusal::of(format!(
                "invalid value '0' for '{name}': it would remove every tag; expected 1 or more, or 0 with JANITOR_UNSAFE_KEEP_NONE=true"
            )));
        }
        let is_binary_given = given.source("registry_bin").is_some_and(|it| it != ValueSource::DefaultValue);
        let Given { settings, environment, .. } = given;
        let probe = access::resolve(&settings, environment)?;
        let grace = SignedDuration::try_from(settings.gc_grace).unwrap_or(SignedDuration::MAX);
        let registry_config = settings.registry_config.unwrap_or_else(|| {
            let found = REGISTRY_CONFIGS.into_iter().find(|path| Path::new(path).exists());
            found.unwrap_or(REGISTRY_CONFIGS[0]).into()
        });
        let search = environment.get("PATH").map(|path| std::env::split_paths(path).collect());
        let output = match settings.output {
            Some(output) => output,
            None if settings.run_once => OutputFormat::Text,
            None => OutputFormat::None,
        };
        Ok(Self {
            policy: Policy {
                keep_last: settings.keep_last_n,
                grace,
                trust_equal_push_times: settings.trust_equal_push_times,
                untagged_stay: !settings.gc_delete_untagged,
            },
            delete_untagged: settings.gc_delete_untagged,
            grace,
            guards: Guards {
                max_remove_percent: settings.max_remove_percent,
                accept_losses: settings.accept_losses,
            },
            undo_window: SignedDuration::try_from(settings.undo_window).unwrap_or(SignedDuration::MAX),
            dry_run: settings.dry_run,
            run_once: settings.run_once,
            interval: settings.interval_secs,
            lock_wait: settings.lock_wait,
            jobs: usize::try_from(settings.jobs).unwrap_or(1),
            data_dir: settings.data_dir,
            settle: settings.gc_settle,
            collection: settings.run_gc.then(|| Collection {
                engine: settings.gc_engine,
                binary: settings.registry_bin,
                is_binary_given,
                search: search.unwrap_or_default(),
                config: registry_config,
                environment: environment::registry_variables(environment),
                timeout: settings.gc_timeout,
                quiet: Quiet { age: settings.gc_quiet, patience: settings.gc_quiet_wait },
            }),
            probe,
            output,
            log_format: settings.log_format,
            log_level: settings.log_level,
            heartbeat: settings.heartbeat,
            doubt_max_age: SignedDuration::try_from(settings.doubt_max_age).unwrap_or(SignedDuration::MAX),
            skip_second_look: false,
        })
    }
}
