//! What lies in the directory of a link where there is no link.

use std::io;

use super::io::Dir;
use super::scan::{odd, unreadable};
use super::{Store, layout};
use crate::model::{Code, Place, Problem, Severity};
use crate::stop::{Interrupted, Stop};

impl Store {
    /// For each place, what lies in its directory, or that it cannot be listed; none where it is empty or gone. The
    /// registry 3.1 leaves `link.<uuid>.tmp` there when it is killed.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for.
    pub fn strays(
        &self,
        places: impl IntoIterator<Item = Place>,
        stop: &Stop,
    ) -> Result<Vec<Option<Problem>>, Interrupted> {
        // One that a sweep hid, and whose list is lost.
        let hidden = layout::hidden(layout::LINK);
        self.by_parent(places, |dir: Result<&Dir, &io::Error>, place: &Place| {
            stop.check()?;
            // Without the directory above there is nothing in it, and whoever acts on it says what went wrong.
            let Ok(dir) = dir else { return Ok(None) };
            let name = layout::file_name(place);
            let path = dir.path().join(&name);
            let repository = Some(place.repository());
            Ok(match self.io.open_dir(dir, &name).and_then(|dir| self.io.list(&dir)) {
                Ok(entries) => entries
                    .iter()
                    .find(|it| it.name != hidden && !layout::is_deleted_but_open(&it.name))
                    .map(|entry| {
                        let path = path.join(&entry.name);
                        odd(
                            Severity::Warning,
                            Code::OddName,
                            repository,
                            &path,
                            "not a link, and no link beside it",
                        )
                    }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => Some(unreadable(&path, repository, &error)),
            })
        })
    }
}
