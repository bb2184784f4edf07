//! The settings of a sweep, each a flag and a variable.

use std::path::PathBuf;
use std::time::Duration;

use super::values::{
    age, count, interval, jobs, lock_wait, path, percent, registry_url, settle, switch, text, timeout,
};
use super::{EngineChoice, LogFormat, LogLevel, OutputFormat};

/// The settings that every command takes, of which its help shows those that do something there. The others are
/// taken all the same, so that the loop's settings do for every command.
pub(super) fn shown(ids: &[&str]) -> Vec<clap::Arg> {
    let all = <Settings as clap::Args>::augment_args(clap::Command::new("janitor"));
    let shared = all.get_arguments().filter(|setting| setting.is_global_set());
    let setting = |setting: &clap::Arg| {
        let is_shown = ids.iter().any(|id| setting.get_id() == id);
        let setting = setting.clone().hide(!is_shown);
        // Without an answer, there is no point in asking.
        if setting.get_id() == "output" { setting.help("Report on stdout [default: text]") } else { setting }
    };
    shared.map(setting).collect()
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

    /// Most that one sweep may remove unconfirmed, in percent of the store's tags, and of its blobs that no tag held
    ///
    /// A sweep that would remove more removes nothing, exits with code 12, and prints how to confirm it. This concerns
    /// the first sweep of a store, and the first after a setting was changed to one that removes more. Otherwise, only
    /// what the last sweep kept counts, so pushes never make a sweep ask. Only from 20 tags, or blobs, upward; 100
    /// turns this off.
    #[arg(long, env = "MAX_REMOVE_PERCENT", value_name = "PERCENT", default_value = "50", value_parser = percent, help_heading = "Retention")]
    pub max_remove_percent: u8,

    /// Go on in a store that has lost repositories, tags or blobs since the last sweep
    ///
    /// A storage that is mounted in part looks like that. A sweep of a store that has lost most of its content removes
    /// nothing and exits with code 12; one of a store where tags of some repositories are missing removes no manifest
    /// and no blob, for 7 days at most. Meant for one sweep, after somebody has deleted so much.
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

    /// How long a single sweep, a restore or a repair waits for another janitor's lock
    #[arg(long, env = "JANITOR_LOCK_WAIT", value_name = "DURATION", default_value = "0s", value_parser = lock_wait, help_heading = "Running", global = true)]
    pub lock_wait: Duration,

    /// File operations under way at the same time
    #[arg(long, env = "JANITOR_JOBS", value_name = "N", default_value = "64", value_parser = jobs, help_heading = "Running", global = true)]
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
    #[arg(long, env = "JANITOR_REGISTRY_URL", hide_env_values = true, value_name = "URL", value_parser = registry_url, help_heading = "The registry")]
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

    /// Collector that reclaims the blobs
    ///
    /// The native collector may run beside pushes, and is far faster on network storage.
    #[arg(
        long,
        env = "GC_ENGINE",
        value_name = "ENGINE",
        default_value = "auto",
        help_heading = "Collection"
    )]
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

    /// How long doubt may keep the store from being collected before `janitor health` fails
    ///
    /// While anything in the store is in doubt, no manifest and no blob is removed, so the disk fills up.
    #[arg(long, env = "DOUBT_MAX_AGE", value_name = "DURATION", default_value = "7d", value_parser = age, help_heading = "Telling")]
    pub doubt_max_age: Duration,
}
