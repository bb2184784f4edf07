//! Content digests, the names of everything a registry stores.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use super::excerpt;

/// The digest algorithms that the registry accepts (distribution 2.8 and 3.x, `go-digest`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// The registry's own algorithm: every blob is stored under it.
    Sha256,
    /// Accepted in references; such a layer is stored under sha256 behind an alias link.
    Sha384,
    /// Like sha384.
    Sha512,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// The name used in digests and as a directory name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }
}

/// A parsed content digest. Held as bytes, so that a value can never climb out of the tree.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Digest {
    /// `sha256:<64 hex digits>`
    Sha256([u8; 32]),
    /// `sha384:<96 hex digits>`, boxed because it is rare
    Sha384(Box<[u8; 48]>),
    /// `sha512:<128 hex digits>`, boxed because it is rare
    Sha512(Box<[u8; 64]>),
}

/// Why a text is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a digest: '{0}'; expected sha256:<64 lower-case hex digits>, sha384:<96> or sha512:<128>")]
pub struct DigestError(String);

impl Digest {
    /// The sha256 digest of some bytes.
    pub fn of(content: &[u8]) -> Self {
        Self::Sha256(Sha256::digest(content).into())
    }

    /// Puts a digest together from the two directory names that stand for it.
    ///
    /// # Errors
    /// When `hex` is not as long as the algorithm asks, or not lower-case hex.
    pub fn from_parts(algorithm: Algorithm, hex: &str) -> Result<Self, DigestError> {
        let parsed = match algorithm {
            Algorithm::Sha256 => decode_hex(hex).map(Self::Sha256),
            Algorithm::Sha384 => decode_hex(hex).map(|bytes| Self::Sha384(Box::new(bytes))),
            Algorithm::Sha512 => decode_hex(hex).map(|bytes| Self::Sha512(Box::new(bytes))),
        };
        parsed.ok_or_else(|| DigestError(excerpt(format_args!("{}:{hex}", algorithm.as_str()))))
    }

    /// The algorithm.
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha384(_) => Algorithm::Sha384,
            Self::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// The lower-case hex digits, the directory name of whatever has this digest.
    pub fn hex(&self) -> String {
        let bytes = self.bytes();
        let mut hex = String::with_capacity(bytes.len() * 2);
        for byte in bytes {
            for nibble in [byte >> 4, byte & 15] {
                hex.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
            }
        }
        hex
    }

    /// Enough of the digest for a person to recognise it.
    pub fn short(&self) -> String {
        let mut hex = self.hex();
        hex.truncate(12);
        format!("{}:{hex}", self.algorithm().as_str())
    }

    /// A digest by its bytes, whose number says by which algorithm it is.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes.len() {
            32 => bytes.try_into().ok().map(Self::Sha256),
            48 => bytes.try_into().ok().map(|bytes| Self::Sha384(Box::new(bytes))),
            64 => bytes.try_into().ok().map(|bytes| Self::Sha512(Box::new(bytes))),
            _ => None,
        }
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Sha256(bytes) => bytes,
            Self::Sha384(bytes) => &bytes[..],
            Self::Sha512(bytes) => &bytes[..],
        }
    }
}

fn decode_hex<const N: usize>(hex: &str) -> Option<[u8; N]> {
    let hex = hex.as_bytes();
    if hex.len() != 2 * N {
        return None;
    }
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let parsed = text.split_once(':').and_then(|(name, hex)| {
            let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)?;
            Self::from_parts(algorithm, hex).ok()
        });
        parsed.ok_or_else(|| DigestError(excerpt(text)))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm().as_str(), self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_digest_is_held_without_a_heap_allocation_or_much_waste() {
        assert!(size_of::<Digest>() <= 40);
    }

    #[test]
    fn only_full_lower_case_digests_parse() {
        let hex = "0123456789abcdef".repeat(4);
        assert!(format!("sha256:{hex}").parse::<Digest>().is_ok());
        for algorithm in Algorithm::ALL {
            let digits = match algorithm {
                Algorithm::Sha256 => 64,
                Algorithm::Sha384 => 96,
                Algorithm::Sha512 => 128,
            };
            let text = format!("{}:{}", algorithm.as_str(), "0a".repeat(digits / 2));
            assert_eq!(text.parse::<Digest>().map(|digest| digest.to_string()), Ok(text));
        }
        for bad in [
            String::new(),
            "sha256:".into(),
            format!("sha256:{}", &hex[1..]),
            format!("sha256:{hex}0"),
            format!("sha256:{}", hex.to_uppercase()),
            format!("sha384:{hex}"),
            format!("sha512:{hex}"),
            format!("md5:{hex}"),
            format!("sha256:{}\n", &hex[1..]),
            format!("sha256:../../{}", &hex[6..]),
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn text_and_value_go_back_and_forth(short in any::<[u8; 32]>(), long in any::<[u8; 32]>()) {
            let sha256 = Digest::Sha256(short);
            prop_assert_eq!(sha256.to_string().parse::<Digest>(), Ok(sha256));
            let mut bytes = [7; 64];
            bytes[..32].copy_from_slice(&long);
            let sha512 = Digest::Sha512(Box::new(bytes));
            prop_assert_eq!(sha512.to_string().parse::<Digest>(), Ok(sha512));
            let mut bytes = [9; 48];
            bytes[16..].copy_from_slice(&short);
            let sha384 = Digest::Sha384(Box::new(bytes));
            prop_assert_eq!(sha384.to_string().parse::<Digest>(), Ok(sha384));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}") {
            let _parsed = text.parse::<Digest>();
        }
    }
}
