//! Debian's skopeo: a client that nobody here wrote, as a second opinion.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::registry::find_program;
use crate::{OciLayout, Registry};

/// Runs skopeo against a registry of the tests.
#[derive(Debug)]
pub struct Skopeo {
    program: PathBuf,
}

impl Skopeo {
    /// Finds skopeo, or fails the test with the name of the package.
    pub fn find() -> Self {
        let program = find_program(&["skopeo"])
            .unwrap_or_else(|| panic!("no skopeo to test with: install the Debian package skopeo"));
        Self { program }
    }

    /// Pushes an image of the layout, all platforms, bytes as they are.
    pub fn push(&self, layout: &OciLayout, name: &str, registry: &Registry, reference: &str) {
        let from = format!("oci:{}:{name}", layout.directory().display());
        let to = format!("docker://{}/{reference}", registry.address());
        if let Err(refusal) = self.copy(&["--dest-tls-verify=false"], &from, &to) {
            panic!("skopeo: {refusal}");
        }
    }

    /// Pulls an image, all platforms, into a directory; an error is skopeo's own message.
    pub fn pull(&self, registry: &Registry, reference: &str, into: &Path) -> Result<(), String> {
        let from = format!("docker://{}/{reference}", registry.address());
        let to = format!("dir:{}", into.display());
        self.copy(&["--src-tls-verify=false"], &from, &to)
    }

    fn copy(&self, options: &[&str], from: &str, to: &str) -> Result<(), String> {
        let output = Command::new(&self.program)
            .args(["--insecure-policy", "copy", "--quiet", "--all"])
            .arg("--preserve-digests")
            .args(options)
            .args([from, to].map(OsStr::new))
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
        }
    }
}
