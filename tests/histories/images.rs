//! What is pushed: single images that share layers, indexes of them, an index of an index, and what serves them.

use std::sync::LazyLock;

use janitor_testkit::{Format, Image};

/// An image, what refers to it, what refers to that, and its signature.
pub(crate) struct Family {
    pub(crate) image: Image,
    pub(crate) referrer: Image,
    pub(crate) second: Image,
    pub(crate) fallback: Image,
    pub(crate) signature: Image,
}

/// Made once, since compressing their layers takes most of the time of a history.
pub(crate) static FAMILIES: LazyLock<Vec<Family>> = LazyLock::new(|| {
    let small: Vec<Image> = (1..=4).map(Image::small).collect();
    let multi = Image::multi_arch(7);
    let pair = Image::index(Format::Oci, &[&small[0], &small[2]]);
    let nested = Image::index(Format::Oci, &[&small[1], &pair]);
    small.into_iter().chain([multi, pair, nested]).map(Family::of).collect()
});

impl Family {
    fn of(image: Image) -> Self {
        let referrer = Image::referrer_of(&image, "application/spdx+json", "packages");
        let second = Image::referrer_of(&referrer, "application/vnd.scan+json", "findings");
        let fallback = Image::fallback_index(&[&referrer]);
        let signature = Image::cosign_signature_of(&image);
        Self { image, referrer, second, fallback, signature }
    }
}
