//! Power cuts and kills at every moment of every short history.

use rstest::rstest;

use crate::history::{Depth, Op, Run, Tried, crash};
use crate::sim::Sim;
use crate::step;

/// What everything begins with.
const PROLOGUE: [Op; 4] =
    [Op::Append(0, 2, 40), Op::Vote(0), Op::Append(1, 1, 40), Op::Purge(0, 1)];

/// One of each kind. The large one turns to a new segment two times of three.
const OPS: [Op; 13] = [
    Op::Append(0, 3, 20),
    Op::Append(0, 1, 3000),
    Op::Queue(1, 1, 300),
    Op::Queue(0, 2, 1500),
    Op::Vote(1),
    Op::Truncate(0, 1),
    Op::Purge(0, 0),
    Op::PurgeLater(0, 0),
    Op::PurgeBeyond(0, 3),
    Op::Committed(0),
    Op::Settle,
    Op::Maintain,
    Op::Close,
];

fn history(sector: usize, ops: &[Op], depth: Depth, tried: &mut Tried) {
    let sim = Sim::new(sector);
    let mut run = Run::fresh(sim.clone()).unwrap();
    run.run(&PROLOGUE).unwrap();
    sim.record();
    run.run(ops).unwrap();
    let result = crash(&sim.recorded(), &run.states, depth, tried);
    result.unwrap_or_else(|error| panic!("{ops:?}: {error}"));
}

/// Creating a log is a history too.
#[rstest]
#[case(512)]
#[case(64)]
fn a_log_that_is_being_created_is_there_or_not(#[case] sector: usize) {
    let sim = Sim::new(sector);
    sim.record();
    let mut run = Run::fresh(sim.clone()).unwrap();
    run.run(&PROLOGUE).unwrap();
    let mut tried = Tried::default();
    // A header block is many small sectors.
    let thorough = sector == 512 || step(2) == 1;
    let depth = Depth { crashes: if thorough { 2 } else { 1 }, thorough };
    crash(&sim.recorded(), &run.states, depth, &mut tried).unwrap();
    assert!(tried.openings > 30, "{}", tried.openings);
}

#[test]
fn every_pair() {
    let mut tried = Tried::default();
    // A prime that 13 kinds are no multiple of, so that each kind is tried with several.
    for pair in (0..OPS.len().pow(2)).step_by(step(11)) {
        let [a, b] = [pair / OPS.len(), pair % OPS.len()].map(|place| OPS[place]);
        history(64, &[a, b], Depth { crashes: 1, thorough: true }, &mut tried);
    }
    assert!(tried.whole > tried.sampled, "{} and {}", tried.whole, tried.sampled);
}

#[test]
fn every_triple() {
    let mut tried = Tried::default();
    // The others are as one of these, as far as what follows is concerned.
    let ops = OPS.into_iter().filter(|op| {
        !matches!(
            op,
            Op::Vote(_) | Op::PurgeBeyond(..) | Op::Committed(_) | Op::Queue(1, ..) | Op::Close
        )
    });
    let ops: Vec<Op> = ops.collect();
    let len = ops.len();
    for triple in (0..len.pow(3)).step_by(step(23)) {
        let ops = [triple / len.pow(2), triple / len % len, triple % len].map(|place| ops[place]);
        history(512, &ops, Depth { crashes: 1, thorough: true }, &mut tried);
    }
}

/// The frame that says that others are durable is not durable itself, so nothing behind it may count on it.
#[test]
fn what_was_written_unsynced_is_not_promised() {
    let mut tried = Tried::default();
    let ops = [Op::Settle, Op::Queue(0, 2, 1500), Op::Append(0, 3, 20)];
    history(512, &ops, Depth { crashes: 1, thorough: true }, &mut tried);
}

/// The crash is followed by one while the log is opened, and one while that is.
#[test]
fn every_single_crash_and_those_after_it() {
    let mut tried = Tried::default();
    let ops = [Op::Append(0, 1, 4000), Op::Append(0, 3, 20), Op::Purge(0, 0), Op::Maintain];
    for op in ops.into_iter().step_by(step(2)) {
        history(512, &[op], Depth { crashes: 3, thorough: false }, &mut tried);
    }
    assert!(tried.openings > 300, "{}", tried.openings);
}

/// Nothing is waited for before the segments go that a purge frees.
#[test]
fn a_segment_goes_after_its_purge_is_durable() {
    let mut tried = Tried::default();
    let ops = [
        Op::Append(0, 1, 5000),
        Op::Append(0, 1, 5000),
        Op::PurgeLater(0, 0),
        Op::PurgeLater(1, 0),
        Op::Maintain,
    ];
    history(512, &ops, Depth { crashes: 1, thorough: true }, &mut tried);
}
