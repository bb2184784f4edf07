//! Which engine reclaims blobs, and whether it can be had for this store.

use super::collect::Told;
use crate::cli::EngineChoice;
use crate::config::registry::RegistryConfig;
use crate::config::{Collection, Config};
use crate::gc::stock::Collector;
use crate::model::{Code, Problem, Severity};
use crate::report::CollectionStatus;
use crate::store::Store;

/// What reclaims the blobs of this sweep.
#[derive(Debug)]
pub(super) enum Engine {
    /// Nothing: it is turned off.
    Off,
    /// The stock collector.
    Stock(Collector),
    /// The janitor's own.
    Native,
    /// It should be the stock collector, and that cannot be had.
    Unusable(String),
    /// Blobs that go might be missed by a registry that remembers them, so they are left alone.
    Refused(String),
    /// It would collect another store, so the settings contradict each other: nothing is done.
    Elsewhere(String),
}

impl Engine {
    /// Looks which collector is to be had, and whether it would work on this store.
    pub(super) fn prepare(config: &Config, store: &Store) -> Self {
        let Some(settings) = &config.collection else { return Self::Off };
        let binary = Collector::find(&settings.binary, &settings.search);
        let is_native = match settings.engine {
            EngineChoice::Native => true,
            EngineChoice::Registry => false,
            EngineChoice::Auto => binary.is_none(),
        };
        let registry = match RegistryConfig::load(&settings.config, &settings.environment) {
            Ok(registry) => registry,
            // Each registry is asked before blobs go.
            Err(_) if is_native && config.probe.is_some() => return Self::Native,
            Err(error) if is_native => {
                return Self::Refused(format!(
                    "blobs are not reclaimed: whether the registry remembers blobs in a cache, as its image does by default, is not known: {error}; set JANITOR_REGISTRY_CONFIG to its configuration, or JANITOR_REGISTRY_URL to where it can be asked"
                ));
            }
            Err(error) => {
                return Self::Unusable(format!(
                    "blobs are not reclaimed: {error}; see JANITOR_REGISTRY_CONFIG"
                ));
            }
        };
        if let Some(contradiction) = contradiction(&registry, settings, store) {
            return contradiction;
        }
        match binary {
            _ if is_native => Self::Native,
            Some(binary) => {
                Self::Stock(Collector { binary, config: settings.config.clone(), timeout: settings.timeout })
            }
            None => Self::Unusable(format!(
                "blobs are not reclaimed: GC_ENGINE=registry is the registry's collector, and its binary {:?} was not found; set JANITOR_REGISTRY_BIN to it, run the janitor in an image that has it, or set GC_ENGINE=native",
                settings.binary.display()
            )),
        }
    }

    /// A warning where somebody gave a binary for `auto` that cannot be run, so that the native collector is used.
    pub(super) fn missing_binary(config: &Config) -> Option<Problem> {
        let settings = config.collection.as_ref()?;
        let is_missing = settings.engine == EngineChoice::Auto
            && settings.is_binary_given
            && Collector::find(&settings.binary, &settings.search).is_none();
        is_missing.then(|| {
            let binary = settings.binary.display();
            let place = if settings.binary.components().count() > 1 { "" } else { " in PATH" };
            Problem {
                severity: Severity::Warning,
                code: Code::Collector,
                repository: None,
                path: "JANITOR_REGISTRY_BIN".into(),
                cause: format!(
                    "there is no executable '{binary}'{place}, so GC_ENGINE=auto uses the native collector"
                ),
                remedy: "correct or unset JANITOR_REGISTRY_BIN, or set GC_ENGINE=native".into(),
            }
        })
    }

    /// Whether it knows how old a blob is, so that young ones are safe from it.
    pub(super) const fn knows_ages(&self) -> bool {
        matches!(self, Self::Native | Self::Off)
    }

    /// What reports call it.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Off => "none",
            _ => "registry",
        }
    }

    /// What keeps it from running at all.
    pub(super) fn refusal(&self) -> Option<Told> {
        match self {
            Self::Off => Some((CollectionStatus::Skipped, "not run: it is turned off (RUN_GC=false)".into())),
            Self::Unusable(why) => Some((CollectionStatus::Failed, why.clone())),
            Self::Refused(why) | Self::Elsewhere(why) => Some((CollectionStatus::Refused, why.clone())),
            Self::Stock(_) | Self::Native => None,
        }
    }
}

/// What in the registry's configuration speaks against collecting this store's blobs.
fn contradiction(registry: &RegistryConfig, settings: &Collection, store: &Store) -> Option<Engine> {
    let config = settings.config.display();
    if !store.is_at(&registry.root_directory) {
        return Some(Engine::Elsewhere(format!(
            "JANITOR_DATA_DIR={} is not the rootdirectory of the registry, {} (from {config} and the REGISTRY_ variables)",
            store.data_dir().display(),
            registry.root_directory.display(),
        )));
    }
    if registry.is_proxy {
        return Some(Engine::Elsewhere(format!(
            "{config} makes the registry a pull-through cache, which expires its content itself"
        )));
    }
    let cache = registry.cache.as_ref()?;
    Some(Engine::Refused(format!(
        "blobs are not reclaimed: the registry remembers blobs in a cache (storage.cache.blobdescriptor: {cache} in {config}), so later pushes would rely on blobs that are gone; turn it off there or set REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR='' for the registry and the janitor, then restart both",
    )))
}
