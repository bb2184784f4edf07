//! Keeps a self-hosted container registry from growing forever.
pub mod model;
pub mod stop;
pub mod store;
