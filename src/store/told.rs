//! Problems of one kind that may be a million: a storage that goes away has them with every file.

use std::io;

use crate::model::Problem;

/// How many of them are told one by one.
const TOLD: usize = 100;

/// The first problems, and how many more there were.
#[derive(Debug, Default)]
pub(super) struct Told {
    problems: Vec<Problem>,
    more: usize,
}

impl Told {
    pub(super) fn push(&mut self, problem: Problem) {
        if self.problems.len() < TOLD {
            self.problems.push(problem);
        } else {
            self.more += 1;
        }
    }

    /// All of them, the last one for those that are only counted.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        let Self { mut problems, more } = self;
        if let (Some(last), 1..) = (problems.last().cloned(), more) {
            let cause = io::Error::other(format!("so it was with {more} more after {}", last.path));
            problems.push(Problem {
                severity: last.severity,
                ..Problem::of_failed_step("and more".into(), &cause)
            });
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(count: usize) -> Vec<Problem> {
        let mut told = Told::default();
        for number in 0..count {
            told.push(Problem::of_failed_step(format!("file {number}"), &io::Error::other("gone")));
        }
        told.into_problems()
    }

    #[test]
    fn a_few_are_told_and_the_rest_is_counted() {
        assert_eq!(told(0), []);
        assert_eq!(told(TOLD).len(), TOLD);
        assert_eq!(told(TOLD).last().map(|it| &*it.path), Some("file 99"));
        let many = told(TOLD + 7);
        assert_eq!(many.len(), TOLD + 1);
        assert!(many[TOLD].cause.contains("7 more after file 99"), "{:?}", many[TOLD]);
    }
}
