//! The janitor's binary and a real registry on a real network mount, CIFS or NFS: each file tells one theme.
//!
//! `scripts/cifs-test.sh` (`make test-cifs`) boots a kernel with such mounts, and runs these tests there. They are ignored
//! elsewhere: a FUSE file system can play a network's delays, but not what a CIFS server refuses.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "a test damages its own store, and plays the other processes")]

mod full;
mod in_use;
mod kills;
mod locks;
mod names;
mod repairs;
mod stage;
mod sweeps;
