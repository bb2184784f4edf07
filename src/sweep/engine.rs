//! Which engine reclaims blobs, and whether it can be had for this store.

use crate::cli::EngineChoice;
use crate::config::Collection;
use crate::config::registry::RegistryConfig;
use crate::gc::stock::Collector;
use crate::store::Store;

/// What reclaims the blobs of this sweep.
#[derive(Debug)]
pub(super) enum Engine {
    /// Nothing: it is turned off.
    Off,
    /// The stock collector.
    Stock(Collector),
    /// It should be the stock collector, and that cannot be had.
    Unusable(String),
    /// It would delete what it should not, so blobs are left alone.
    Refused(String),
    /// It would collect another store, so the settings contradict each other: nothing is done.
    Elsewhere(String),
}

impl Engine {
    /// Looks whether the collector can be had, and would work on this store.
    pub(super) fn prepare(settings: Option<&Collection>, store: &Store) -> Self {
        let Some(settings) = settings else { return Self::Off };
        let config = match RegistryConfig::load(&settings.config, &settings.environment) {
            Ok(config) => config,
            Err(error) => {
                return Self::Unusable(format!(
                    "blobs are not reclaimed: {error}; see JANITOR_REGISTRY_CONFIG"
                ));
            }
        };
        if !store.is_at(&config.root_directory) {
            return Self::Elsewhere(format!(
                "JANITOR_DATA_DIR={} is not the rootdirectory that the registry's collector would work on, {} (from {} and the REGISTRY_ variables)",
                store.data_dir().display(),
                config.root_directory.display(),
                settings.config.display()
            ));
        }
        if config.is_proxy {
            return Self::Elsewhere(format!(
                "{} makes the registry a pull-through cache, which expires its content itself",
                settings.config.display()
            ));
        }
        if let Some(cache) = config.cache {
            return Self::Refused(format!(
                "blobs are not reclaimed: the registry remembers blobs in a cache (storage.cache.blobdescriptor: {cache} in {}), so later pushes would rely on blobs that are gone; turn it off there or set REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR='' for the registry and the janitor, then restart both",
                settings.config.display()
            ));
        }
        match Collector::find(&settings.binary, &settings.search) {
            Some(binary) => {
                Self::Stock(Collector { binary, config: settings.config.clone(), timeout: settings.timeout })
            }
            None => Self::Unusable(format!(
                "blobs are not reclaimed: {} the registry's collector, and its binary {:?} was not found; set JANITOR_REGISTRY_BIN to it, run the janitor in an image that has it, or set RUN_GC=false",
                match settings.engine {
                    EngineChoice::Auto => "GC_ENGINE=auto runs",
                    EngineChoice::Registry => "GC_ENGINE=registry is",
                },
                settings.binary.display()
            )),
        }
    }
}
