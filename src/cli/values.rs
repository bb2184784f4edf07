//! What the values of settings may be.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;

use super::{EngineChoice, Top};
use crate::model::{RepoName, TagName};
use crate::probe::Address;

pub(super) fn tag_of_repository(text: &str) -> Result<(RepoName, TagName), String> {
    let parsed = text
        .rsplit_once(':')
        .and_then(|(repository, tag)| Some((repository.parse().ok()?, tag.parse().ok()?)));
    parsed.ok_or_else(|| "a repository and a tag, such as team/app:v1".into())
}

pub(super) fn switch() -> impl clap::builder::TypedValueParser<Value = bool> {
    BoolishValueParser::new()
}

pub(super) fn count(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("a whole number from 1 to {}", u32::MAX))
}

pub(super) fn jobs(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|jobs| (1..=1024).contains(jobs))
        .ok_or_else(|| "a whole number from 1 to 1024".into())
}

pub(super) fn percent(text: &str) -> Result<u8, String> {
    text.parse()
        .ok()
        .filter(|percent| (1..=100).contains(percent))
        .ok_or_else(|| "a whole number from 1 to 100".into())
}

const DAY: Duration = Duration::from_secs(86400);
const YEAR: Duration = Duration::from_secs(366 * 86400);

/// An age: further back than there can be a push.
pub(super) fn age(text: &str) -> Result<Duration, String> {
    within(text, Duration::ZERO, 100 * YEAR)
        .ok_or_else(|| "a duration with its unit, such as 60s, 30m, 1h or 7d; at most 100 years".into())
}

/// The sweep holds the lock meanwhile.
pub(super) fn settle(text: &str) -> Result<Duration, String> {
    within(text, Duration::ZERO, DAY)
        .ok_or_else(|| "a duration with its unit, such as 0s, 60s or 30m; at most 1 day".into())
}

pub(super) fn lock_wait(text: &str) -> Result<Duration, String> {
    within(text, Duration::ZERO, YEAR)
        .ok_or_else(|| "a duration with its unit, such as 0s, 30m or 1h; at most a year".into())
}

pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_nanos(1), YEAR)
        .ok_or_else(|| "a duration above zero with its unit, such as 60s, 30m or 6h; at most a year".into())
}

fn within(text: &str, least: Duration, most: Duration) -> Option<Duration> {
    humantime::parse_duration(text).ok().filter(|it| (least..=most).contains(it))
}

pub(super) fn interval(text: &str) -> Result<Duration, String> {
    let parsed = text.parse().ok().map(Duration::from_secs).or_else(|| humantime::parse_duration(text).ok());
    parsed
        .filter(|it| (Duration::from_secs(1)..=YEAR).contains(it))
        .ok_or_else(|| "seconds, or a duration such as 30m or 1h; from 1 second to a year".into())
}

/// Bytes in a second.
pub(super) fn rate(text: &str) -> Result<NonZeroU64, String> {
    let rate = text.strip_suffix("/s").unwrap_or(text);
    // A bare number would be bytes, and a check that seems to stand still.
    let has_unit = rate.ends_with(|last: char| last.is_ascii_alphabetic());
    let bytes = rate.parse::<bytesize::ByteSize>().ok().filter(|_| has_unit);
    bytes
        .and_then(|bytes| NonZeroU64::new(bytes.as_u64()))
        .ok_or_else(|| "bytes in a second with their unit, such as 500KiB/s or 50MiB/s; more than 0".into())
}

pub(super) fn repository(text: &str) -> Result<RepoName, String> {
    text.parse().map_err(|_| "a repository's name, such as team/app".into())
}

pub(super) fn repository_or_tag(text: &str) -> Result<(RepoName, Option<TagName>), String> {
    let parsed = match text.split_once(':') {
        None => text.parse().ok().map(|repository| (repository, None)),
        Some(_) => tag_of_repository(text).ok().map(|(repository, tag)| (repository, Some(tag))),
    };
    parsed.ok_or_else(|| "a repository, or a tag of one, such as team/app or team/app:v1".into())
}

pub(super) fn top(text: &str) -> Result<Top, String> {
    match text.parse() {
        _ if text == "all" => Ok(Top::All),
        Ok(lines) if lines > 0 => Ok(Top::First(lines)),
        _ => Err("a whole number from 1 upward, or all".into()),
    }
}

pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("a path".into()) } else { Ok(text.into()) }
}

pub(super) fn text(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("a text".into()) } else { Ok(text.into()) }
}

/// What may have a password in it is refused elsewhere, in a message that does not repeat it.
pub(super) fn registry_url(text: &str) -> Result<String, String> {
    if !text.contains('@') {
        Address::parse_all(text).map_err(|error| error.to_string())?;
    }
    Ok(text.into())
}

pub(super) fn engine(text: &str) -> Result<EngineChoice, String> {
    match text {
        "auto" => Ok(EngineChoice::Auto),
        "registry" => Ok(EngineChoice::Registry),
        "native" => Ok(EngineChoice::Native),
        _ => Err("auto, registry or native".into()),
    }
}
