//! Path and meaning: the only file that knows the registry's names for things.
//!
//! The tree that distribution 2.8 and 3.x make (`registry/storage/paths.go`), below the registry's
//! root directory, beside what the janitor adds to it:
//!
//! ```text
//! docker/registry/v2/
//!   repositories/<name>/                 a name may hold other names: a, a/b, a/b/c
//!     _manifests/tags/<tag>/current/link             the digest; its mtime is the push time
//!     _manifests/tags/<tag>/index/<alg>/<hex>/link   every digest the tag ever had
//!     _manifests/revisions/<alg>/<hex>/link          this repository has that manifest
//!     _layers/<alg>/<hex>/link                       this repository may serve that blob
//!     _uploads/<uuid>/                               a push in progress
//!   blobs/<alg>/<first two>/<hex>/data   the bytes of a layer, config or manifest
//!   …/<hex>/data.janitor, link.janitor   a blob or a layer link that the janitor hides until it is deleted
//! janitor/
//!   lock, holder.json, probe, reserve, last-sweep.json
//!   spare/<number>                       empty files, given up where there is no inode for anything else
//!   references                           what manifests reference, so that none is read again
//!   first-seen                           when things whose times cannot be believed were first seen
//!   aliases                              digests of blobs under other algorithms than sha256
//!   trash/pending/<sweep>/repositories/<name>/…      taken away, may come back
//!   trash/pending/<sweep>/hidden-<number>            blobs and layer links hidden in their own directories
//!   trash/undo/<sweep>/repositories/<name>/…         removed tags that can be brought back
//!   trash/undo/<sweep>/removed.json, reasons.json    when, and why
//!   trash/condemned/<sweep>/…                        a second look was taken, is being deleted
//!   trash/condemned/doubt.json           since when doubt keeps the store from being collected
//!   trash/mended/<run>/blobs/…                       damaged bytes that a repair moved aside
//! ```

use crate::model::{Algorithm, Digest, HiddenFile, Place, Reference, RepoName, Spot, TagName};

/// Below the root directory: the registry's tree.
pub(super) const REGISTRY: &str = "docker/registry/v2";
/// Below the registry's tree.
pub(super) const REPOSITORIES: &str = "repositories";
/// Below the registry's tree.
pub(super) const BLOBS: &str = "blobs";
/// Below a repository; either of the first two makes a directory a repository.
pub(super) const MANIFESTS: &str = "_manifests";
/// Below a repository.
pub(super) const LAYERS: &str = "_layers";
/// Below a repository.
pub(super) const UPLOADS: &str = "_uploads";
/// Below an upload: when it began.
pub(super) const STARTED_AT: &str = "startedat";
/// Below a repository.
pub(super) const TAGS: &str = "_manifests/tags";
/// Below a repository.
pub(super) const REVISIONS: &str = "_manifests/revisions";
/// Left in the root directory by a registry that is a pull-through cache.
pub(super) const PROXY_STATE: &str = "scheduler-state.json";

/// Below the root directory: what the janitor keeps in the store.
pub(super) const JANITOR: &str = "janitor";
/// Below [`JANITOR`].
pub(super) const LOCK: &str = "lock";
/// Below [`JANITOR`].
pub(super) const HOLDER: &str = "holder.json";
/// Below [`JANITOR`].
pub(super) const PROBE: &str = "probe";
/// Below [`JANITOR`].
pub(super) const MEMORY: &str = "last-sweep.json";
/// Below [`JANITOR`].
pub(super) const REFERENCES: &str = "references";
/// Below [`JANITOR`].
pub(super) const FIRST_SEEN: &str = "first-seen";
/// Below [`JANITOR`].
pub(super) const ALIASES: &str = "aliases";
/// Below [`JANITOR`].
pub(super) const RESERVE: &str = "reserve";
/// Below [`JANITOR`].
pub(super) const SPARE: &str = "spare";
/// Below [`JANITOR`].
pub(super) const PENDING: &str = "trash/pending";
/// Below [`JANITOR`]: what a repair moved aside, for a person to delete.
pub(super) const MENDED: &str = "trash/mended";
/// Below [`JANITOR`].
pub(super) const UNDO: &str = "trash/undo";
/// Below a sweep in [`UNDO`]: when it removed what lies beside it.
pub(super) const REMOVED: &str = "removed.json";
/// Below a sweep in [`UNDO`]: why it removed what lies beside it, and what that lacked already.
pub(super) const REASONS: &str = "reasons.json";
/// Below [`JANITOR`].
pub(super) const CONDEMNED: &str = "trash/condemned";

/// Below [`CONDEMNED`], a file among directories: since when doubt keeps the store from being collected.
pub(super) const DOUBT: &str = "doubt.json";
/// A blob's bytes, in its directory.
pub(super) const DATA: &str = "data";
/// A link's digest, in its directory.
pub(super) const LINK: &str = "link";
/// What a file's name ends in while it is hidden from the registry, which goes by the names `data` and
/// `link` alone (`blobstore.go` and `linkedblobstore.go`, `Enumerate`, distribution 2.8 and 3.x).
const HIDDEN: &str = ".janitor";
/// What the lists of hidden files begin with.
const JOURNAL: &str = "hidden-";

/// A link file holds one digest, at most `sha512:` and 128 digits.
pub(super) const LINK_MAX_BYTES: u64 = 256;
/// The largest manifest that the registry takes (`maxManifestBodySize`, distribution 2.8 and 3.x).
pub(super) const MANIFEST_MAX_BYTES: u64 = 4 << 20;

/// Larger manifests are read one at a time: what is parsed takes several times their bytes. An image of a hundred
/// layers takes 20 KiB.
pub(super) const SMALL_MANIFEST_BYTES: u64 = 128 << 10;

/// Whether what an index lists is not too large for a manifest.
pub(super) fn may_be_manifest(listed: &Reference) -> bool {
    listed.size_bytes.is_none_or(|size| size <= MANIFEST_MAX_BYTES)
}

/// Whether a file beside a sweep's removed tags tells of them.
pub(super) fn is_record(name: &str) -> bool {
    [REMOVED, REASONS].contains(&name.strip_suffix(".new").unwrap_or(name))
}

/// The list of hidden files with a number, in a sweep's part of the trash.
pub(super) fn journal(number: usize) -> String {
    format!("{JOURNAL}{number}")
}

/// Whether a file in a sweep's part of the trash lists hidden files. One that was not written to its end
/// lists nothing yet.
pub(super) fn is_journal(name: &str) -> bool {
    name.strip_prefix(JOURNAL).is_some_and(|number| number.bytes().all(|it| it.is_ascii_digit()))
}

/// Whether a file in a sweep's part of the trash is a list of hidden files that was not written to its end.
pub(super) fn is_half_journal(name: &str) -> bool {
    name.strip_suffix(".new").is_some_and(is_journal)
}

/// What is added to the name of a link that is about to be moved to its place.
pub(super) const LINK_TEMPORARY: &str = ".janitor.tmp";

/// Whether a file is a link that an interrupted repair left beside its place.
pub(super) fn is_half_repaired_link(name: &str) -> bool {
    name.strip_suffix(LINK_TEMPORARY) == Some(LINK)
}

/// Whether a file is one that was deleted while a process has it open: an NFS client renames it until then.
pub(super) fn is_deleted_but_open(name: &str) -> bool {
    name.starts_with(".nfs")
}

/// What a file is called while it is hidden.
pub(super) fn hidden(name: &str) -> String {
    format!("{name}{HIDDEN}")
}

/// Whether a file is one that the janitor hides.
pub(super) fn is_hidden(name: &str) -> bool {
    name.strip_suffix(HIDDEN).is_some_and(|name| [DATA, LINK].contains(&name))
}

/// Below the registry's tree.
pub(super) fn repository(name: &RepoName) -> String {
    format!("{REPOSITORIES}/{name}")
}

/// Below a repository's tags.
pub(super) fn current_link(tag: &TagName) -> String {
    format!("{tag}/current/link")
}

/// `<alg>/<hex>`, how revisions and layer links are filed.
pub(super) fn link_dir(digest: &Digest) -> String {
    format!("{}/{}", digest.algorithm().as_str(), digest.hex())
}

/// Below [`BLOBS`].
pub(super) fn blob_dir(digest: &Digest) -> String {
    let (shard, hex) = shard_and_hex(digest);
    format!("{shard}/{hex}")
}

/// Below [`BLOBS`]: a blob's shard, and the directory in it.
pub(super) fn shard_and_hex(digest: &Digest) -> (String, String) {
    let hex = digest.hex();
    (format!("{}/{}", digest.algorithm().as_str(), &hex[..2]), hex)
}

/// The algorithm that a directory name stands for.
pub(super) fn algorithm(name: &str) -> Option<Algorithm> {
    Algorithm::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
}

/// What a restore is called beside the sweeps, once for each tag that it overwrites.
pub const RESTORE: &str = "-restore-";

/// Whether a batch of the trash is a restore's.
pub(super) fn is_restore(id: &str) -> bool {
    id.contains(RESTORE)
}

/// A path as people are told it: below the registry's root directory, wherever it was told from.
pub(super) fn told(path: &str) -> String {
    let is_whole = path.starts_with(REGISTRY) || path.starts_with(JANITOR);
    if is_whole { path.to_owned() } else { format!("{REGISTRY}/{path}") }
}

/// Where a repository is, below the registry's root directory.
pub fn path_of_repository(name: &RepoName) -> String {
    format!("{REGISTRY}/{}", repository(name))
}

/// Where something is, below the registry's root directory.
pub fn path_of(spot: &Spot) -> String {
    let below = match spot {
        Spot::Link(place) => format!("{}/{}", parent(place), link(place)),
        Spot::Blob(digest) => format!("{BLOBS}/{}/data", blob_dir(digest)),
        Spot::Layers(name) => format!("{}/{LAYERS}", repository(name)),
        Spot::Upload(name, id) => format!("{}/{UPLOADS}/{id}", repository(name)),
        Spot::Hidden(HiddenFile::Blob(digest)) => format!("{BLOBS}/{}/{}", blob_dir(digest), hidden(DATA)),
        Spot::Hidden(HiddenFile::Link(name, digest)) => {
            format!("{}/{LAYERS}/{}/{}", repository(name), link_dir(digest), hidden(LINK))
        }
        Spot::Path(path) => return path.clone(),
    };
    format!("{REGISTRY}/{below}")
}

/// The directory that holds a place, below the registry's tree (or below a sweep's trash).
pub(super) fn parent(place: &Place) -> String {
    match place {
        Place::Tag(repository, _) => format!("{REPOSITORIES}/{repository}/{TAGS}"),
        Place::Revision(repository, digest) => {
            format!("{REPOSITORIES}/{repository}/{REVISIONS}/{}", digest.algorithm().as_str())
        }
        Place::Layer(repository, digest) => {
            format!("{REPOSITORIES}/{repository}/{LAYERS}/{}", digest.algorithm().as_str())
        }
    }
}

/// A place's own directory's name.
pub(super) fn file_name(place: &Place) -> String {
    match place {
        Place::Tag(_, tag) => tag.to_string(),
        Place::Revision(_, digest) | Place::Layer(_, digest) => digest.hex(),
    }
}

/// The link file in a place, relative to its [`parent`].
pub(super) fn link(place: &Place) -> String {
    match place {
        Place::Tag(_, tag) => current_link(tag),
        Place::Revision(_, digest) | Place::Layer(_, digest) => format!("{}/link", digest.hex()),
    }
}

/// Reads a path below the registry's tree (or below a sweep's trash) by position.
///
/// The first component that begins with `_` ends the repository's name, since no component of a
/// name does; what follows may, as tags are free to.
pub fn place(path: &str) -> Option<Place> {
    let rest = path.strip_prefix(REPOSITORIES)?.strip_prefix('/')?;
    let split = rest.find("/_")?;
    let repository: RepoName = rest[..split].parse().ok()?;
    let parts: Vec<&str> = rest[split + 1..].split('/').collect();
    let digest = |alg: &str, hex: &str| Digest::from_parts(algorithm(alg)?, hex).ok();
    match parts[..] {
        [MANIFESTS, "tags", tag] => Some(Place::Tag(repository, tag.parse().ok()?)),
        [MANIFESTS, "revisions", alg, hex] => Some(Place::Revision(repository, digest(alg, hex)?)),
        [LAYERS, alg, hex] => Some(Place::Layer(repository, digest(alg, hex)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(there: &Place) {
        let path = format!("{}/{}", parent(there), file_name(there));
        assert_eq!(place(&path).as_ref(), Some(there), "{path}");
    }

    #[test]
    fn a_path_says_what_a_thing_is_and_where_it_belongs() {
        let repository: RepoName = "mina/daemon".parse().unwrap();
        let digest = Digest::of(b"x");
        round_trip(&Place::Tag(repository.clone(), "_layers".parse().unwrap()));
        round_trip(&Place::Tag(repository.clone(), "_manifests".parse().unwrap()));
        round_trip(&Place::Revision(repository.clone(), digest.clone()));
        round_trip(&Place::Layer(repository, digest));
    }

    #[test]
    fn other_paths_mean_nothing() {
        let hex = Digest::of(b"x").hex();
        for path in [
            "",
            "repositories",
            "repositories/_manifests/tags/v1",
            "repositories/a",
            "repositories/a/_manifests",
            "repositories/a/_manifests/tags",
            "repositories/a/_manifests/tags/v1/current",
            "repositories/A/_manifests/tags/v1",
            "repositories/../_manifests/tags/v1",
            "repositories/a/_uploads/x",
            &format!("repositories/a/_layers/md5/{hex}"),
            &format!("blobs/sha256/00/{hex}"),
        ] {
            assert_eq!(place(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_makes_it_panic_or_leave_the_tree(path in "(repositories/)?[a-c_./-]{0,30}(_manifests|_layers)?[a-c_./0-9-]{0,60}") {
            if let Some(there) = place(&path) {
                prop_assert_eq!(format!("{}/{}", parent(&there), file_name(&there)), path);
            }
        }
    }
}
