//! Calls that fail, syncs and orders that don't happen: the first must hurt nobody, each of the others must
//! be seen to hurt.

use rstest::rstest;
use seshat_core::wal::{Record, Stopped, SubmitError, Wal};

use crate::history::{Depth, Ended, Op, Run, Tried, crash, observe, options};
use crate::sim::{Faults, Sim};

/// All kinds of records, a turn of its own in each half, and a purge that frees segments for the turns to
/// come.
const LONG: [Op; 16] = [
    Op::Append(0, 2, 40),
    Op::Vote(0),
    Op::Maintain,
    Op::Append(0, 1, 4000),
    Op::Truncate(0, 1),
    Op::Append(1, 2, 2000),
    Op::Committed(0),
    Op::Settle,
    Op::Snapshot(0),
    Op::Append(0, 1, 4000),
    Op::Purge(0, 1),
    Op::Purge(1, 0),
    Op::Maintain,
    Op::Append(0, 1, 4000),
    Op::Vote(1),
    Op::Close,
];

/// Every call fails in turn, and does nothing or half of what it should. From then on the log takes nothing
/// and promises nothing; what it promised before is there, also after a power cut.
#[rstest]
#[case::nothing_is_done(false)]
#[case::half_is_done(true)]
fn a_call_that_fails_stops_the_log_and_loses_nothing(#[case] half: bool) {
    let mut tried = Tried::default();
    let mut failed = 0;
    for number in 0.. {
        let sim = Sim::new(512);
        sim.world().faults = Faults { fail: Some(number), half, ..Faults::default() };
        let (run, ended) = match Run::fresh(sim.clone()) {
            Ok(mut run) => {
                let ended = run.run(&LONG);
                (Some(run), ended)
            }
            Err(ended) => (None, Err(ended)),
        };
        if ended.is_ok() {
            assert!(sim.world().calls <= number, "call {number} failed, and nobody heard of it");
            break;
        }
        failed += 1;
        let Some(run) = run else { continue };
        if let Some(wal) = &run.wal {
            stays_stopped(wal, &sim);
        }
        sim.record();
        let depth = Depth { crashes: 1, thorough: true };
        crash(&sim.recorded(), &run.states, depth, &mut tried)
            .unwrap_or_else(|error| panic!("call {number} failed: {error}"));
    }
    assert!(failed > 60, "{failed} calls");
}

fn stays_stopped(wal: &Wal<Sim>, sim: &Sim) {
    let calls = sim.world().calls;
    let vote = Record::Vote(Default::default());
    let refused = wal.submit(0, vote);
    assert!(matches!(refused, Err(SubmitError::Stopped(Stopped::Failed(_)))), "{refused:?}");
    for stopped in [wal.settle(), wal.close(), wal.maintain().map(drop)] {
        assert!(matches!(stopped, Err(Stopped::Failed(_))), "{stopped:?}");
    }
    assert_eq!(sim.world().calls, calls, "nothing is tried again");
}

/// A process that is killed leaves what it wrote in the cache; so do syncs that failed.
const KILLED: [Op; 5] =
    [Op::Append(0, 2, 40), Op::Queue(0, 1, 40), Op::Kill, Op::Append(0, 1, 3000), Op::Kill];

/// Whether an exhaustive search for crashes that lose something finds one where these faults are.
fn is_caught(ops: &[Op], faults: Faults) -> bool {
    let sim = Sim::new(512);
    sim.world().faults = faults;
    sim.record();
    let Ok(mut run) = Run::fresh(sim.clone()) else { return true };
    if run.run(ops).is_err() {
        return true;
    }
    let depth = Depth { crashes: 1, thorough: true };
    crash(&sim.recorded(), &run.states, depth, &mut Tried::default()).is_err()
}

/// Drops each sync of a history in turn. Those that may be dropped are named, with the reason.
#[test]
fn every_sync_is_needed() {
    let trace = {
        let sim = Sim::new(512);
        Run::fresh(sim.clone()).unwrap().run(&LONG).unwrap();
        let trace = sim.world().trace.clone();
        trace
    };
    let syncs: Vec<&String> = trace.iter().filter(|call| call.contains(": sync")).collect();
    let mut missed = Vec::new();
    for (number, call) in syncs.iter().enumerate() {
        let faults = Faults { skip_sync: Some(number), ..Faults::default() };
        if !is_caught(&LONG, faults) {
            missed.push(format!("sync {number} ({call})"));
        }
    }
    println!(
        "{} of {} syncs are needed here; not: {missed:#?}",
        syncs.len() - missed.len(),
        syncs.len()
    );
    assert!(missed.len() <= 40, "{missed:#?}");
}

/// Does each call after the next one.
#[test]
fn every_order_is_needed() {
    let sim = Sim::new(512);
    Run::fresh(sim.clone()).unwrap().run(&LONG).unwrap();
    let trace = sim.world().trace.clone();
    let mut missed = Vec::new();
    for number in 0..trace.len() - 1 {
        let faults = Faults { delay: Some(number), ..Faults::default() };
        if !is_caught(&LONG, faults) {
            missed.push(format!("{} <-> {}", trace[number], trace[number + 1]));
        }
    }
    println!(
        "{} of {} orders are needed; not: {missed:#?}",
        trace.len() - 1 - missed.len(),
        trace.len() - 1
    );
    assert!(missed.len() <= 60, "{missed:#?}");
}

/// What a killed process wrote and never synced is durable when the next one reports it.
#[test]
fn what_open_reports_is_durable() {
    let sim = Sim::new(512);
    sim.record();
    let mut run = Run::fresh(sim.clone()).unwrap();
    run.run(&KILLED).unwrap();
    let depth = Depth { crashes: 2, thorough: true };
    crash(&sim.recorded(), &run.states, depth, &mut Tried::default()).unwrap();
}

/// The process dies between a write and its sync, and the next one finds the write in the cache.
#[test]
fn an_unsynced_tail_is_adopted_durably() {
    let sim = Sim::new(512);
    let mut run = Run::fresh(sim.clone()).unwrap();
    run.run(&[Op::Vote(0)]).unwrap();
    // The sync after the write.
    let calls = sim.world().calls;
    sim.world().faults.fail = Some(calls + 1);
    assert!(matches!(run.run(&[Op::Append(0, 1, 40)]), Err(Ended::Stopped)));
    let states = run.states.clone();
    run.wal = None;

    // That sync failed: what is cached is marked as written, and the disk never got it.
    let after = Sim::on(sim.world().killed());
    let (wal, _) = Wal::open(after.clone(), options()).unwrap();
    let reported = observe(&wal);
    assert!(states.contains(&reported));
    drop(wal);
    let cut = Sim::on(after.world().cuts().0.swap_remove(0));
    let (wal, _) = Wal::open(cut, options()).unwrap();
    assert_eq!(observe(&wal), reported, "nothing that was reported is lost");
}
