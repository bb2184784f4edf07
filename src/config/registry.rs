//! The registry's own configuration, as its collector will see it: the file, then the environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// The root directory of the filesystem driver when none is configured (distribution 2.8 and 3.x,
/// `driver.go`, `defaultRootDirectory`).
const DEFAULT_ROOT: &str = "/var/lib/registry";
/// Keys of `storage` that are not drivers.
const NOT_DRIVERS: [&str; 6] = ["maintenance", "cache", "delete", "redirect", "tag", "uploadpurging"];

/// What of a registry's configuration matters to whoever deletes its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryConfig {
    /// Where the filesystem driver keeps its tree.
    pub root_directory: PathBuf,
    /// The cache of blob descriptors, when one is on: `inmemory` or `redis`.
    pub cache: Option<String>,
    /// Whether it is a pull-through cache.
    pub is_proxy: bool,
}

/// Why a registry's configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryConfigError {
    /// The file could not be read.
    #[error("cannot read the registry's configuration {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not YAML, or not as the registry has it.
    #[error("the registry's configuration {} cannot be understood: {cause}", path.display())]
    Parse {
        /// The file, or the variable.
        path: PathBuf,
        /// In words.
        cause: String,
    },
    /// The store is not a directory.
    #[error("the registry's configuration {} stores in {driver}, not in a directory (storage.filesystem)", path.display())]
    Driver {
        /// The file.
        path: PathBuf,
        /// What it says instead.
        driver: String,
    },
}

impl RegistryConfig {
    /// Reads the file and lays the environment over it, less specific variables first, as the
    /// registry does (distribution 2.8 and 3.x, `configuration/parser.go`).
    ///
    /// # Errors
    /// [`RegistryConfigError`].
    pub fn load(path: &Path, environment: &BTreeMap<String, String>) -> Result<Self, RegistryConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| RegistryConfigError::Read { path: path.into(), source })?;
        Self::from_text(path, &text, environment)
    }

    /// The same of a file's text; `path` is what messages call it.
    ///
    /// # Errors
    /// [`RegistryConfigError`].
    pub fn from_text(
        path: &Path,
        text: &str,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, RegistryConfigError> {
        let parse = |path: &Path, cause: String| RegistryConfigError::Parse { path: path.into(), cause };
        let mut config: Value =
            serde_saphyr::from_str(text).map_err(|error| parse(path, one_line(&error.to_string())))?;
        if !config.is_object() {
            return Err(parse(path, "it is not a map".into()));
        }
        for (name, value) in environment {
            let Some(keys) = name.strip_prefix("REGISTRY_") else {
                continue;
            };
            let keys: Vec<&str> = keys.split('_').collect();
            if !["STORAGE", "PROXY"].contains(&keys[0]) {
                continue;
            }
            let value = if value.is_empty() {
                Value::Null
            } else {
                serde_saphyr::from_str(value)
                    .map_err(|error| parse(name.as_ref(), one_line(&error.to_string())))?
            };
            overlay(&mut config, &keys, value);
        }
        let storage = get(&config, "storage");
        let filesystem = storage.and_then(|storage| get(storage, "filesystem"));
        let named = storage.and_then(Value::as_str);
        if filesystem.is_none() && named != Some("filesystem") {
            let drivers = storage.and_then(Value::as_object).into_iter().flat_map(Map::keys);
            let other = drivers.map(String::as_str).find(|key| !NOT_DRIVERS.contains(key));
            let driver = other.or(named).unwrap_or("nothing that it names").to_owned();
            return Err(RegistryConfigError::Driver { path: path.into(), driver });
        }
        let root = filesystem.and_then(|it| get(it, "rootdirectory")).and_then(Value::as_str);
        let cache = storage.and_then(|storage| get(storage, "cache"));
        // Before 2.0 the key was `layerinfo`, and the registry still reads it.
        let cache = ["blobdescriptor", "layerinfo"].into_iter().find_map(|key| get(cache?, key)?.as_str());
        Ok(Self {
            root_directory: root.unwrap_or(DEFAULT_ROOT).into(),
            cache: cache.filter(|cache| ["inmemory", "redis"].contains(cache)).map(str::to_owned),
            is_proxy: get(&config, "proxy")
                .and_then(|proxy| get(proxy, "remoteurl"))
                .and_then(Value::as_str)
                .is_some_and(|url| !url.is_empty()),
        })
    }
}

fn get<'a>(map: &'a Value, key: &str) -> Option<&'a Value> {
    map.as_object()?.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value)
}

fn overlay(target: &mut Value, keys: &[&str], value: Value) {
    let Some((first, rest)) = keys.split_first() else {
        *target = value;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(map) = target.as_object_mut() else {
        return;
    };
    let existing = map.keys().find(|key| key.eq_ignore_ascii_case(first)).cloned();
    let key = existing.unwrap_or_else(|| first.to_lowercase());
    overlay(map.entry(key).or_insert(Value::Null), rest, value);
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn load(text: &str, environment: &[(&str, &str)]) -> Result<RegistryConfig, String> {
        let environment = environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        RegistryConfig::from_text("config.yml".as_ref(), text, &environment)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_root_directory_is_the_one_that_the_collector_will_see() {
        let file = "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: /one\n";
        let root = |text, environment: &[(&str, &str)]| load(text, environment).unwrap().root_directory;
        assert_eq!(root(file, &[]), Path::new("/one"));
        assert_eq!(root(file, &[("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/two")]), Path::new("/two"));
        assert_eq!(
            root(file, &[("REGISTRY_STORAGE_FILESYSTEM", "{rootdirectory: /three}")]),
            Path::new("/three")
        );
        assert_eq!(
            root(
                file,
                &[
                    ("REGISTRY_STORAGE", "{filesystem: {rootdirectory: /four}}"),
                    ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/five"),
                    ("REGISTRY_PORT", "tcp://1.2.3.4:5000"),
                ]
            ),
            Path::new("/five")
        );
        assert_eq!(root("version: 0.1\nstorage:\n  filesystem:\n", &[]), Path::new("/var/lib/registry"));
        assert_eq!(root("version: 0.1\nstorage: filesystem\n", &[]), Path::new("/var/lib/registry"));
        assert_eq!(
            root("storage: inmemory", &[("REGISTRY_STORAGE", "filesystem")]),
            Path::new("/var/lib/registry")
        );
    }

    #[test]
    fn only_the_two_caches_that_there_are_count() {
        let file =
            |cache: &str| format!("storage:\n  filesystem: {{}}\n  cache:\n    blobdescriptor: {cache}\n");
        let cache = |text: &str, environment: &[(&str, &str)]| load(text, environment).unwrap().cache;
        assert_eq!(cache(&file("inmemory"), &[]).as_deref(), Some("inmemory"));
        assert_eq!(cache(&file("redis"), &[]).as_deref(), Some("redis"));
        for off in ["''", "none", "off", "null", "{}"] {
            assert_eq!(cache(&file(off), &[]), None, "{off}");
        }
        for off in ["", "none", "''"] {
            assert_eq!(
                cache(&file("inmemory"), &[("REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR", off)]),
                None,
                "{off}"
            );
        }
        assert_eq!(cache(&file("inmemory"), &[("REGISTRY_STORAGE_CACHE", "{}")]), None);
        assert_eq!(
            cache("storage: {filesystem: {}}", &[("REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR", "inmemory")])
                .as_deref(),
            Some("inmemory")
        );
    }

    #[test]
    fn what_is_not_a_directory_is_named() {
        assert!(
            load("storage: {s3: {bucket: x}, delete: {enabled: true}}", &[])
                .unwrap_err()
                .contains("stores in s3")
        );
        assert!(load("storage: inmemory", &[]).unwrap_err().contains("inmemory"));
        assert!(load("version: 0.1", &[]).is_err());
        assert!(load("[1, 2]", &[]).is_err());
        assert!(load("storage: [", &[]).is_err());
        assert!(load("storage: {filesystem: {}}\nproxy: {remoteurl: 'https://x'}", &[]).unwrap().is_proxy);
        assert!(!load("storage: {filesystem: {}}\nproxy: {remoteurl: ''}", &[]).unwrap().is_proxy);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[ -~\n]{0,120}", name in "[A-Z_]{0,20}", value in "[ -~]{0,30}") {
            let _parsed = load(&text, &[(&format!("REGISTRY_STORAGE{name}"), &value)]);
        }
    }
}
