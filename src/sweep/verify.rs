//! The last stage: whether every kept tag is all there.

use super::Sweep;
use super::settle::replace;
use crate::check::{self, Broken};
use crate::model::{Digest, Inventory, RepoName};
use crate::stop::Interrupted;

impl Sweep<'_> {
    /// Checks every kept tag, down to the data of each blob that it needs; what seems broken is looked
    /// at again before it is called so.
    pub(super) fn verify(
        &self,
        inventory: &mut Inventory,
        kept: &[(Digest, u64)],
    ) -> Result<Vec<Broken>, Interrupted> {
        let lost = self.store.lost_blobs(kept, self.stop)?;
        let whole = |inventory: &mut Inventory| {
            inventory.blobs.retain(|digest| lost.binary_search(digest).is_err());
            check::verify(inventory)
        };
        let broken = whole(inventory);
        if broken.is_empty() {
            return Ok(broken);
        }
        let mut names: Vec<RepoName> = broken.into_iter().map(|broken| broken.repository).collect();
        names.dedup();
        let look = self.store.look_again(&names, &inventory.manifests, self.stop)?;
        inventory.manifests.extend(look.new_manifests);
        replace(inventory, look.repositories, &names);
        (inventory.blobs, _) = self.store.list_blobs(self.stop)?;
        Ok(whole(inventory))
    }
}
