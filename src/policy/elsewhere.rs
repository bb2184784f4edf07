//! Companions of images that other repositories keep: signatures may have a repository of their own.
//!
//! What a repository keeps depends on its companions, and those depend on what other repositories keep. So
//! repositories are decided on again as long as something is found, first about who keeps an image, and then about
//! what nobody keeps. Most stores have no such companion and are decided on once.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::{Decided, OddTimes, Policy, Verdict};
use crate::model::{Id, Inventory};

/// What is known of the images that companions serve and that their own repository does not keep.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    /// The first repositories that are known to keep an image, by position. Two of them: one may be the companion's own.
    keepers: HashMap<Id, (usize, Option<usize>)>,
    /// Images that no repository was found to keep.
    pub(super) nobody: HashSet<Id>,
    /// Whether a doubt may hide a repository or what it keeps.
    pub(super) in_doubt: bool,
}

impl Elsewhere {
    /// A repository that keeps an image, other than the one that asks.
    pub(super) fn keeper(&self, image: Id, own: Option<usize>) -> Option<usize> {
        let (first, second) = *self.keepers.get(&image)?;
        if Some(first) == own { second } else { Some(first) }
    }

    /// Takes down who keeps an image. Says whether that may be news to anybody.
    fn add(&mut self, image: Id, keeper: usize) -> bool {
        match self.keepers.get_mut(&image) {
            None => self.keepers.insert(image, (keeper, None)).is_none(),
            Some((first, second)) if *first != keeper && second.is_none() => {
                *second = Some(keeper);
                true
            }
            Some(_) => false,
        }
    }
}

impl Policy {
    /// Decides on every tag of the store: for each repository of the inventory, in the order of its tags. `odd` are
    /// the push times of each repository that [cannot be true](super::odd_times); repositories beyond its end have none.
    pub fn evaluate(&self, inventory: &Inventory, odd: &[OddTimes], now: Timestamp) -> Vec<Vec<Verdict>> {
        let mut elsewhere = Elsewhere { in_doubt: inventory.in_doubt(), ..Elsewhere::default() };
        loop {
            let decided = self.decide_all(inventory, odd, now, &mut elsewhere);
            let before = elsewhere.nobody.len();
            elsewhere.nobody.extend(decided.iter().flat_map(|it| &it.undecided));
            if elsewhere.nobody.len() == before {
                return decided.into_iter().map(|it| it.verdicts).collect();
            }
        }
    }

    /// Decides on every repository, and again as long as one is found to keep an image that another one asks for.
    fn decide_all(
        &self,
        inventory: &Inventory,
        odd: &[OddTimes],
        now: Timestamp,
        elsewhere: &mut Elsewhere,
    ) -> Vec<Decided> {
        elsewhere.keepers.clear();
        let repositories = &inventory.repositories;
        let decide = |at: usize, elsewhere: &Elsewhere| {
            let odd = odd.get(at).map_or(&[][..], Vec::as_slice);
            self.decide(&repositories[at], inventory, odd, now, elsewhere)
        };
        let mut decided: Vec<Decided> = (0..repositories.len()).map(|at| decide(at, elsewhere)).collect();
        let asked: HashSet<Id> = decided.iter().flat_map(|it| it.asked.iter().copied()).collect();
        if asked.is_empty() {
            return decided;
        }
        let mut changed: Vec<usize> = (0..repositories.len()).collect();
        while !changed.is_empty() {
            let mut found: HashSet<Id> = HashSet::new();
            for at in changed {
                let kept = &decided[at].kept;
                // The smaller of the two sets is gone through.
                let images: Vec<Id> = if kept.len() < asked.len() {
                    kept.iter().copied().filter(|image| asked.contains(image)).collect()
                } else {
                    asked.iter().copied().filter(|image| kept.contains(image)).collect()
                };
                found.extend(images.into_iter().filter(|image| elsewhere.add(*image, at)));
            }
            let concerns = |at: &usize| decided[*at].asked.iter().any(|image| found.contains(image));
            changed = (0..repositories.len()).filter(concerns).collect();
            for at in &changed {
                decided[*at] = decide(*at, elsewhere);
            }
        }
        decided
    }
}
