//! A live registry with pushers and pullers at work while the janitor sweeps again and again.
//!
//! Each soak counts acknowledged pushes, failures that the client sees and repeats, and images that were
//! acknowledged, that the policy keeps, and that do not pull whole. `SOAK_SECS` makes all of them last longer.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test shows what it counted, reads the clock and its own settings, damages a store, and fails by panicking"
)]

mod engine;
mod ledger;
mod nothing_lost;
mod pullers;
mod pushers;
mod run;
mod sight;
mod stock;
mod sweeps;
mod tally;
