//! Disks that fill up, segments that go, and what is kept in memory.

use bytes::Bytes;
use seshat_core::wal::{BYTES_PER_FRAME, Record, Space, SubmitError, Wal};

use crate::history::{Ended, Op, Run, entries, log_id, observe, options};
use crate::sim::Sim;

fn segments(sim: &Sim) -> Vec<String> {
    let files = sim.world().files();
    files.into_keys().filter(|name| name.ends_with(".seg")).collect()
}

fn size(sim: &Sim) -> usize {
    sim.world().files().values().map(Vec::len).sum()
}

/// Entries are taken as long as they fit in what is there, and refused before anything of them is written;
/// votes, truncations and purges are taken; and entries again, once there is room.
#[test]
fn a_full_disk_refuses_entries_takes_votes_and_recovers() {
    let sim = Sim::new(512);
    let mut run = Run::fresh(sim.clone()).unwrap();
    run.run(&[Op::Append(0, 1, 40)]).unwrap();
    assert_eq!(run.wal().maintain().unwrap(), Space::Enough);
    // What is there is all there will be: one segment, one spare.
    let room = size(&sim);
    sim.world().faults.room = Some(room);
    run.run(&[Op::Append(0, 1, 5000)]).unwrap();
    run.run(&[Op::Append(0, 1, 5000)]).unwrap();
    // The spare is a segment now, and another can't be made.
    assert_eq!(run.wal().maintain().unwrap(), Space::Full);
    let before = run.states.len();
    assert!(run.wal().fits(40) && !run.wal().fits(5000));
    assert!(matches!(run.run(&[Op::Append(0, 1, 5000)]), Err(Ended::Full)));
    assert_eq!(run.states.len(), before);
    let calls = sim.world().calls;
    let refused = run.wal().submit(0, entries(3, &[Bytes::from(vec![1; 5000])])).unwrap_err();
    assert!(!run.wal().make_room(5000).unwrap());
    assert_eq!(sim.world().calls, calls, "the disk isn't tried for each of them");
    assert!(matches!(refused, SubmitError::DiskFull { needed } if needed >= 4096), "{refused}");
    assert!(refused.to_string().starts_with("the disk is full: "), "{refused}");
    run.run(&[Op::Append(0, 1, 40)]).unwrap();
    run.run(&[Op::Vote(0), Op::Committed(0), Op::Truncate(0, 2), Op::Settle]).unwrap();
    // It is a restart's business as little as anybody's.
    run.run(&[Op::Kill, Op::Vote(0)]).unwrap();
    // A purge makes room without any of the disk's.
    assert_eq!(run.wal().maintain().unwrap(), Space::Full);
    run.run(&[Op::Purge(0, 0)]).unwrap();
    assert_eq!(run.wal().maintain().unwrap(), Space::Enough);
    run.run(&[Op::Append(0, 1, 5000), Op::Read(0)]).unwrap();
    assert_eq!(observe(run.wal()), *run.state());
    assert_eq!(size(&sim), room);
}

#[test]
fn a_disk_with_room_again_is_used_again() {
    let sim = Sim::new(512);
    let mut run = Run::fresh(sim.clone()).unwrap();
    let room = size(&sim);
    sim.world().faults.room = Some(room);
    assert!(matches!(run.run(&[Op::Append(0, 1, 5000); 3]), Err(Ended::Full)));
    assert_eq!(run.wal().space(), Space::Full);
    sim.world().faults.room = None;
    assert_eq!(run.wal().maintain().unwrap(), Space::Enough);
    run.run(&[Op::Append(0, 1, 5000); 3]).unwrap();
}

/// While a spare is left, entries are taken: it is the time to say that there will be no more.
#[test]
fn the_last_spare_is_told_before_it_is_used() {
    let sim = Sim::new(512);
    let mut run = Run::fresh(sim.clone()).unwrap();
    run.options.spares = 2;
    run.run(&[Op::Close]).unwrap();
    let one_spare = size(&sim) + 12288;
    sim.world().faults.room = Some(one_spare);
    assert_eq!(run.wal().maintain().unwrap(), Space::Low);
    run.run(&[Op::Append(0, 1, 5000); 2]).unwrap();
}

/// Whatever else there is to say fits where entries don't: dozens of votes, to the last byte.
#[test]
fn the_reserve_is_for_votes() {
    let sim = Sim::new(512);
    let mut run = Run::fresh(sim.clone()).unwrap();
    run.run(&[Op::Append(0, 1, 7500)]).unwrap();
    let room = size(&sim);
    sim.world().faults.room = Some(room);
    assert!(matches!(run.run(&[Op::Append(0, 1, 300)]), Err(Ended::Full)));
    let mut votes = 0;
    while run.run(&[Op::Vote(0)]).is_ok() {
        votes += 1;
    }
    assert!(votes >= 256 / 56, "{votes}");
    run.run(&[Op::Kill]).unwrap();
    assert_eq!(observe(run.wal()), *run.state());
}

/// A full disk has a place for the entry that a new leader begins with, and keeps the others for votes.
#[test]
fn the_smallest_entries_may_have_half_of_the_reserve() {
    let sim = Sim::new(512);
    let mut run = Run::fresh(sim.clone()).unwrap();
    run.options.reserve_bytes = 4096;
    run.run(&[Op::Close, Op::Append(0, 1, 10_000)]).unwrap();
    let room = size(&sim);
    sim.world().faults.room = Some(room);
    assert!(matches!(run.run(&[Op::Append(0, 1, 3000); 4]), Err(Ended::Full)));
    let mut small = 0;
    while run.run(&[Op::Append(0, 1, 40)]).is_ok() {
        small += 1;
    }
    assert!((15..60).contains(&small), "{small}");
    let mut votes = 0;
    while votes < 30 && run.run(&[Op::Vote(0)]).is_ok() {
        votes += 1;
    }
    assert_eq!(votes, 30);
    run.run(&[Op::Kill]).unwrap();
    assert_eq!(observe(run.wal()), *run.state());
}

/// However much passes through, the files stay as many as what is kept needs.
#[test]
fn segments_are_recycled_and_the_log_does_not_grow() {
    let sim = Sim::new(512);
    let mut run = Run::fresh(sim.clone()).unwrap();
    for _ in 0..100 {
        run.run(&[Op::Append(0, 2, 2000), Op::Append(1, 1, 10), Op::Purge(0, 1), Op::Purge(1, 0)])
            .unwrap();
        run.run(&[Op::Maintain]).unwrap();
        assert!(segments(&sim).len() <= 3, "{:?}", segments(&sim));
        assert!(size(&sim) <= 5 * 12288 + 200, "{}", size(&sim));
    }
    run.run(&[Op::Kill, Op::Read(0)]).unwrap();
}

/// One group that never purges keeps what is its own, and all behind it.
#[test]
fn a_segment_stays_while_any_group_needs_it() {
    let sim = Sim::new(512);
    let mut run = Run::fresh(sim.clone()).unwrap();
    run.run(&[Op::Append(1, 1, 10)]).unwrap();
    run.run(&[Op::Append(0, 1, 5000), Op::Purge(0, 0), Op::Maintain].repeat(4)).unwrap();
    assert_eq!(segments(&sim).len(), 4);
    run.run(&[Op::Kill, Op::Read(1), Op::Purge(1, 0), Op::Maintain]).unwrap();
    assert_eq!(segments(&sim).len(), 1);
    run.run(&[Op::Kill, Op::Read(0), Op::Read(1)]).unwrap();
}

/// Entries that were truncated go with their segment, and what took their places stays.
#[test]
fn what_was_truncated_is_not_missed() {
    let sim = Sim::new(512);
    let mut run = Run::fresh(sim.clone()).unwrap();
    run.run(&[Op::Append(0, 3, 1500), Op::Append(1, 1, 5000), Op::Truncate(0, 2)]).unwrap();
    run.run(&[Op::Append(0, 1, 40), Op::Purge(0, 1), Op::Maintain]).unwrap();
    assert_eq!(segments(&sim), ["wal/000000000002.seg"]);
    run.run(&[Op::Kill, Op::Read(0), Op::Read(1)]).unwrap();
}

/// A read stops at what it may take, but not before the first entry.
#[test]
fn a_read_is_bounded() {
    let sim = Sim::new(512);
    let mut run = Run::fresh(sim.clone()).unwrap();
    run.run(&[Op::Append(0, 3, 100), Op::Append(0, 3, 1000), Op::Append(0, 1, 5000)]).unwrap();
    let lens = |range, max| -> Vec<(u64, usize)> {
        let read = run.wal().read(0, range, max).unwrap();
        read.into_iter().map(|(index, entry)| (index, entry.len())).collect()
    };
    assert_eq!(lens(0..9, 0), [(0, 100)]);
    assert_eq!(lens(1..9, 250), [(1, 100), (2, 100)]);
    assert_eq!(lens(2..9, 2100), [(2, 100), (3, 1000), (4, 1000)]);
    assert_eq!(lens(6..9, 1), [(6, 5000)]);
    assert_eq!(lens(4..5, u64::MAX), [(4, 1000)]);
    assert_eq!(lens(7..9, u64::MAX), []);
    #[expect(clippy::reversed_empty_ranges, reason = "has nothing in it")]
    let reversed = lens(5..2, u64::MAX);
    assert_eq!(reversed, []);
}

/// An entry larger than a segment has one of its own.
#[test]
fn a_large_entry_has_a_segment_of_its_own() {
    let sim = Sim::new(512);
    let mut run = Run::fresh(sim.clone()).unwrap();
    run.run(&[Op::Append(0, 1, 40), Op::Append(0, 1, 100_000), Op::Append(0, 1, 40)]).unwrap();
    run.run(&[Op::Kill, Op::Read(0), Op::Purge(0, 0), Op::Append(0, 1, 5000), Op::Maintain])
        .unwrap();
    assert!(size(&sim) < 50_000, "it isn't kept as a spare");
}

#[test]
fn what_an_entry_takes_in_memory_is_known() {
    const { assert!(BYTES_PER_FRAME <= 24) }
}

/// A record that contradicts its group leaves everything as it was.
#[test]
fn an_illegal_record_changes_nothing() {
    let sim = Sim::new(512);
    let mut run = Run::fresh(sim.clone()).unwrap();
    run.run(&[Op::Append(0, 3, 40), Op::Purge(0, 1)]).unwrap();
    let (before, calls) = (observe(run.wal()), sim.world().calls);
    let one = [Bytes::from_static(b"x")];
    let illegal: [(u32, Record, &str); 5] = [
        (0, entries(4, &one), "group 0: entry 4 does not continue the log: expected 3"),
        (0, entries(2, &one), "group 0: entry 2 does not continue the log: expected 3"),
        (0, entries(3, &[]), "group 0: 0 entries from 3 on can't be counted"),
        (
            9,
            entries(u64::MAX, &one),
            "group 9: 1 entries from 18446744073709551615 on can't be counted",
        ),
        (0, Record::Truncate(1), "group 0: can't truncate since 1: the log is purged up to 1"),
    ];
    for (group, record, words) in illegal {
        assert_eq!(run.wal().submit(group, record).unwrap_err().to_string(), words);
    }
    assert_eq!((observe(run.wal()), sim.world().calls), (before, calls));
    assert_eq!(run.wal().groups().len(), 1, "no group came of it");
    // An old purge is no error, and no news.
    let lsn = run.wal().submit(0, Record::Purge(log_id(1, 0))).unwrap();
    run.wal().wait(lsn).unwrap();
    run.run(&[Op::Kill, Op::Read(0)]).unwrap();
}

#[test]
fn a_closed_log_takes_nothing() {
    let (wal, _) = Wal::open(Sim::new(512), options()).unwrap();
    wal.close().unwrap();
    wal.close().unwrap();
    let refused = wal.submit(0, Record::Truncate(1)).unwrap_err();
    assert_eq!(refused.to_string(), "the log is closed");
}
