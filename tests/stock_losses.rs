//! What the documentation says the registry's own collector loses, it does lose.

#![expect(clippy::disallowed_methods, reason = "this test runs a script")]

use std::path::Path;
use std::process::Command;

#[test]
fn the_losses_of_the_stock_collector_are_as_documented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));

    let output = Command::new(root.join("scripts/stock-losses.sh")).output().unwrap();

    let said = String::from_utf8(output.stdout).unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}\n{complaints}", output.status);
    let page = std::fs::read_to_string(root.join("docs/stock-collector.md")).unwrap();
    assert!(page.contains(&said), "docs/stock-collector.md does not show what the script says:\n{said}");
}
