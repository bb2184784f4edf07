//! When somebody last pushed, as far as directories' times tell: a few stats for each repository.
//!
//! Every blob that is uploaded comes and goes in `_uploads`; a blob that is mounted gets a layer link, a
//! new manifest a revision, a new tag a directory. An upload that takes long is seen by its data.

use std::collections::HashSet;

use jiff::Timestamp;

use super::io::Kind;
use super::{Store, layout};
use crate::model::{Algorithm, Place, Repository};
use crate::stop::{Interrupted, Stop};

/// Directories that the sweep itself has changed, so that their times do not tell of pushes.
#[derive(Debug)]
pub struct OwnTouches {
    parents: HashSet<String>,
    until: Timestamp,
}

impl Default for OwnTouches {
    fn default() -> Self {
        Self { parents: HashSet::new(), until: Timestamp::MIN }
    }
}

impl OwnTouches {
    /// Things were taken from these places, or put back.
    pub fn add<'a>(&mut self, places: impl IntoIterator<Item = &'a Place>) {
        self.parents.extend(places.into_iter().map(layout::parent));
    }

    /// From now on, the sweep leaves these directories alone.
    pub const fn end(&mut self, now: Timestamp) {
        self.until = now;
    }

    fn explains(&self, path: &str, at: Timestamp) -> bool {
        at <= self.until && self.parents.contains(path)
    }
}

/// A trace of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// When it was left.
    pub at: Timestamp,
    /// Where, below the registry's tree.
    pub path: String,
}

impl Store {
    /// The newest trace of a push to these repositories that is no younger than a time: what is dated
    /// later was not left by a push. What cannot be looked at tells nothing.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for.
    pub fn last_push(
        &self,
        repositories: &[Repository],
        own: &OwnTouches,
        youngest: Timestamp,
        stop: &Stop,
    ) -> Result<Option<Trace>, Interrupted> {
        let of_one = |repository: &Repository| {
            stop.check()?;
            let traces = self.traces(repository, own).into_iter();
            Ok(traces.filter(|trace| trace.at <= youngest).max_by_key(|trace| trace.at))
        };
        Ok(self.each(repositories, of_one)?.into_iter().flatten().max_by_key(|trace| trace.at))
    }

    fn traces(&self, repository: &Repository, own: &OwnTouches) -> Vec<Trace> {
        let name = layout::repository(&repository.name);
        let algorithm = Algorithm::Sha256.as_str();
        let uploads = format!("{name}/{}", layout::UPLOADS);
        let mut paths = vec![
            format!("{name}/{}/{algorithm}", layout::LAYERS),
            format!("{name}/{}/{algorithm}", layout::REVISIONS),
            format!("{name}/{}", layout::TAGS),
        ];
        if let Ok(dir) = self.io.open_dir(&self.root, &uploads)
            && let Ok(entries) = self.io.list(&dir)
        {
            let open = entries.iter().filter(|entry| entry.kind == Kind::Dir);
            paths.extend(open.map(|upload| format!("{uploads}/{}/data", upload.name)));
        }
        paths.push(uploads);
        let trace = |path: String| {
            // Another host may have pushed just now.
            let at = self.io.stat_now(&self.root, &path).ok()?.modified;
            (!own.explains(&path, at)).then_some(Trace { at, path })
        };
        paths.into_iter().filter_map(trace).collect()
    }
}
