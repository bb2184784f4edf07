//! What people are told of each kind of damage: the cause, what follows from it, what helps.

use smallvec::SmallVec;

use super::finding::{Finding, FindingCode, FindingSeverity};
use super::troubles::{Role, Trouble, spot};
use crate::model::{BlobState, Id, LinkState, ManifestState, RepoName, Survey};

pub(super) const PUSH_AGAIN: &str = "push the image again";
/// For what a repair can do.
pub(super) const REPAIR_OR_PUSH: &str = "janitor check --repair, or push the image again";
const STOPS_COLLECTION: &str =
    "no tag needs it, but the registry's garbage-collect stops at it, so no disk space comes back";
/// So many tags are told in a sentence; the list has them all.
const TOLD: usize = 3;

pub(super) fn of_trouble(
    survey: &Survey,
    trouble: Trouble,
    role: Option<Role>,
    is_wrong: bool,
    more: usize,
    tags: Vec<String>,
    was_there: bool,
) -> Finding {
    let found = match trouble {
        Trouble::Tag(r, t) => {
            let tag = &survey.repositories[r].tags[t];
            let code = code_of(
                Some(&tag.current),
                [
                    FindingCode::TagLinkEmpty,
                    FindingCode::TagLinkGarbled,
                    FindingCode::TagLinkGarbled,
                    FindingCode::TagLinkMissing,
                ],
            );
            Found { code, cause: link(survey, Some(&tag.current), "the tag's link"), untagged: None }
        }
        Trouble::Revision(r, id) => revision(survey, r, id),
        Trouble::Layer(r, id) => layer(survey, r, id),
        Trouble::Manifest(id) => manifest(survey, id, role),
        Trouble::Blob(id) => blob(survey, id, is_wrong),
        Trouble::More(id) => Found {
            code: FindingCode::MorePartsMissing,
            cause: format!(
                "{more} more parts of manifest {} are missing, or of another size than it says",
                survey.digests.get(id)
            ),
            untagged: None,
        },
        Trouble::Claim(id) => claim(survey, id),
    };
    let Found { code, cause, untagged } = found;
    let (otherwise, idle) = untagged.unwrap_or((FindingSeverity::Broken, STOPS_COLLECTION));
    let repository = match trouble {
        Trouble::Tag(r, _) | Trouble::Revision(r, _) | Trouble::Layer(r, _) => {
            Some(survey.repositories[r].name.clone())
        }
        Trouble::Manifest(_) | Trouble::Blob(_) | Trouble::More(_) | Trouble::Claim(_) => {
            only_repository(survey, &tags)
        }
    };
    let consequence = match code {
        _ if tags.is_empty() => idle.to_owned(),
        FindingCode::WrongSizeClaim => {
            format!("{} cannot be pulled by clients that check sizes, such as containerd", named(&tags))
        }
        _ => do_not_pull(&tags, &cause),
    };
    // A link under another algorithm is written only where the bytes of a blob prove what it has to say.
    let is_unproven =
        matches!(trouble, Trouble::Layer(_, id) if id.slot().is_none() && survey.proofs.blob(id).is_none());
    let remedy = match (code, tags.is_empty()) {
        _ if is_unproven => PUSH_AGAIN,
        (FindingCode::ManifestUnknown, false) => {
            "delete the tags, or push the image again with another client"
        }
        (FindingCode::BlobWithoutData, true) => "none is needed",
        (FindingCode::RevisionLinkDangling, true) => {
            "janitor check --repair lists what can be mended; a sweep removes manifests that no tag reaches"
        }
        (
            FindingCode::ManifestMissing
            | FindingCode::ChildMissing
            | FindingCode::BlobMissing
            | FindingCode::BlobWithoutData
            | FindingCode::MorePartsMissing
            | FindingCode::TagLinkMissing,
            _,
        ) => PUSH_AGAIN,
        (FindingCode::WrongSizeClaim, _) => "push the image again with a client that writes the right sizes",
        (
            FindingCode::ManifestEmpty
            | FindingCode::ManifestCutShort
            | FindingCode::ManifestWrongHash
            | FindingCode::BlobEmpty
            | FindingCode::BlobWrongSize
            | FindingCode::BlobWrongHash,
            _,
        ) => "janitor check --repair moves it aside; then push the image again",
        _ => REPAIR_OR_PUSH,
    };
    Finding {
        severity: weigh(&tags, otherwise),
        code,
        repository,
        path: String::new(),
        cause,
        consequence,
        remedy: remedy.into(),
        tags,
        spot: spot(survey, trouble),
        was_there,
    }
}

/// What is wrong, and how much it matters where no tag needs it.
struct Found {
    code: FindingCode,
    cause: String,
    untagged: Option<(FindingSeverity, &'static str)>,
}

fn revision(survey: &Survey, r: usize, id: Id) -> Found {
    let digest = survey.digests.get(id);
    let state = survey.repositories[r].revisions.get(&id);
    if matches!(state, Some(LinkState::To(to)) if *to == id) {
        return Found {
            code: FindingCode::RevisionLinkDangling,
            cause: format!("manifest {digest} is missing, and the revision link names it"),
            untagged: Some((FindingSeverity::Warning, STOPS_COLLECTION)),
        };
    }
    let code = code_of(
        state,
        [
            FindingCode::RevisionLinkEmpty,
            FindingCode::RevisionLinkGarbled,
            FindingCode::RevisionLinkOther,
            FindingCode::RevisionLinkMissing,
        ],
    );
    Found {
        code,
        cause: link(survey, state, &format!("the revision link of manifest {digest}")),
        untagged: None,
    }
}

fn layer(survey: &Survey, r: usize, id: Id) -> Found {
    let digest = survey.digests.get(id);
    let state = survey.repositories[r].layers.get(&id);
    let code = code_of(
        state,
        [
            FindingCode::LayerLinkEmpty,
            FindingCode::LayerLinkGarbled,
            FindingCode::LayerLinkOther,
            FindingCode::LayerLinkMissing,
        ],
    );
    let idle = "no tag needs it, but a push that wants it fails until the layer is uploaded again";
    Found {
        code,
        cause: link(survey, state, &format!("the layer link of {digest}")),
        untagged: Some((FindingSeverity::Warning, idle)),
    }
}

fn manifest(survey: &Survey, id: Id, role: Option<Role>) -> Found {
    let digest = survey.digests.get(id);
    let (code, cause) = match survey.manifests.get(&id) {
        Some(ManifestState::Empty) => {
            (FindingCode::ManifestEmpty, format!("manifest {digest} has zero bytes"))
        }
        Some(ManifestState::WrongHash { size_bytes, is_cut_short: true }) => (
            FindingCode::ManifestCutShort,
            format!("manifest {digest} ends in the middle, after {size_bytes} bytes"),
        ),
        Some(ManifestState::WrongHash { size_bytes, is_cut_short: false }) => (
            FindingCode::ManifestWrongHash,
            format!("the {size_bytes} bytes of manifest {digest} have another digest"),
        ),
        Some(ManifestState::Unknown(why)) => {
            (FindingCode::ManifestUnknown, format!("manifest {digest} is none that is known: {why}"))
        }
        _ if survey.blobs.get(&id) == Some(&BlobState::Hollow) => (
            FindingCode::BlobWithoutData,
            format!("manifest {digest} is missing: its directory is there, its data is not"),
        ),
        _ if role == Some(Role::Child) => {
            (FindingCode::ChildMissing, format!("manifest {digest}, which an index lists, is missing"))
        }
        _ => (FindingCode::ManifestMissing, format!("manifest {digest} is missing")),
    };
    Found { code, cause, untagged: None }
}

fn blob(survey: &Survey, id: Id, is_wrong: bool) -> Found {
    let digest = survey.digests.get(id);
    let spreads = "no tag needs it, but a push that finds it there does not upload it again";
    let (code, cause, untagged) = match survey.blobs.get(&id) {
        None => (FindingCode::BlobMissing, format!("layer or configuration {digest} is missing"), spreads),
        Some(BlobState::Hollow) => {
            return Found {
                code: FindingCode::BlobWithoutData,
                cause: format!(
                    "layer or configuration {digest} is missing: its directory is there, its data is not"
                ),
                untagged: Some((
                    FindingSeverity::Note,
                    "nothing: no tag needs it, and a push uploads it anew",
                )),
            };
        }
        Some(BlobState::Data(0)) => {
            (FindingCode::BlobEmpty, format!("layer or configuration {digest} has zero bytes"), spreads)
        }
        Some(_) if is_wrong => (
            FindingCode::BlobWrongHash,
            format!("the bytes of layer or configuration {digest} have another digest"),
            spreads,
        ),
        Some(BlobState::Data(size)) => {
            let claims = claims(survey, id, *size);
            (
                FindingCode::BlobWrongSize,
                format!("layer or configuration {digest} has {size} bytes, and every manifest says {claims}"),
                spreads,
            )
        }
        Some(BlobState::Unreadable) => {
            (FindingCode::BlobMissing, format!("layer or configuration {digest} cannot be read"), spreads)
        }
    };
    Found { code, cause, untagged: Some((FindingSeverity::Broken, untagged)) }
}

fn claim(survey: &Survey, id: Id) -> Found {
    let size = match survey.blobs.get(&id) {
        Some(BlobState::Data(size)) => *size,
        _ => 0,
    };
    let (digest, claims) = (survey.digests.get(id), claims(survey, id, size));
    Found {
        code: FindingCode::WrongSizeClaim,
        cause: format!("{digest} has {size} bytes, which are the right ones, and a manifest says {claims}"),
        untagged: None,
    }
}

/// The sizes that manifests claim and that a blob does not have.
fn claims(survey: &Survey, id: Id, size: u64) -> String {
    let claims = survey.claims.get(&id).map(SmallVec::as_slice).unwrap_or_default();
    let wrong = claims.iter().filter(|claim| **claim != size);
    let told: Vec<String> = wrong.clone().take(TOLD).map(ToString::to_string).collect();
    let others = if wrong.count() > told.len() { " or others" } else { "" };
    told.join(" or ") + others
}

fn link(survey: &Survey, state: Option<&LinkState>, what: &str) -> String {
    match state {
        Some(LinkState::Empty) => format!("{what} is empty"),
        Some(LinkState::Garbled(why)) => format!("{what} is {why}"),
        Some(LinkState::To(other)) => format!("{what} names {}", survey.digests.get(*other)),
        Some(LinkState::Missing | LinkState::Unreadable) | None => format!("{what} is missing"),
    }
}

fn do_not_pull(tags: &[String], cause: &str) -> String {
    let does = if tags.len() == 1 { "does" } else { "do" };
    format!("{} {does} not pull: {cause}", named(tags))
}

fn named(tags: &[String]) -> String {
    let told = tags.iter().take(TOLD).cloned().collect::<Vec<_>>().join(", ");
    match tags.len() {
        n if n <= TOLD => told,
        n => format!("{told} and {} more", n - TOLD),
    }
}

fn only_repository(survey: &Survey, tags: &[String]) -> Option<RepoName> {
    let mut names = tags.iter().filter_map(|tag| tag.rsplit_once(':')).map(|(name, _)| name);
    let first = names.next()?;
    if names.any(|name| name != first) {
        return None;
    }
    survey.repositories.iter().map(|it| &it.name).find(|name| name.as_str() == first).cloned()
}

/// The severity of something that no tag may need.
fn weigh(tags: &[String], otherwise: FindingSeverity) -> FindingSeverity {
    if tags.is_empty() { otherwise } else { FindingSeverity::Broken }
}

/// The codes of a link's damage: empty, garbled, another's, missing.
fn code_of(link: Option<&LinkState>, codes: [FindingCode; 4]) -> FindingCode {
    let [empty, garbled, other, missing] = codes;
    match link {
        Some(LinkState::Empty) => empty,
        Some(LinkState::Garbled(_)) => garbled,
        Some(LinkState::To(_)) => other,
        Some(LinkState::Missing | LinkState::Unreadable) | None => missing,
    }
}
