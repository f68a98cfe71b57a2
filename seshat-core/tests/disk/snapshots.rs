//! Snapshots as files: how many, which is loaded, and what is said where none can be.

use openraft::RaftSnapshotBuilder;
use openraft::storage::RaftStateMachine;
use rstest::rstest;
use seshat_core::disk::OpenError;

use crate::run::{Op, Run, State, observe, open};
use crate::sim::{Sim, World};

/// Two snapshots and what the log has beside them: the second one's file, and as much of the log purged as
/// is asked for.
async fn two(purge: &[Op]) -> (World, State) {
    let mut run = Run::on(Sim::new(512));
    run.run(&[Op::Append(3, 20), Op::Build, Op::Append(3, 20), Op::Build]).await;
    run.run(purge).await;
    let (sim, state) = (run.sim.clone(), run.state().clone());
    drop(run);
    let world = sim.world().killed();
    (world, state)
}

const FIRST: &str = "snap/000000000001.snap";
const SECOND: &str = "snap/000000000002.snap";

fn snapshots(world: &World) -> Vec<String> {
    world.files().into_keys().filter(|name| name.starts_with("snap/")).collect()
}

#[tokio::test]
async fn the_two_newest_are_kept() {
    let mut run = Run::on(Sim::new(512));
    for _ in 0..4 {
        run.run(&[Op::Append(1, 20), Op::Build]).await;
    }
    let files = snapshots(&run.sim.world());
    assert_eq!(files, ["snap/000000000003.snap", "snap/000000000004.snap"]);
    let sim = run.sim.clone();
    drop(run);
    drop(open(sim.clone()).unwrap());
    assert_eq!(snapshots(&sim.world()), files, "and opening keeps them");
}

#[derive(Debug, Clone, Copy)]
enum Harm {
    Byte(usize),
    Cut(usize),
    Lost,
}

fn harm(world: &mut World, name: &str, harm: Harm) {
    match harm {
        Harm::Byte(at) => world.damage(name, at, 0x20),
        Harm::Cut(len) => world.cut(name, len),
        Harm::Lost => world.lose(name),
    }
}

/// The log still has what came after the one before, so nothing is lost.
#[rstest]
#[case::a_byte(Harm::Byte(30))]
#[case::the_last_byte(Harm::Byte(99_999))]
#[case::cut(Harm::Cut(40))]
#[case::empty(Harm::Cut(0))]
#[case::lost(Harm::Lost)]
#[tokio::test]
async fn a_damaged_one_falls_back_to_the_one_before(#[case] how: Harm) {
    let (mut world, state) = two(&[Op::Purge(4)]).await;
    let how = match how {
        Harm::Byte(99_999) => Harm::Byte(world.files()[SECOND].len() - 1),
        other => other,
    };
    harm(&mut world, SECOND, how);
    let before = world.files();
    let sim = Sim::on(world);
    let mut storage = open(sim.clone()).unwrap();
    let found = observe(&mut storage).await;
    assert_eq!(found.snapshot.unwrap().index, 2, "the first one's last entry");
    assert_eq!((&found.entries, found.purged), (&state.entries, state.purged));
    assert_eq!(sim.world().files().get(SECOND), before.get(SECOND), "evidence");

    // The next one takes its place, and the damaged one's too.
    let mut run = Run::resume(sim.clone(), storage, found);
    run.rebuild().await;
    drop(run);
    assert_eq!(snapshots(&sim.world()), [FIRST, "snap/000000000003.snap"]);
    let mut again = open(sim.clone()).unwrap();
    assert_eq!(observe(&mut again).await.snapshot.unwrap().index, 5);
}

/// Where nothing is purged, the log has all of it.
#[tokio::test]
async fn with_nothing_purged_both_may_be_lost() {
    let (mut world, state) = two(&[]).await;
    world.lose(FIRST);
    world.damage(SECOND, 9, 1);
    let mut storage = open(Sim::on(world)).unwrap();
    let found = observe(&mut storage).await;
    assert_eq!((found.snapshot, found.entries), (None, state.entries));
}

/// What an operator reads, and that nothing is touched.
#[rstest]
#[case::a_byte(Harm::Byte(30), "checksum")]
#[case::cut(Harm::Cut(40), "40 bytes, the log says ")]
#[case::lost(Harm::Lost, "the file is missing")]
#[tokio::test]
async fn where_the_log_does_not_reach_back_it_is_refused(#[case] how: Harm, #[case] why: &str) {
    let (mut world, _) = two(&[Op::Purge(1)]).await;
    harm(&mut world, SECOND, how);
    let before = world.files();
    let sim = Sim::on(world);
    let error = open(sim.clone()).unwrap_err();
    let OpenError::NoSnapshot(told) = &error else { panic!("{error}") };
    assert_eq!(told.tried.len(), 2);
    let text = error.to_string();
    for part in [
        "the log is purged up to T1-N1-4, and no snapshot reaches that: snap/000000000002.snap: ",
        why,
        "; snap/000000000001.snap: it ends with T1-N1-2. Nothing was changed.",
        "remove it from its cluster, move the directory away, and add the node again, empty",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
    let others = |mut files: std::collections::BTreeMap<String, Vec<u8>>| {
        files.retain(|name, _| name.ends_with(".snap"));
        files
    };
    assert_eq!(others(sim.world().files()), others(before), "nothing is changed");
    assert_eq!(open(sim).unwrap_err().to_string(), text, "however often it is tried");
}

/// A crash leaves files that nobody points at: unfinished, or too many.
#[tokio::test]
async fn opening_removes_what_nobody_points_at_and_nothing_else() {
    let (mut world, _) = two(&[]).await;
    let whole = world.files()[SECOND].clone();
    world.put("snap/000000000003.snap", whole.clone());
    world.put("snap/000000000004.snap.tmp", whole[..50].to_vec());
    world.put("snap/notes.txt", vec![1]);
    world.put("snap/7.snap", vec![1]);
    let sim = Sim::on(world);
    let mut storage = open(sim.clone()).unwrap();
    assert_eq!(snapshots(&sim.world()), [FIRST, SECOND, "snap/7.snap", "snap/notes.txt"]);
    // The number of what was there isn't used again.
    let found = observe(&mut storage).await;
    let mut run = Run::resume(sim.clone(), storage, found);
    run.rebuild().await;
    assert!(snapshots(&sim.world()).contains(&"snap/000000000005.snap".to_owned()));
}

/// A log that was purged without a snapshot is no node's. Its entries can be read; openraft doesn't start.
#[tokio::test]
async fn a_purge_without_a_snapshot_starts_no_node() {
    use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
    let sim = Sim::new(512);
    let (mut log, machine) = open(sim.clone()).unwrap();
    let entries: Vec<_> = (0..4).map(|index| crate::run::entry(1, index, 9)).collect();
    log.blocking_append(entries).await.unwrap();
    log.purge(crate::entries::id(1, 2)).await.unwrap();
    drop((log, machine));
    let (mut log, mut machine) = open(sim).unwrap();
    assert_eq!(log.get_log_state().await.unwrap().last_log_id.unwrap().index, 3);
    let error = machine.get_current_snapshot().await.unwrap_err().to_string();
    assert!(error.contains("no snapshot reaches that: the log points at none"), "{error}");
}

/// A snapshot that was begun before a newer one was installed doesn't take its place, also after a restart.
#[tokio::test]
async fn an_older_snapshot_does_not_replace_a_newer_one() {
    let mut run = Run::on(Sim::new(512));
    run.run(&[Op::Append(3, 20), Op::Build]).await;
    let mut older = run.storage.1.get_snapshot_builder().await;
    run.run(&[Op::Install(5)]).await;
    let built = older.build_snapshot().await.unwrap();
    assert_eq!(built.meta.last_log_id.unwrap().index, 2);
    assert_eq!(observe(&mut run.storage).await, *run.state());
    let (sim, state) = (run.sim.clone(), run.state().clone());
    drop((run, older));
    assert_eq!(observe(&mut open(sim).unwrap()).await, state);
}
