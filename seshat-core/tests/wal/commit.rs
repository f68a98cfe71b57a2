//! Who writes, and when.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;
use seshat_core::proto::v1;
use seshat_core::wal::{Disk, Keeper, Lsn, Options, Record, Wal};

use crate::history::{Depth, Op, Run, Tried, crash, entries, options};
use crate::sim::Sim;

fn vote(term: u64) -> Record {
    Record::Vote(v1::Vote { term, node_id: 1, committed: false })
}

fn syncs(sim: &Sim) -> usize {
    sim.world().trace.iter().filter(|call| call.contains(": sync")).count()
}

/// Submitting writes nothing; one write and one sync do for all.
#[test]
fn the_first_who_waits_writes_for_all() {
    let sim = Sim::new(512);
    let (wal, _) = Wal::open(sim.clone(), options()).unwrap();
    let calls = sim.world().calls;
    let lsns: Vec<Lsn> = (0..10).map(|group| wal.submit(group, vote(1)).unwrap()).collect();
    assert_eq!(sim.world().calls, calls);
    wal.wait(lsns[0]).unwrap();
    assert_eq!(sim.world().calls, calls + 2, "one write, one sync");
    assert_eq!(wal.durable(), lsns[9]);
    wal.wait(lsns[9]).unwrap();
    assert_eq!(sim.world().calls, calls + 2);
}

/// One head does for entries that wait together, as long as nothing comes between and they are few bytes.
#[test]
fn entries_that_continue_those_that_wait_share_their_frame() {
    let sim = Sim::new(4096);
    let roomy = || Options { first_segment_bytes: 256 << 10, ..options() };
    let (wal, _) = Wal::open(sim.clone(), roomy()).unwrap();
    let content = |index: u64| Bytes::from(format!("entry {index} "));
    let append = |group: u32, first: u64, count: u64| {
        let contents: Vec<Bytes> = (first..first + count).map(content).collect();
        wal.submit(group, entries(first, &contents)).unwrap()
    };
    let shared = append(0, 0, 2);
    assert_eq!(append(0, 2, 1), shared, "they continue it, and nobody writes");
    assert_ne!(append(1, 0, 1), shared, "of another group");
    let behind = append(0, 3, 1);
    assert_ne!(behind, shared, "another group's came between");
    wal.submit(0, Record::Truncate(3)).unwrap();
    let anew = append(0, 3, 2);
    assert_ne!(anew, behind, "a truncation came between");
    wal.wait(anew).unwrap();
    let next = append(0, 5, 1);
    assert_ne!(next, anew, "it is on the disk");
    let large = Bytes::from(vec![b'x'; 64 << 10]);
    let alone = wal.submit(0, entries(6, std::slice::from_ref(&large))).unwrap();
    assert_ne!(alone, next, "who reads one of a frame reads all of it, so it stays small");
    wal.wait(alone).unwrap();

    let whole: Vec<Bytes> = (0..6).map(content).chain([large]).collect();
    let read = |wal: &Wal<Sim>, from: u64| -> Vec<Bytes> {
        wal.read(0, from..9, u64::MAX).unwrap().into_iter().map(|(_, entry)| entry).collect()
    };
    (0..7).for_each(|from| assert_eq!(read(&wal, from), whole[from as usize..]));
    drop(wal);
    let sim = Sim::on(sim.world().killed());
    let (wal, _) = Wal::open(sim, roomy()).unwrap();
    (0..7).for_each(|from| assert_eq!(read(&wal, from), whole[from as usize..]));
}

/// While a sync is under way the others queue up, and share the next.
#[test]
fn those_who_come_meanwhile_share_the_next_sync() {
    let sim = Sim::new(512);
    let (wal, _) = Wal::open(sim.clone(), options()).unwrap();
    let before = syncs(&sim);
    sim.shared.gate.shut(true);
    let first = {
        let wal = wal.clone();
        let lsn = wal.submit(0, vote(1)).unwrap();
        thread::spawn(move || wal.wait(lsn))
    };
    sim.shared.gate.await_waiting(1);
    let others: Vec<_> = (1..20)
        .map(|group| {
            let (wal, lsn) = (wal.clone(), wal.submit(group, vote(1)).unwrap());
            thread::spawn(move || wal.wait(lsn))
        })
        .collect();
    sim.shared.gate.shut(false);
    first.join().unwrap().unwrap();
    others.into_iter().for_each(|other| other.join().unwrap().unwrap());
    assert_eq!(syncs(&sim) - before, 2);
}

/// Whoever sleeps while the disk fails hears of it.
#[test]
fn a_failure_wakes_all() {
    let sim = Sim::new(512);
    let (wal, _) = Wal::open(sim.clone(), options()).unwrap();
    sim.shared.gate.shut(true);
    let wait = |group| {
        let (wal, lsn) = (wal.clone(), wal.submit(group, vote(1)).unwrap());
        thread::spawn(move || wal.wait(lsn))
    };
    let first = wait(0);
    sim.shared.gate.await_waiting(1);
    let others: Vec<_> = (1..10).map(wait).collect();
    let calls = sim.world().calls;
    sim.world().faults.fail = Some(calls);
    sim.shared.gate.shut(false);
    // Who isn't woken would sleep for ever.
    let deadline = Instant::now() + Duration::from_secs(60);
    let all = || others.iter().chain([&first]).all(JoinHandle::is_finished);
    while !all() {
        assert!(Instant::now() < deadline, "somebody still sleeps: a failure must wake all");
        thread::yield_now();
    }
    assert!(first.join().unwrap().is_err());
    assert!(others.into_iter().all(|other| other.join().unwrap().is_err()));
}

/// A log that rests says that it is durable: what is damaged afterwards isn't taken for torn.
#[test]
fn a_log_that_rests_closes_its_last_group() {
    let sim = Sim::new(512);
    let mut run = Run::fresh(sim.clone()).unwrap();
    run.run(&[Op::Append(0, 1, 40), Op::Vote(0)]).unwrap();
    let name = "wal/000000000001.seg";
    let last = sim.world().files()[name].iter().rposition(|byte| *byte != 0).unwrap();
    let damaged = |sim: &Sim| {
        let mut world = sim.world().killed();
        world.damage(name, last, 0xff);
        Wal::open(Sim::on(world), options()).map(|(_, recovered)| recovered.torn.is_some())
    };
    assert!(damaged(&sim).unwrap(), "nobody says that the vote was durable");
    run.run(&[Op::Settle]).unwrap();
    let written = sim.world().calls;
    run.run(&[Op::Settle]).unwrap();
    assert_eq!(sim.world().calls, written, "once is enough");
    run.wal = None;
    // It is in the cache, as it would be a moment later on the disk.
    let opened = Sim::on(sim.world().killed());
    drop(Wal::open(opened.clone(), options()).unwrap());
    damaged(&opened).expect_err("now somebody does");
}

/// Many threads and a keeper on a real disk: order within each group, nothing lost, files bounded.
#[test]
fn many_threads_and_a_keeper() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        first_segment_bytes: 32 << 10,
        segment_bytes: 64 << 10,
        reserve_bytes: 4 << 10,
        ..Options::new("cluster", 1)
    };
    let (wal, _) = Wal::open(Disk::at(dir.path()).unwrap(), options.clone()).unwrap();
    let keeper = Keeper::start(wal.clone()).unwrap();
    let work = |group: u32| {
        for round in 0..40_u64 {
            let contents = vec![Bytes::from(vec![group as u8; 500]); 2];
            let lsn = wal.submit(group, entries(round * 2, &contents)).unwrap();
            wal.wait(lsn).unwrap();
            let read = wal.read(group, round * 2..u64::MAX, u64::MAX).unwrap();
            assert!(read.iter().all(|(_, entry)| *entry == contents[0]) && read.len() == 2);
            if round % 8 == 7 {
                let upto = crate::history::log_id(1, round * 2);
                wal.wait(wal.submit(group, Record::Purge(upto)).unwrap()).unwrap();
                keeper.nudge();
            }
        }
    };
    thread::scope(|scope| {
        for group in 0..8 {
            scope.spawn(move || work(group));
        }
    });
    // Whoever was first to end kept an entry in a segment that was old by then.
    for group in 0..8 {
        let upto = crate::history::log_id(1, 79);
        wal.wait(wal.submit(group, Record::Purge(upto)).unwrap()).unwrap();
    }
    wal.maintain().unwrap();
    drop(keeper);
    let files = std::fs::read_dir(dir.path().join("wal")).unwrap().count();
    assert!(files <= 6, "{files} files");
    drop(wal);
    let (wal, recovered) = Wal::open(Disk::at(dir.path()).unwrap(), options).unwrap();
    assert_eq!(recovered.torn, None);
    for group in 0..8 {
        assert_eq!((wal.group(group).first_index, wal.group(group).next_index), (80, 80));
        assert_eq!(wal.read(group, 0..u64::MAX, u64::MAX).unwrap().len(), 0);
    }
}

fn op() -> impl Strategy<Value = Op> {
    let group = 0..2_u32;
    prop_oneof![
        4 => (group.clone(), 1..4_u32, 1..2500_usize).prop_map(|(g, n, len)| Op::Append(g, n, len)),
        2 => (group.clone(), 1..3_u32, 1..900_usize).prop_map(|(g, n, len)| Op::Queue(g, n, len)),
        1 => group.clone().prop_map(Op::Vote),
        1 => (group.clone(), 0..4_u64).prop_map(|(g, n)| Op::Truncate(g, n)),
        2 => (group.clone(), 0..4_u64).prop_map(|(g, n)| Op::Purge(g, n)),
        1 => (group.clone(), 0..4_u64).prop_map(|(g, n)| Op::PurgeBeyond(g, n)),
        1 => group.clone().prop_map(Op::Committed),
        1 => group.clone().prop_map(Op::Snapshot),
        1 => group.clone().prop_map(Op::Probation),
        1 => group.prop_map(Op::Read),
        1 => Just(Op::Settle),
        2 => Just(Op::Maintain),
        1 => Just(Op::Close),
        1 => Just(Op::Kill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Long histories, with a crash at the end of each.
    #[test]
    fn what_is_there_is_what_was_submitted(ops in proptest::collection::vec(op(), 1..40)) {
        let sim = Sim::new(512);
        let mut run = Run::fresh(sim.clone()).unwrap();
        let (last, before) = ops.split_last().unwrap();
        run.run(before).unwrap();
        sim.record();
        run.run(&[*last, Op::Read(0), Op::Read(1)]).unwrap();
        let images = sim.recorded();
        let depth = Depth { crashes: 1, thorough: false };
        crash(&images, &run.states, depth, &mut Tried::default()).map_err(TestCaseError::fail)?;
    }
}
