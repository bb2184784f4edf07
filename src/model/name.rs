//! Names of repositories and tags, by the registry's own grammar.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::excerpt;

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a repository name.
    #[error("not a repository name: '{0}'")]
    Repository(String),
    /// Not a tag name.
    #[error("not a tag name: '{0}'")]
    Tag(String),
}

/// Whether a name has the form of a short DOS name, such as `CSHOFG~F` or `REPORT~1.TXT`.
///
/// Samba lists such names in place of those that Windows reserves (`CON`, `nul`, `com1.txt`), whatever they are on its
/// disk.
pub fn is_short_dos_name(name: &str) -> bool {
    let (stem, extension) = name.split_once('.').unwrap_or((name, ""));
    let is_upper = |text: &str| text.bytes().all(|it| it.is_ascii_graphic() && !it.is_ascii_lowercase());
    let has_tail = |(head, tail): (&str, &str)| {
        !head.is_empty() && !tail.is_empty() && tail.bytes().all(|it| it.is_ascii_alphanumeric())
    };
    stem.len() <= 8
        && extension.len() <= 3
        && is_upper(name)
        && !extension.contains('.')
        && stem.rsplit_once('~').is_some_and(has_tail)
}

/// What is said of a name that looks like this.
pub const SHORT_DOS_NAME: &str = "it looks like the short name that a Samba server lists for a name that Windows reserves (CON, NUL, AUX, PRN, COM1 and the like)";
/// What helps against that.
pub const SHORT_DOS_NAME_REMEDY: &str = "set 'mangled names = no' for the share in the server's smb.conf and mount it again; or rename the directory, which works under the name that is listed: the tag or repository then has that name";

/// The longest repository name (`reference.NameTotalLengthMax`, distribution 2.8).
const NAME_MAX: usize = 255;

/// A repository's name, such as `mina/daemon`.
///
/// The grammar is `reference.NameRegexp` of distribution 2.8: path components of lower-case letters
/// and digits with `.`, `_`, `__` or dashes between them; the first of several may be a host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoName(Arc<str>);

impl RepoName {
    /// The name as text, components joined by `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RepoName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let valid = text.len() <= NAME_MAX && {
            let (first, rest) = text.split_once('/').map_or((text, None), |(f, r)| (f, Some(r)));
            match rest {
                None => is_component(first),
                Some(rest) => (is_component(first) || is_host(first)) && rest.split('/').all(is_component),
            }
        };
        if valid { Ok(Self(text.into())) } else { Err(NameError::Repository(excerpt(text))) }
    }
}

fn is_component(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    if !bytes.first().is_some_and(|&b| word(b)) || !bytes.last().is_some_and(|&b| word(b)) {
        return false;
    }
    bytes
        .split(|&byte| word(byte))
        .filter(|separator| !separator.is_empty())
        .all(|separator| matches!(separator, b"." | b"_" | b"__") || separator.iter().all(|&b| b == b'-'))
}

fn is_host(text: &str) -> bool {
    let (host, port) = text.split_once(':').map_or((text, None), |(h, p)| (h, Some(p)));
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    host.split('.').all(label)
        && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

/// A tag's name: `[\w][\w.-]{0,127}` (distribution 2.8, `reference.TagRegexp`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagName(Arc<str>);

impl TagName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TagName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let valid = text.len() <= 128
            && text.bytes().next().is_some_and(word)
            && text.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-');
        if valid { Ok(Self(text.into())) } else { Err(NameError::Tag(excerpt(text))) }
    }
}

macro_rules! text_value {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

text_value!(RepoName);
text_value!(TagName);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn repository_names_follow_the_registrys_grammar() {
        for good in ["a", "mina/daemon", "a.b/c__d/e---f", "0x/1", "Host.example:5000/team/app", "a_b"] {
            assert!(good.parse::<RepoName>().is_ok(), "{good:?}");
        }
        let long = "a".repeat(256);
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "A",
            "a/B",
            "_layers",
            "a/_manifests",
            "a..b",
            "a___b",
            "-a",
            "a-",
            ".",
            "..",
            "a/../b",
            "a:5000",
            "x y",
            "a\0",
            &long,
        ] {
            assert!(bad.parse::<RepoName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn tag_names_follow_the_registrys_grammar() {
        for good in ["latest", "_layers", "V1.2-rc_3", "1", &"x".repeat(128)] {
            assert!(good.parse::<TagName>().is_ok(), "{good:?}");
        }
        for bad in ["", ".", "..", "-x", ".x", "a/b", "a b", "é", &"x".repeat(129)] {
            assert!(bad.parse::<TagName>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_parses_stays_inside_its_directory(text in "[ -~]{0,40}") {
            if let Ok(name) = text.parse::<RepoName>() {
                prop_assert!(name.as_str().split('/').all(|part| !part.is_empty() && !part.starts_with(['.', '_'])));
            }
            if let Ok(tag) = text.parse::<TagName>() {
                prop_assert!(!tag.as_str().contains('/') && !tag.as_str().starts_with('.'));
            }
        }
    }
}
