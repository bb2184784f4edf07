//! Many things looked at side by side, as many at a time as the store has jobs.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::Store;
use crate::stop::Interrupted;

impl Store {
    /// Runs something on each thing and says what came of it, in their order. Not to be called from within itself.
    ///
    /// Each thread takes the next thing when it is done with one. Handing them out any cleverer costs more than it
    /// gains, since every one is about as long as a round trip.
    pub(super) fn each<S: Sync, T: Send>(
        &self,
        things: &[S],
        act: impl Fn(&S) -> Result<T, Interrupted> + Sync,
    ) -> Result<Vec<T>, Interrupted> {
        if things.is_empty() {
            return Ok(Vec::new());
        }
        let next = AtomicUsize::new(0);
        let shares = self.pool.broadcast(|_| {
            let mut share = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(thing) = things.get(at) else { return Ok(share) };
                share.push((at, act(thing)?));
            }
        });
        let mut all = Vec::with_capacity(things.len());
        for share in shares {
            all.append(&mut share?);
        }
        all.sort_unstable_by_key(|(at, _)| *at);
        Ok(all.into_iter().map(|(_, done)| done).collect())
    }
}
