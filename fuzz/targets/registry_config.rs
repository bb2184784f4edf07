//! Any text may stand where the registry's configuration should, and in its variables.

#![no_main]

use std::collections::BTreeMap;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use registry_janitor::config::registry::RegistryConfig;

fuzz_target!(|given: (&str, &str, &str)| {
    let (text, name, value) = given;
    let environment = BTreeMap::from([(format!("REGISTRY_STORAGE{name}"), value.to_owned())]);
    let _parsed = RegistryConfig::from_text(Path::new("config.yml"), text, &environment);
});
