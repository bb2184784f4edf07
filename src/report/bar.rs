//! A bar in a line of a table: as long as its part of the largest, and full as far as it is held alone.

/// Fewer cells tell nothing.
const LEAST_CELLS: usize = 8;
/// More tell no more.
const MOST_CELLS: usize = 30;

/// How bars are drawn in one table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bar {
    cells: usize,
    most: u64,
}

impl Bar {
    /// Bars for amounts up to `most` where there is room for so many cells; `None` where that is too few.
    pub(super) fn fitting(room: usize, most: u64) -> Option<Self> {
        (room >= LEAST_CELLS && most > 0).then(|| Self { cells: room.min(MOST_CELLS), most })
    }

    /// How wide every bar is.
    pub(super) const fn width(self) -> usize {
        self.cells
    }

    /// The bar of an amount. There is no colour in it.
    pub(super) fn draw(self, total: u64, alone: u64) -> String {
        let all = self.part(total).max(usize::from(total > 0));
        let full = self.part(alone).min(all);
        "█".repeat(full) + &"░".repeat(all - full) + &" ".repeat(self.cells - all)
    }

    /// How many cells an amount fills, rounded.
    fn part(self, amount: u64) -> usize {
        let most = u128::from(self.most);
        let cells = (u128::from(amount) * self.cells as u128 + most / 2) / most;
        usize::try_from(cells).unwrap_or(self.cells).min(self.cells)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_bar_is_as_long_as_its_part_and_full_as_far_as_it_is_held_alone() {
        let bar = Bar::fitting(10, 1000).unwrap();
        for (total, alone, drawn) in [
            (1000, 1000, "██████████"),
            (1000, 0, "░░░░░░░░░░"),
            (500, 200, "██░░░     "),
            (1, 0, "░         "),
            (1, 1, "░         "),
            (0, 0, "          "),
            (249, 249, "██        "),
            (250, 250, "███       "),
        ] {
            assert_eq!(bar.draw(total, alone), drawn, "{total} {alone}");
        }
    }

    #[test]
    fn there_is_no_bar_without_room_or_without_anything_to_tell() {
        assert!(Bar::fitting(LEAST_CELLS - 1, 1).is_none());
        assert!(Bar::fitting(80, 0).is_none());
        assert_eq!(Bar::fitting(200, 1).unwrap().width(), MOST_CELLS);
    }

    proptest! {
        #[test]
        fn every_bar_is_as_wide_as_the_others(most in 1_u64.., total: u64, alone: u64, room in LEAST_CELLS..50) {
            let bar = Bar::fitting(room, most).unwrap();
            let total = total % most;
            prop_assert_eq!(bar.draw(total, alone % (total + 1)).chars().count(), bar.width());
        }
    }
}
