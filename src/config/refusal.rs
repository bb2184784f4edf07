//! Messages about settings that are wrong: clap's own, with the name of the variable where the value came from there.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::cli::{self, Cli};

/// What stands in a message for a value that may have a password in it.
const HIDDEN: &str = "***";

/// An error that is shown as clap shows its own, with exit code 2.
pub(super) fn of(message: impl std::fmt::Display) -> clap::Error {
    Cli::command().error(ErrorKind::ValueValidation, message)
}

/// Names the variable where that is what the value came from, and hides what may be a secret.
pub(super) fn name_the_variable(
    mut error: clap::Error,
    environment: &BTreeMap<String, OsString>,
) -> clap::Error {
    let mut command = Cli::command();
    command.build();
    let arguments = cli::arguments(&command);
    if error.kind() == ErrorKind::InvalidUtf8 {
        let mut variables = arguments.iter().filter_map(|it| it.get_env()?.to_str());
        let wrong = |name: &&str| environment.get(*name).is_some_and(|value| value.to_str().is_none());
        return match variables.find(wrong) {
            Some(name) if !Cli::is_typed(&error) => {
                of(format!("invalid value for '{name}': it is not UTF-8"))
            }
            _ => error,
        };
    }
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let (Some(named), Some(value)) = (context(ContextKind::InvalidArg), context(ContextKind::InvalidValue))
    else {
        return error;
    };
    let argument = arguments.into_iter().find(|it| it.to_string() == named);
    let variable = argument.and_then(|it| it.get_env()?.to_str());
    let variable = variable.filter(|name| environment.contains_key(*name) && !Cli::is_typed(&error));
    if argument.is_some_and(|it| it.get_id() == "registry_url") && cli::may_hold_a_secret(&value) {
        error.insert(ContextKind::InvalidValue, ContextValue::String(HIDDEN.into()));
    }
    if let Some(variable) = variable {
        error.insert(ContextKind::InvalidArg, ContextValue::String(variable.into()));
    }
    error
}
