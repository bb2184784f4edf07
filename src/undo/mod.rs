//! Removed tags: what can be brought back, bringing it back, and throwing it away.

mod choose;
mod empty;
mod list;
mod restore;
mod whole;

use crate::stop::Interrupted;
use crate::store::{LockError, OpenError};
use crate::sweep::SweepError;

pub use empty::Trash;
pub use list::list;
pub use restore::{restore, restore_in};

/// Why nothing was done about removed tags.
#[derive(Debug, thiserror::Error)]
pub enum UndoError {
    /// As for a sweep.
    #[error(transparent)]
    Sweep(#[from] SweepError),
    /// What was asked for is not in the trash.
    #[error("{0}")]
    NotThere(String),
    /// Somebody has to say so, and nobody can be asked.
    #[error("nobody can be asked whether to throw the removed tags away: say --yes, or run it on a terminal")]
    NobodyToAsk,
    /// Somebody said no.
    #[error("nothing was thrown away")]
    Declined,
}

impl UndoError {
    /// The exit code that says the same.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Sweep(error) => error.exit_code(),
            Self::NobodyToAsk => 2,
            Self::NotThere(_) | Self::Declined => 1,
        }
    }
}

impl From<OpenError> for UndoError {
    fn from(error: OpenError) -> Self {
        SweepError::from(error).into()
    }
}

impl From<LockError> for UndoError {
    fn from(error: LockError) -> Self {
        SweepError::from(error).into()
    }
}

impl From<Interrupted> for UndoError {
    fn from(error: Interrupted) -> Self {
        SweepError::from(error).into()
    }
}
