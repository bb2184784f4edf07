//! Keeps a self-hosted container registry from growing forever.
pub mod apply;
pub mod check;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod fsck;
pub mod gc;
pub mod model;
pub mod plan;
pub mod policy;
pub mod probe;
pub mod progress;
pub mod report;
pub mod stop;
pub mod store;
pub mod sweep;
pub mod undo;
