//! Writes a large store: `bulk_store <directory> <repositories> <tags> <untagged>
//! <own layers> <shared layers>`.

use std::env;
use std::path::Path;

use janitor_testkit::BulkSpec;

#[expect(clippy::expect_used, clippy::print_stdout, reason = "a tool for people who read its source")]
fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let number =
        |at: usize, default: usize| arguments.get(at).map_or(default, |text| text.parse().expect("a number"));
    let directory = arguments.first().expect("the store's directory comes first");
    let defaults = BulkSpec::default();
    let spec = BulkSpec {
        repositories: number(1, defaults.repositories),
        tags: number(2, defaults.tags),
        untagged: number(3, defaults.untagged),
        own_layers: number(4, defaults.own_layers),
        shared_layers: number(5, defaults.shared_layers),
        ..defaults
    };
    println!("{:?}", spec.write(Path::new(directory)));
}
