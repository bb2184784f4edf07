//! Sizes, times and plurals, the same wherever something is told.

use jiff::{SignedDuration, Timestamp};

/// `1 tag`, `2 tags`, `0 repositories`.
pub(super) fn count(n: usize, one: &str) -> String {
    match (n, one.strip_suffix('y')) {
        (1, _) => format!("1 {one}"),
        (_, Some(stem)) => format!("{n} {stem}ies"),
        (_, None) => format!("{n} {one}s"),
    }
}

/// A tag's name, short enough for a table: companion tags have 64 digits in theirs.
pub(super) fn tag(name: &str) -> String {
    match name.split_once('-') {
        Some((algorithm @ ("sha256" | "sha384" | "sha512"), rest)) if rest.len() >= 64 && rest.is_ascii() => {
            let suffix = rest.find('.').map_or("", |dot| &rest[dot..]);
            format!("{algorithm}-{}…{suffix}", &rest[..12])
        }
        _ => name.to_owned(),
    }
}

/// `1.5 MiB`.
pub(super) fn bytes(n: u64) -> String {
    humansize::format_size(n, humansize::BINARY)
}

/// `2026-11-21 04:18:00 UTC`.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// `45s`, `2h 15m`, `6d 22h`: the two largest units; nothing is less than no time.
pub(super) fn span(span: SignedDuration) -> String {
    let seconds = span.as_secs().max(0);
    let parts =
        [(seconds / 86400, 'd'), (seconds / 3600 % 24, 'h'), (seconds / 60 % 60, 'm'), (seconds % 60, 's')];
    let first = parts.iter().position(|(n, _)| *n > 0).unwrap_or(parts.len() - 1);
    let told = parts[first..].iter().take(2).filter(|(n, unit)| *n > 0 || *unit == parts[first].1);
    told.map(|(n, unit)| format!("{n}{unit}")).collect::<Vec<_>>().join(" ")
}

/// `12 ms`, `1.5 s`.
pub(super) fn millis(n: u64) -> String {
    if n < 1000 { format!("{n} ms") } else { format!("{}.{} s", n / 1000, n % 1000 / 100) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_agree_with_numbers() {
        assert_eq!(count(1, "tag"), "1 tag");
        assert_eq!(count(0, "repository"), "0 repositories");
        assert_eq!(count(2, "manifest"), "2 manifests");
        let digest = "0123456789abcdef".repeat(4);
        assert_eq!(tag(&format!("sha256-{digest}.sig")), "sha256-0123456789ab….sig");
        assert_eq!(tag(&format!("sha256-{digest}")), "sha256-0123456789ab…");
        assert_eq!(tag("sha256-short"), "sha256-short");
        assert_eq!(bytes(1536), "1.50 KiB");
        let seconds = |n| span(SignedDuration::from_secs(n));
        assert_eq!([-5, 0, 45, 60, 8130].map(seconds), ["0s", "0s", "45s", "1m", "2h 15m"]);
        assert_eq!([86400, 86460, 597_600].map(seconds), ["1d", "1d", "6d 22h"]);
        assert_eq!(millis(999), "999 ms");
        assert_eq!(millis(1549), "1.5 s");
        assert_eq!(time(Timestamp::UNIX_EPOCH), "1970-01-01 00:00:00 UTC");
    }
}
