//! Push times that give no order: those of a store that was copied or restored.
//!
//! A copy that does not carry times over gives every link the time of the copying, in the order of some
//! directory: thousands of tags within seconds. To the second is as exact as archives and some storages
//! keep times, so what was pushed within one second counts as pushed at the same time.

use std::collections::HashSet;
use std::hash::Hash;
use std::ops::Range;

use jiff::Timestamp;

/// So many different images may well be pushed within one second.
pub(super) const HANDFUL: usize = 5;

/// The ranks, from 0, among which push times give no order although some of them are to be kept and
/// others not. Empty when there is no such thing. `ranked` is newest first.
///
/// Where a second has more than a [`HANDFUL`] of images, those next to it belong to the same copying.
pub(super) fn straddling<T: Eq + Hash>(ranked: &[(Timestamp, T)], keep: usize) -> Range<usize> {
    if keep == 0 || keep >= ranked.len() {
        return 0..0;
    }
    let mut run: Option<(Second, bool)> = None;
    for second in seconds(ranked) {
        run = match run {
            Some((run, crowded)) if run.adjoins(&second) && (run.is_crowded || second.is_crowded) => {
                let ranks = run.ranks.start..second.ranks.end;
                Some((Second { ranks, ..second }, crowded || second.is_crowded))
            }
            Some((run, true)) if run.ranks.end > keep => return straddled(run.ranks, keep),
            _ => {
                let is_crowded = second.is_crowded;
                Some((second, is_crowded))
            }
        };
    }
    run.filter(|(_, crowded)| *crowded).map_or(0..0, |(run, _)| straddled(run.ranks, keep))
}

/// What was pushed within one second.
struct Second {
    at: i64,
    ranks: Range<usize>,
    is_crowded: bool,
}

impl Second {
    const fn adjoins(&self, older: &Self) -> bool {
        self.at - older.at == 1
    }
}

fn seconds<T: Eq + Hash>(ranked: &[(Timestamp, T)]) -> impl Iterator<Item = Second> {
    let mut start = 0;
    ranked.chunk_by(|(a, _), (b, _)| a.as_second() == b.as_second()).map(move |pushed| {
        let ranks = start..start + pushed.len();
        start = ranks.end;
        let images: HashSet<&T> = pushed.iter().map(|(_, image)| image).collect();
        Second { at: pushed[0].0.as_second(), ranks, is_crowded: images.len() > HANDFUL }
    })
}

fn straddled(ranks: Range<usize>, keep: usize) -> Range<usize> {
    if ranks.start < keep && keep < ranks.end { ranks } else { 0..0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pushes as `(second, how many images)`, newest first.
    fn pushes(seconds: &[(i64, usize)]) -> Vec<(Timestamp, usize)> {
        let mut image = 0;
        let mut of_one = |(second, images): &(i64, usize)| {
            let push = |nth: usize| {
                image += 1;
                let nanos = 999_999_999 - i32::try_from(nth).unwrap();
                (Timestamp::new(*second, nanos).unwrap(), image)
            };
            (0..*images).map(push).collect::<Vec<_>>()
        };
        seconds.iter().flat_map(&mut of_one).collect()
    }

    #[test]
    fn a_crowd_of_equal_times_across_the_boundary_has_no_order() {
        type Case = (&'static [(i64, usize)], usize, Range<usize>);
        let cases: [Case; 13] = [
            (&[(9, 8)], 3, 0..8),
            (&[(9, 8)], 8, 0..0),
            (&[(9, 8)], 0, 0..0),
            (&[(9, 5)], 3, 0..0),
            (&[(20, 3), (9, 8)], 3, 0..0),
            (&[(20, 3), (9, 8)], 4, 3..11),
            (&[(20, 8), (9, 3)], 8, 0..0),
            // A copying that took several seconds, with a few at its ends.
            (&[(10, 2), (9, 8), (8, 8), (7, 2)], 1, 0..20),
            (&[(10, 2), (9, 8), (8, 8), (7, 2)], 19, 0..20),
            (&[(10, 2), (9, 8), (7, 2)], 11, 0..0),
            // A busy repository.
            (&[(10, 5), (9, 5), (8, 5)], 7, 0..0),
            (&[(30, 8), (20, 8), (10, 8)], 16, 0..0),
            (&[(30, 8), (20, 8), (10, 8)], 17, 16..24),
        ];
        for (seconds, keep, expected) in cases {
            assert_eq!(straddling(&pushes(seconds), keep), expected, "{seconds:?}, {keep} kept");
        }
    }

    #[test]
    fn many_tags_of_one_image_are_no_crowd() {
        let one: Vec<_> = pushes(&[(9, 20)]).into_iter().map(|(at, _)| (at, "image")).collect();
        assert_eq!(straddling(&one, 3), 0..0);
    }

    proptest! {
        #[test]
        fn no_order_is_found_between_what_is_kept_and_what_goes_within_a_crowd(
            mut seconds in proptest::collection::vec((0_i64..12, 1_usize..9), 1..8),
            keep in 0_usize..40,
        ) {
            seconds.sort_unstable_by_key(|(second, _)| -second);
            seconds.dedup_by_key(|(second, _)| *second);
            let ranked = pushes(&seconds);
            let group = straddling(&ranked, keep);
            let crowded = |at: i64| seconds.iter().any(|(second, images)| *second == at && *images > HANDFUL);
            let second = |rank: usize| ranked[rank].0.as_second();
            if group.is_empty() {
                if keep > 0 && keep < ranked.len() {
                    prop_assert!(second(keep - 1) != second(keep) || !crowded(second(keep)));
                }
            } else {
                prop_assert!(group.contains(&(keep - 1)) && group.contains(&keep));
                prop_assert!(group.clone().any(|rank| crowded(second(rank))));
                // Whole seconds, all adjoining.
                for rank in group.start + 1..group.end {
                    prop_assert!(second(rank - 1) - second(rank) <= 1);
                }
                prop_assert!(group.start == 0 || second(group.start - 1) != second(group.start));
                prop_assert!(group.end == ranked.len() || second(group.end) != second(group.end - 1));
            }
        }
    }
}
