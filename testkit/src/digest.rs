//! A sha256 digest as the registry writes it.

use std::fmt;

use sha2::{Digest as _, Sha256, Sha512};

/// The sha512 digest of these bytes as clients write it, `sha512:<128 hex digits>`.
pub fn sha512(bytes: &[u8]) -> String {
    use fmt::Write as _;

    let mut text = String::from("sha512:");
    for byte in Sha512::digest(bytes) {
        write!(text, "{byte:02x}").expect("a string takes every write");
    }
    text
}

/// `sha256:<64 hex digits>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(String);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use fmt::Write as _;

        let mut text = String::with_capacity(71);
        text.push_str("sha256:");
        for byte in Sha256::digest(bytes) {
            write!(text, "{byte:02x}").expect("a string takes every write");
        }
        Self(text)
    }

    /// Reads `sha256:<hex>`; anything else is a mistake of the test.
    pub fn parse(text: &str) -> Self {
        Self::try_parse(text).unwrap_or_else(|| panic!("not a sha256 digest: {text:?}"))
    }

    /// Reads `sha256:<hex>`, or tells that it is something else.
    pub fn try_parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("sha256:")?;
        let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (hex.len() == 64 && hex.bytes().all(lower_hex)).then(|| Self(text.to_owned()))
    }

    /// The 64 hex digits.
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }

    /// The whole text, `sha256:<hex>`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The companion tag of the image with this digest: `sha256-<hex>` and a suffix such as `.sig`.
    pub fn companion_tag(&self, suffix: &str) -> String {
        format!("sha256-{}{suffix}", self.hex())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
