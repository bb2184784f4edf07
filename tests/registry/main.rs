//! The janitor's binary on the real registry: each file tells one theme of what it promises.
//!
//! Black box: a test pushes and pulls over HTTP, runs the binary, and reads the store with the harness's own
//! eyes. The registry and skopeo come from Debian's packages; without them a test fails and names the package.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod aliases;
mod audit;
mod blast_radius;
mod check;
mod collector;
mod companions;
mod copied;
mod damage;
mod emptied;
mod faults;
mod guards;
mod idle;
mod keep_last_n;
mod limit;
mod locking;
mod logins;
mod losses;
mod meanwhile;
mod multi_arch;
mod native;
mod nested;
mod odd;
mod open_files;
mod probe;
mod quiet;
mod remedies;
mod repush;
mod settings;
mod signals;
mod small_disk;
mod split_stores;
mod stage;
mod times;
mod undo;
mod usage;
mod young;
