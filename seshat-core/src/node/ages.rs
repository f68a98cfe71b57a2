//! [`Ages`]: since when entries are in a log, roughly. Pure.

use std::collections::VecDeque;

use tokio::time::Instant;

/// Marks that are kept; beyond, every other one goes, so that what is older is known less exactly.
const MOST: usize = 1024;

/// Where a log ended at some moments. Of entries that were there at the first, all that is known is that they
/// are no younger than that.
#[derive(Debug, Default)]
pub(super) struct Ages(VecDeque<(u64, Instant)>);

impl Ages {
    /// The log begins with entry `first` now, and ends with `last`. To be told again and again: between two
    /// times, all entries are taken for as young as the second is.
    pub(super) fn look(&mut self, first: u64, last: Option<u64>, now: Instant) {
        let Some(last) = last else { return self.0.clear() };
        // Truncated, and maybe grown again since: what is behind is no older than now.
        let kept = self.0.partition_point(|(index, _)| *index <= last);
        self.0.truncate(kept);
        if self.0.back().is_none_or(|(index, _)| *index < last) {
            self.0.push_back((last, now));
        }
        let gone = self.0.partition_point(|(index, _)| *index < first);
        self.0.drain(..gone);
        if self.0.len() > MOST {
            let newest = self.0.len() - 1;
            let mut at = 0..;
            self.0.retain(|_| at.next().is_some_and(|at| at % 2 == 1 || at == newest));
        }
    }

    /// Since when the entry is there at least; `None` if it isn't.
    pub(super) fn since(&self, index: u64) -> Option<Instant> {
        let at = self.0.partition_point(|(end, _)| *end < index);
        self.0.get(at).map(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Each look: when, the first and last index then; and for some indexes, since when they are there.
    #[rstest::rstest]
    #[case::grows(&[(0, 0, 5), (1, 0, 5), (2, 0, 9)], &[(0, Some(0)), (5, Some(0)), (6, Some(2)), (9, Some(2)), (10, None)])]
    #[case::is_purged(&[(0, 0, 5), (1, 0, 9), (2, 7, 9)], &[(7, Some(1)), (9, Some(1))])]
    #[case::is_truncated(&[(0, 0, 5), (1, 0, 9), (2, 0, 7), (3, 0, 9)], &[(5, Some(0)), (7, Some(2)), (8, Some(3))])]
    fn an_entry_is_as_old_as_the_look_that_found_it(
        #[case] looks: &[(u64, u64, u64)],
        #[case] since: &[(u64, Option<u64>)],
    ) {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut ages = Ages::default();
        for (when, first, last) in looks {
            ages.look(*first, Some(*last), at(*when));
        }
        for (index, expected) in since {
            assert_eq!(ages.since(*index), expected.map(at), "entry {index}");
        }
    }

    /// However long a log lives, its entries are never told older than they are, and the newest to the look.
    #[test]
    fn what_is_kept_is_bounded() {
        let start = Instant::now();
        let mut ages = Ages::default();
        for at in 0..100_000 {
            ages.look(0, Some(at), start + Duration::from_secs(at));
            assert!(ages.0.len() <= MOST);
        }
        for index in (0..100_000).step_by(997).chain([99_999]) {
            let since = ages.since(index).unwrap();
            assert!(since >= start + Duration::from_secs(index), "entry {index}");
        }
        assert_eq!(ages.since(99_999), Some(start + Duration::from_secs(99_999)));
    }
}
