//! A finding of a check: what is wrong, what follows from it, what helps.

use serde::{Serialize, Serializer};

use crate::model::{Escaped, RepoName, Spot, finding_text, not_too_long};

/// How much a finding matters. The order is the order of weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingSeverity {
    /// It matters to some, or to nobody.
    Note,
    /// It is in the way of something, and nothing is lost by it.
    Warning,
    /// It could not be looked at, so nobody knows.
    Doubt,
    /// Something does not pull, or is about to be lost.
    Broken,
}

/// Stable codes of findings, for scripts and alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FindingCode {
    /// A tag has no `current/link`.
    TagLinkMissing,
    /// A tag's link has zero bytes.
    TagLinkEmpty,
    /// A tag's link holds no digest.
    TagLinkGarbled,
    /// A tag's past has a link that is no such link; nothing but the past is in it.
    TagHistoryDamaged,
    /// A tag needs a manifest that its repository has no link of.
    RevisionLinkMissing,
    /// A revision's link has zero bytes.
    RevisionLinkEmpty,
    /// A revision's link holds no digest.
    RevisionLinkGarbled,
    /// A revision's link names another manifest than the directory it is in.
    RevisionLinkOther,
    /// A revision's link names a manifest that is not there, and no tag needs it.
    RevisionLinkDangling,
    /// A tag needs a blob that its repository has no link of.
    LayerLinkMissing,
    /// A layer link has zero bytes.
    LayerLinkEmpty,
    /// A layer link holds no digest.
    LayerLinkGarbled,
    /// A layer link names another blob than the directory it is in.
    LayerLinkOther,
    /// Layer links name blobs that are not there: the registry's collector leaves them.
    LayerLinkDangling,
    /// A tag names a manifest that is not there.
    ManifestMissing,
    /// An index lists a manifest that is not there.
    ChildMissing,
    /// A manifest has zero bytes.
    ManifestEmpty,
    /// A manifest ends in the middle.
    ManifestCutShort,
    /// A manifest's bytes have another digest.
    ManifestWrongHash,
    /// A manifest's bytes are right, and it is none that is known.
    ManifestUnknown,
    /// A layer or a configuration is not there.
    BlobMissing,
    /// A blob's directory is there, and its data is not.
    BlobWithoutData,
    /// A blob has zero bytes.
    BlobEmpty,
    /// A blob is shorter or longer than every manifest says, and its bytes are not its own.
    BlobWrongSize,
    /// A manifest claims another size than a blob has whose bytes are right.
    WrongSizeClaim,
    /// More parts of a manifest are missing than are told one by one.
    MorePartsMissing,
    /// A blob's bytes have another digest.
    BlobWrongHash,
    /// A repository has manifests and no `_layers`.
    LayersDirectoryMissing,
    /// A blob or a layer link that is hidden from the registry, and that no list of a sweep tells of.
    HiddenLeftover,
    /// A temporary file that nobody will rename.
    StrayTemporaryFile,
    /// An upload that nobody goes on with.
    StaleUpload,
    /// An upload that does not say when it began, which the registry never purges.
    UploadWithoutStart,
    /// A name that the registry does not make.
    OddName,
    /// A symbolic link or another kind of file, which is not followed.
    OddKind,
    /// Something could not be looked at.
    Unreadable,
}

impl FindingCode {
    /// The code as it stands in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TagLinkMissing => "tag-link-missing",
            Self::TagLinkEmpty => "tag-link-empty",
            Self::TagLinkGarbled => "tag-link-garbled",
            Self::TagHistoryDamaged => "tag-history-damaged",
            Self::RevisionLinkMissing => "revision-link-missing",
            Self::RevisionLinkEmpty => "revision-link-empty",
            Self::RevisionLinkGarbled => "revision-link-garbled",
            Self::RevisionLinkOther => "revision-link-other",
            Self::RevisionLinkDangling => "revision-link-dangling",
            Self::LayerLinkMissing => "layer-link-missing",
            Self::LayerLinkEmpty => "layer-link-empty",
            Self::LayerLinkGarbled => "layer-link-garbled",
            Self::LayerLinkOther => "layer-link-other",
            Self::LayerLinkDangling => "layer-link-dangling",
            Self::ManifestMissing => "manifest-missing",
            Self::ChildMissing => "child-missing",
            Self::ManifestEmpty => "manifest-empty",
            Self::ManifestCutShort => "manifest-cut-short",
            Self::ManifestWrongHash => "manifest-wrong-hash",
            Self::ManifestUnknown => "manifest-unknown",
            Self::BlobMissing => "blob-missing",
            Self::BlobWithoutData => "blob-without-data",
            Self::BlobEmpty => "blob-empty",
            Self::BlobWrongSize => "blob-wrong-size",
            Self::WrongSizeClaim => "wrong-size-claim",
            Self::MorePartsMissing => "more-parts-missing",
            Self::BlobWrongHash => "blob-wrong-hash",
            Self::LayersDirectoryMissing => "layers-directory-missing",
            Self::HiddenLeftover => "hidden-leftover",
            Self::StrayTemporaryFile => "stray-temporary-file",
            Self::StaleUpload => "stale-upload",
            Self::UploadWithoutStart => "upload-without-start",
            Self::OddName => "odd-name",
            Self::OddKind => "odd-kind",
            Self::Unreadable => "unreadable",
        }
    }
}

impl Serialize for FindingCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Something that is wrong, with what follows from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: FindingSeverity,
    /// Its stable code.
    pub code: FindingCode,
    /// The repository it is in, when it is in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepoName>,
    /// Where, below the registry's root directory.
    pub path: String,
    /// What was found.
    #[serde(serialize_with = "not_too_long")]
    pub cause: String,
    /// What does not work because of it.
    #[serde(serialize_with = "not_too_long")]
    pub consequence: String,
    /// What a person can do.
    pub remedy: String,
    /// Every tag that does not pull because of it, as `team/app:v3`.
    pub tags: Vec<String>,
    /// The same place, for whoever mends it.
    #[serde(skip)]
    pub spot: Spot,
    /// Whether the repository is known to have had what a damaged link leads to. Only then is the link written again:
    /// it would else give away what somebody merely names.
    #[serde(skip)]
    pub was_there: bool,
}

impl Finding {
    /// The consequence, the cause, the place and the remedy: each is one line, whatever names from the store are in it.
    pub fn lines(&self) -> [String; 4] {
        let texts = [&self.consequence, &self.cause, &self.path, &self.remedy];
        texts.map(|text| Escaped(finding_text(text)).to_string())
    }
}
