//! Calls that fail, syncs and orders that don't happen: the first must hurt nobody, each of the others must
//! be seen to hurt.

use std::ops::Range;

use rstest::rstest;
use seshat_core::wal::{Record, Stopped, SubmitError, Wal};

use crate::history::{Depth, Ended, Op, Run, Tried, crash, observe, options};
use crate::sim::{Faults, Sim, World};

/// All kinds of records, a turn of its own in each half, and a purge that frees segments for the turns to
/// come.
const LONG: [Op; 17] = [
    Op::Append(0, 2, 40),
    Op::Vote(0),
    Op::Maintain,
    Op::Append(0, 1, 4000),
    Op::Truncate(0, 1),
    Op::Append(1, 2, 2000),
    Op::Committed(0),
    Op::Settle,
    Op::Snapshot(0),
    Op::Probation(0),
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

/// Whether a search for crashes that lose something finds one where this happens at that call.
fn is_caught(faults: &Faults, call: usize) -> bool {
    // In small sectors two frames are more often apart.
    [512, 64].into_iter().any(|sector| is_caught_by(sector, faults, call))
}

fn is_caught_by(sector: usize, faults: &Faults, call: usize) -> bool {
    let sim = Sim::new(sector);
    sim.world().faults = faults.clone();
    sim.record();
    let Ok(mut run) = Run::fresh(sim.clone()) else { return true };
    if run.run(&LONG).is_err() {
        return true;
    }
    // Before it nothing differs; long after it, all of it is durable by other syncs.
    let images = sim.recorded_during(call..call + 12);
    let depth = Depth { crashes: 1, thorough: true };
    crash(&images, &run.states, depth, &mut Tried::default()).is_err()
}

/// What is done to a disk in that history, each with its number.
fn calls() -> Vec<String> {
    let sim = Sim::new(512);
    Run::fresh(sim.clone()).unwrap().run(&LONG).unwrap();
    let trace = &sim.world().trace;
    trace.iter().map(|call| call.split_once(": ").unwrap().1.to_owned()).collect()
}

/// Drops each sync in turn. Those that may be dropped are known, and why.
#[test]
fn every_sync_is_needed() {
    let calls = calls();
    let closing = calls.iter().rposition(|call| call.starts_with("write")).unwrap() - 7;
    let mut needed = 0;
    let syncs = calls.iter().enumerate().filter(|(_, call)| call.starts_with("sync"));
    for (number, (call, what)) in syncs.enumerate() {
        let before = call.checked_sub(1).map_or("", |before| calls[before].as_str());
        // A folder that is new, where nothing is yet; the disk of these tests has its folders.
        let creates = call < 3;
        // That a spare is all there saves time when it is used, and one that is lost is made again.
        let spare = what.contains("spare") && what.ends_with(".tmp")
            || before.starts_with("rename") && before.contains(".tmp wal/spare")
            || before.starts_with("remove");
        // A turn syncs what is behind, and there may be nothing.
        let file = what.trim_start_matches("sync ");
        let touches = |call: &&String| call.contains(file) && !call.starts_with("rename");
        let last = calls[..call].iter().rfind(touches);
        let nothing = last.is_some_and(|last| last.starts_with("sync wal/0"));
        // Opening what was closed: for this there is a test of its own.
        let opens = call >= closing;
        let faults = Faults { skip_syncs: number..number + 1, ..Faults::default() };
        if creates || spare || nothing || opens {
            continue;
        }
        assert!(is_caught(&faults, call), "call {call} can be left out: {before}, {what}");
        needed += 1;
    }
    assert!(needed >= 20, "{needed}");
}

/// Does each call after the next one. Those that may change places are known, and why.
#[test]
fn every_order_is_needed() {
    let calls = calls();
    let mut needed = 0;
    for (number, pair) in calls.windows(2).enumerate() {
        let (first, second) = (pair[0].as_str(), pair[1].as_str());
        let faults = Faults { delay: Some(number), ..Faults::default() };
        // A frame without a body says nothing that could be lost.
        let is_write = |call: &str| call.starts_with("write wal/0") && !call.ends_with(" 48 bytes");
        // A write and its sync; a file's content and its name; a name and what relies on it.
        let must = is_write(first) && second.starts_with("sync wal/0")
            || first.starts_with("write wal/spare")
                && second.starts_with("sync")
                && !second.ends_with(".tmp")
            || first.starts_with("sync")
                && second.ends_with(".seg")
                && second.starts_with("rename")
            || first.starts_with("rename")
                && first.ends_with(".seg")
                && second.starts_with("sync folder")
            || first.starts_with("sync wal/0")
                && (is_write(second) || second.starts_with("rename"))
            || first.contains("IDENTITY.tmp") && second.starts_with("sync IDENTITY");
        if must {
            assert!(
                is_caught(&faults, number),
                "calls {number} may change places: {first}, {second}"
            );
            needed += 1;
        }
    }
    assert!(needed >= 30, "{needed}");
}

/// A process is killed between a write and its sync, or between a name and its, and the next one finds
/// what it left in the cache. Each sync of opening is dropped in turn: one of those moments shows that it is
/// needed.
#[test]
fn every_sync_of_opening_is_needed() {
    let sim = Sim::new(512);
    let mut run = Run::fresh(sim.clone()).unwrap();
    run.run(&[Op::Append(0, 1, 40)]).unwrap();
    sim.record();
    run.run(&[Op::Append(0, 1, 3000), Op::Append(0, 1, 5000), Op::Vote(0)]).unwrap();
    let mut images = sim.recorded();
    // Half of a write: the first of its two frames, and of the second less than all.
    let calls = sim.world().calls;
    sim.world().faults = Faults { fail: Some(calls), half: true, ..Faults::default() };
    run.run(&[Op::Queue(1, 1, 40), Op::Append(0, 1, 1000)]).unwrap_err();
    images.push(sim.world().clone());
    // Whether there is a moment where what was reported or promised after the opening is lost to a power
    // cut.
    let shows = |skipped: Range<usize>| {
        images.iter().any(|image| {
            let sim = Sim::on(image.killed());
            let syncs = sim.world().syncs;
            sim.world().faults.skip_syncs = syncs + skipped.start..syncs + skipped.end;
            let Ok((wal, _)) = Wal::open(sim.clone(), options()) else { return true };
            wal.wait(wal.submit(0, Record::Vote(Default::default())).unwrap()).unwrap();
            let reported = observe(&wal);
            let (cuts, _) = sim.world().cuts();
            cuts.into_iter().any(|cut| match Wal::open(Sim::on(cut), options()) {
                Ok((wal, _)) => observe(&wal) != reported,
                Err(_) => true,
            })
        })
    };
    assert!(!shows(0..0));
    // The first is of the directory itself, whose only name is that of IDENTITY.
    assert!(shows(1..2), "the folder of segments");
    // The last one; the one before is durable since it has a successor. Each of three does: when it is found,
    // so that its cache can be dropped, when it was written again, and when the log goes on.
    assert!(shows(3..6), "a segment");
}

/// The same for the name of IDENTITY.
#[test]
fn an_identity_that_is_adopted_is_durable() {
    let images = images_of_creation();
    let lost = |faults: bool| {
        images.iter().any(|image| {
            let sim = Sim::on(image.killed());
            let syncs = sim.world().syncs;
            sim.world().faults.skip_syncs = if faults { syncs..syncs + 1 } else { 0..0 };
            let (wal, recovered) = Wal::open(sim.clone(), options()).unwrap();
            wal.wait(wal.submit(0, Record::Vote(Default::default())).unwrap()).unwrap();
            let (cuts, _) = sim.world().cuts();
            let reopened = |cut| Wal::open(Sim::on(cut), options());
            !recovered.created
                && cuts.into_iter().any(|cut| reopened(cut).map_or(true, |(_, it)| it.created))
        })
    };
    assert!(lost(true), "the sync of the directory is needed");
    assert!(!lost(false));
}

fn images_of_creation() -> Vec<World> {
    let sim = Sim::new(512);
    sim.record();
    drop(Run::fresh(sim.clone()).unwrap());
    sim.recorded()
}

/// A sync fails, and the process ends. What is cached counts as written; the disk never got it. The next
/// process must report what the disk has, and where a cache can't be dropped, see to it that the disk has it.
#[rstest]
#[case::the_cache_is_dropped(false)]
#[case::the_cache_stays(true)]
fn what_a_failed_sync_left_in_the_cache_is_not_believed(#[case] keeps_cache: bool) {
    let sim = Sim::new(512);
    let mut run = Run::fresh(sim.clone()).unwrap();
    run.run(&[Op::Vote(0)]).unwrap();
    let calls = sim.world().calls;
    sim.world().faults.fail = Some(calls + 1);
    assert!(matches!(run.run(&[Op::Append(0, 1, 1500)]), Err(Ended::Stopped)));
    run.wal = None;
    let after = Sim::on(sim.world().killed());
    after.world().faults.keeps_cache = keeps_cache;
    let (wal, _) = Wal::open(after.clone(), options()).unwrap();
    let reported = observe(&wal);
    assert!(run.states.contains(&reported));
    // More that is durable stands on it.
    wal.wait(wal.submit(1, Record::Vote(Default::default())).unwrap()).unwrap();
    let reported = observe(&wal);
    drop(wal);
    let cut = Sim::on(after.world().cuts().0.swap_remove(0));
    let (wal, _) = Wal::open(cut, options()).unwrap();
    assert_eq!(observe(&wal), reported, "nothing that was reported is lost");
}
