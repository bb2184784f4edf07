//! Ages of what may go: read for candidates only.

use std::io;

use jiff::Timestamp;

use super::io::{Attributes, Dir, Kind};
use super::links::{self, Link};
use super::scan::{odd, unreadable};
use super::told::Told;
use super::{Store, layout};
use crate::model::{BlobAge, Code, Digest, Digests, Id, LinkAge, Place, Problem, Severity, Sizes};
use crate::stop::{Interrupted, Stop};

/// Ages of blobs.
#[derive(Debug, Default)]
pub struct BlobAges {
    /// Those that have data.
    pub blobs: Vec<BlobAge>,
    /// Directories without data, and when they were last touched.
    pub hollow: Vec<(Id, Timestamp)>,
    /// What could not be looked at.
    pub problems: Vec<Problem>,
}

/// How many files are looked at before the answers are gone through, so that what is under way does
/// not grow with the store.
pub const PART: usize = 8192;

/// `sha256:` and 64 digits.
const LAYER_LINK_BYTES: u64 = 71;

enum Aged {
    Blob(BlobAge),
    Hollow(Id, Timestamp),
    Unknown(Box<Problem>),
}

impl Store {
    /// Reads revision links: one open and one read each.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for.
    pub fn link_ages(
        &self,
        places: impl IntoIterator<Item = Place>,
        stop: &Stop,
    ) -> Result<Vec<LinkAge>, Interrupted> {
        self.by_parent(places, |dir, place| {
            stop.check()?;
            let dir = match dir {
                Ok(dir) => dir,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(LinkAge::Gone),
                Err(error) => {
                    let path = layout::parent(place);
                    return Ok(LinkAge::Doubt(Box::new(unreadable(
                        path.as_ref(),
                        Some(place.repository()),
                        error,
                    ))));
                }
            };
            Ok(match links::read(&self.io, dir, &layout::link(place)) {
                Link::To(digest, written) if link_matches(place, &digest) => LinkAge::Written(written),
                Link::To(digest, _) => {
                    LinkAge::Doubt(Box::new(bad_link(place, format!("the link names {digest}"))))
                }
                Link::Bad(cause) => LinkAge::Doubt(Box::new(bad_link(place, cause))),
                Link::Unreadable(error) => {
                    let path = dir.path().join(layout::link(place));
                    LinkAge::Doubt(Box::new(unreadable(&path, Some(place.repository()), &error)))
                }
                Link::Missing => match self.io.stat(dir, &layout::file_name(place)) {
                    Ok(attributes) => LinkAge::Empty(attributes.modified.max(attributes.changed)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => LinkAge::Gone,
                    Err(error) => {
                        LinkAge::Doubt(Box::new(unreadable(dir.path(), Some(place.repository()), &error)))
                    }
                },
            })
        })
    }

    /// How old revision links are: one stat each, and a closer look only at those that are not as long as a link is.
    /// What they say is read where they are taken away.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for.
    pub fn revision_ages(
        &self,
        places: impl IntoIterator<Item = Place>,
        stop: &Stop,
    ) -> Result<Vec<LinkAge>, Interrupted> {
        let written = |dir: Result<&Dir, &io::Error>, place: &Place| {
            stop.check()?;
            let stat = dir.ok().and_then(|dir| self.io.stat(dir, &layout::link(place)).ok());
            Ok(stat.filter(|link| is_as_long_as_a_link(place, link)).map(|link| link.modified))
        };
        let (mut ages, mut odd) = (Vec::new(), Vec::new());
        self.each_by_parent(places, written, |place, written| {
            if written.is_none() {
                odd.push((ages.len(), place));
            }
            ages.push(written.map_or(LinkAge::Gone, LinkAge::Written));
        })?;
        let closer = self.link_ages(odd.iter().map(|(_, place)| place.clone()), stop)?;
        for ((at, _), age) in odd.into_iter().zip(closer) {
            ages[at] = age;
        }
        Ok(ages)
    }

    /// The places among these without a link, or with one that is not as long as a link is: one stat each.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for.
    pub fn dead_links(
        &self,
        places: impl IntoIterator<Item = Place>,
        stop: &Stop,
    ) -> Result<Vec<Place>, Interrupted> {
        let is_good = |dir: Result<&Dir, &io::Error>, place: &Place| {
            stop.check()?;
            let stat = dir.ok().and_then(|dir| self.io.stat(dir, &layout::link(place)).ok());
            Ok(stat.is_some_and(|link| is_as_long_as_a_link(place, &link)))
        };
        let mut dead = Vec::new();
        self.each_by_parent(places, is_good, |place, is_good| dead.extend((!is_good).then_some(place)))?;
        Ok(dead)
    }

    /// The links among these that cannot be trusted: one stat each, and a closer look only at what is
    /// not as long as a link. Something may be writing it, so that look is taken twice. No link at all is
    /// bad where they `are_needed`.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for.
    pub fn bad_links(
        &self,
        places: impl IntoIterator<Item = Place>,
        are_needed: bool,
        stop: &Stop,
    ) -> Result<Vec<Problem>, Interrupted> {
        let odd = self.dead_links(places, stop)?;
        if odd.is_empty() {
            return Ok(Vec::new());
        }
        stop.wait(super::scan::WRITE_IN_PROGRESS)?;
        let ages = self.link_ages(odd.iter().cloned(), stop)?;
        let doubts = odd.iter().zip(ages).filter_map(|(place, age)| match age {
            LinkAge::Doubt(problem) => Some(*problem),
            LinkAge::Empty(_) if are_needed => Some(bad_link(place, "the link is missing".into())),
            // A directory without a link is what the registry's own delete leaves.
            LinkAge::Written(_) | LinkAge::Ahead { .. } | LinkAge::Empty(_) | LinkAge::Gone => None,
        });
        Ok(doubts.collect())
    }

    /// When links were last written, handed on with whatever stands for each of them: one stat each. `None` when there
    /// is no link; what cannot be looked at, or is no file, counts as just written, which keeps, and is told.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for.
    pub fn link_times<T: Sync>(
        &self,
        links: impl IntoIterator<Item = (T, Place)>,
        stop: &Stop,
        mut take: impl FnMut(T, Option<Timestamp>),
    ) -> Result<Vec<Problem>, Interrupted> {
        let problem = |path: String, place: &Place, error: &io::Error| {
            (Some(Timestamp::MAX), Some(Box::new(unreadable(path.as_ref(), Some(place.repository()), error))))
        };
        let time = |dir: Result<&Dir, &io::Error>, (_, place): &(T, Place)| {
            stop.check()?;
            let dir = match dir {
                Ok(dir) => dir,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((None, None)),
                Err(error) => return Ok(problem(layout::parent(place), place, error)),
            };
            Ok(match self.io.stat(dir, &layout::link(place)) {
                Ok(link) if link.kind == Kind::File => (Some(link.modified), None),
                Ok(_) => (Some(Timestamp::MAX), Some(Box::new(no_file(dir, &layout::link(place))))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => (None, None),
                Err(error) => {
                    problem(format!("{}/{}", layout::parent(place), layout::link(place)), place, &error)
                }
            })
        };
        let mut problems = Told::default();
        self.each_by_parent(links, time, |(it, _), (written, problem)| {
            if let Some(problem) = problem {
                problems.push(*problem);
            }
            take(it, written);
        })?;
        Ok(problems.into_problems())
    }

    /// Ages and sizes of blobs: two stats each. A blob that is gone has no entry, and a directory
    /// without data, which an interrupted collector leaves, is told apart.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for.
    pub fn blob_ages(&self, digests: &Digests, blobs: &[Id], stop: &Stop) -> Result<BlobAges, Interrupted> {
        let age = |blob: &Id| {
            stop.check()?;
            let dir = format!("{}/{}", layout::BLOBS, layout::blob_dir(&digests.get(*blob)));
            let data = self.io.stat(&self.root, &format!("{dir}/data"));
            let holder = self.io.stat(&self.root, &dir);
            Ok(match (data, holder) {
                (Ok(data), Ok(_)) if data.kind != Kind::File => {
                    Some(Aged::Unknown(Box::new(no_file(&self.root, &format!("{dir}/data")))))
                }
                (Ok(data), Ok(holder)) => Some(Aged::Blob(BlobAge {
                    blob: *blob,
                    newest: data.modified.max(data.changed).max(holder.modified),
                    times: [data.modified, data.changed, holder.modified],
                    size_bytes: data.size_bytes,
                    // What has another name elsewhere, as a backup by hard links does, is not freed with this one.
                    allocated_bytes: if data.names > 1 { 0 } else { data.allocated_bytes },
                })),
                (Err(error), Ok(holder)) if error.kind() == io::ErrorKind::NotFound => {
                    Some(Aged::Hollow(*blob, holder.modified.max(holder.changed)))
                }
                (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => None,
                (Err(error), _) | (_, Err(error)) => {
                    Some(Aged::Unknown(Box::new(unreadable(dir.as_ref(), None, &error))))
                }
            })
        };
        let mut found = BlobAges::default();
        for age in self.each(blobs, age)?.into_iter().flatten() {
            match age {
                Aged::Blob(age) => found.blobs.push(age),
                Aged::Hollow(blob, touched) => found.hollow.push((blob, touched)),
                Aged::Unknown(problem) => found.problems.push(*problem),
            }
        }
        Ok(found)
    }

    /// The blobs among these whose data is not there, or not as long as manifests say, then with the length that it has:
    /// one stat each. A size of 0 is one that nobody told.
    ///
    /// # Errors
    /// [`Interrupted`] when a stop was asked for.
    pub fn lost_blobs(
        &self,
        digests: &Digests,
        sizes: &Sizes,
        blobs: &[Id],
        stop: &Stop,
    ) -> Result<Vec<(Id, Option<u64>)>, Interrupted> {
        let lost = |blob: &Id| {
            stop.check()?;
            let size = sizes.of(*blob);
            let data = format!("{}/{}/data", layout::BLOBS, layout::blob_dir(&digests.get(*blob)));
            Ok(match self.io.stat(&self.root, &data) {
                Ok(data) if data.kind == Kind::File && (size == 0 || data.size_bytes == size) => None,
                Ok(data) if data.kind == Kind::File => Some((*blob, Some(data.size_bytes))),
                Ok(_) | Err(_) => Some((*blob, None)),
            })
        };
        let mut all = Vec::new();
        for part in blobs.chunks(PART) {
            all.extend(self.each(part, lost)?.into_iter().flatten());
        }
        Ok(all)
    }
}

fn is_as_long_as_a_link(place: &Place, link: &Attributes) -> bool {
    let length = match place {
        Place::Tag(..) => None,
        Place::Revision(_, digest) => Some(digest.to_string().len() as u64),
        // Whatever it is named after, it names the blob, and blobs are stored under sha256.
        Place::Layer(..) => Some(LAYER_LINK_BYTES),
    };
    link.kind == Kind::File && Some(link.size_bytes) == length
}

/// A revision's link names the directory it is in; a sha512 layer link is an alias and need not.
pub(super) fn link_matches(place: &Place, linked: &Digest) -> bool {
    match place {
        Place::Revision(_, digest) => digest == linked,
        Place::Layer(_, digest) => digest == linked || digest.algorithm() != linked.algorithm(),
        Place::Tag(..) => true,
    }
}

/// What lies where a registry has a file, and is none: it is left alone.
fn no_file(dir: &Dir, path: &str) -> Problem {
    odd(Severity::Warning, Code::OddKind, None, &dir.path().join(path), "not a file")
}

fn bad_link(place: &Place, cause: String) -> Problem {
    Problem {
        severity: Severity::Doubt,
        code: Code::BadLink,
        repository: Some(place.repository().clone()),
        path: layout::told(&format!("{}/{}", layout::parent(place), layout::link(place))),
        cause,
        remedy: "push the image again".into(),
    }
}
