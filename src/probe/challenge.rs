//! What a registry asks for when it wants to know who is there: the `WWW-Authenticate` header.

/// A way to say who is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User name and password with each request.
    Basic,
    /// A token, which is had elsewhere for user name and password.
    Bearer {
        /// Where the token is had.
        realm: String,
        /// Whom it is for.
        service: Option<String>,
        /// What it is to allow.
        scope: Option<String>,
    },
}

impl Challenge {
    /// Reads one header, which may name several ways: the first that is known here.
    pub(super) fn parse(header: &str) -> Option<Self> {
        http_auth::parse_challenges(header).ok()?.iter().find_map(|challenge| {
            if challenge.scheme.eq_ignore_ascii_case("basic") {
                return Some(Self::Basic);
            }
            if !challenge.scheme.eq_ignore_ascii_case("bearer") {
                return None;
            }
            let find = |wanted: &str| {
                let mut all = challenge.params.iter();
                all.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.to_unescaped())
            };
            Some(Self::Bearer { realm: find("realm")?, service: find("service"), scope: find("scope") })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Challenge::Bearer { realm: realm.into(), service: owned(service), scope: owned(scope) }
    }

    #[test]
    fn both_ways_are_understood() {
        for (header, expected) in [
            ("Basic realm=\"registry\"", Some(Challenge::Basic)),
            (
                "Bearer realm=\"https://auth/token\",service=\"registry\",scope=\"repository:a/b:pull,push\"",
                Some(bearer("https://auth/token", Some("registry"), Some("repository:a/b:pull,push"))),
            ),
            (
                "bearer Scope=x , realm=\"https://auth/\\\"t\"",
                Some(bearer("https://auth/\"t", None, Some("x"))),
            ),
            ("Negotiate, Basic realm=\"registry\"", Some(Challenge::Basic)),
            ("Bearer service=\"registry\"", None),
            ("Negotiate", None),
            ("", None),
        ] {
            assert_eq!(Challenge::parse(header), expected, "{header}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(header in "(Bearer )?[ -~é]{0,60}") {
            let _parsed = Challenge::parse(&header);
        }
    }
}
