//! A scratch repository: where a probe puts its canary, a blob that proves something by going away.

use super::{Digest, NameError, RepoName, Repository};

/// The first component of every scratch repository's name; no other name below it is touched.
const RESERVED: &str = "janitor-probe";
/// The second component: so many hexadecimal digits, drawn at random.
const DIGITS: usize = 32;

/// The name of a scratch repository, `janitor-probe/<32 hexadecimal digits>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scratch {
    repository: RepoName,
}

/// A blob of a few bytes that names its scratch repository, so that it is told from anybody else's.
#[derive(Clone, Debug)]
pub struct Canary {
    /// Its bytes.
    pub content: Vec<u8>,
    /// Their digest.
    pub digest: Digest,
}

impl Scratch {
    /// The repository above all scratch repositories.
    pub const fn reserved() -> &'static str {
        RESERVED
    }

    /// A scratch repository of its own for each random number.
    ///
    /// # Errors
    /// Never, as the reserved name is a repository's.
    pub fn new(random: u128) -> Result<Self, NameError> {
        Ok(Self { repository: format!("{RESERVED}/{random:032x}").parse()? })
    }

    /// Whether a name is that of a scratch repository.
    pub fn of(name: &RepoName) -> Option<Self> {
        let digits = name.as_str().strip_prefix(RESERVED)?.strip_prefix('/')?;
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_ours = digits.len() == DIGITS && digits.bytes().all(is_digit);
        is_ours.then(|| Self { repository: name.clone() })
    }

    /// The scratch repository that an interrupted probe has left here; with a tag or a manifest in it,
    /// it is somebody else's.
    pub fn left_in<D>(repository: &Repository<D>) -> Option<Self> {
        let is_bare = repository.tags.is_empty() && repository.revisions.is_empty();
        Self::of(&repository.name).filter(|_| is_bare && !repository.in_doubt)
    }

    /// Its name.
    pub const fn repository(&self) -> &RepoName {
        &self.repository
    }

    /// The second component of its name.
    pub fn digits(&self) -> &str {
        self.repository.as_str().rsplit('/').next().unwrap_or_default()
    }

    /// A canary for it. Its digest begins with the same byte as `like`'s, so that a store that has
    /// `like` has the directory for it, and not even an empty one is left behind.
    pub fn canary(&self, like: Option<&Digest>) -> Canary {
        let shard = like.map(|digest| digest.hex()[..2].to_owned());
        let head = self.head();
        let canary = |number: u32| {
            let content = format!("{head}{number}\n").into_bytes();
            let digest = Digest::of(&content);
            Canary { content, digest }
        };
        // One in 256 fits; where none does, in all likelihood never, an empty directory is left.
        let fits = |canary: &Canary| {
            shard.as_ref().is_none_or(|shard| canary.digest.hex().starts_with(shard.as_str()))
        };
        (0..65536).map(canary).find(fits).unwrap_or_else(|| canary(0))
    }

    /// Whether a blob is a canary of this very scratch repository.
    pub fn has_made(&self, content: &[u8]) -> bool {
        content.starts_with(self.head().as_bytes())
    }

    fn head(&self) -> String {
        format!("registry-janitor asks in {} whether this blob is remembered: ", self.repository)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch() -> Scratch {
        Scratch::new(0x00ab_cdef).unwrap()
    }

    #[test]
    fn a_scratch_repository_is_known_by_its_whole_name() {
        let name = scratch().repository().clone();
        assert_eq!(name.as_str(), "janitor-probe/00000000000000000000000000abcdef");
        assert_eq!(Scratch::of(&name), Some(scratch()));
        assert_eq!(scratch().digits(), "00000000000000000000000000abcdef");
        for other in [
            "janitor-probe",
            "janitor-probe/app",
            "janitor-probe/0000000000000000000000000abcdef",
            "janitor-probe/00000000000000000000000000abcdeg",
            "janitor-probe/00000000000000000000000000abcdef/x",
            "team/janitor-probe/00000000000000000000000000abcdef",
            "janitor-probes/00000000000000000000000000abcdef",
        ] {
            assert_eq!(Scratch::of(&other.parse().unwrap()), None, "{other}");
        }
    }

    #[test]
    fn what_somebody_uses_was_not_left_by_a_probe() {
        let bare = Repository {
            name: scratch().repository().clone(),
            tags: Vec::new(),
            revisions: Vec::new(),
            layers: vec![Digest::of(b"canary")],
            aliases: Vec::new(),
            undoable: Vec::new(),
            in_doubt: false,
        };
        assert_eq!(Scratch::left_in(&bare), Some(scratch()));
        let with_a_manifest = Repository { revisions: vec![Digest::of(b"manifest")], ..bare.clone() };
        assert_eq!(Scratch::left_in(&with_a_manifest), None);
        let doubtful = Repository { in_doubt: true, ..bare };
        assert_eq!(Scratch::left_in(&doubtful), None);
    }

    #[test]
    fn a_canary_lies_beside_a_blob_that_is_there_and_names_its_repository() {
        for like in [&b"a"[..], b"b", b"c", b"d"].map(Digest::of) {
            let canary = scratch().canary(Some(&like));
            assert_eq!(canary.digest, Digest::of(&canary.content));
            assert_eq!(canary.digest.hex()[..2], like.hex()[..2]);
            assert!(scratch().has_made(&canary.content));
            assert!(!Scratch::new(1).unwrap().has_made(&canary.content));
        }
        assert!(!scratch().has_made(b"a layer"));
    }
}
