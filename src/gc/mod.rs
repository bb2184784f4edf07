//! Reclaiming: what is reachable, and the engine that deletes the rest.

pub mod mark;
pub mod native;
pub mod stock;
pub mod usage;
