//! What was asked for of the disk.

use crate::cli::{OutputFormat, Top, UsageArguments, UsageOrder};
use crate::model::{Measure, RepoName, TagName};

/// How many lines a person reads.
const LINES: usize = 20;

/// What is to be told of the disk.
#[derive(Clone, Debug)]
pub struct UsageQuery {
    /// These repositories' tags, or these tags; of all repositories when empty.
    pub names: Vec<(RepoName, Option<TagName>)>,
    /// Whether tags are told.
    pub tags: bool,
    /// At most so many repositories, or tags.
    pub top: usize,
    /// What comes first.
    pub order: UsageOrder,
    /// What is meant by the size of a file.
    pub measure: Measure,
}

impl UsageQuery {
    pub(super) fn resolve(arguments: UsageArguments, output: OutputFormat) -> Self {
        let UsageArguments { names, tags, top, sort, apparent_size } = arguments;
        Self {
            tags: tags || !names.is_empty(),
            names,
            top: match (top, output) {
                (Some(Top::First(lines)), _) => lines,
                (Some(Top::All), _) | (None, OutputFormat::Json) => usize::MAX,
                (None, _) => LINES,
            },
            order: sort,
            measure: if apparent_size { Measure::Apparent } else { Measure::Allocated },
        }
    }
}
