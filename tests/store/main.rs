//! Sweeps of stores on disk, without a registry: each file tells one theme of what the janitor promises.
//!
//! A watch at the store's one door to the file system counts operations, fails them, and pushes at the worst
//! moment. The stores are written and read by the harness, which shares no code with the janitor.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audit;
mod check;
mod crashes;
mod errors;
mod glitches;
mod handles;
mod in_use;
mod native;
mod pushes;
mod references;
mod removed;
mod rescue;
mod scan;
mod stage;
mod symlinks;
mod times;
mod undo;
mod usage;
mod watch;
mod witness;
