//! What the values of settings may be.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{BoolishValueParser, PossibleValue, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::Top;
use crate::model::{RepoName, TagName};
use crate::probe::Address;

pub(super) fn tag_of_repository(text: &str) -> Result<(RepoName, TagName), String> {
    let parsed = text
        .rsplit_once(':')
        .and_then(|(repository, tag)| Some((repository.parse().ok()?, tag.parse().ok()?)));
    parsed.ok_or_else(|| "expected a repository and a tag, such as team/app:v1".into())
}

/// A parser of switches that lists the values it accepts where it rejects one, which clap's own does not.
#[derive(Clone)]
struct Switch;

impl TypedValueParser for Switch {
    type Value = bool;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<bool, clap::Error> {
        BoolishValueParser::new().parse_ref(command, argument, value).map_err(|error| {
            let Some(text) = value.to_str() else { return error };
            let mut error = clap::Error::new(ErrorKind::InvalidValue).with_cmd(command);
            let name = argument.map(ToString::to_string).unwrap_or_default();
            error.insert(ContextKind::InvalidArg, ContextValue::String(name));
            error.insert(ContextKind::InvalidValue, ContextValue::String(text.to_owned()));
            let values = ["true", "false"].map(String::from).to_vec();
            error.insert(ContextKind::ValidValue, ContextValue::Strings(values));
            error
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(["true", "false"].into_iter().map(PossibleValue::new)))
    }
}

pub(super) fn switch() -> impl TypedValueParser<Value = bool> {
    Switch
}

pub(super) fn count(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("expected a whole number from 1 to {}", u32::MAX))
}

pub(super) fn jobs(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|jobs| (1..=1024).contains(jobs))
        .ok_or_else(|| "expected a whole number from 1 to 1024".into())
}

pub(super) fn percent(text: &str) -> Result<u8, String> {
    text.parse()
        .ok()
        .filter(|percent| (1..=100).contains(percent))
        .ok_or_else(|| "expected a whole number from 1 to 100".into())
}

const DAY: Duration = Duration::from_secs(86400);
const YEAR: Duration = Duration::from_secs(366 * 86400);

/// An age: further back than there can be a push.
pub(super) fn age(text: &str) -> Result<Duration, String> {
    within(text, Duration::ZERO, 100 * YEAR).ok_or_else(|| {
        "expected a duration with its unit, such as 60s, 30m, 1h or 7d; at most 100 years".into()
    })
}

/// The sweep holds the lock meanwhile.
pub(super) fn settle(text: &str) -> Result<Duration, String> {
    within(text, Duration::ZERO, DAY)
        .ok_or_else(|| "expected a duration with its unit, such as 0s, 60s or 30m; at most 1 day".into())
}

pub(super) fn lock_wait(text: &str) -> Result<Duration, String> {
    within(text, Duration::ZERO, YEAR)
        .ok_or_else(|| "expected a duration with its unit, such as 0s, 30m or 1h; at most a year".into())
}

pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_nanos(1), YEAR).ok_or_else(|| {
        "expected a duration above zero with its unit, such as 60s, 30m or 6h; at most a year".into()
    })
}

fn within(text: &str, least: Duration, most: Duration) -> Option<Duration> {
    humantime::parse_duration(text).ok().filter(|it| (least..=most).contains(it))
}

pub(super) fn interval(text: &str) -> Result<Duration, String> {
    let parsed = text.parse().ok().map(Duration::from_secs).or_else(|| humantime::parse_duration(text).ok());
    parsed
        .filter(|it| (Duration::from_secs(1)..=YEAR).contains(it))
        .ok_or_else(|| "expected seconds, or a duration such as 30m or 1h; from 1 second to a year".into())
}

/// Bytes in a second.
pub(super) fn rate(text: &str) -> Result<NonZeroU64, String> {
    let rate = text.strip_suffix("/s").unwrap_or(text);
    // A bare number would be bytes, and a check that seems to stand still.
    let has_unit = rate.ends_with(|last: char| last.is_ascii_alphabetic());
    let bytes = rate.parse::<bytesize::ByteSize>().ok().filter(|_| has_unit);
    bytes.and_then(|bytes| NonZeroU64::new(bytes.as_u64())).ok_or_else(|| {
        "expected bytes per second with a unit, such as 500KiB/s or 50MiB/s; more than 0".into()
    })
}

pub(super) fn repository(text: &str) -> Result<RepoName, String> {
    text.parse().map_err(|_| "expected a repository name, such as team/app".into())
}

pub(super) fn repository_or_tag(text: &str) -> Result<(RepoName, Option<TagName>), String> {
    let parsed = match text.split_once(':') {
        None => text.parse().ok().map(|repository| (repository, None)),
        Some(_) => tag_of_repository(text).ok().map(|(repository, tag)| (repository, Some(tag))),
    };
    parsed.ok_or_else(|| "expected a repository, or a tag of one, such as team/app or team/app:v1".into())
}

pub(super) fn top(text: &str) -> Result<Top, String> {
    match text.parse() {
        _ if text == "all" => Ok(Top::All),
        Ok(lines) if lines > 0 => Ok(Top::First(lines)),
        _ => Err("expected a whole number, 1 or more, or 'all'".into()),
    }
}

pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("expected a path".into()) } else { Ok(text.into()) }
}

pub(super) fn text(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("expected a text that is not empty".into()) } else { Ok(text.into()) }
}

/// An address with a user name in it is rejected later, by a message that says what to set instead.
pub(super) fn registry_url(text: &str) -> Result<String, String> {
    if !text.contains('@') {
        Address::parse_all(text).map_err(|error| format!("expected {error}"))?;
    }
    Ok(text.into())
}

/// Whether an address that is wrong may have a password in it, so that no message may repeat it: it has
/// user information, or something other than a port after its host.
pub(super) fn may_hold_a_secret(url: &str) -> bool {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let is_plain = |one: &str| {
        let rest = one.trim().split_once("://").map_or(one.trim(), |(_, rest)| rest);
        let authority = rest.split('/').next().unwrap_or_default();
        authority.split_once(':').is_none_or(|(_, port)| is_port(port))
    };
    url.contains(['@', '%', '?', '#']) || !url.split(',').all(is_plain)
}
