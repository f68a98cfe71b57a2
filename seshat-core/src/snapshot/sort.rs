//! Sorts records by key, fast where it is common: many keys that begin alike.
//!
//! Keys are compared by eight bytes at once, taken after the prefix that most of them share, and
//! those eight bytes stand beside the reference, so that sorting seldom looks at a key.

use super::GROUP;
use crate::machine::{Record, View};

/// Keys that are asked for the prefix they share.
const SAMPLE: usize = 64;
/// Records in a part that takes no more than 16 MiB: sorting takes 24 bytes for each.
pub(super) const PART: usize = 400_000;
/// Keys that are asked for each part where it ends: enough that none gets much larger than another.
const ASKED: usize = 1024;

/// The records in ascending order of their keys, about so many sorted and in memory at a time. Each part looks at all
/// of them, which costs less than to sort them as long as there are some millions.
pub(super) fn in_parts(view: &View, part: usize) -> impl Iterator<Item = Vec<&Record>> {
    let bounds = bounds(view, part);
    let begins = std::iter::once(None).chain(bounds.clone().into_iter().map(Some));
    let ends = bounds.into_iter().map(Some).chain([None]);
    begins.zip(ends).map(|(begin, end)| by_key(within(view, begin, end)))
}

/// The records from key `begin` on, and below `end`.
fn within<'a>(
    view: &'a View,
    begin: Option<&'a [u8]>,
    end: Option<&'a [u8]>,
) -> impl Iterator<Item = &'a Record> {
    let all = begin.is_none() && end.is_none();
    let is_within = move |record: &&Record| {
        all || begin.is_none_or(|begin| record.key() >= begin)
            && end.is_none_or(|end| record.key() < end)
    };
    view.records().filter(is_within)
}

/// Where all parts but the first begin, none of which has much more than `part` records. They lie in the view
/// in no order that a key has any part in, so some of them stand for all.
fn bounds(view: &View, part: usize) -> Vec<&[u8]> {
    let parts = (view.size().keys as usize).div_ceil(part);
    if parts <= 1 {
        return Vec::new();
    }
    let step = (part / ASKED).max(1);
    let mut asked: Vec<&[u8]> = view.records().step_by(step).map(Record::key).collect();
    asked.sort_unstable();
    let of_each = asked.len().div_ceil(parts).max(1);
    asked.into_iter().step_by(of_each).skip(1).collect()
}

/// The records, in ascending order of their keys.
pub(super) fn by_key<'a>(records: impl Iterator<Item = &'a Record>) -> Vec<&'a Record> {
    let mut records: Vec<&Record> = records.collect();
    let prefix = shared_prefix(&records).to_vec();

    let mut alike = Vec::with_capacity(records.len());
    let mut below = Vec::new();
    let mut above = Vec::new();
    for group in records.chunks(GROUP) {
        std::hint::black_box(group.iter().fold(0, |sum, record| sum ^ record.touch()));
        for record in group.iter().copied() {
            match record.key().strip_prefix(prefix.as_slice()) {
                Some(rest) => alike.push((head(rest), record)),
                None if record.key() < prefix.as_slice() => below.push(record),
                None => above.push(record),
            }
        }
    }
    records.clear();
    // All keys are different, so an unstable sort has one result.
    alike.sort_unstable_by(|(a_head, a), (b_head, b)| {
        a_head.cmp(b_head).then_with(|| a.key().cmp(b.key()))
    });
    below.sort_unstable_by_key(|record| record.key());
    above.sort_unstable_by_key(|record| record.key());

    records.extend(below);
    records.extend(alike.into_iter().map(|(_, record)| record));
    records.extend(above);
    records
}

/// The longest prefix that a sample of the keys share.
fn shared_prefix<'a>(records: &[&'a Record]) -> &'a [u8] {
    let step = (records.len() / SAMPLE).max(1);
    let mut sample = records.iter().step_by(step).map(|record| record.key());
    let first = sample.next().unwrap_or_default();
    sample.fold(first, |prefix, key| {
        let alike = prefix.iter().zip(key).take_while(|(a, b)| a == b).count();
        prefix.get(..alike).unwrap_or_default()
    })
}

/// The first eight bytes as a number that sorts as they do. A shorter key is filled up with
/// zeros: it may tie with a longer one, never overtake it.
fn head(bytes: &[u8]) -> u64 {
    let mut head = [0; 8];
    for (to, from) in head.iter_mut().zip(bytes) {
        *to = *from;
    }
    u64::from_be_bytes(head)
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_set;
    use proptest::prelude::*;

    use super::*;
    use crate::machine::KeySpace;

    proptest! {
        #[test]
        fn parts_are_what_is_sorted_at_once(
            keys in btree_set(proptest::collection::vec(0..4_u8, 0..6), 0..200),
            part in 1..60_usize,
            layers in 1..4_usize,
        ) {
            let mut space = KeySpace::default();
            let mut views = Vec::new();
            for (at, key) in keys.iter().enumerate() {
                if at % (1 + keys.len() / layers) == 0 {
                    views.push(space.freeze());
                }
                space.set(key, b"value");
            }
            let view = space.freeze();
            let parts: Vec<_> = in_parts(&view, part).collect();
            let lens: Vec<_> = parts.iter().map(Vec::len).collect();
            prop_assert!(lens.iter().all(|len| *len <= part), "{lens:?}");
            let got: Vec<_> = parts.into_iter().flatten().map(|record| record.key().to_vec()).collect();
            prop_assert_eq!(got, keys.into_iter().collect::<Vec<_>>());
        }
    }
}
