//! Reading every blob, part by part, from where an interrupted check had come to.

use crate::config::Deep;
use crate::model::{BlobState, Digest, Id, ManifestState, OddKind, Oddity, Spot, Survey};
use crate::report::check::Hashed;
use crate::stop::Stop;
use crate::store::{Hash, Store, path_of};

use super::CheckError;
use super::progress::Progress;
use super::rate::Rate;
use super::state::State;

/// How many blobs are read before it is kept how far that is.
const PART: usize = 128;

/// The blobs whose bytes are not their own, what could not be read, and how much was.
pub(super) fn hash(
    store: &Store,
    survey: &Survey,
    deep: &Deep,
    stop: &Stop,
) -> Result<(Vec<Digest>, Vec<Oddity>, Hashed), CheckError> {
    // A manifest that was read has its digest already.
    let is_read = |id: &Id| matches!(survey.manifests.get(id), Some(ManifestState::Manifest));
    let unread = survey.blobs.iter().filter(|(id, _)| !is_read(id));
    let sized = unread.filter_map(|(id, state)| match state {
        BlobState::Data(size) => Some((survey.digests.get(*id), *size)),
        BlobState::Hollow | BlobState::Unreadable => None,
    });
    let mut blobs: Vec<(Digest, u64)> = sized.collect();
    blobs.sort_unstable();
    let mut state = State::load(deep.state.as_deref())?;
    let before = blobs.len();
    // What was wrong is read once more: it may have been mended since.
    blobs.retain(|(digest, _)| !state.is_done(digest));
    let mut read_so_far = Hashed { blobs_before: (before - blobs.len()) as u64, ..Hashed::default() };
    let progress = Progress::of(blobs.iter().map(|(_, size)| size).sum());
    let rate = Rate::new(deep.rate);
    let (mut wrong, mut unreadable) = (Vec::new(), Vec::new());
    for part in blobs.chunks(PART) {
        let digests: Vec<Digest> = part.iter().map(|(digest, _)| digest.clone()).collect();
        let found = store.hash_blobs(&digests, |length| {
            progress.add(length);
            rate.wait(length, stop)
        })?;
        for ((digest, size), hash) in part.iter().zip(found) {
            read_so_far.blobs += 1;
            read_so_far.bytes += size;
            match hash {
                Hash::Right | Hash::Gone => continue,
                Hash::Wrong => wrong.push(digest.clone()),
                Hash::Unreadable(error) => unreadable.push(Oddity {
                    path: path_of(&Spot::Blob(digest.clone())),
                    repository: None,
                    kind: OddKind::Unreadable(error.to_string()),
                }),
            }
            state.remember(digest);
        }
        if let Some((last, _)) = part.last() {
            state.reached(last)?;
        }
        stop.check()?;
    }
    progress.finish();
    state.finish()?;
    Ok((wrong, unreadable, read_so_far))
}
