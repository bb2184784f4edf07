//! A disk that is full to the last byte: the sweep that makes room on it still runs.

#![expect(clippy::disallowed_methods, reason = "a small disk is mounted for the test")]

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use janitor_testkit::{Image, ImageSpec, Layer, Registry, RegistryOptions};
use tempfile::TempDir;

use super::assert_blobs;
use crate::stage::{assert_all_pull, digests_of, janitor, names, push_series};

/// A disk of a few megabytes; unmounted with the value.
#[derive(Debug)]
struct SmallDisk {
    at: TempDir,
}

impl SmallDisk {
    #[track_caller]
    fn mount() -> Self {
        let at = TempDir::with_prefix("janitor-small-disk-").unwrap();
        let mounted = as_root("mount")
            .args(["-t", "tmpfs", "-o", "size=8m,mode=777", "tmpfs"])
            .arg(at.path())
            .output()
            .unwrap();
        assert!(
            mounted.status.success(),
            "this test mounts a small tmpfs, which takes root and CAP_SYS_ADMIN: {}",
            String::from_utf8_lossy(&mounted.stderr)
        );
        Self { at }
    }

    fn path(&self) -> &Path {
        self.at.path()
    }

    /// Writes until not one more byte fits.
    fn fill(&self) {
        let mut filler = File::create(self.path().join("filler")).unwrap();
        for chunk in [vec![b'f'; 4096], vec![b'f']] {
            let full = loop {
                if let Err(error) = filler.write_all(&chunk) {
                    break error;
                }
            };
            assert_eq!(full.kind(), io::ErrorKind::StorageFull, "{full}");
        }
    }
}

/// Mounting is for root; elsewhere, as on a hosted runner, for whoever may become root without a password.
fn as_root(program: &str) -> Command {
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, in case that something still has a file open on it; the kernel lets go with that.
        as_root("umount").arg("-l").arg(self.at.path()).status().ok();
    }
}

#[test]
fn a_sweep_makes_room_on_a_disk_that_is_full_to_the_last_byte() {
    let disk = SmallDisk::mount();
    let store = disk.path().join("store");
    let registry = Registry::start_with(RegistryOptions { store: Some(store), ..RegistryOptions::default() });
    let images: Vec<Image> =
        (1..=3).map(|seed| ImageSpec::new("large").layer(Layer::seeded(seed, 1 << 20)).build()).collect();
    push_series(&registry, "app", &[("v1", &images[0]), ("v2", &images[1]), ("v3", &images[2])]);
    janitor(&registry).keep(3).run().assert_code(0);
    disk.fill();
    let untried = disk.path().join("untried");
    let refusal = fs::write(&untried, "x").unwrap_err();
    assert_eq!(refusal.kind(), io::ErrorKind::StorageFull, "the disk is not full");

    let outcome = janitor(&registry).keep(1).run().assert_code(0);

    assert_eq!(outcome.total("tags_removed"), 2);
    assert!(outcome.total("bytes_freed") > 2 << 20, "{}", outcome.stdout);
    assert_eq!(registry.client().tags("app"), names(&["v3"]));
    assert_blobs(&registry, &digests_of(&images[2..]));
    assert_all_pull(&registry, "app");
    fs::write(&untried, "x").unwrap();
}
