//! The janitor's own collector on stores on disk: cut short at every change, on a storage that errs, and with pushes
//! at the worst moment.

mod crashes;
mod errors;
mod lists;
mod pushes;
mod stage;
