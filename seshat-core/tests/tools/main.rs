//! The program `seshat`, on real directories and clusters: whole ones, and ones that are damaged at every kind of
//! place.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../common/entries.rs"]
mod entries;

mod backed_up;
mod cut_short;
mod damaged;
mod directory;
mod dumped;
mod hostile;
mod kept_whole;
mod program;
mod refused;
mod reports;
mod salvaged;
mod seeded;
