//! Things that another process has open at this moment.
//!
//! A CIFS server refuses to rename a directory while a file in it is open, and to replace a file that is open. Registries
//! open files for milliseconds, so the answer is to try again for about a second. A storage that refuses for another
//! reason refuses everything, so only the first few failures are worth that wait.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::io::Errno;

/// The pauses between tries, in milliseconds: about a second together.
const PAUSES_MILLIS: [u64; 6] = [20, 40, 80, 160, 300, 400];
/// After this many things that stayed in use, nothing is waited for any more.
const MOST_IN_USE: u32 = 8;

/// How often waiting was in vain so far.
#[derive(Debug, Default)]
pub(super) struct Patience {
    in_vain: AtomicU32,
}

impl Patience {
    /// Tries again while something is in use, until it is free or the wait is over.
    ///
    /// # Errors
    /// The last error. Where it still is in use, an error of the kind [`io::ErrorKind::ResourceBusy`] says so; once too
    /// many things were, the storage's own error is returned at once, because that is no coincidence.
    pub(super) fn retry<T>(&self, first: io::Error, mut act: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        let mut last = first;
        for pause in PAUSES_MILLIS {
            if self.in_vain.load(Ordering::Relaxed) >= MOST_IN_USE {
                return Err(last);
            }
            std::thread::sleep(Duration::from_millis(pause));
            match act() {
                Err(error) if is_busy(&error) => last = error,
                done => return done,
            }
        }
        self.in_vain.fetch_add(1, Ordering::Relaxed);
        Err(in_use(&last))
    }
}

/// Whether this is how a file system answers when something is open: CIFS says that permission is denied.
pub(super) fn is_busy(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::ACCESS | Errno::BUSY | Errno::TXTBSY))
}

fn in_use(error: &io::Error) -> io::Error {
    io::Error::new(
        io::ErrorKind::ResourceBusy,
        format!(
            "in use: the storage refuses to move it while another process has a file in it open ({error})"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> io::Error {
        Errno::ACCESS.into()
    }

    #[test]
    fn what_becomes_free_is_done_and_costs_no_patience() {
        let patience = Patience::default();
        for _ in 0..2 * MOST_IN_USE {
            let mut tries = 0;
            let done = patience.retry(refused(), || {
                tries += 1;
                if tries < 2 { Err(refused()) } else { Ok(()) }
            });
            assert!(done.is_ok());
        }
        assert_eq!(patience.in_vain.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_stays_in_use_is_named_and_a_storage_that_always_refuses_is_not_waited_for() {
        let patience = Patience { in_vain: AtomicU32::new(MOST_IN_USE - 1) };
        let mut tries = 0;
        let mut always = || {
            tries += 1;
            Err::<(), _>(refused())
        };
        let error = patience.retry(refused(), &mut always).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
        for _ in 0..1000 {
            let error = patience.retry(refused(), &mut always).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        }
        assert_eq!(tries, PAUSES_MILLIS.len());
    }

    #[test]
    fn another_error_ends_the_wait() {
        let mut tries = 0;
        let error = Patience::default()
            .retry(refused(), || {
                tries += 1;
                Err::<(), _>(Errno::IO.into())
            })
            .unwrap_err();
        assert_eq!((tries, Errno::from_io_error(&error)), (1, Some(Errno::IO)));
    }
}
