//! The probe's part of a sweep: whether the registries look at the disk, proven before blobs go.

use std::io;

use super::Sweep;
use crate::model::{Canary, Code, Inventory, NameError, Problem, Scratch, Severity};
use crate::probe::{Access, Address, AskError, Client};
use crate::report::CollectionStatus;
use crate::stop::Interrupted;
use crate::store::{StoreLock, is_full};

/// Why blobs are not collected beside a registry; each goes on after the registry's address.
#[derive(Debug, thiserror::Error)]
enum Unproven {
    /// It answers from a cache.
    #[error(
        "remembers blobs that are gone from the disk (a canary was uploaded, taken out of the store, and is still said to be there), so a later push would rely on what is gone\nset REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR='' for every registry on this store, or take storage.cache out of their configuration\nthen restart them all, which empties the cache"
    )]
    Cached,
    /// Its uploads do not come here.
    #[error(
        "is another one, or has another store: what is uploaded there does not come to JANITOR_DATA_DIR={0}; set JANITOR_REGISTRY_URL to the registry of this store"
    )]
    Elsewhere(String),
    /// It could not be asked.
    #[error(
        "could not be asked whether it remembers blobs: {0}; the next sweep tries again (JANITOR_REGISTRY_URL=none goes by its configuration alone)"
    )]
    NotAsked(#[source] Box<AskError>),
    /// The store did not do its part.
    #[error("could not be probed, because of the storage: {0}; the next sweep tries again")]
    Store(#[from] io::Error),
    /// There is no randomness.
    #[error("could not be probed without random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// The scratch repository cannot be named.
    #[error("could not be probed: {0}")]
    Name(#[from] NameError),
    /// A stop was asked for.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl From<AskError> for Unproven {
    fn from(error: AskError) -> Self {
        Self::NotAsked(Box::new(error))
    }
}

impl Unproven {
    fn may_lack_room(&self) -> bool {
        match self {
            Self::NotAsked(error) => matches!(**error, AskError::Odd { .. }),
            Self::Store(error) => is_full(error),
            _ => false,
        }
    }

    const fn status(&self) -> CollectionStatus {
        match self {
            Self::Cached | Self::Elsewhere(_) => CollectionStatus::Refused,
            _ => CollectionStatus::Failed,
        }
    }
}

impl Sweep<'_> {
    /// Proves of every registry whose address is known that it looks at the disk. Otherwise, tells what
    /// speaks against collecting blobs. Each sweep asks once.
    pub(super) fn probe(
        &mut self,
        lock: &StoreLock,
        inventory: &Inventory,
    ) -> Result<Option<(CollectionStatus, String)>, Interrupted> {
        if self.probed.get().is_none() {
            let told = self.probe_all(lock, inventory)?;
            return Ok(self.probed.get_or_init(|| told).clone());
        }
        Ok(self.probed.get().cloned().flatten())
    }

    fn probe_all(
        &mut self,
        lock: &StoreLock,
        inventory: &Inventory,
    ) -> Result<Option<(CollectionStatus, String)>, Interrupted> {
        let Some(access) = &self.config.probe else { return Ok(None) };
        self.remove_scratches(lock);
        for address in &access.addresses {
            let mut proven = self.probe_one(lock, inventory, access, address);
            // On a full disk a registry takes no upload, and the janitor still has some room.
            if proven.as_ref().is_err_and(Unproven::may_lack_room) && self.store.give_up_reserve(lock) {
                proven = self.probe_one(lock, inventory, access, address);
            }
            match proven {
                Ok(()) => tracing::debug!("the registry at {address} looks at the disk"),
                Err(Unproven::Interrupted(interrupted)) => return Err(interrupted),
                Err(unproven) => {
                    let why = format!("blobs are not reclaimed: the registry at {address} {unproven}");
                    return Ok(Some((unproven.status(), why)));
                }
            }
        }
        Ok(None)
    }

    fn probe_one(
        &mut self,
        lock: &StoreLock,
        inventory: &Inventory,
        access: &Access,
        address: &Address,
    ) -> Result<(), Unproven> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)?;
        let scratch = Scratch::new(u128::from_le_bytes(random))?;
        let like = inventory.blobs.first().map(|blob| inventory.digest(*blob));
        let canary = scratch.canary(like.as_ref());
        let proven = self.ask(lock, access, address, &scratch, &canary);
        // Whatever came of it, also when a stop was asked for: nothing is left behind.
        if let Err(error) = self.store.remove_scratch(lock, &scratch) {
            self.failed(scratch.repository().to_string(), &error);
        }
        proven
    }

    fn ask(
        &self,
        lock: &StoreLock,
        access: &Access,
        address: &Address,
        scratch: &Scratch,
        canary: &Canary,
    ) -> Result<(), Unproven> {
        let elsewhere = || Unproven::Elsewhere(self.store.data_dir().display().to_string());
        let mut client = Client::new(access, address);
        self.stop.check()?;
        let upload = client.begin_upload(scratch)?;
        // Seen before anything is uploaded, so that another registry keeps nothing of it. The upload is not
        // broken off: registry 2.8 then leaves a file that it never purges, and what is merely left, it does.
        if !self.store.has_scratch(scratch)? {
            return Err(elsewhere());
        }
        self.stop.check()?;
        client.finish_upload(&upload, canary)?;
        self.stop.check()?;
        // Now a registry with a cache remembers it.
        if !client.has_blob(scratch, &canary.digest)? {
            let request = "the question for what was just uploaded";
            return Err(AskError::Odd { request, answer: "that it is not there".into() }.into());
        }
        if !self.store.has_data(&canary.digest)? {
            return Err(elsewhere());
        }
        self.store.take_canary(lock, scratch, &canary.digest)?;
        self.stop.check()?;
        if client.has_blob(scratch, &canary.digest)? { Err(Unproven::Cached) } else { Ok(()) }
    }

    /// Leaves out what interrupted probes have left, and removes it where there is a lock.
    pub(super) fn without_scratches(
        &mut self,
        lock: Option<&StoreLock>,
        mut inventory: Inventory,
    ) -> Result<Inventory, Interrupted> {
        let is_left = |inventory: &Inventory| {
            inventory.repositories.iter().any(|repository| Scratch::left_in(repository).is_some())
        };
        if !is_left(&inventory) {
            return Ok(inventory);
        }
        if let Some(lock) = lock {
            self.remove_scratches(lock);
            inventory = self.store.scan(self.stop)?;
        }
        inventory.repositories.retain(|repository| Scratch::left_in(repository).is_none());
        Ok(inventory)
    }

    fn remove_scratches(&mut self, lock: &StoreLock) {
        let scratches = match self.store.scratches() {
            Ok(scratches) => scratches,
            Err(error) => return self.failed(Scratch::reserved().into(), &error),
        };
        for scratch in scratches {
            match self.store.remove_scratch(lock, &scratch) {
                Ok(true) => self.findings.push(Problem {
                    severity: Severity::Note,
                    code: Code::PutBack,
                    repository: None,
                    path: scratch.repository().to_string(),
                    cause: "an interrupted probe had left it; it was removed".into(),
                    remedy: "nothing".into(),
                }),
                Ok(false) => {}
                Err(error) => self.failed(scratch.repository().to_string(), &error),
            }
        }
    }
}
