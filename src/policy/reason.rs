//! Why a tag stays or goes: a stable code, and the same in words.

use std::fmt;

use jiff::Timestamp;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::model::{Digest, RepoName, TagName};

/// Why a tag stays or goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Stays: among the newest.
    Newest {
        /// 1 for the newest.
        rank: u32,
        /// How many are kept.
        of: u32,
    },
    /// Stays: a companion of an image that stays.
    FollowsImage {
        /// The image.
        image: Box<Digest>,
    },
    /// Stays: a young companion of an image that is not there (yet).
    ImageMayCome {
        /// The image.
        image: Box<Digest>,
    },
    /// Stays: a companion of an image that another repository keeps.
    ImageElsewhere {
        /// The image.
        image: Box<Digest>,
        /// The repository that keeps it.
        repository: Box<RepoName>,
    },
    /// Stays: a companion of an image that is not in this repository, while part of the store is in doubt.
    ImageUnknown {
        /// The image.
        image: Box<Digest>,
    },
    /// Stays: a tag that is to be kept cannot be pulled completely, so its repository loses none.
    KeptIncomplete {
        /// The tag that is to be kept.
        tag: Box<TagName>,
    },
    /// Stays: pushed at the same time as others that are kept, so that there is no newest.
    EqualPushTime {
        /// How many tags were.
        of: usize,
    },
    /// Stays: its push time is ahead of the clock, so it has no rank.
    TimeAhead,
    /// Stays: its push time cannot be true, and it is among the newest by when it was first seen.
    FirstSeen {
        /// When a sweep first saw it.
        at: Box<Timestamp>,
    },
    /// Stays: something about the repository cannot be trusted.
    InDoubt,
    /// Goes: older than those that are kept.
    BeyondKeepLast {
        /// 1 for the newest.
        rank: u32,
        /// How many are kept.
        keep: u32,
    },
    /// Goes: a companion of an image that goes or is gone.
    ImageGone {
        /// The image.
        image: Box<Digest>,
    },
}

impl Reason {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Newest { .. } => "newest",
            Self::FollowsImage { .. } => "follows-image",
            Self::ImageMayCome { .. } => "image-may-come",
            Self::ImageElsewhere { .. } => "image-elsewhere",
            Self::ImageUnknown { .. } => "image-unknown",
            Self::KeptIncomplete { .. } => "kept-incomplete",
            Self::EqualPushTime { .. } => "equal-push-time",
            Self::TimeAhead => "time-ahead",
            Self::FirstSeen { .. } => "first-seen",
            Self::InDoubt => "in-doubt",
            Self::BeyondKeepLast { .. } => "beyond-keep-last",
            Self::ImageGone { .. } => "image-gone",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest { rank, of } => write!(f, "number {rank} of the newest {of}"),
            Self::FollowsImage { image } => write!(f, "serves {}, which stays", image.short()),
            Self::ImageMayCome { image } => {
                write!(f, "serves {}, which may still be pushed", image.short())
            }
            Self::ImageElsewhere { image, repository } => {
                write!(f, "serves {}, which {repository} keeps", image.short())
            }
            Self::ImageUnknown { image } => write!(
                f,
                "serves {}, which another repository may keep: part of the store is in doubt",
                image.short()
            ),
            Self::KeptIncomplete { tag } => {
                write!(
                    f,
                    "{tag} is to be kept and cannot be pulled completely, so this repository loses no tag"
                )
            }
            Self::EqualPushTime { of } => {
                write!(f, "one of {of} tags pushed at the same time, so there is no newest")
            }
            Self::TimeAhead => {
                f.write_str("its push time is ahead of the clock, so it stays and takes no other tag's place")
            }
            Self::FirstSeen { at } => {
                write!(
                    f,
                    "its push time cannot be true, so it counts as pushed when it was first seen, at {at:.0}"
                )
            }
            Self::InDoubt => f.write_str("something in this repository is in doubt, so it loses no tag"),
            Self::BeyondKeepLast { rank, keep } => {
                write!(f, "number {rank} by push time, {keep} are kept")
            }
            Self::ImageGone { image } => write!(f, "serves {}, which does not stay", image.short()),
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut reason = serializer.serialize_struct("Reason", 2)?;
        reason.serialize_field("code", self.code())?;
        reason.serialize_field("text", &self.to_string())?;
        reason.end()
    }
}
