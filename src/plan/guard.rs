//! How much one sweep may take away before a person has to say that it is meant.

use std::fmt;

/// Of fewer things, any share may go: a store of three tags loses two of them on a usual day.
pub const TINY: usize = 20;

/// How many of all things of a kind would go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The kind, in the plural.
    pub what: &'static str,
    /// How many would go.
    pub going: usize,
    /// How many there are.
    pub all: usize,
}

impl Share {
    /// Whether this is more than a percentage of all, and worth a guard.
    pub fn exceeds(&self, percent: u8) -> bool {
        self.all >= TINY && widened(self.going) * 100 > widened(self.all) * u128::from(percent)
    }

    /// The least whole percentage that permits this.
    fn percent(&self) -> u128 {
        (widened(self.going) * 100).div_ceil(widened(self.all).max(1))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} {}", self.going, self.all, self.what)
    }
}

fn widened(count: usize) -> u128 {
    count as u128
}

/// A sweep that would take away more than it may without being told twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooMuch {
    shares: Vec<Share>,
    most: u8,
}

impl TooMuch {
    /// Those of the shares that exceed a percentage, if there are any.
    pub fn among(shares: impl IntoIterator<Item = Share>, most: u8) -> Option<Self> {
        let shares: Vec<Share> = shares.into_iter().filter(|share| share.exceeds(most)).collect();
        (!shares.is_empty()).then_some(Self { shares, most })
    }

    /// What would go, and what may.
    pub fn cause(&self) -> String {
        let shares: Vec<String> = self.shares.iter().map(ToString::to_string).collect();
        format!("a sweep would remove {}, and at most {} % may go", shares.join(" and "), self.most)
    }

    /// What says that it is meant.
    pub fn flag(&self) -> String {
        let percent = self.shares.iter().map(Share::percent).max().unwrap_or(100);
        format!("--max-remove-percent {percent}")
    }

    /// How to say that it is meant, with all the flags that it takes.
    pub fn remedy(flags: &str) -> String {
        format!(
            "if that is meant, as on the first sweep of a long-neglected store, see with --dry-run what goes, and {}",
            confirm(flags)
        )
    }
}

/// How to say for one sweep that it is meant.
pub fn confirm(flags: &str) -> String {
    format!(
        "confirm it for one sweep: the same settings with --run-once {flags} added (with the compose stack: make gc ARGS=\"{flags}\")"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tags(going: usize, all: usize) -> Share {
        Share { what: "tags", going, all }
    }

    #[test]
    fn more_than_the_share_is_too_much_once_the_store_is_not_tiny() {
        for (going, all, most, is_too_much) in [
            (0, 0, 50, false),
            (19, 19, 50, false),
            (10, 20, 50, false),
            (11, 20, 50, true),
            (20, 20, 99, true),
            (20, 20, 100, false),
            (1, 100, 1, false),
            (2, 100, 1, true),
            (501, 1000, 50, true),
        ] {
            let told = TooMuch::among([tags(going, all)], most);
            assert_eq!(told.is_some(), is_too_much, "{going} of {all} at {most} %");
        }
    }

    #[test]
    fn a_refusal_tells_every_share_and_the_command_that_permits_them_all() {
        let blobs = Share { what: "blobs", going: 301, all: 320 };
        let told = TooMuch::among([tags(60, 100), blobs], 50).unwrap();
        assert_eq!(
            told.cause(),
            "a sweep would remove 60 of 100 tags and 301 of 320 blobs, and at most 50 % may go"
        );
        assert_eq!(told.flag(), "--max-remove-percent 95");
        let one = TooMuch::among([tags(40, 100), blobs], 50).unwrap();
        assert!(!one.cause().contains("tags"), "{}", one.cause());
    }

    proptest! {
        #[test]
        fn the_percentage_of_the_command_permits_just_what_was_told(all in TINY..10_000, part in 0..=1000_usize, most in 1_u8..=100) {
            let going = all * part / 1000;
            if tags(going, all).exceeds(most) {
                let needed = u8::try_from(tags(going, all).percent()).unwrap();
                prop_assert!(needed <= 100 && needed > most);
                prop_assert!(!tags(going, all).exceeds(needed));
                prop_assert!(tags(going, all).exceeds(needed - 1));
            }
        }
    }
}
