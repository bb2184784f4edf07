//! Asking a running registry whether it looks at the disk, or goes by what it remembers of blobs.
//!
//! A registry that caches blob descriptors believes in blobs that are gone: a push skips their
//! upload, is accepted, and the image is broken. Its configuration tells of the cache only where the
//! janitor reads the same one. So a canary is uploaded, asked for (now it would be remembered), taken
//! out of the store behind the registry's back, and asked for again.
//!
//! Here are only the requests; what happens in the store meanwhile is the sweep's part.

mod address;
mod challenge;
mod client;
mod credentials;

pub use address::{Address, AddressError};
pub use client::{AskError, Client, Upload};
pub use credentials::{Credentials, CredentialsError, Secret};

/// The registries that share the store, and what they ask of whoever uploads.
#[derive(Clone, Debug)]
pub struct Access {
    /// Where each of them answers.
    pub addresses: Vec<Address>,
    /// Who the janitor is to them.
    pub credentials: Credentials,
}
