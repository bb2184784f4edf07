//! What a sweep remembers of the store that it leaves: settings, repositories by name, tags by fingerprint.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Digest, RepoName};

/// What a sweep remembers of the store that it leaves, for the next one to compare with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// The settings that decided what this sweep removed.
    pub rules: Rules,
    /// Whether the share of unreferenced blobs was ever held against the limit. It is not while a doubt keeps
    /// every blob, so a neglected store that is in doubt at first asks once the doubt has ended.
    pub blobs_judged: bool,
    /// Every repository with tags that stay, sorted by name.
    pub repositories: Vec<KnownRepository>,
}

/// The settings that decide what a sweep removes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// How many tags of a repository stay.
    pub keep_last: u32,
    /// Whether equal push times are taken for an order.
    pub trust_equal_push_times: bool,
    /// Whether unreachable manifests are removed.
    pub delete_untagged: bool,
    /// Whether blobs are collected.
    pub collects: bool,
}

impl Rules {
    /// Whether these rules remove no tag that the `earlier` ones would have kept.
    pub const fn keep_the_tags_of(&self, earlier: &Self) -> bool {
        self.keep_last >= earlier.keep_last
            && (!self.trust_equal_push_times || earlier.trust_equal_push_times)
            // Companions of untagged manifests stay only while those do.
            && (!self.delete_untagged || earlier.delete_untagged)
    }

    /// Whether these rules remove no blob that the `earlier` ones would have kept.
    ///
    /// `GC_GRACE` and `UNDO_WINDOW` are not among them: what waits for its age or in the trash has been counted
    /// already when it went out of use.
    pub const fn keep_the_blobs_of(&self, earlier: &Self) -> bool {
        (!self.delete_untagged || earlier.delete_untagged) && (!self.collects || earlier.collects)
    }
}

/// What a sweep remembers of one repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownRepository {
    /// Its name.
    #[serde(deserialize_with = "name")]
    pub name: RepoName,
    /// How many of its tags the sweep left for good. Those beyond them are newer than the policy's decision, or wait
    /// for a doubt to end: a later sweep may remove them without a confirmation.
    pub settled: u32,
    /// Its tags, sorted by [`KnownTag::name`].
    #[serde(serialize_with = "write_tags", deserialize_with = "read_tags")]
    pub tags: Vec<KnownTag>,
    /// Since when half of these tags or more are gone without the janitor's doing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed_since: Option<Timestamp>,
}

/// A tag in eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KnownTag {
    /// A hash of its name.
    pub name: u32,
    /// The beginning of the digest that it names.
    pub manifest: u16,
    /// How many blobs that manifest names, directly and through an index.
    pub needs: u16,
}

impl KnownTag {
    /// The hash of a tag's name (32-bit FNV-1a).
    pub fn hash(name: &str) -> u32 {
        name.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
    }

    /// The beginning of a digest.
    pub fn prefix(digest: &Digest) -> u16 {
        digest.bytes().iter().take(2).fold(0, |prefix, byte| (prefix << 8) | u16::from(*byte))
    }

    const BYTES: usize = 8;

    fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&self.name.to_be_bytes());
        bytes[4..6].copy_from_slice(&self.manifest.to_be_bytes());
        bytes[6..].copy_from_slice(&self.needs.to_be_bytes());
        bytes
    }

    const fn of_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let [name @ .., _, _, _, _] = bytes;
        let [_, _, _, _, manifest @ .., _, _] = bytes;
        let [_, _, _, _, _, _, needs @ ..] = bytes;
        Self {
            name: u32::from_be_bytes(name),
            manifest: u16::from_be_bytes(manifest),
            needs: u16::from_be_bytes(needs),
        }
    }
}

fn name<'de, D: Deserializer<'de>>(from: D) -> Result<RepoName, D::Error> {
    String::deserialize(from)?.parse().map_err(de::Error::custom)
}

fn write_tags<S: Serializer>(tags: &[KnownTag], to: S) -> Result<S::Ok, S::Error> {
    let bytes: Vec<u8> = tags.iter().flat_map(|tag| tag.to_bytes()).collect();
    to.serialize_str(&STANDARD_NO_PAD.encode(bytes))
}

fn read_tags<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<KnownTag>, D::Error> {
    let bytes = STANDARD_NO_PAD.decode(String::deserialize(from)?).map_err(de::Error::custom)?;
    let (tags, rest) = bytes.as_chunks();
    if rest.is_empty() {
        Ok(tags.iter().copied().map(KnownTag::of_bytes).collect())
    } else {
        Err(de::Error::custom("half a tag"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_a_setting_that_removes_more_is_a_change() {
        let rules = Rules { keep_last: 10, ..Rules::default() };
        let all = Rules { keep_last: 5, trust_equal_push_times: true, delete_untagged: true, collects: true };
        assert!(rules.keep_the_tags_of(&rules) && rules.keep_the_blobs_of(&rules));
        assert!(rules.keep_the_tags_of(&all) && rules.keep_the_blobs_of(&all));
        for (tags, blobs, changed) in [
            (false, true, Rules { keep_last: 9, ..rules }),
            (true, true, Rules { keep_last: 11, ..rules }),
            (false, true, Rules { trust_equal_push_times: true, ..rules }),
            (false, false, Rules { delete_untagged: true, ..rules }),
            (true, false, Rules { collects: true, ..rules }),
        ] {
            assert_eq!(changed.keep_the_tags_of(&rules), tags, "{changed:?}");
            assert_eq!(changed.keep_the_blobs_of(&rules), blobs, "{changed:?}");
        }
    }

    #[test]
    fn a_repository_takes_eleven_characters_for_each_tag_besides_its_name() {
        let tags = (0..30).map(|name| KnownTag { name, manifest: 1, needs: 2 }).collect();
        let name = "team/app".parse().unwrap();
        let known = KnownRepository { name, settled: 30, tags, missed_since: None };
        let text = serde_json::to_string(&known).unwrap();
        assert!(text.len() < 50 + 30 * 11, "{text}");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            tags in proptest::collection::vec(any::<(u32, u16, u16)>(), 0..5),
            settled in any::<u32>(),
            missed in proptest::option::of(0_i64..4_000_000_000),
        ) {
            let tag = |(name, manifest, needs)| KnownTag { name, manifest, needs };
            let known = KnownRepository {
                name: "team/app".parse().unwrap(),
                settled,
                tags: tags.into_iter().map(tag).collect(),
                missed_since: missed.map(|at| Timestamp::from_second(at).unwrap()),
            };
            let text = serde_json::to_string(&known).unwrap();
            prop_assert_eq!(serde_json::from_str::<KnownRepository>(&text).unwrap(), known);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,60}") {
            let tags = serde_json::to_string(&text).unwrap();
            let text = format!(r#"{{"name":"a","settled":0,"tags":{tags}}}"#);
            drop(serde_json::from_str::<KnownRepository>(&text));
        }
    }
}
