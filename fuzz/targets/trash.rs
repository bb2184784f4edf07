//! A path in the trash says what a thing is and where it belongs, or nothing; it never leads elsewhere.

#![no_main]

use libfuzzer_sys::fuzz_target;
use registry_janitor::model::Spot;
use registry_janitor::store;

fuzz_target!(|path: &str| {
    let Some(place) = store::place(path) else { return };
    let there = store::path_of(&Spot::Link(place));
    assert!(there.starts_with(&format!("docker/registry/v2/{path}/")), "{there}");
    assert!(path.split('/').all(|part| !part.is_empty() && part != "." && part != ".."));
});
