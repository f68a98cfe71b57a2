//! Power cuts and kills at every moment of a node's life.

use crate::run::{Op, Run, State, observe, open};
use crate::sim::{Sim, World};

/// All that openraft does, with segments that turn and snapshots that come and go.
const LIFE: [Op; 16] = [
    Op::Vote,
    Op::Append(3, 20),
    Op::Build,
    Op::Append(2, 2000),
    Op::Purge(1),
    Op::Truncate(1),
    Op::Vote,
    Op::Append(2, 900),
    Op::Build,
    Op::Purge(0),
    Op::Install(4),
    Op::Purge(0),
    Op::Append(2, 1500),
    Op::Build,
    Op::Purge(1),
    Op::Append(1, 20),
];

/// How many of the ways in which the power may fail at a moment are tried.
fn ways() -> usize {
    if std::env::var_os("SESHAT_LONG").is_some() { usize::MAX } else { 3 }
}

/// Some of what a crash may leave: the least, the most, and others that differ from moment to moment.
fn left(image: &World, number: usize) -> Vec<World> {
    let (mut cuts, _) = image.cuts();
    while cuts.len() > ways() {
        cuts.swap_remove(1 + number % (cuts.len() - 1));
    }
    cuts.push(image.killed());
    cuts
}

/// What is there is what was there before the step that was under way, or after it; and the node goes on.
async fn is_right(world: World, states: &[State]) {
    let (acked, submitted) = (world.acked, world.submitted);
    let trace = world.trace.join("\n");
    let sim = Sim::on(world);
    let mut storage = open(sim.clone()).unwrap_or_else(|error| panic!("{error}\n{trace}"));
    let found = observe(&mut storage).await;
    let at = (acked..=submitted).find(|at| states[*at] == found);
    let at = at.unwrap_or_else(|| panic!("{found:?}\nis not after {acked}..={submitted}\n{trace}"));
    drop(storage);
    // What it reported stays, also without what it didn't sync.
    let cut = sim.world().cuts().0.swap_remove(0);
    let again = Sim::on(cut);
    let mut storage = open(again.clone()).unwrap_or_else(|error| panic!("{error}\n{trace}"));
    assert_eq!(
        observe(&mut storage).await,
        states[at],
        "reported, and lost to a power cut\n{trace}"
    );
}

#[tokio::test]
async fn nothing_that_was_acknowledged_is_lost() {
    let sim = Sim::new(512);
    sim.record();
    let mut run = Run::on(sim.clone());
    run.run(&LIFE).await;
    let states = run.states.clone();
    drop(run);
    let images = sim.recorded();
    assert!(images.len() > 60, "{}", images.len());
    for (number, image) in images.iter().enumerate() {
        for world in left(image, number) {
            is_right(world, &states).await;
        }
    }
}

/// A crash between any two steps, and the rest of them after it.
#[tokio::test]
async fn a_node_that_crashed_goes_on() {
    for crash in 1..LIFE.len() {
        let mut run = Run::on(Sim::new(512));
        run.run(&LIFE[..crash]).await;
        let world = run.sim.world().cuts().0.swap_remove(0);
        run.storage = {
            // The process that lost its power is gone.
            drop(std::mem::replace(&mut run.storage, open(Sim::new(512)).unwrap()));
            run.sim = Sim::on(world);
            open(run.sim.clone()).unwrap()
        };
        assert_eq!(observe(&mut run.storage).await, *run.state());
        // openraft applies what is committed, before anything else; here with the next snapshot.
        run.run(&LIFE[crash..]).await;
        drop(run.storage);
        let mut storage = open(Sim::on(run.sim.world().killed())).unwrap();
        assert_eq!(observe(&mut storage).await, *run.states.last().unwrap(), "crash after {crash}");
    }
}
