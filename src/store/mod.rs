//! The registry's tree: everything that reads or changes it.

mod ages;
mod aliases;
mod attributes;
mod batch;
mod birth;
mod blobs;
mod busy;
mod canary;
mod clock;
mod doubt;
mod each;
mod first_seen;
mod hash;
mod hide;
mod hold;
mod io;
mod journal;
mod layout;
mod links;
mod lock;
mod manifests;
mod memory;
mod mend;
mod mutate;
mod pin;
mod quiet;
mod references;
mod remove_tree;
mod removed;
mod reserve;
mod scaffold;
mod scan;
mod seats;
mod sizes;
mod strays;
mod survey;
mod told;
mod trash;
mod trash_sizes;
mod undo;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

pub use ages::{BlobAges, PART};
pub use aliases::LayerLink;
pub use batch::{Back, Batch, Taken};
pub use birth::SeenEmpty;
pub use clock::StorageClock;
pub use hash::Hash;
pub use hide::{Done, Hid};
pub use io::{Attributes, Content, Dir, Entry, Io, IoCounts, Kind, Op, Watch};
pub use layout::{RESTORE, path_of, path_of_repository, place};
pub use lock::{Holder, LockError, StoreLock};
pub use memory::Memory;
pub use mend::Mended;
pub use pin::Pins;
pub use quiet::{OwnTouches, Trace};
pub use references::{ReferencesError, read_references, write_references};
pub use reserve::{FREE_BY_HAND, is_full};
pub use scan::{Look, WRITE_IN_PROGRESS};
pub use sizes::BlobSizes;
pub use trash::Leftovers;
pub use trash_sizes::TrashSizes;
pub use undo::{RemovedReason, RemovedTag};

/// Why a directory cannot be worked on as a registry's store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no store.
    #[error("no registry store at {}: {why}", path.display())]
    NoStore {
        /// The registry's root directory, as configured.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
    /// The store is there and must not be worked on.
    #[error("refused: {0}")]
    Refused(String),
    /// The store could not be looked at.
    #[error("cannot open the store at {}: {source}", path.display())]
    Io {
        /// The registry's root directory, as configured.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The threads could not be started.
    #[error("cannot start the threads for file operations: {0}")]
    Threads(#[from] ThreadPoolBuildError),
}

/// A registry's store.
#[derive(Debug)]
pub struct Store {
    io: Io,
    data_dir: PathBuf,
    data: Dir,
    root: Dir,
    pool: ThreadPool,
    /// Whether something had no room even at the expense of the reserve.
    lacked_room: AtomicBool,
    /// Held by whoever reads a large manifest.
    large_manifests: Mutex<()>,
}

impl Store {
    /// Opens the store below a registry's root directory, and changes nothing.
    ///
    /// `jobs` file operations are made at the same time. `watch` sees every one of them.
    ///
    /// # Errors
    /// [`OpenError`]: no store, a store that must not be worked on, or one that cannot be read.
    pub fn open(data_dir: &Path, jobs: usize, watch: Option<Box<dyn Watch>>) -> Result<Self, OpenError> {
        let io = Io::watched(watch);
        let no_store = |why: &str| OpenError::NoStore { path: data_dir.into(), why: why.into() };
        let failed = |source| OpenError::Io { path: data_dir.into(), source };
        let data = io.open_root(data_dir).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => no_store("the directory does not exist"),
            std::io::ErrorKind::NotADirectory => no_store("it is not a directory"),
            _ => failed(error),
        })?;
        let root = io.open_dir(&data, layout::REGISTRY).map_err(|error| {
            if missing(&error) {
                no_store(&format!(
                    "there is no {} in it; a registry that was never pushed to looks like this, and so does storage that is not mounted",
                    layout::REGISTRY
                ))
            } else {
                failed(error)
            }
        })?;
        let pool = ThreadPoolBuilder::new().num_threads(jobs).thread_name(|n| format!("io-{n}")).build()?;
        pool.install(|| check_parts(&io, &data, &root, data_dir))?;
        Ok(Self {
            io,
            data_dir: data_dir.into(),
            data,
            root,
            pool,
            lacked_room: AtomicBool::new(false),
            large_manifests: Mutex::new(()),
        })
    }

    /// The registry's root directory, as configured.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// How many operations were made so far.
    pub fn io_counts(&self) -> IoCounts {
        self.io.counts()
    }

    /// Whether a path names the same directory as this store's root directory.
    pub fn is_at(&self, path: &Path) -> bool {
        let same = || {
            let theirs = self.io.stat_open(&self.io.open_root(path)?)?;
            let ours = self.io.stat_open(&self.data)?;
            Ok::<_, std::io::Error>((theirs.device, theirs.inode) == (ours.device, ours.inode))
        };
        same().unwrap_or(false)
    }
}

/// Refuses what looks like a part of a store, or like another kind of store.
fn check_parts(io: &Io, data: &Dir, root: &Dir, data_dir: &Path) -> Result<(), OpenError> {
    let part = |dir, name| match io.stat(dir, name) {
        Ok(attributes) => Ok(Some(attributes)),
        Err(error) if missing(&error) => Ok(None),
        Err(source) => Err(OpenError::Io { path: data_dir.into(), source }),
    };
    let at = data_dir.display();
    let within = |name| data_dir.join(layout::REGISTRY).join(name).display().to_string();
    let ((repositories, blobs), (data, proxy_state)) = rayon::join(
        || rayon::join(|| part(root, layout::REPOSITORIES), || part(root, layout::BLOBS)),
        || rayon::join(|| part(data, "."), || part(data, layout::PROXY_STATE)),
    );
    let (repositories, blobs) = (repositories?, blobs?);
    let Some(repositories) = repositories else {
        return Err(if blobs.is_none() {
            OpenError::NoStore {
                path: data_dir.into(),
                why:
                    "it has neither repositories nor blobs; storage that is not fully mounted looks like this"
                        .into(),
            }
        } else {
            OpenError::Refused(format!(
                "{at} has blobs but no repositories, so every blob would be taken for garbage; check that the storage is mounted whole"
            ))
        });
    };
    if blobs.is_some_and(|blobs| blobs.device != repositories.device) {
        return Err(OpenError::Refused(format!(
            "{} and {} are on different file systems; mount both from the same one",
            within(layout::REPOSITORIES),
            within(layout::BLOBS)
        )));
    }
    if data?.is_some_and(|data| data.device != repositories.device) {
        return Err(OpenError::Refused(format!(
            "{at} and {} are on different file systems, so nothing can be moved aside in one step; mount all of it from the same one",
            within(layout::REPOSITORIES)
        )));
    }
    if proxy_state?.is_some() {
        return Err(OpenError::Refused(format!(
            "{at} is the store of a pull-through cache ({} is in it), which expires its content itself; if it no longer is one, delete that file",
            layout::PROXY_STATE
        )));
    }
    Ok(())
}

fn missing(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::NotFound
}
