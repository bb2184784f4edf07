//! The file in which the janitor remembers when things with an unbelievable time were first seen.
//!
//! It exists only while there is such a thing. It is believed whole or not at all; without it, everything counts as
//! first seen now, which keeps.

use std::io;

use serde::{Deserialize, Serialize};

use super::{Store, StoreLock, layout, mutate};
use crate::model::{Code, Digest, Problem, SeenThings, Severity};

/// What this janitor writes, and the only thing that it reads.
const FORMAT: u32 = 1;
/// Twice [`MOST_REMEMBERED`](crate::model::MOST_REMEMBERED) entries with the longest names are smaller.
const MAX_BYTES: u64 = 64 << 20;

/// As it is in the file, with a digest of its content.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    format: u32,
    first_seen: SeenThings,
    digest: String,
}

impl Store {
    /// Reads what earlier sweeps remembered: one open, which usually finds no file. A file that is of no use is as
    /// good as none, and a problem.
    pub fn first_seen(&self) -> (SeenThings, Option<Problem>) {
        let path = format!("{}/{}", layout::JANITOR, layout::FIRST_SEEN);
        let (severity, cause) = match self.io.read(&self.data, &path, MAX_BYTES).map(|it| unseal(&it.bytes)) {
            Ok(Ok(things)) => return (things, None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Default::default(),
            Ok(Err(why)) => (Severity::Note, why),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => (Severity::Note, error.to_string()),
            Err(error) => (Severity::Error, error.to_string()),
        };
        let problem = Problem {
            severity,
            code: Code::NoFirstSeen,
            repository: None,
            path,
            cause: format!("cannot read when things dated ahead or behind were first seen: {cause}"),
            remedy: match severity {
                Severity::Note => {
                    "nothing; they count as first seen now, and the next sweep replaces the file".into()
                }
                _ => "check the storage and its permissions; until then they count as first seen now".into(),
            },
        };
        (SeenThings::default(), Some(problem))
    }

    /// Remembers when things were first seen, for the next sweep. Where there is nothing to remember, there is no
    /// file.
    ///
    /// # Errors
    /// When it cannot be written; then what was remembered before is still there.
    pub fn remember_first_seen(&self, lock: &StoreLock, things: &SeenThings) -> io::Result<()> {
        if things.is_empty() {
            return mutate::give_up(&self.io, &lock.dir, layout::FIRST_SEEN);
        }
        let sealed = Sealed { format: FORMAT, digest: seal(things)?, first_seen: things.clone() };
        mutate::write_whole(&self.io, &lock.dir, layout::FIRST_SEEN, &serde_json::to_vec(&sealed)?)
    }
}

fn seal(things: &SeenThings) -> serde_json::Result<String> {
    Ok(Digest::of(&serde_json::to_vec(things)?).to_string())
}

fn unseal(bytes: &[u8]) -> Result<SeenThings, String> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let Format { format } = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if format != FORMAT {
        return Err(format!("another version of the janitor wrote it (format {format}, expected {FORMAT})"));
    }
    let sealed: Sealed = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let digest = seal(&sealed.first_seen).map_err(|error| error.to_string())?;
    if digest != sealed.digest {
        return Err("its digest is not that of its content".into());
    }
    Ok(sealed.first_seen)
}
