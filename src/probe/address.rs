//! Where a registry answers: the beginning of every address that is asked.

use std::fmt;

use ureq::http::Uri;

/// The address of a registry, such as `http://registry:5000`, with no secret in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Scheme, host and port.
    origin: String,
    /// Where the registry has a prefix: that, without the last slash.
    prefix: String,
    host: String,
    is_secure: bool,
}

/// Why a text is not the address of a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "http:// or https:// with a host, such as http://registry:5000; several separated by commas; or none"
)]
pub struct AddressError;

impl Address {
    /// Reads addresses that are separated by commas; `none` means none.
    ///
    /// # Errors
    /// [`AddressError`], which says what is allowed.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, AddressError> {
        if text == "none" {
            return Ok(Vec::new());
        }
        text.split(',').map(|one| Self::parse(one.trim())).collect()
    }

    fn parse(text: &str) -> Result<Self, AddressError> {
        // A fragment is cut off without a word.
        if text.contains(['@', '#', '?']) {
            return Err(AddressError);
        }
        let uri: Uri = text.parse().map_err(|_| AddressError)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(AddressError);
        };
        let is_whole = match authority.port() {
            Some(port) => authority.as_str().len() == authority.host().len() + 1 + port.as_str().len(),
            None => authority.as_str() == authority.host(),
        };
        if !["http", "https"].contains(&scheme) || authority.host().is_empty() || !is_whole {
            return Err(AddressError);
        }
        let path = uri.path().trim_end_matches('/');
        Ok(Self {
            origin: format!("{scheme}://{authority}"),
            prefix: path.strip_suffix("/v2").unwrap_or(path).to_owned(),
            host: authority.as_str().to_ascii_lowercase(),
            is_secure: scheme == "https",
        })
    }

    /// Host and port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether what is sent there is encrypted.
    pub const fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// The address of something in the registry's own name space.
    pub fn api(&self, path: &str) -> String {
        format!("{}{}/v2/{path}", self.origin, self.prefix)
    }

    /// Where the registry says that something goes on. It may name itself as others see it, through
    /// a proxy; what is asked stays where it was said to be, and so do passwords.
    pub fn follow(&self, location: &str) -> Option<String> {
        let uri: Uri = location.parse().ok()?;
        let path = uri.path_and_query()?.as_str();
        path.starts_with('/').then(|| format!("{}{path}", self.origin))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, expected) in [
            ("http://registry:5000", "http://registry:5000"),
            ("https://Registry.example.com/", "https://Registry.example.com"),
            ("http://127.0.0.1:5000/v2/", "http://127.0.0.1:5000"),
            ("http://[::1]:5000", "http://[::1]:5000"),
            ("https://example.com/registry/v2", "https://example.com/registry"),
        ] {
            let all = Address::parse_all(text).unwrap();
            assert_eq!(all.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);
        }
        let replicas = Address::parse_all("http://one:5000, http://two:5000").unwrap();
        assert_eq!(replicas[1].api("x"), "http://two:5000/v2/x");
        assert_eq!(replicas[0].host(), "one:5000");
        assert_eq!(Address::parse_all("none"), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for wrong in [
            "",
            " ",
            "registry",
            "registry:5000",
            "/v2/",
            "ftp://registry",
            "http://",
            "http://:5000",
            "http://registry:port",
            "http://registry:99999",
            "http://registry:",
            "http://user:word@registry",
            "http://registry?x=1",
            "http://registry#x",
            "http://registry,",
            "http://a b",
            "http://one http://two",
        ] {
            assert_eq!(Address::parse_all(wrong), Err(AddressError), "{wrong:?}");
        }
    }

    #[test]
    fn an_upload_goes_on_at_the_address_that_was_given() {
        let address = &Address::parse_all("http://registry:5000").unwrap()[0];
        let there = "http://registry:5000/v2/a/blobs/uploads/1?_state=x";
        assert_eq!(address.follow("/v2/a/blobs/uploads/1?_state=x").as_deref(), Some(there));
        assert_eq!(
            address.follow("https://hub.example.com/v2/a/blobs/uploads/1?_state=x").as_deref(),
            Some(there)
        );
        for wrong in ["", "uploads/1", "*", "\n"] {
            assert_eq!(address.follow(wrong), None, "{wrong:?}");
        }
    }
}
