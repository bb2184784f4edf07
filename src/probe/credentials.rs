//! User name and password for a registry: as settings, or as `docker login` keeps them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::Address;

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text from being shown.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, to be sent and nothing else.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Where user name and password are to be had.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// As settings.
    Given {
        /// The user's name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// The name as a setting, the password in a file.
    InFile {
        /// The user's name.
        username: String,
        /// The file; a line break at its end is no part of the password.
        password: PathBuf,
    },
    /// In the file that `docker login` writes.
    Docker {
        /// The file.
        config: PathBuf,
        /// Whether a setting names it; else it may as well not be there.
        is_named: bool,
    },
    /// Nowhere.
    None,
}

/// A user name and a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) username: String,
    pub(super) password: Secret,
}

impl Login {
    /// As the `Authorization` header has it.
    pub(super) fn basic(&self) -> Secret {
        let pair = format!("{}:{}", self.username, self.password.reveal());
        Secret(format!("Basic {}", STANDARD.encode(pair)))
    }
}

/// Why there is no user name and password.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// None are set.
    #[error(
        "none are set; set JANITOR_REGISTRY_USERNAME and JANITOR_REGISTRY_PASSWORD, or JANITOR_DOCKER_CONFIG"
    )]
    None,
    /// The file could not be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not what `docker login` writes.
    #[error("{} is not as docker login writes it: {cause}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// In words, with nothing of its content.
        cause: String,
    },
    /// It has nothing for this registry.
    #[error("{} has none for {host}; its `auths` are for {known}", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The registry.
        host: String,
        /// The registries that it has some for.
        known: String,
    },
    /// They are kept by another program.
    #[error("{} leaves those of {host} to the credential helper docker-credential-{helper}, which the janitor does not run; set JANITOR_REGISTRY_USERNAME and JANITOR_REGISTRY_PASSWORD", path.display())]
    Helper {
        /// The file.
        path: PathBuf,
        /// The registry.
        host: String,
        /// The program.
        helper: String,
    },
}

impl Credentials {
    /// User name and password for the registry at an address, read anew each time.
    pub(super) fn look_up(&self, address: &Address) -> Result<Login, CredentialsError> {
        match self {
            Self::Given { username, password } => {
                Ok(Login { username: username.clone(), password: password.clone() })
            }
            Self::InFile { username, password } => {
                let text = read(password)?;
                let password = Secret(text.trim_end_matches(['\r', '\n']).to_owned());
                Ok(Login { username: username.clone(), password })
            }
            Self::Docker { config, is_named } => match read(config) {
                Err(CredentialsError::Read { source, .. })
                    if !is_named && source.kind() == std::io::ErrorKind::NotFound =>
                {
                    Err(CredentialsError::None)
                }
                text => in_docker_config(config, &text?, address),
            },
            Self::None => Err(CredentialsError::None),
        }
    }
}

fn read(path: &Path) -> Result<String, CredentialsError> {
    std::fs::read_to_string(path).map_err(|source| CredentialsError::Read { path: path.into(), source })
}

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, DockerAuth>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
}

#[derive(Deserialize)]
struct DockerAuth {
    #[serde(default)]
    auth: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
}

fn in_docker_config(path: &Path, text: &str, address: &Address) -> Result<Login, CredentialsError> {
    let parse = |cause: &str| CredentialsError::Parse { path: path.into(), cause: cause.into() };
    // serde_json's own words may quote what it read.
    let config: DockerConfig = serde_json::from_str(text)
        .map_err(|error| parse(&format!("line {}, column {}", error.line(), error.column())))?;
    let host = host_of(address.host(), address.is_secure());
    let is_it = |name: &str| host_of(name, address.is_secure()) == host;
    if let Some((name, auth)) = config.auths.iter().find(|(name, auth)| is_it(name) && auth.has_any()) {
        return auth
            .login()
            .ok_or_else(|| parse(&format!("the entry of {name} is no user name and password")));
    }
    let helper = config.helpers.iter().find(|(name, _)| is_it(name)).map(|(_, helper)| helper);
    let store = config.store.as_ref().filter(|store| !store.is_empty());
    Err(match helper.or(store) {
        Some(helper) => CredentialsError::Helper { path: path.into(), host, helper: helper.to_owned() },
        None => CredentialsError::Unknown {
            path: path.into(),
            host,
            known: match config.auths.keys().map(String::as_str).collect::<Vec<_>>() {
                known if known.is_empty() => "no registry".into(),
                known => known.join(", "),
            },
        },
    })
}

impl DockerAuth {
    /// With a credential helper, `docker login` leaves an empty entry.
    fn has_any(&self) -> bool {
        [&self.auth, &self.username].into_iter().flatten().any(|it| !it.is_empty())
    }

    fn login(&self) -> Option<Login> {
        if let Some(auth) = self.auth.as_ref().filter(|auth| !auth.is_empty()) {
            let pair = String::from_utf8(STANDARD.decode(auth.trim()).ok()?).ok()?;
            let (username, password) = pair.split_once(':')?;
            let password = Secret(password.trim_end_matches('\0').to_owned());
            return Some(Login { username: username.to_owned(), password });
        }
        Some(Login { username: self.username.clone()?, password: Secret(self.password.clone()?) })
    }
}

/// Host and port of the names that `docker login` was given: with a scheme or a path, or without; the
/// scheme's own port goes without saying.
fn host_of(name: &str, is_secure: bool) -> String {
    let bare = name.split_once("://").map_or(name, |(_, rest)| rest);
    let host = bare.split('/').next().unwrap_or_default().to_ascii_lowercase();
    let port = if is_secure { ":443" } else { ":80" };
    host.strip_suffix(port).map_or(host.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look_up(text: &str, address: &str) -> Result<Login, CredentialsError> {
        let address = &Address::parse_all(address).unwrap()[0];
        in_docker_config("config.json".as_ref(), text, address)
    }

    fn login(username: &str, password: &str) -> Login {
        Login { username: username.into(), password: Secret(password.into()) }
    }

    #[test]
    fn a_registry_is_found_under_each_way_to_write_it() {
        let auth = STANDARD.encode("ci:pass:word");
        for (name, address) in [
            ("registry:5000", "http://registry:5000"),
            ("http://registry:5000/v2/", "http://registry:5000"),
            ("https://Hub.example.com", "https://hub.example.com"),
            ("hub.example.com:443", "https://hub.example.com"),
            ("hub.example.com", "https://hub.example.com:443/v2/"),
            ("hub.example.com", "http://hub.example.com:80"),
        ] {
            let text = format!(r#"{{"auths":{{"other":{{"auth":"eDp5"}},"{name}":{{"auth":"{auth}"}}}}}}"#);
            assert_eq!(look_up(&text, address).unwrap(), login("ci", "pass:word"), "{name}");
        }
        let apart = r#"{"auths":{"registry":{"username":"ci","password":"word"}}}"#;
        assert_eq!(look_up(apart, "http://registry").unwrap(), login("ci", "word"));
    }

    #[test]
    fn what_cannot_be_had_is_named_and_no_secret_with_it() {
        let http = "http://registry:5000";
        for (text, told) in [
            (r#"{"auths":{"registry:5001":{"auth":"c2VjcmV0"}}}"#, "registry:5001"),
            ("{}", "no registry"),
            (r#"{"auths":{"registry:5000":{}},"credsStore":"desktop"}"#, "docker-credential-desktop"),
            (r#"{"credHelpers":{"registry:5000":"pass"}}"#, "docker-credential-pass"),
            (r#"{"auths":{"registry:5000":{"auth":"c2VjcmV0"}}}"#, "no user name and password"),
            (r#"{"auths":{"registry:5000":{"auth":"secret!"}}}"#, "no user name and password"),
            (r#"{"auths":"c2VjcmV0"}"#, "line 1"),
            ("secret", "line 1"),
        ] {
            let error = look_up(text, http).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
            assert!(!error.contains("secret") && !error.contains("c2VjcmV0"), "{error}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let given = Credentials::Given { username: "ci".into(), password: Secret::new("tulip".into()) };
        assert!(!format!("{given:?}").contains("tulip"));
        let address = &Address::parse_all("http://registry").unwrap()[0];
        let login = given.look_up(address).unwrap();
        assert!(!format!("{login:?} {:?}", login.basic()).contains("tulip"));
        assert_eq!(login.basic().reveal(), format!("Basic {}", STANDARD.encode("ci:tulip")));
    }

    #[test]
    fn a_password_file_may_end_with_a_line_break() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "word\n").unwrap();
        let credentials = Credentials::InFile { username: "ci".into(), password: file.path().into() };
        let address = &Address::parse_all("http://registry").unwrap()[0];
        assert_eq!(credentials.look_up(address).unwrap(), login("ci", "word"));
    }
}
