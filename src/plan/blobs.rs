//! Which blobs go: those that nothing references, unless they or a link to them are young.

use std::collections::HashMap;

use jiff::Timestamp;

use super::Grace;
use crate::model::{BlobAge, Digest, Place};

/// What becomes of the blobs that nothing references.
#[derive(Debug, Default)]
pub struct Blobs {
    /// May go now, sorted by digest.
    pub due: Vec<BlobAge>,
    /// Kept for their age.
    pub held: Vec<BlobAge>,
    /// When the last of those may go.
    pub held_until: Option<Timestamp>,
}

/// Decides on blobs that nothing references, from their ages and from when the layer links to them
/// were last written.
pub fn blobs<'a>(
    ages: Vec<BlobAge>,
    links: impl IntoIterator<Item = (&'a Place, Option<Timestamp>)>,
    grace: Grace,
) -> Blobs {
    let mut linked: HashMap<&Digest, Timestamp> = HashMap::new();
    for (place, written) in links {
        if let (Place::Layer(_, digest), Some(written)) = (place, written) {
            let newest = linked.entry(digest).or_insert(written);
            *newest = (*newest).max(written);
        }
    }
    let mut plan = Blobs::default();
    for age in ages {
        let touched = linked.get(&age.digest).copied().unwrap_or(age.newest).max(age.newest);
        if grace.is_over(touched) {
            plan.due.push(age);
        } else {
            plan.held_until = plan.held_until.max(Some(grace.due(touched)));
            plan.held.push(age);
        }
    }
    plan
}
