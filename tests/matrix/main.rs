//! Damage of every kind in every place, on stores that the real registry has written: nothing live is lost, and
//! it is told where, why, and what to do.
//!
//! Each cell of the matrix copies one store, damages it, audits it, sweeps it, mends it and sweeps it again. The
//! witness is the registry itself: what it served whole before the sweep it has to serve whole afterwards.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cell;
mod contents;
mod expectation;
mod images;
mod links;
mod manifests;
mod names;
mod place;
mod storage;
mod symlinks;
mod template;
mod witness;

use cell::{run_all, run_all_remembered};
use place::Place::{Child, Going, Kept, Nested, Other, Referrer, Untagged};

#[test]
fn damaged_manifests_lose_nothing_and_are_told() {
    run_all(&manifests::DAMAGES, &[Kept, Child, Going, Untagged, Referrer, Other]);
}

#[test]
fn manifests_that_are_damaged_after_they_were_read_lose_nothing_and_are_told_where_that_shows() {
    run_all_remembered(&manifests::DAMAGES, &[Kept, Child, Going, Untagged, Referrer, Other]);
}

#[test]
fn missing_parts_of_images_whose_manifests_are_remembered_are_told_and_nothing_more_is_lost() {
    run_all_remembered(&images::DAMAGES, &[Kept, Child, Going, Untagged, Referrer, Nested]);
}

#[test]
fn damaged_links_lose_nothing_and_are_told() {
    run_all(&links::DAMAGES, &[Kept, Child, Going, Untagged, Referrer, Nested]);
}

#[test]
fn missing_parts_of_images_are_told_and_nothing_more_is_lost() {
    run_all(&images::DAMAGES, &[Kept, Child, Going, Untagged, Referrer, Nested]);
}

#[test]
fn odd_contents_are_kept() {
    run_all(&contents::ODDITIES, &[Kept]);
}

#[test]
fn odd_names_are_left_alone() {
    run_all(&names::ODDITIES, &[Kept, Going]);
}

#[test]
fn symbolic_links_are_not_followed_and_what_is_behind_them_stays() {
    run_all(&symlinks::ODDITIES, &[Kept, Child, Going, Untagged, Referrer, Other]);
}
