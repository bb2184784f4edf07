//! How far the reading of blobs has come, in a file that is always whole.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::CheckError;
use crate::model::Digest;
use crate::whole_file;

/// Blobs are read in the order of their digests, so one digest tells which have been.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    schema_version: u32,
    /// Every blob up to this one was read.
    #[serde(default)]
    after: Option<String>,
    /// But for these, which were not right.
    #[serde(default)]
    again: BTreeSet<String>,
}

/// The state file; nothing at all where there is none.
#[derive(Debug)]
pub(super) struct State {
    path: Option<PathBuf>,
    content: Content,
    after: Option<Digest>,
}

impl State {
    /// Reads the file; one that is not there yet, or is empty, is a beginning.
    pub(super) fn load(path: Option<&Path>) -> Result<Self, CheckError> {
        let fresh = Content { schema_version: 1, ..Content::default() };
        let Some(path) = path else { return Ok(Self { path: None, content: fresh, after: None }) };
        let failed = |why: String| CheckError::State { path: path.into(), why };
        let content = match std::fs::read(path) {
            Ok(text) if text.is_empty() => fresh,
            Ok(text) => serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => fresh,
            Err(error) => return Err(failed(error.to_string())),
        };
        if content.schema_version != 1 {
            return Err(failed(format!("its schema_version is {}, not 1", content.schema_version)));
        }
        let after = content.after.as_deref().map(str::parse).transpose();
        let after = after.map_err(|error: crate::model::DigestError| failed(error.to_string()))?;
        let state = Self { path: Some(path.into()), content, after };
        // What cannot be kept is told before the work begins, not after it.
        state.save()?;
        Ok(state)
    }

    /// Whether a blob was read, and was right.
    pub(super) fn is_done(&self, blob: &Digest) -> bool {
        self.after.as_ref().is_some_and(|after| blob <= after)
            && !self.content.again.contains(&blob.to_string())
    }

    /// A blob was not right, so the next check reads it again.
    pub(super) fn remember(&mut self, blob: &Digest) {
        self.content.again.insert(blob.to_string());
    }

    /// Every blob up to this one was read.
    pub(super) fn reached(&mut self, blob: &Digest) -> Result<(), CheckError> {
        let after = self.after.take().map_or_else(|| blob.clone(), |after| after.max(blob.clone()));
        self.content.after = Some(after.to_string());
        self.after = Some(after);
        self.save()
    }

    /// Everything was read: the next check begins anew.
    pub(super) fn finish(mut self) -> Result<(), CheckError> {
        self.content = Content { schema_version: 1, ..Content::default() };
        self.save()
    }

    fn save(&self) -> Result<(), CheckError> {
        let Some(path) = &self.path else { return Ok(()) };
        let saved = serde_json::to_vec(&self.content)
            .map_err(std::io::Error::from)
            .and_then(|content| whole_file::replace_durably(path, &content));
        saved.map_err(|error| CheckError::State { path: path.clone(), why: error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_skipped_but_for_what_was_wrong() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        let mut digests = [b"a", b"b", b"c", b"d"].map(|it| Digest::of(it));
        digests.sort_unstable();
        let mut state = State::load(Some(&path)).unwrap();
        assert!(digests.iter().all(|it| !state.is_done(it)));
        state.remember(&digests[0]);
        state.reached(&digests[2]).unwrap();
        let later = State::load(Some(&path)).unwrap();
        assert_eq!(digests.each_ref().map(|it| later.is_done(it)), [false, true, true, false]);
        later.finish().unwrap();
        let anew = State::load(Some(&path)).unwrap();
        assert!(digests.iter().all(|it| !anew.is_done(it)));
    }

    #[test]
    fn another_file_is_not_taken_for_a_state() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notes.txt");
        for text in ["my notes", "{}", r#"{"schema_version":2}"#, r#"{"schema_version":1,"after":"x"}"#] {
            std::fs::write(&path, text).unwrap();
            assert!(State::load(Some(&path)).is_err(), "{text}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "and it is left");
        }
    }
}
