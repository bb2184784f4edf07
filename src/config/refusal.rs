//! A setting that cannot be: one line with its name, its value and what is allowed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::cli::Cli;

/// A setting that cannot be.
#[derive(Debug)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl ConfigError {
    pub(super) fn new(message: String) -> Self {
        Self(message)
    }

    pub(super) fn keep_none() -> Self {
        Self(
            "KEEP_LAST_N=0 would remove every tag; allowed: 1 or more, or 0 together with JANITOR_UNSAFE_KEEP_NONE=true"
                .into(),
        )
    }

    /// Says in one line what clap says in several, by the variable's name where the value came from
    /// there.
    pub(super) fn from_clap(error: &clap::Error, environment: &BTreeMap<String, OsString>) -> Self {
        let context = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => Some(text.clone()),
            Some(ContextValue::Strings(texts)) => Some(texts.join(", ")),
            _ => None,
        };
        let argument = context(ContextKind::InvalidArg).unwrap_or_default();
        let flag = argument.split([' ', '=', '[']).next().unwrap_or_default();
        let value = context(ContextKind::InvalidValue).unwrap_or_default();
        match error.kind() {
            ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
                let command = Cli::command();
                let mut all = std::iter::once(&command).chain(command.get_subcommands());
                let named =
                    |it: &&clap::Arg| it.get_long().is_some() && it.get_long() == flag.strip_prefix("--");
                let known = all.find_map(|command| command.get_arguments().find(named));
                let variable = known.and_then(|it| it.get_env()).and_then(|it| it.to_str()).filter(|name| {
                    environment.get(*name).is_some_and(|given| given.to_string_lossy() == value)
                });
                let setting =
                    variable.map_or_else(|| format!("{flag} {value}"), |name| format!("{name}={value}"));
                let allowed = context(ContextKind::ValidValue)
                    .filter(|allowed| !allowed.is_empty())
                    .or_else(|| std::error::Error::source(error).map(allowed_by))
                    .or_else(|| allowed_for(&command, flag))
                    .unwrap_or_else(|| "a value".into());
                Self(if value.is_empty() && variable.is_none() {
                    format!("{flag} has no value; allowed: {allowed}")
                } else {
                    format!("{setting} cannot be; allowed: {allowed}")
                })
            }
            ErrorKind::MissingRequiredArgument => Self(format!("{argument} is needed as well; see --help")),
            ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand => {
                let what = if argument.is_empty() {
                    context(ContextKind::InvalidSubcommand).unwrap_or_default()
                } else {
                    argument
                };
                Self(format!("{what} is not known; see janitor --help"))
            }
            _ => {
                let text = error.render().to_string();
                let line = text.lines().next().unwrap_or_default();
                Self(format!("{}; see janitor --help", line.trim_start_matches("error: ")))
            }
        }
    }
}

/// Where no value came at all, an empty one gets the answer.
fn allowed_for(command: &clap::Command, flag: &str) -> Option<String> {
    let error = command.clone().try_get_matches_from(["janitor", &format!("{flag}=")]).err()?;
    std::error::Error::source(&error).map(allowed_by)
}

/// Our own parsers answer with what is allowed; clap's switch does not.
fn allowed_by(source: &(dyn std::error::Error + 'static)) -> String {
    let text = source.to_string();
    if text == "value was not a boolean" { "true or false".into() } else { text }
}
