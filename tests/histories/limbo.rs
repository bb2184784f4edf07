//! What an interrupted sweep has in the trash, and what of it the next one puts back.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use janitor_testkit::{Digest, StoreView};

use crate::model::{Model, Repository};
use crate::world::World;

/// Tags, revisions and layer links that are waiting in the trash, and what is hidden in its place.
#[derive(Debug, Default)]
pub(crate) struct Limbo {
    pub(crate) repositories: BTreeMap<String, Repository>,
    /// Hidden blobs, with the times of their data.
    pub(crate) blobs: BTreeMap<Digest, i64>,
}

impl Limbo {
    /// Reads the trash.
    pub(crate) fn read(view: &StoreView) -> Self {
        let mut limbo = Self::default();
        for batch in fs::read_dir(view.root().join("janitor/trash/pending")).into_iter().flatten() {
            let batch = batch.unwrap().path();
            limbo.read_below(&batch.join("repositories"), "");
            for list in names(&batch) {
                if list.strip_prefix("hidden-").is_some_and(|number| number.parse::<usize>().is_ok()) {
                    limbo.read_list(view, &fs::read_to_string(batch.join(list)).unwrap());
                }
            }
        }
        limbo
    }

    /// What a list has on it and is hidden.
    fn read_list(&mut self, view: &StoreView, list: &str) {
        for line in list.lines() {
            let (repository, digest) =
                line.split_once(' ').map_or((None, line), |(it, digest)| (Some(it), digest));
            let digest = Digest::parse(digest);
            let seen = repository
                .map_or_else(|| view.blob_data(&digest), |repository| view.layer_link(repository, &digest));
            let hidden = seen.with_extension("janitor");
            if !hidden.exists() {
                continue;
            }
            let written = World::written(&hidden);
            match repository {
                None => drop(self.blobs.insert(digest, written)),
                Some(name) => {
                    let repository = self.repositories.entry(name.to_owned()).or_default();
                    repository.layers.insert(digest, written);
                }
            }
        }
    }

    fn read_below(&mut self, directory: &Path, name: &str) {
        for entry in names(directory) {
            let path = directory.join(&entry);
            match entry.as_str() {
                "_manifests" => {
                    let repository = self.repositories.entry(name.to_owned()).or_default();
                    for tag in names(&path.join("tags")) {
                        let link = path.join("tags").join(&tag).join("current/link");
                        let digest = Digest::parse(&fs::read_to_string(&link).unwrap());
                        repository.tags.insert(tag, (digest, World::written(&link)));
                    }
                    repository.revisions.extend(links(&path.join("revisions/sha256")));
                }
                "_layers" => {
                    let repository = self.repositories.entry(name.to_owned()).or_default();
                    repository.layers.extend(links(&path.join("sha256")));
                }
                below if name.is_empty() => self.read_below(&path, below),
                below => self.read_below(&path, &format!("{name}/{below}")),
            }
        }
    }

    /// Gives back what the next sweep puts back; what was pushed again meanwhile stays as it is.
    pub(crate) fn give_back(self, model: &mut Model) {
        for (digest, written) in self.blobs {
            model.blobs.entry(digest).or_insert(written);
        }
        for (name, waiting) in self.repositories {
            let repository = model.repositories.entry(name).or_default();
            for (tag, tagged) in waiting.tags {
                repository.tags.entry(tag).or_insert(tagged);
            }
            for (digest, written) in waiting.revisions {
                repository.deleted.remove(&digest);
                repository.revisions.entry(digest).or_insert(written);
            }
            for (digest, written) in waiting.layers {
                repository.layers.entry(digest).or_insert(written);
            }
        }
    }

    pub(crate) fn has_tag(&self, repository: &str, tag: &str) -> bool {
        self.repositories.get(repository).is_some_and(|it| it.tags.contains_key(tag))
    }

    pub(crate) fn has_revision(&self, repository: &str, digest: &Digest) -> bool {
        self.repositories.get(repository).is_some_and(|it| it.revisions.contains_key(digest))
    }
}

fn links(directory: &Path) -> impl Iterator<Item = (Digest, i64)> {
    names(directory).into_iter().filter_map(move |hex| {
        let link = directory.join(&hex).join("link");
        link.exists().then(|| (Digest::parse(&format!("sha256:{hex}")), World::written(&link)))
    })
}

/// The names of a directory's entries; none where there is no directory.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
