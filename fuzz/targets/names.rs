//! Whatever text is taken for a name or a digest (a link's content) leads nowhere but into the tree.

#![no_main]

use libfuzzer_sys::fuzz_target;
use registry_janitor::model::{Digest, RepoName, TagName};

fuzz_target!(|text: &str| {
    let is_safe = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
    if let Ok(name) = text.parse::<RepoName>() {
        assert_eq!(name.as_str(), text);
        assert!(text.split('/').all(|part| is_safe(part) && !part.starts_with('_')));
    }
    if let Ok(tag) = text.parse::<TagName>() {
        assert_eq!(tag.as_str(), text);
        assert!(is_safe(text) && !text.contains('/'));
    }
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string(), text);
        assert!(digest.hex().bytes().all(|digit| digit.is_ascii_hexdigit()));
    }
});
