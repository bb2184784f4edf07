//! What the trash holds for undo, read without changing anything.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::io::{Dir, Kind};
use super::links::{self, Link};
use super::scan::unreadable;
use super::{Store, layout};
use crate::model::{
    Code, Digests, Inventory, Place, Problem, RepoName, Severity, TagName, UndoSweep, UndoTrash, Undoable,
};
use crate::stop::{Interrupted, Stop};

/// It holds one time.
const TIME_MAX_BYTES: u64 = 4096;
/// It has a line for each tag; without it, no reason is told.
const REASONS_MAX_BYTES: u64 = 256 << 20;

/// When a sweep removed what lies beside this file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RemovedAt {
    pub(super) removed_at: Timestamp,
}

/// A tag that was removed, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedTag {
    /// The repository.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// Why.
    pub reasons: Vec<RemovedReason>,
    /// What its index lists and its repository did not have when it was removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacked: Vec<String>,
}

/// Why a tag was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedReason {
    /// The stable code.
    pub code: String,
    /// The same in words.
    pub text: String,
}

/// A tag's place in the trash.
struct Found {
    place: Place,
    path: String,
}

impl Store {
    /// Reads what the trash holds for undo into an inventory. Where there is nothing, that is one
    /// operation.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for.
    pub fn look_at_undo(&self, inventory: &mut Inventory, stop: &Stop) -> Result<Vec<Problem>, Interrupted> {
        let (undo, problems) = self.undo_trash_into(&Mutex::new(&mut inventory.digests), stop)?;
        inventory.undo = undo;
        inventory.hold_undoable();
        Ok(problems)
    }

    pub(super) fn undo_trash_into(
        &self,
        digests: &Mutex<&mut Digests>,
        stop: &Stop,
    ) -> Result<(UndoTrash, Vec<Problem>), Interrupted> {
        let mut trash = UndoTrash::default();
        let mut problems = Vec::new();
        let top = format!("{}/{}", layout::JANITOR, layout::UNDO);
        let listed = self.io.open_dir(&self.data, &top).and_then(|dir| {
            let entries = self.io.list(&dir)?;
            Ok((dir, entries))
        });
        let (dir, entries) = match listed {
            Ok(listed) => listed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((trash, problems)),
            Err(error) => {
                problems.push(unreadable(top.as_ref(), None, &error));
                return Ok((trash, problems));
            }
        };
        for entry in entries {
            stop.check()?;
            if entry.kind != Kind::Dir {
                problems.push(unknown(&dir, &entry.name));
                continue;
            }
            let removed_at = self.removed_at(&dir, &entry.name);
            let sweep = Arc::new(UndoSweep { id: entry.name, removed_at });
            let troubles = Mutex::new(Vec::new());
            let found = self.pool.install(|| self.find_tags(&dir, &sweep.id, "", &troubles));
            let read = |found: &Found| {
                stop.check()?;
                Ok(self.undoable(&dir, &sweep, found, digests).unwrap_or_else(|problem| {
                    troubles.lock().unwrap_or_else(PoisonError::into_inner).push(*problem);
                    None
                }))
            };
            trash.tags.extend(self.each(&found, read)?.into_iter().flatten());
            problems.append(&mut troubles.into_inner().unwrap_or_else(PoisonError::into_inner));
            trash.sweeps.push(sweep);
        }
        trash.sweeps.sort_by(|a, b| (a.removed_at, &a.id).cmp(&(b.removed_at, &b.id)));
        trash.tags.sort_by(|a, b| {
            let key = |it: &Undoable| (it.sweep.removed_at, it.sweep.id.clone());
            (&a.repository, &a.tag).cmp(&(&b.repository, &b.tag)).then_with(|| key(a).cmp(&key(b)))
        });
        Ok((trash, problems))
    }

    /// What a sweep wrote down of the tags that it removed, by repository and tag, as far as it is still known.
    pub fn told_of_removed(&self, sweep: &UndoSweep) -> HashMap<(String, String), RemovedTag> {
        let path = format!("{}/{}/{}/{}", layout::JANITOR, layout::UNDO, sweep.id, layout::REASONS);
        let read = self.io.read(&self.data, &path, REASONS_MAX_BYTES).ok();
        let parsed: Option<Vec<RemovedTag>> = read.and_then(|it| serde_json::from_slice(&it.bytes).ok());
        parsed.into_iter().flatten().map(|it| ((it.repository.clone(), it.tag.clone()), it)).collect()
    }

    /// When a sweep removed what it did. Where it has not said so, it was not before the sweep began,
    /// nor before its directory was last changed.
    fn removed_at(&self, undo: &Dir, id: &str) -> Timestamp {
        let read = self.io.read(undo, &format!("{id}/{}", layout::REMOVED), TIME_MAX_BYTES).ok();
        if let Some(told) = read.and_then(|it| serde_json::from_slice::<RemovedAt>(&it.bytes).ok()) {
            return told.removed_at;
        }
        let began = id.split_once('Z').and_then(|(began, _)| {
            let began = DateTime::strptime("%Y%m%dT%H%M%S", began.get(..15)?).ok()?;
            TimeZone::UTC.to_timestamp(began).ok()
        });
        let changed = self.io.stat(undo, id).ok().map(|it| it.modified);
        // What is never due stays, and can be brought back or thrown away by hand.
        began.max(changed).unwrap_or(Timestamp::MAX)
    }

    /// The tags below a directory of the undo trash.
    fn find_tags(&self, undo: &Dir, sweep: &str, below: &str, problems: &Mutex<Vec<Problem>>) -> Vec<Found> {
        let path = if below.is_empty() { sweep.to_owned() } else { format!("{sweep}/{below}") };
        let trouble = |problem| problems.lock().unwrap_or_else(PoisonError::into_inner).push(problem);
        let listed = self.io.open_dir(undo, &path).and_then(|dir| self.io.list(&dir));
        let entries = match listed {
            Ok(entries) => entries,
            Err(error) => {
                // Without the lock, it may go at any time.
                if error.kind() != io::ErrorKind::NotFound || self.is_in(undo, &path) {
                    trouble(unreadable(&undo.path().join(&path), None, &error));
                }
                return Vec::new();
            }
        };
        let found = |entry: super::Entry| -> Vec<Found> {
            let inner = if below.is_empty() { entry.name.clone() } else { format!("{below}/{}", entry.name) };
            match layout::place(&inner) {
                Some(place @ Place::Tag(..)) => vec![Found { place, path: format!("{sweep}/{inner}") }],
                None if entry.kind == Kind::Dir => self.find_tags(undo, sweep, &inner, problems),
                None if below.is_empty() && layout::is_record(&entry.name) => Vec::new(),
                Some(_) | None => {
                    trouble(unknown(undo, &format!("{sweep}/{inner}")));
                    Vec::new()
                }
            }
        };
        entries.into_par_iter().flat_map_iter(found).collect()
    }

    fn undoable(
        &self,
        undo: &Dir,
        sweep: &Arc<UndoSweep>,
        Found { place, path }: &Found,
        digests: &Mutex<&mut Digests>,
    ) -> Result<Option<Undoable>, Box<Problem>> {
        let Place::Tag(repository, tag) = place else { return Ok(None) };
        let link = format!("{sweep}/{}/{}", layout::parent(place), layout::link(place), sweep = sweep.id);
        let doubt = |code, cause: String| {
            Err(Box::new(Problem {
                severity: Severity::Doubt,
                code,
                repository: Some(repository.clone()),
                path: undo.path().join(&link).display().to_string(),
                cause: format!("of the removed tag {repository}:{tag}: {cause}"),
                remedy:
                    "move it out of the trash, or empty the trash; until then it is unknown what it keeps"
                        .into(),
            }))
        };
        match links::read(&self.io, undo, &link) {
            Link::To(digest, pushed_at) => Ok(Some(Undoable {
                sweep: Arc::clone(sweep),
                repository: repository.clone(),
                tag: tag.clone(),
                manifest: digests.lock().unwrap_or_else(PoisonError::into_inner).intern(&digest),
                pushed_at,
            })),
            Link::Missing if !self.is_in(undo, path) => Ok(None),
            Link::Missing => doubt(Code::TagWithoutLink, "its directory is there, its link is not".into()),
            Link::Bad(cause) => doubt(Code::BadLink, cause),
            Link::Unreadable(error) => {
                Err(Box::new(unreadable(&undo.path().join(&link), Some(repository), &error)))
            }
        }
    }

    fn is_in(&self, dir: &Dir, path: &str) -> bool {
        !matches!(self.io.stat(dir, path), Err(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

/// What is told of removed tags that no image can be brought back of.
pub(super) fn without_repository(repository: &RepoName, tags: &[&TagName]) -> Problem {
    let tags: Vec<&str> = tags.iter().map(|tag| tag.as_str()).collect();
    Problem {
        severity: Severity::Warning,
        code: Code::Undo,
        repository: Some(repository.clone()),
        path: format!("{}/{}", layout::JANITOR, layout::UNDO),
        cause: format!(
            "the repository {repository} is gone, so its removed tags ({}) cannot be brought back",
            tags.join(", ")
        ),
        remedy: "nothing; they go when their time is over".into(),
    }
}

fn unknown(undo: &Dir, path: &str) -> Problem {
    Problem {
        severity: Severity::Doubt,
        code: Code::OddName,
        repository: None,
        path: undo.path().join(path).display().to_string(),
        cause: "this version does not know what it is, so it is unknown what it keeps".into(),
        remedy: "move it out of the trash, or empty the trash".into(),
    }
}
