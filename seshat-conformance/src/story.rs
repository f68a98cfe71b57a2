//! Short legal histories that checks begin with.

use crate::model::{Ballot, Id, Item, Members, Payload, Step};
use crate::words::{Command, Shape};

/// A log id.
pub(crate) fn id(term: u64, node: u64, index: u64) -> Id {
    Id { term, node, index }
}

/// An entry. The first of a log has the same id on every node: it comes with initialization, not
/// from a leader.
pub(crate) fn item(id: Id, payload: Payload) -> Item {
    let id = if id.index == 0 { Id::FIRST } else { id };
    Item { id, payload }
}

/// Node `k` of some that are far apart: each differs from the others in every part of its id.
pub(crate) fn far(k: u64) -> u64 {
    1 + (k % 4) * 0x0101_0001_0001
}

/// An entry each of leaders of every kind of term, far apart.
pub(crate) fn leaders() -> Vec<Step> {
    leaders_of(&BOUNDARIES)
}

/// An entry each of leaders of these terms.
pub(crate) fn leaders_of(terms: &[u64]) -> Vec<Step> {
    let leader = |(index, term): (u64, &u64)| {
        [leader(*term, far(index)), Step::Append(vec![entry(*term, far(index), index)])]
    };
    (0..).zip(terms).flat_map(leader).collect()
}

/// Numbers that no term or index gets to, which are counted up by one: signed ones end there.
pub(crate) const BEYOND: [u64; 2] = [1 << 63, u64::MAX - 1];

/// Numbers around the places where narrower types end.
pub(crate) const BOUNDARIES: [u64; 14] = [
    127,
    128,
    255,
    256,
    32_767,
    32_768,
    65_535,
    65_536,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    (1 << 53) + 1,
    (1 << 63) - 1,
];

/// Saves the vote of a leader that a quorum has elected.
pub(crate) fn leader(term: u64, node: u64) -> Step {
    Step::Vote(Ballot { term, node, committed: true })
}

/// What a leader of `term` and `node` would have at `index`: a membership first, then commands,
/// now and then a blank entry. The same place holds another command in another term.
pub(crate) fn entry(term: u64, node: u64, index: u64) -> Item {
    let payload = match index {
        0 => Payload::Members(Members::new(&[1, 2, 3], &[])),
        _ if index % 5 == 3 => Payload::Blank,
        _ => Payload::Command(Command::plain(index + 1_000 * (term % 1_000))),
    };
    item(id(term, node, index), payload)
}

/// Entries of one leader from index `from` to before `to`.
pub(crate) fn entries(term: u64, node: u64, from: u64, to: u64) -> Vec<Item> {
    (from..to).map(|index| entry(term, node, index)).collect()
}

/// Commands of one leader from index `from` to before `to`; `from` is not 0.
pub(crate) fn commands(term: u64, node: u64, from: u64, to: u64) -> Vec<Item> {
    let command = |index| Payload::Command(Command::plain(index));
    (from..to).map(|index| item(id(term, node, index), command(index))).collect()
}

/// What is no command, alone and in a row: a log holds it, and a state's contents don't change.
pub(crate) fn without_commands() -> Vec<Vec<Payload>> {
    let wider = Payload::Members(Members::new(&[1, 2, 3], &[4]));
    let other = Payload::Members(Members::new(&[2, 3, 4], &[]));
    vec![
        vec![Payload::Blank],
        vec![wider.clone()],
        vec![Payload::Blank, Payload::Blank],
        vec![wider.clone(), other.clone()],
        vec![Payload::Blank, wider, Payload::Blank],
        vec![Payload::Blank, other],
    ]
}

/// Entries of one leader with these payloads, from index `from` on.
pub(crate) fn carrying(term: u64, node: u64, from: u64, payloads: &[Payload]) -> Vec<Item> {
    let item = |(index, payload): (u64, &Payload)| item(id(term, node, index), payload.clone());
    (from..).zip(payloads).map(item).collect()
}

/// Entries that make much of a state, and then what makes it little again: each key is given
/// something long, and then something short or nothing. The membership does the same.
pub(crate) fn long_then_short(has: impl Fn(&Command) -> bool) -> [Vec<Item>; 2] {
    /// Leaves the same key and the same kind of command, in applications that go by remainders.
    const FAR: u64 = 720_720_000_000_000;
    let of = |n, shapes: &[Shape]| -> Vec<Payload> {
        let commands = shapes.iter().map(|shape| Command { n, shape: *shape });
        commands.filter(&has).map(Payload::Command).collect()
    };
    let many: Vec<u64> = (1..40).collect();
    let mut long = vec![Payload::Members(Members::new(&[1, 2, 3], &[]))];
    long.extend((0..24).flat_map(|n| of(n + FAR, &[Shape::Plain, Shape::Large(2_000)])));
    long.push(Payload::Members(Members::new(&[1, 2, 3], &many)));
    let mut short: Vec<Payload> =
        (0..24).flat_map(|n| of(n, &[Shape::Plain, Shape::Empty, Shape::Delete])).collect();
    short.push(Payload::Members(Members::new(&[1, 2, 3], &[])));
    let from = long.len() as u64;
    [carrying(9, 2, 0, &long), carrying(9, 2, from, &short)]
}

/// Leaders of terms 1, 2 and 4 wrote a third each of the first `count` entries.
pub(crate) fn log_of(count: u64) -> Vec<Step> {
    let (a, b) = (count / 3, 2 * count / 3);
    [(1, 2, 0, a), (2, 1, a, b), (4, 3, b, count)]
        .into_iter()
        .filter(|(_, _, from, to)| from < to)
        .flat_map(|(term, node, from, to)| {
            [leader(term, node), Step::Append(entries(term, node, from, to))]
        })
        .collect()
}

/// The id of the entry at `index` of [`log_of`].
pub(crate) fn id_of(count: u64, index: u64) -> Id {
    let (a, b) = (count / 3, 2 * count / 3);
    match index {
        0 => Id::FIRST,
        _ if index < a => id(1, 2, index),
        _ if index < b => id(2, 1, index),
        _ => id(4, 3, index),
    }
}

/// [`log_of`] with the first `applied` entries committed and applied.
pub(crate) fn applied_of(count: u64, applied: u64) -> Vec<Step> {
    let mut steps = log_of(count);
    if applied > 0 {
        steps.extend([Step::Commit(applied - 1), Step::Apply(applied as usize)]);
    }
    steps
}

/// [`applied_of`], then a snapshot, and everything before and including index `upto` purged.
pub(crate) fn purged_of(count: u64, upto: u64) -> Vec<Step> {
    let mut steps = applied_of(count, upto + 1);
    steps.extend([Step::Build, Step::Purge(id_of(count, upto))]);
    steps
}
