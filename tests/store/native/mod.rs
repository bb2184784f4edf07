//! The janitor's own collector on stores on disk: cut short at every change, on a storage that errs, and with pushes
//! at the worst moment.

#![expect(clippy::disallowed_methods, reason = "what people and the registry do to a store is done here")]

mod aliases;
mod copies;
mod crashes;
mod doubt;
mod errors;
mod lists;
mod oddities;
mod pushes;
mod stage;

pub(crate) use lists::hide_and_end;
pub(crate) use stage::NativeStage;
