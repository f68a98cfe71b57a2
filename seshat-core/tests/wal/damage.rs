//! Bytes that change, files that go, and what is said of them.

use std::ops::Range;

use rstest::rstest;
use seshat_core::wal::{Damage, LostEntries, OpenError, Part, ReadError, Wal, Wrong};

use crate::history::{Op, Run, State, observe, options};
use crate::sim::{Sim, World};
use crate::step;

/// All kinds of frames, two segments, closed in peace.
fn closed() -> (World, State) {
    let sim = Sim::new(512);
    let mut run = Run::fresh(sim.clone()).unwrap();
    run.run(&[
        Op::Append(0, 2, 30),
        Op::Vote(0),
        Op::Append(0, 3, 30),
        Op::Truncate(0, 1),
        Op::Snapshot(0),
        Op::Probation(1),
        Op::Purge(0, 2),
        Op::Committed(0),
        Op::Append(1, 1, 30),
        Op::Settle,
        Op::Append(0, 1, 7300),
        Op::Vote(1),
    ])
    .unwrap();
    run.wal().close().unwrap();
    let state = run.state().clone();
    run.wal = None;
    let world = sim.world().killed();
    (world, state)
}

fn open(world: World) -> (Sim, Result<Wal<Sim>, OpenError>) {
    let sim = Sim::on(world);
    let opened = Wal::open(sim.clone(), options()).map(|(wal, _)| wal);
    (sim, opened)
}

const FIRST: &str = "wal/000000000001.seg";
const SECOND: &str = "wal/000000000002.seg";

/// Where the frames of a segment end, and where the last one begins.
fn end(bytes: &[u8]) -> (usize, usize) {
    let (mut at, mut last) = (4096, 4096);
    while bytes[at..at + 8] != [0; 8] {
        last = at;
        let len = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
        at += 48 + len.next_multiple_of(8);
    }
    (at, last)
}

/// Bytes that are as their neighbours, under the same checksum: a header's zeros, and what is within a large
/// entry.
fn dull(bytes: &[u8]) -> Vec<Range<usize>> {
    let zeros = 96..4088;
    let mut dull = Vec::from([zeros]);
    let mut at = 4096;
    while bytes[at..at + 8] != [0; 8] {
        let len = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
        dull.push(at + 48 + 128..at + 48 + len.saturating_sub(128));
        at += 48 + len.next_multiple_of(8);
    }
    dull
}

/// Every byte of every frame, header and identity, changed in two ways: nothing opens that has lost
/// something, nothing that is refused is changed.
#[rstest]
#[case::all_bits(0xff)]
#[case::one_bit(0x01)]
fn a_byte_that_changed_is_found(#[case] xor: u8) {
    let (world, state) = closed();
    let files = world.files();
    let mut refused = 0;
    for name in [FIRST, SECOND, "IDENTITY"] {
        let bytes = &files[name];
        let (until, last) =
            if name == "IDENTITY" { (bytes.len(), bytes.len()) } else { end(bytes) };
        let is_newest = name == SECOND;
        let dull = if name == "IDENTITY" { Vec::new() } else { dull(bytes) };
        let is_dull = |at| dull.iter().any(|dull| dull.contains(&at));
        for at in (0..until).filter(|at| !is_dull(*at) || at % step(64) == 0) {
            let mut world = world.clone();
            world.damage(name, at, xor);
            let (sim, opened) = open(world.clone());
            // Of the last frame nobody says that it was durable. It holds nothing.
            if is_newest && at >= last {
                assert_eq!(observe(&opened.unwrap()), state);
                continue;
            }
            let error = opened.expect_err("a byte has changed");
            let newer = matches!(error, OpenError::Newer { .. });
            assert!(
                newer
                    || matches!(&error, OpenError::Damaged(damage) if damage.file == name
                && damage.offset <= at as u64),
                "{name} {at}: {error}"
            );
            assert_eq!(sim.world().files(), world.files(), "nothing is changed");
            refused += 1;
        }
    }
    assert!(refused > 1_000, "{refused}");
}

#[rstest]
#[case::first(FIRST)]
#[case::last(SECOND)]
fn a_segment_that_is_cut_is_found(#[case] name: &str) {
    let (world, _) = closed();
    let until = end(&world.files()[name]).1;
    for len in (0..until).step_by(40) {
        let mut world = world.clone();
        world.cut(name, len);
        let error = open(world).1.expect_err("bytes are missing");
        assert!(matches!(&error, OpenError::Damaged(_)), "{name} {len}: {error}");
    }
}

fn damage_of(world: World) -> Damage {
    match open(world).1 {
        Err(OpenError::Damaged(damage)) => *damage,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_segment_that_is_missing_is_named() {
    let (mut world, _) = closed();
    world.lose(FIRST);
    let damage = damage_of(world);
    assert_eq!((damage.file.as_str(), &damage.wrong), (FIRST, &Wrong::Absent));
    let lost = LostEntries { group: 0, from: 2, to: Some(3) };
    assert_eq!(damage.lost.first(), Some(&lost));
}

#[test]
fn a_segment_between_that_is_missing_is_named() {
    let sim = Sim::new(512);
    let mut run = Run::fresh(sim.clone()).unwrap();
    run.run(&[Op::Append(0, 1, 7300); 4]).unwrap();
    run.wal = None;
    let mut world = sim.world().killed();
    world.lose(SECOND);
    let damage = damage_of(world);
    assert_eq!((damage.file.as_str(), damage.wrong), (SECOND, Wrong::Missing));
}

#[test]
fn all_segments_missing_is_not_a_new_log() {
    let (mut world, _) = closed();
    world.lose(FIRST);
    world.lose(SECOND);
    assert_eq!(damage_of(world).wrong, Wrong::Missing);
}

#[test]
fn an_identity_that_is_missing_is_not_a_new_log() {
    let (mut world, _) = closed();
    world.lose("IDENTITY");
    let damage = damage_of(world);
    assert_eq!((damage.file.as_str(), damage.wrong), ("IDENTITY", Wrong::Missing));
}

#[test]
fn a_segment_of_another_directory_is_refused() {
    let (mut world, _) = closed();
    let other = Sim::new(512);
    let _ = seshat_core::wal::FileSystem::random(&other);
    let mut run = Run::fresh(other.clone()).unwrap();
    run.run(&[Op::Append(0, 1, 7300); 2]).unwrap();
    let second = other.world().files()[SECOND].clone();
    world.put(SECOND, second);
    assert!(matches!(damage_of(world).wrong, Wrong::Store { .. }));
}

#[test]
fn a_segment_under_another_name_is_refused() {
    let (mut world, _) = closed();
    let second = world.files()[SECOND].clone();
    world.put("wal/000000000003.seg", second);
    assert_eq!(damage_of(world).wrong, Wrong::Sequence { got: 2, expected: 3 });
}

/// A copy of an older moment, put back: every checksum in it is right.
#[test]
fn a_segment_from_a_copy_is_refused() {
    let sim = Sim::new(512);
    let mut run = Run::fresh(sim.clone()).unwrap();
    run.run(&[Op::Append(0, 1, 40), Op::Vote(0)]).unwrap();
    let copy = sim.world().files()[FIRST].clone();
    run.run(&[Op::Vote(0), Op::Append(0, 1, 7700)]).unwrap();
    run.wal = None;
    let mut world = sim.world().killed();
    assert!(world.files().contains_key(SECOND));
    world.put(FIRST, copy);
    assert!(matches!(damage_of(world).wrong, Wrong::Frame { part: Part::Head, .. }));
}

/// What an operator reads.
#[test]
fn damage_says_what_is_lost_and_what_to_do() {
    let (mut world, _) = closed();
    // In the body of the first entries, which a checkpoint of 48 bytes is before.
    world.damage(FIRST, 4096 + 48 + 48 + 8, 1);
    let text = open(world).1.unwrap_err().to_string();
    assert!(
        text.starts_with(
            "wal/000000000001.seg is damaged at byte 4144: frame 2 has a body that doesn't verify"
        ),
        "{text}"
    );
    for part in [
        "Nothing was changed",
        "Group 0: entries 0 to 1 are affected",
        "remove it from its cluster",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

/// A head that is gone: the entries are those between its neighbours'.
#[test]
fn damage_to_a_head_says_what_is_lost_too() {
    let (mut world, _) = closed();
    world.damage(FIRST, 4096 + 48 + 20, 1);
    let damage = damage_of(world);
    assert!(matches!(damage.wrong, Wrong::Frame { part: Part::Head, .. }), "{damage}");
    // No group was known before, and none after it has entries that begin later than it may have begun.
    assert_eq!(damage.lost, []);
    let mut world = closed().0;
    let second = second_entries(&world);
    world.damage(FIRST, second + 20, 1);
    let damage = damage_of(world);
    let lost = LostEntries { group: 0, from: 2, to: None };
    assert_eq!(damage.lost, [lost], "no other frame of this segment says where they end");
}

/// Damage that shows up while the log is open.
#[rstest]
#[case::head(4096 + 48 + 30)]
#[case::body(4096 + 48 + 48 + 8)]
fn a_cold_read_verifies(#[case] at: usize) {
    let (world, state) = closed();
    assert!(state[0].first >= 2, "the first frame of entries is purged");
    let at = at + second_entries(&world) - 4144;
    let (sim, wal) = open(world);
    let wal = wal.unwrap();
    sim.world().damage(FIRST, at, 0x10);
    let error = wal.read(0, 0..u64::MAX, u64::MAX).unwrap_err();
    assert!(
        matches!(&error, ReadError::Damaged { group: 0, file, .. } if file == FIRST),
        "{error}"
    );
    assert!(error.to_string().contains("of group 0 are damaged"), "{error}");
    // The others are there.
    assert_eq!(wal.read(1, 0..1, u64::MAX).unwrap().len(), 1);
}

/// Where the second frame of entries begins in the first segment.
fn second_entries(world: &World) -> usize {
    let bytes = world.files()[FIRST].clone();
    let (mut at, mut seen) = (4096, 0);
    loop {
        seen += usize::from(bytes[at + 8] == 1);
        if seen == 2 {
            return at;
        }
        let len = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
        at += 48 + len.next_multiple_of(8);
    }
}

/// A copy of the directory is put back and goes on; later a segment of the first life comes back among those
/// of the second. Each is whole, and they fit but for what is in them.
#[test]
fn segments_of_two_lives_are_refused() {
    let begin = [Op::Append(0, 1, 40), Op::Vote(0)];
    let life = |len| {
        let mut run = Run::fresh(Sim::new(512)).unwrap();
        run.run(&begin).unwrap();
        run.run(&[Op::Append(0, 1, len), Op::Append(0, 1, 7700)]).unwrap();
        run.wal = None;
        run.sim.world().killed()
    };
    // As long as each other with the zeros behind them.
    let (first, mut second) = (life(41), life(45));
    second.put(FIRST, first.files()[FIRST].clone());
    assert_eq!(damage_of(second).wrong, Wrong::Other);
}

/// A write that went where another should have: its checksums are right, its place is not.
#[test]
fn a_frame_at_the_place_of_another_is_found() {
    let mut run = Run::fresh(Sim::new(512)).unwrap();
    run.run(&[Op::Vote(0), Op::Vote(0), Op::Vote(0), Op::Settle]).unwrap();
    run.wal = None;
    let mut world = run.sim.world().killed();
    let mut bytes = world.files()[FIRST].clone();
    let vote = 48 + 8;
    let first = 4096 + 48;
    bytes.copy_within(first..first + vote, first + vote);
    world.put(FIRST, bytes);
    let damage = damage_of(world);
    assert!(matches!(damage.wrong, Wrong::Place { .. }), "{damage}");
    assert_eq!(damage.offset, (first + vote) as u64);
}
