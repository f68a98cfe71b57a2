//! What openraft 0.9.25 asks of a storage, numbered, with the place in its source that says so.
//!
//! The words are ours; the places are where to read openraft's. Numbers never change. Those from
//! 45 to 49 are stated for the older `RaftStorage` and hold by analogy; those from 60 on are
//! relied on by openraft's code without being stated.

mod log;
mod machine;
pub(crate) mod place;

use std::fmt;

pub use self::place::Place;

/// One thing that openraft asks of a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requirement {
    /// What checks refer to it by.
    pub number: u8,
    /// Where openraft 0.9.25 says so, below `openraft/src`.
    pub place: &'static str,
    /// Which method, or which side of the storage.
    pub method: &'static str,
    /// What is asked, in our words.
    pub promise: &'static str,
}

/// `R15 storage/v2.rs:131 (truncate): ...`.
impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, place, method, promise } = self;
        write!(f, "R{number} {place} ({method}): {promise}")
    }
}

const fn r(
    number: u8,
    place: &'static str,
    method: &'static str,
    promise: &'static str,
) -> Requirement {
    Requirement { number, place, method, promise }
}

/// All of them, by number.
pub fn requirements() -> impl Iterator<Item = &'static Requirement> {
    log::REQUIREMENTS.iter().chain(machine::REQUIREMENTS)
}

/// The one of that number.
pub fn requirement(number: u8) -> Option<&'static Requirement> {
    requirements().find(|requirement| requirement.number == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_1_to_65_each_once() {
        let mut numbers: Vec<_> = requirements().map(|requirement| requirement.number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=65).collect::<Vec<_>>());
    }

    #[test]
    fn each_names_a_line_and_ends_as_a_sentence() {
        for Requirement { number, place, promise, method } in requirements() {
            let (file, line) = place.split_once(':').unwrap_or((place, "1"));
            let known = [".rs", ".md"].iter().any(|end| file.ends_with(end));
            assert!(known, "R{number}: {place}");
            assert!(line.starts_with(|c: char| c.is_ascii_digit()), "R{number}: {place}");
            assert!(promise.ends_with('.') && promise.len() > 20, "R{number}: {promise}");
            assert!(!method.is_empty(), "R{number}");
        }
    }
}
