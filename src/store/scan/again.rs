//! Tags whose links could not be made out at first: a registry may have been writing them.

use std::path::Path;

use super::{Scanner, WRITE_IN_PROGRESS, unreadable};
use crate::model::{Code, Problem, Repository, Severity, Tag, TagState};
use crate::stop::Interrupted;
use crate::store::layout;
use crate::store::links::{self, Link};

impl Scanner<'_> {
    /// Gives a registry time to finish what it may be writing, then decides on each doubtful tag.
    pub(super) fn read_doubtful_tags_again(
        &self,
        repositories: &mut [Repository],
    ) -> Result<(), Interrupted> {
        let doubtful = |tag: &Tag| tag.state == TagState::Doubtful;
        if !repositories.iter().any(|repository| repository.tags.iter().any(doubtful)) {
            return Ok(());
        }
        self.stop.wait(WRITE_IN_PROGRESS)?;
        for repository in repositories {
            let name = repository.name.clone();
            let parent = format!("{}/{}", layout::repository(&name), layout::TAGS);
            let mut in_doubt = repository.in_doubt;
            self.stop.check()?;
            repository.tags.retain_mut(|tag| {
                if !doubtful(tag) {
                    return true;
                }
                let path = format!("{parent}/{}", layout::current_link(&tag.name));
                let problem = match links::read(&self.store.io, &self.store.root, &path) {
                    Link::To(digest, pushed_at) => {
                        tag.state = TagState::Linked { digest: self.intern(&digest), pushed_at };
                        return true;
                    }
                    Link::Missing if !self.still_there(&format!("{parent}/{}", tag.name)) => {
                        return false;
                    }
                    Link::Missing => Problem {
                        severity: Severity::Doubt,
                        code: Code::TagWithoutLink,
                        repository: Some(name.clone()),
                        path: layout::told(&path),
                        cause: "the tag's directory is there, its link is not".into(),
                        remedy: "push the tag again, or delete its directory".into(),
                    },
                    Link::Bad(cause) => Problem {
                        severity: Severity::Doubt,
                        code: Code::BadLink,
                        repository: Some(name.clone()),
                        path: layout::told(&path),
                        cause,
                        remedy: "push the tag again".into(),
                    },
                    Link::Unreadable(error) => unreadable(Path::new(&path), Some(&name), &error),
                };
                in_doubt = true;
                self.report(problem);
                true
            });
            repository.in_doubt = in_doubt;
        }
        Ok(())
    }
}
