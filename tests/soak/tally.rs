//! What a soak counted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::sweeps::Told;

/// Repository and tag.
pub(crate) type Tag = (String, String);

/// An acknowledged image that the policy keeps and that does not pull whole.
#[derive(Clone, Debug)]
pub(crate) struct Loss {
    /// The tag that it belongs to.
    pub(crate) tag: Tag,
    /// `repository:tag` or `repository@digest` that was asked for.
    pub(crate) asked: String,
    /// What is missing.
    pub(crate) missing: String,
    /// Whether the sweep after it told of it.
    pub(crate) told: bool,
}

/// Counts of one soak.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Pushes that the registry acknowledged.
    pub(crate) acknowledged: usize,
    /// Of these, pushes of an index.
    pub(crate) indexes: usize,
    /// Of these, pushes that found their tag as it was to be and put nothing.
    pub(crate) left_alone: usize,
    /// Of these, signatures and referrers.
    pub(crate) companions: usize,
    /// Of these, pushes without a tag, which nothing keeps.
    pub(crate) untagged: usize,
    /// The slowest request of them all.
    pub(crate) slowest: Duration,
    /// Repository and tag of pushes with a request that took longer than the sweeps waited before their second
    /// look: nobody promises anything about these.
    pub(crate) too_slow: BTreeSet<Tag>,
    /// Answers that made a client begin its push anew, by their text.
    pub(crate) loud: BTreeMap<String, usize>,
    /// Pushes that did not succeed when they were repeated.
    pub(crate) given_up: Vec<String>,
    /// Pulls of tags that must pull, with everything that belongs to them.
    pub(crate) whole: usize,
    /// Images that pulled whole only after one more sweep.
    pub(crate) late: Vec<String>,
    /// Images that did not pull, and that a later push let go before it was known why.
    pub(crate) undecided: usize,
    /// What was lost, by what was asked for.
    pub(crate) lost: BTreeMap<String, Loss>,
}

impl Tally {
    /// A push failed aloud.
    pub(crate) fn failed_aloud(&mut self, answer: &str) {
        // Digests and names of directories would make each answer its own.
        let brief: String = answer.chars().take_while(|&it| it != '{').collect();
        let code = answer.split("\"code\":\"").nth(1).and_then(|rest| rest.split('"').next());
        *self.loud.entry(format!("{} {}", brief.trim(), code.unwrap_or_default())).or_default() += 1;
    }

    /// Those of these images that the promises cover.
    pub(crate) fn covered<'a>(&self, tags: impl IntoIterator<Item = &'a Tag>) -> Vec<&'a Tag> {
        tags.into_iter().filter(|tag| !self.too_slow.contains(tag)).collect()
    }
}

/// Why an answer made a client begin its push anew; `None` for what nobody has an explanation for.
pub(crate) fn explain(answer: &str) -> Option<&'static str> {
    let kinds = [
        (
            "MANIFEST_BLOB_UNKNOWN",
            "a sweep took a blob or a child away between the client's question and its manifest",
        ),
        ("BLOB_UNKNOWN", "a sweep took a blob away between the client's question and its use"),
        ("MANIFEST_UNKNOWN", "a sweep took a manifest away between the client's question and its use"),
        (
            "DIGEST_INVALID",
            "another push was writing a link that this one read: registry 2.8 truncates it first",
        ),
        (
            "500 Internal Server Error",
            "a sweep took a directory away in the moment before the registry wrote into it",
        ),
    ];
    kinds.into_iter().find(|(kind, _)| answer.contains(kind)).map(|(_, why)| why)
}

/// Everything that a soak found out, to be read by people.
pub(crate) struct Summary<'a> {
    pub(crate) title: String,
    pub(crate) tally: &'a Tally,
    pub(crate) sweeps: &'a [Told],
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tally = self.tally;
        let sum = |of: fn(&Told) -> u64| self.sweeps.iter().map(of).sum::<u64>();
        let mut ends: BTreeMap<String, usize> = BTreeMap::new();
        for told in self.sweeps {
            let code = told.code.map_or_else(|| "a signal".to_owned(), |code| code.to_string());
            *ends.entry(format!("exit code {code}, collection {}", told.collection)).or_default() += 1;
        }
        writeln!(to, "{}", self.title)?;
        writeln!(
            to,
            "  pushes acknowledged {}: indexes {}, left alone {}, companions {}, untagged {}",
            tally.acknowledged, tally.indexes, tally.left_alone, tally.companions, tally.untagged
        )?;
        writeln!(
            to,
            "  loud failures {}, given up {}; slowest request {:.1} s, too slow for the sweeps {}",
            tally.loud.values().sum::<usize>(),
            tally.given_up.len(),
            tally.slowest.as_secs_f64(),
            tally.too_slow.len()
        )?;
        for (answer, count) in &tally.loud {
            writeln!(to, "    {count} times {answer}: {}", explain(answer).unwrap_or("NOT EXPLAINED"))?;
        }
        writeln!(
            to,
            "  pulls whole {}, whole only after one more sweep {}, undecided {}",
            tally.whole,
            tally.late.len(),
            tally.undecided
        )?;
        writeln!(
            to,
            "  sweeps {}: put back {}, blobs rescued {}, told broken {}; removed {} tags, {} manifests, {} blobs",
            self.sweeps.len(),
            self.sweeps.iter().map(|told| told.put_back).sum::<usize>(),
            sum(|told| told.blobs_rescued),
            self.sweeps.iter().flat_map(|told| &told.broken).collect::<BTreeSet<_>>().len(),
            sum(|told| told.tags_removed),
            sum(|told| told.manifests_removed),
            sum(|told| told.blobs_removed)
        )?;
        for (end, count) in &ends {
            writeln!(to, "    {count} times {end}")?;
        }
        writeln!(to, "  lost {}", tally.lost.len())?;
        for loss in tally.lost.values() {
            let told = if loss.told { "told by the next sweep" } else { "not told" };
            let slow = if tally.too_slow.contains(&loss.tag) { ", pushed too slowly" } else { "" };
            writeln!(to, "    {}: {} ({told}{slow})", loss.asked, loss.missing)?;
        }
        Ok(())
    }
}
