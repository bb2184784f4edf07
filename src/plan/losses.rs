//! Whether a store has lost so much since the last sweep that it may not be there whole.

use super::TINY;
use crate::model::Counts;

/// What a store has lost, in words: most of its repositories, tags or blobs, where there were not just a
/// few. `None` when nothing is missing that somebody might not have deleted.
pub fn losses(was: &Counts, is: &Counts) -> Option<String> {
    let kinds = [
        ("repositories", was.repositories, is.repositories),
        ("tags", was.tags, is.tags),
        ("blobs", was.blobs, is.blobs),
    ];
    let most = |(_, was, is): &(&str, usize, usize)| *was >= TINY && *is < was.div_ceil(2);
    let lost = kinds.into_iter().filter(most);
    let lost: Vec<String> = lost.map(|(what, was, is)| format!("{is} of {was} {what}")).collect();
    (!lost.is_empty()).then(|| lost.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(repositories: usize, tags: usize, blobs: usize) -> Counts {
        Counts { repositories, tags, blobs }
    }

    #[test]
    fn more_than_half_of_anything_is_a_loss_where_there_was_not_just_a_few() {
        for (was, is, told) in [
            (counts(20, 20, 20), counts(10, 10, 10), None),
            (counts(20, 20, 20), counts(9, 20, 20), Some("9 of 20 repositories")),
            (counts(20, 21, 20), counts(20, 10, 0), Some("10 of 21 tags, 0 of 20 blobs")),
            (counts(19, 19, 19), counts(0, 0, 0), None),
            (counts(20, 400, 999), counts(20, 399, 998), None),
            (counts(30, 400, 999), counts(60, 900, 5000), None),
        ] {
            assert_eq!(losses(&was, &is).as_deref(), told, "{was:?} {is:?}");
        }
    }
}
