//! Acting on tags, revisions and layer links: taken away, looked at again, put back or condemned.
//!
//! A client that asks whether a manifest is there, and skips its push because it is, leaves no trace
//! on disk. So no age alone makes a removal sound: the rename into the trash is the barrier after
//! which such a client gets a clear "not there", and a second, complete look, begun long enough
//! after it, finds whatever was referenced in between. That goes back to its place.

use std::collections::{HashMap, HashSet};

use crate::gc::mark::Graph;
use crate::model::{
    Code, Digest, Expected, IN_USE, Id, Inventory, Manifest, Place, Problem, RepoName, Severity,
};
use crate::plan;
use crate::stop::{Interrupted, Stop};
use crate::store::{Back, Batch, Look, Taken};

/// What came of taking things away.
#[derive(Debug, Default)]
pub struct Applied {
    /// In the trash now, sorted by place.
    pub taken: Vec<Expected>,
    /// Changed since it was decided on, and kept.
    pub changed: Vec<Place>,
    /// Open in another process, and kept.
    pub in_use: Vec<Place>,
    /// Could not be taken away.
    pub failed: Vec<Place>,
    /// Whether one of those is stuck in the trash, which then must not be deleted.
    pub is_stuck: bool,
    /// What to tell about it.
    pub problems: Vec<Problem>,
}

impl Applied {
    fn fail(&mut self, place: &Place, why: String) {
        self.problems.push(told(place, Severity::Error, Code::ActionFailed, why));
        self.failed.push(place.clone());
    }
}

/// Takes things away. `expected` is sorted by place.
///
/// # Errors
/// [`Interrupted`] when a stop was asked for; what was taken stays in the trash, and the next sweep
/// puts it back.
pub fn take(batch: &Batch<'_>, mut expected: Vec<Expected>, stop: &Stop) -> Result<Applied, Interrupted> {
    let mut applied = Applied::default();
    let mut taken = batch.take(&expected, stop)?.into_iter();
    expected.retain(|Expected { place, .. }| {
        match taken.next().unwrap_or(Taken::Gone) {
            Taken::Moved => return true,
            Taken::Gone => {}
            Taken::Changed(why) => {
                applied.problems.push(told(place, Severity::Note, Code::ChangedMeanwhile, why));
                applied.changed.push(place.clone());
            }
            Taken::InUse(why) => {
                applied.problems.push(told(place, Severity::Warning, Code::InUse, why));
                applied.in_use.push(place.clone());
            }
            Taken::Failed(why) => applied.fail(place, why),
            Taken::Stuck(why) => {
                applied.is_stuck = true;
                applied.fail(place, why);
            }
        }
        false
    });
    applied.taken = expected;
    Ok(applied)
}

/// What was put back.
#[derive(Debug, Default)]
pub struct Rescue {
    /// Put back, or replaced by newer content.
    pub rescued: Vec<Place>,
    /// What to tell about it.
    pub problems: Vec<Problem>,
}

/// Decides, from a second look at an inventory, what has to come back.
///
/// Revisions come back when anything in place now leads to them; layer links, when their repository
/// has a tag or a revision again; companion tags and referrers, when a tag leads to their image again, also one of
/// another repository among these. Where the second look itself is in doubt, all of that repository's do. Other tags are nothing's children: whether one comes
/// back is seen in the trash.
///
/// `companions` are the companion tags among what was taken, each with its image.
pub fn needed_back(
    taken: &[&Expected],
    companions: &[(Place, Digest)],
    look: &Look,
    inventory: &Inventory,
) -> Vec<Place> {
    let companions = Companions::of(taken, companions, inventory);
    let mut trashed: HashMap<&RepoName, Vec<Id>> = HashMap::new();
    for expected in taken {
        if let Place::Revision(name, digest) = &expected.place {
            trashed.entry(name).or_default().extend(inventory.digests.id(digest));
        }
    }
    let mut needed: HashSet<(&RepoName, Id)> = HashSet::new();
    let mut followed: HashSet<&Place> = HashSet::new();
    let mut doubtful: HashSet<&RepoName> = HashSet::new();
    let mut alive: HashSet<&RepoName> = HashSet::new();
    let mut graphs: Vec<Graph<'_>> = Vec::new();
    let mut tagged: Vec<HashSet<Id>> = Vec::new();
    for repository in &look.repositories {
        let name = &repository.name;
        if repository.in_doubt {
            doubtful.insert(name);
        }
        if !repository.tags.is_empty() || !repository.revisions.is_empty() {
            alive.insert(name);
        }
        let mut graph = Graph::of(repository, &inventory.manifests);
        for digest in trashed.get(name).map_or(&[][..], Vec::as_slice) {
            graph.add(*digest);
        }
        // An image whose revision alone is still there is going, too.
        tagged.push(graph.closure(repository.tagged()));
        graphs.push(graph);
    }
    // A companion's own manifest may be the image of another one.
    let mut anywhere: HashSet<Id> = tagged.iter().flatten().copied().collect();
    loop {
        let mut is_done = true;
        for ((repository, graph), tagged) in look.repositories.iter().zip(&graphs).zip(&mut tagged) {
            let name = &repository.name;
            while let Some(companion) = companions.next(name, &anywhere, &followed) {
                followed.insert(companion.place);
                anywhere.extend(graph.extend(tagged, [companion.manifest]));
                is_done = false;
            }
            // What its own repository had goes with that; what only another one has is missed from there.
            let trashed = trashed.get(name).map_or(&[][..], Vec::as_slice);
            let had = |it: &Id| trashed.contains(it) || repository.revisions.binary_search(it).is_ok();
            let subject = |id: &Id| inventory.manifests.get(id).and_then(Manifest::subject);
            let refers = |id: &Id| {
                !tagged.contains(id) && subject(id).is_some_and(|it| anywhere.contains(&it) && !had(&it))
            };
            let referrers: Vec<Id> = trashed.iter().copied().filter(refers).collect();
            let found = graph.extend(tagged, referrers);
            is_done &= found.is_empty();
            anywhere.extend(found);
        }
        if is_done {
            break;
        }
    }
    for ((repository, graph), tagged) in look.repositories.iter().zip(graphs).zip(tagged) {
        let name = &repository.name;
        let trashed = trashed.get(name).map_or(&[][..], Vec::as_slice);
        // Of a companion that is in its place, the image is needed: it goes with that, and not before.
        let images = plan::images_served(repository, inventory).filter(|image| trashed.contains(image));
        let roots = tagged.into_iter().chain(repository.roots()).chain(images);
        let closure = graph.closure(roots.chain(repository.revisions.iter().copied()));
        needed.extend(trashed.iter().filter(|id| closure.contains(id)).map(|id| (name, *id)));
    }
    // A doubt without a repository may concern any of them.
    let any = look.problems.iter().any(|it| it.severity >= Severity::Doubt && it.repository.is_none());
    let back = |place: &Place| match place {
        Place::Tag(name, _) => {
            followed.contains(place) || companions.has(place) && (any || doubtful.contains(name))
        }
        Place::Revision(name, digest) => {
            let is_needed = |id| needed.contains(&(name, id));
            any || doubtful.contains(name) || inventory.digests.id(digest).is_some_and(is_needed)
        }
        Place::Layer(name, _) => any || doubtful.contains(name) || alive.contains(name),
    };
    taken.iter().map(|expected| &expected.place).filter(|place| back(place)).cloned().collect()
}

/// A companion tag among what was taken.
struct Companion<'a> {
    place: &'a Place,
    manifest: Id,
    /// The image that it serves, if anything in the store names that.
    image: Option<Id>,
}

/// The companion tags among what was taken, by repository.
struct Companions<'a>(HashMap<&'a RepoName, Vec<Companion<'a>>>);

impl<'a> Companions<'a> {
    fn of(taken: &[&'a Expected], companions: &[(Place, Digest)], inventory: &Inventory) -> Self {
        let mut found: HashMap<&RepoName, Vec<Companion<'_>>> = HashMap::new();
        for Expected { place, link } in taken {
            let at = companions.binary_search_by(|(companion, _)| companion.cmp(place));
            let manifest = link.as_ref().and_then(|(digest, _)| inventory.digests.id(digest));
            if let (Ok(at), Some(manifest)) = (at, manifest) {
                let image = inventory.digests.id(&companions[at].1);
                found.entry(place.repository()).or_default().push(Companion { place, manifest, image });
            }
        }
        Self(found)
    }

    fn has(&self, place: &Place) -> bool {
        self.0.get(place.repository()).is_some_and(|all| all.iter().any(|it| it.place == place))
    }

    /// One of a repository whose image is reached and that does not follow yet.
    fn next(
        &self,
        repository: &RepoName,
        reached: &HashSet<Id>,
        followed: &HashSet<&Place>,
    ) -> Option<&Companion<'a>> {
        let is_reached = |it: &&Companion<'_>| it.image.is_some_and(|image| reached.contains(&image));
        self.0.get(repository)?.iter().filter(is_reached).find(|it| !followed.contains(it.place))
    }
}

/// Puts back what the second look asks for.
///
/// # Errors
/// [`Interrupted`] when a stop was asked for; the next sweep puts the rest back.
pub fn rescue(batch: &Batch<'_>, back: &[Place], stop: &Stop) -> Result<Rescue, Interrupted> {
    let mut rescue = Rescue::default();
    for (place, outcome) in back.iter().zip(batch.put_back(back, stop)?) {
        match outcome {
            Ok(back) => {
                rescue.rescued.push(place.clone());
                let why = match back {
                    Back::Done | Back::Superseded => {
                        "it was needed again between the two looks, and was put back"
                    }
                    Back::Removed => "somebody removed its directory by hand, so it was not put back",
                };
                let why = why.to_owned();
                rescue.problems.push(told(place, Severity::Note, Code::ChangedMeanwhile, why));
            }
            Err(error) => {
                let why = format!("it is needed again and could not be put back: {error}");
                rescue.problems.push(told(place, Severity::Error, Code::ActionFailed, why));
            }
        }
    }
    Ok(rescue)
}

fn told(place: &Place, severity: Severity, code: Code, cause: String) -> Problem {
    Problem {
        severity,
        code,
        repository: Some(place.repository().clone()),
        path: place.to_string(),
        cause,
        remedy: match severity {
            _ if code == Code::InUse => IN_USE.into(),
            Severity::Note => "nothing; the next sweep decides anew".into(),
            _ => "check the storage; the next sweep tries again".into(),
        },
    }
}

#[cfg(test)]
mod tests;
