//! The settings of a probe: where the registries answer, and who the janitor is to them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::refusal;
use crate::cli::Settings;
use crate::probe::{Access, Address, Credentials, Secret};

/// Has no flag, since every user of a host can see another one's command line.
pub(super) const PASSWORD: &str = "JANITOR_REGISTRY_PASSWORD";

/// What `docker login` writes, in its directory.
const DOCKER_FILE: &str = "config.json";

/// `None` where no address is known.
pub(super) fn resolve(
    settings: &Settings,
    environment: &BTreeMap<String, OsString>,
) -> Result<Option<Access>, clap::Error> {
    let credentials = credentials(settings, environment)?;
    let Some(text) = &settings.registry_url else { return Ok(None) };
    let addresses = Address::parse_all(text).map_err(|allowed| {
        // A password may stand before an @, so the value is not repeated.
        refusal::of(format!(
            "a user name or password in JANITOR_REGISTRY_URL: set JANITOR_REGISTRY_USERNAME and {PASSWORD} instead; expected {allowed}"
        ))
    })?;
    Ok((!addresses.is_empty()).then_some(Access { addresses, credentials }))
}

fn credentials(
    settings: &Settings,
    environment: &BTreeMap<String, OsString>,
) -> Result<Credentials, clap::Error> {
    let refuse = |why: &str| Err(refusal::of(why));
    let password = match environment.get(PASSWORD).map(|password| password.to_str()) {
        None => None,
        Some(Some(password)) if !password.is_empty() => Some(Secret::new(password.to_owned())),
        Some(_) => {
            return refuse(
                "invalid value for 'JANITOR_REGISTRY_PASSWORD': expected a text that is not empty",
            );
        }
    };
    let file = settings.registry_password_file.clone();
    match (settings.registry_username.clone(), password, file) {
        (_, Some(_), Some(_)) => refuse(
            "JANITOR_REGISTRY_PASSWORD and JANITOR_REGISTRY_PASSWORD_FILE are both set: set only one of them",
        ),
        (Some(username), Some(password), None) => Ok(Credentials::Given { username, password }),
        (Some(username), None, Some(password)) => Ok(Credentials::InFile { username, password }),
        (Some(_), None, None) => refuse(
            "JANITOR_REGISTRY_USERNAME is set without a password: set JANITOR_REGISTRY_PASSWORD or JANITOR_REGISTRY_PASSWORD_FILE",
        ),
        (None, Some(_), None) | (None, None, Some(_)) => {
            refuse("the registry's password is set without a user name: set JANITOR_REGISTRY_USERNAME")
        }
        (None, None, None) => Ok(docker(settings.docker_config.as_deref(), environment)),
    }
}

/// Where `docker login` keeps what it was told.
fn docker(named: Option<&Path>, environment: &BTreeMap<String, OsString>) -> Credentials {
    if let Some(named) = named {
        // People know of the directory rather than of the file.
        let config = if named.is_dir() { named.join(DOCKER_FILE) } else { named.to_owned() };
        return Credentials::Docker { config, is_named: true };
    }
    let directory = |name: &str| environment.get(name).filter(|it| !it.is_empty()).map(PathBuf::from);
    match directory("DOCKER_CONFIG").or_else(|| Some(directory("HOME")?.join(".docker"))) {
        Some(directory) => Credentials::Docker { config: directory.join(DOCKER_FILE), is_named: false },
        None => Credentials::None,
    }
}
