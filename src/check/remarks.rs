//! What people are told of what breaks no single tag: missing directories, leftovers, and what is odd.

use super::finding::{Finding, FindingCode, FindingSeverity};
use crate::model::{
    HiddenCopy, HiddenFile, OddKind, Oddity, Place, SHORT_DOS_NAME, SHORT_DOS_NAME_REMEDY, Spot, Surveyed,
    SurveyedTag, Upload, is_short_dos_name,
};

pub(super) fn of_missing_layers(repository: &Surveyed) -> Finding {
    Finding {
        severity: FindingSeverity::Broken,
        code: FindingCode::LayersDirectoryMissing,
        repository: Some(repository.name.clone()),
        path: String::new(),
        cause: "the repository has manifests and no _layers".into(),
        consequence: format!(
            "garbage-collect of registry 2.8 does not see {} and deletes its images; that of 3.x stops",
            repository.name
        ),
        remedy: "janitor check --repair, before the next garbage-collect".into(),
        tags: Vec::new(),
        spot: Spot::Layers(repository.name.clone()),
        was_there: true,
    }
}

pub(super) fn of_dangling_layers(repository: &Surveyed, gone: usize) -> Finding {
    let what = match gone {
        1 => "1 layer link names a blob that is gone".to_owned(),
        n => format!("{n} layer links name blobs that are gone"),
    };
    Finding {
        severity: FindingSeverity::Note,
        code: FindingCode::LayerLinkDangling,
        repository: Some(repository.name.clone()),
        path: String::new(),
        cause: what,
        consequence: "nothing: the registry's collector leaves such links, and a push uploads the blob anew"
            .into(),
        remedy: "none is needed".into(),
        tags: Vec::new(),
        spot: Spot::Layers(repository.name.clone()),
        was_there: true,
    }
}

pub(super) fn of_history(repository: &Surveyed, tag: &SurveyedTag) -> Finding {
    let place = Place::Tag(repository.name.clone(), tag.name.clone());
    Finding {
        severity: FindingSeverity::Note,
        code: FindingCode::TagHistoryDamaged,
        repository: Some(repository.name.clone()),
        path: String::new(),
        cause: "a link in the tag's index is empty, or names another manifest".into(),
        consequence: "nothing: a pull does not look at it".into(),
        remedy: "none is needed".into(),
        tags: Vec::new(),
        spot: Spot::Link(place),
        was_there: true,
    }
}

pub(super) fn of_upload(repository: &Surveyed, upload: &Upload) -> Finding {
    let (code, cause, consequence) = match upload.started {
        Some(started) => (
            FindingCode::StaleUpload,
            format!("the upload began at {started:.0}, and was last written to at {:.0}", upload.touched),
            "it takes up disk space",
        ),
        None => (
            FindingCode::UploadWithoutStart,
            format!(
                "the upload does not say when it began, and was last written to at {:.0}",
                upload.touched
            ),
            "it takes up disk space, and the registry never purges it",
        ),
    };
    Finding {
        severity: FindingSeverity::Note,
        code,
        repository: Some(repository.name.clone()),
        path: String::new(),
        cause,
        consequence: consequence.into(),
        remedy: "janitor check --repair removes it".into(),
        tags: Vec::new(),
        spot: Spot::Upload(repository.name.clone(), upload.id.clone()),
        was_there: true,
    }
}

pub(super) fn of_hidden(copy: &HiddenCopy) -> Finding {
    let (what, repository) = match &copy.file {
        HiddenFile::Blob(digest) => (format!("blob {digest}"), None),
        HiddenFile::Link(repository, digest) => {
            (format!("the layer link of {digest}"), Some(repository.clone()))
        }
    };
    let (cause, consequence) = if copy.is_beside_another {
        (
            format!("an interrupted sweep hid {what}, its list is gone, and another was pushed since"),
            "it takes up disk space, and a sweep does not know of it",
        )
    } else {
        (
            format!("an interrupted sweep hid {what}, and its list is gone"),
            "the registry does not have it until it is brought back",
        )
    };
    Finding {
        severity: FindingSeverity::Warning,
        code: FindingCode::HiddenLeftover,
        repository,
        path: String::new(),
        cause,
        consequence: consequence.into(),
        remedy: "janitor check --repair brings it back, or removes it where a whole one is in its place"
            .into(),
        tags: Vec::new(),
        spot: Spot::Hidden(copy.file.clone()),
        was_there: true,
    }
}

pub(super) fn of_oddity(oddity: &Oddity) -> Finding {
    let name = oddity.path.rsplit('/').next().unwrap_or_default();
    let (severity, code, cause, consequence, remedy) = match &oddity.kind {
        OddKind::Unreadable(cause) => (
            FindingSeverity::Doubt,
            FindingCode::Unreadable,
            cause.clone(),
            "what is in it is unknown, and so is whether everything pulls",
            "check the storage and its permissions; the janitor must run as the registry's user",
        ),
        OddKind::Kind => (
            FindingSeverity::Warning,
            FindingCode::OddKind,
            "neither a directory nor a file".to_owned(),
            "it is not followed, so what is behind it is unknown; a sweep removes no blob beside it",
            "the registry does not make such a thing; move it out of the store",
        ),
        OddKind::Name(what) if is_short_dos_name(name) => (
            FindingSeverity::Warning,
            FindingCode::OddName,
            format!("{what}; {SHORT_DOS_NAME}"),
            "the registry lists it by a name under which nobody pulls it; a sweep removes nothing in its repository, and no blob",
            SHORT_DOS_NAME_REMEDY,
        ),
        OddKind::Name(what) => (
            FindingSeverity::Note,
            FindingCode::OddName,
            (*what).to_owned(),
            "the registry does not look at it",
            "the registry does not make such a thing; move it out of the store",
        ),
        OddKind::Temporary(written) => (
            FindingSeverity::Note,
            FindingCode::StrayTemporaryFile,
            format!("a temporary file that was last written to at {written:.0}"),
            "it takes up disk space, and nothing ever removes it",
            "janitor check --repair removes it",
        ),
    };
    Finding {
        severity,
        code,
        repository: oddity.repository.clone(),
        path: oddity.path.clone(),
        cause,
        consequence: consequence.into(),
        remedy: remedy.into(),
        tags: Vec::new(),
        spot: Spot::Path(oddity.path.clone()),
        was_there: true,
    }
}
