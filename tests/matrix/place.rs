//! Where a damage strikes: at an image that stays, one that goes, or one that no tag names.

use janitor_testkit::{Digest, Image};
use serde_json::Value;

use crate::template::{REPOSITORIES, Template};

/// Whose part is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A tag that stays.
    Kept,
    /// A platform of a multi-arch image that stays.
    Child,
    /// A tag that is to go.
    Going,
    /// A manifest that no tag names any more.
    Untagged,
    /// What refers to an image that stays.
    Referrer,
    /// A tag that stays, in a repository inside another one.
    Nested,
    /// A tag that stays, in a repository of its own.
    Other,
}

impl Place {
    /// Whether a kept tag's pull needs it.
    pub(crate) fn is_pulled(self) -> bool {
        matches!(self, Self::Kept | Self::Child | Self::Nested | Self::Other)
    }

    /// Whether a kept tag needs it, pulled with it or not.
    pub(crate) fn is_needed(self) -> bool {
        self.is_pulled() || self == Self::Referrer
    }

    pub(crate) fn target(self, template: &Template) -> Target {
        let (repository, tag, image) = match self {
            Self::Kept => ("app", Some("v3"), &template.versions[2]),
            Self::Child => ("app", Some("multi"), &template.children[0]),
            Self::Going => ("app", Some("v1"), &template.versions[0]),
            Self::Untagged => ("app", None, &template.overwritten),
            Self::Referrer => ("app", None, &template.referrer),
            Self::Nested => ("app/nested", Some("n2"), &template.nested[1]),
            Self::Other => ("lib", Some("l3"), &template.lib[2]),
        };
        Target::new(repository, tag, image)
    }
}

/// What is there to damage.
pub(crate) struct Target {
    pub(crate) repository: &'static str,
    /// The tag that names it, itself or through an index.
    pub(crate) tag: Option<&'static str>,
    pub(crate) manifest: Digest,
    pub(crate) config: Digest,
    /// The layer that only this image has.
    pub(crate) layer: Digest,
}

impl Target {
    fn new(repository: &'static str, tag: Option<&'static str>, image: &Image) -> Self {
        let document: Value = serde_json::from_slice(&image.document().bytes).unwrap();
        let digest = |descriptor: &Value| Digest::parse(descriptor["digest"].as_str().unwrap());
        Self {
            repository,
            tag,
            manifest: image.digest(),
            config: digest(&document["config"]),
            layer: digest(document["layers"].as_array().unwrap().last().unwrap()),
        }
    }

    /// The repositories that have this manifest.
    pub(crate) fn repositories(&self, template: &Template) -> Vec<&'static str> {
        let view = template.view();
        REPOSITORIES.into_iter().filter(|name| view.has_revision(name, &self.manifest)).collect()
    }
}
