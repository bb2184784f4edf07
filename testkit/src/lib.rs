//! What the janitor's tests and benches stand on.
//!
//! Nothing here uses the janitor's own library: the layout of a store, the shape of a manifest and the
//! check that an image is whole are written a second time, so that a mistake there is not repeated here.
//!
//! One [`Image`] value has three writers: [`StoreBuilder`] puts it into a store's directory as the registry
//! would, [`Client`] pushes it over HTTP, and [`OciLayout`] writes it as a directory for skopeo.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    reason = "a harness starts processes, damages stores, and fails a test by panicking"
)]
#![expect(
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    reason = "a harness panics when the machine refuses; an error is what the registry answered"
)]

mod bad_storage;
mod bulk;
mod client;
mod collector;
mod copy;
mod damage;
mod digest;
mod document;
mod gate;
mod image;
mod janitor;
mod oci_layout;
mod process;
mod push;
mod registry;
mod scratch;
mod skopeo;
mod slow_fs;
mod store_builder;
mod store_view;
mod tree;
mod wholeness;

pub use bad_storage::BadStorage;
pub use bulk::{BulkSpec, BulkSummary};
pub use client::{Client, Missing, Pulled};
pub use collector::Collector;
pub use damage::Damage;
pub use digest::{Digest, sha512};
pub use document::{Descriptor, Document, Format, Platform};
pub use gate::{Asked, Gate, Verdict};
pub use image::{Image, ImageSpec, Layer};
pub use janitor::{Janitor, Outcome, Running};
pub use oci_layout::OciLayout;
pub use process::{Interrupt, is_alive};
pub use push::{Habits, Pushed};
pub use registry::{Cache, Registry, RegistryOptions, registry_bin};
pub use scratch::scratch_directory;
pub use skopeo::Skopeo;
pub use slow_fs::{RequestKind, Requests, SlowFs, SlowFsOptions};
pub use store_builder::{StoreBuilder, ago};
pub use store_view::StoreView;
pub use tree::Tree;
