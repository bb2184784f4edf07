//! What is broken, and what that means for whoever pulls: decided from what was found, nothing is opened.

pub mod finding;
mod judge;
mod remarks;
mod repair;
mod troubles;
mod verify;
mod words;

pub use finding::{Finding, FindingCode, FindingSeverity};
pub use judge::{Limits, judge};
pub use repair::repair;
pub use verify::{Broken, links, verify};
pub(crate) use verify::{absent_children, has_manifest, lacking, lacks_parts};
