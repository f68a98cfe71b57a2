//! Snapshots that stream through files: what comes out is what went in, and nothing is left of what isn't kept.

use std::io::{Cursor, ErrorKind, SeekFrom};
use std::time::Duration;

use openraft::RaftSnapshotBuilder;
use openraft::storage::{RaftLogStorage, RaftStateMachine};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use seshat_core::machine::MachineStore;
use seshat_core::snapshot;
use seshat_core::types::{Snapshot, Vote};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use crate::entries::{id, normal, set, soon};
use crate::run::{Data, Op, Run, entry, open, snapshot_of};
use crate::sim::Sim;

/// Longer than anything takes that goes well.
const PATIENCE: Duration = Duration::from_secs(30);
const TEMPORARY: &str = "snap/000000000001.snap.tmp";

fn files(sim: &Sim) -> Vec<String> {
    sim.world().files().into_keys().filter(|name| name.starts_with("snap/")).collect()
}

async fn build(machine: &mut MachineStore) -> Snapshot {
    machine.get_snapshot_builder().await.build_snapshot().await.unwrap()
}

async fn all(data: &mut Data) -> Vec<u8> {
    let mut bytes = Vec::new();
    data.rewind().await.unwrap();
    data.read_to_end(&mut bytes).await.unwrap();
    bytes
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The bytes are those that memory would have, and a restart finds the state in them.
    #[test]
    fn a_file_has_the_bytes_that_are_written_at_once(
        keys in btree_map(vec(any::<u8>(), 0..9), (any::<u8>(), prop_oneof![
            9 => 0..40_usize, 2 => 60_000..70_000_usize, 1 => 900_000..1_048_577_usize,
        ]), 0..12),
    ) {
        let values = keys.into_iter().map(|(key, (byte, len))| set(key, vec![byte; len]));
        let last = normal(id(1, 4), values.collect::<Vec<_>>());
        runtime().block_on(async {
            let sim = Sim::new(4096);
            let (_log, mut machine) = open(sim.clone()).unwrap();
            machine.apply([last]).await.unwrap();
            let expected = snapshot::write(&machine.reader().freeze());
            let mut built = build(&mut machine).await;
            prop_assert!(all(&mut built.snapshot).await == expected);
            prop_assert_eq!(&sim.world().files()["snap/000000000001.snap"], &expected.to_vec());

            let digest = machine.reader().digest();
            drop((machine, _log, built));
            let (_log, machine) = open(sim).unwrap();
            prop_assert_eq!(machine.reader().digest(), digest);
            Ok(())
        })?;
    }
}

#[derive(Debug, Clone)]
enum Step {
    Read(usize),
    Write(Vec<u8>),
    Seek(SeekFrom),
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    let seek = prop_oneof![
        (0..40_u64).prop_map(SeekFrom::Start),
        (-40..10_i64).prop_map(SeekFrom::End),
        (-20..20_i64).prop_map(SeekFrom::Current),
    ];
    prop_oneof![
        3 => (0..20_usize).prop_map(Step::Read),
        3 => vec(any::<u8>(), 0..20).prop_map(Step::Write),
        3 => seek.prop_map(Step::Seek),
        1 => Just(Step::Flush),
    ]
}

proptest! {
    /// A file behind a handle goes as the standard library's cursor does, but for gaps, which are refused.
    #[test]
    fn any_script_goes_as_with_a_cursor(script in vec(step(), 0..30)) {
        runtime().block_on(async {
            let (_log, mut machine) = open(Sim::new(512)).unwrap();
            let mut data = machine.begin_receiving_snapshot().await.unwrap();
            let mut model = Cursor::new(Vec::new());
            for step in script {
                match step {
                    Step::Read(len) => {
                        let (mut got, mut expected) = (vec![0; len], vec![0; len]);
                        let read = data.read(&mut got).await.unwrap();
                        prop_assert_eq!(read, model.read(&mut expected).await.unwrap());
                        prop_assert_eq!(got, expected);
                    }
                    Step::Write(chunk) => {
                        let gap = model.position() > model.get_ref().len() as u64;
                        let wrote = data.write(&chunk).await;
                        prop_assert_eq!(wrote.is_err(), gap);
                        if !gap {
                            prop_assert_eq!(wrote.unwrap(), model.write(&chunk).await.unwrap());
                        }
                    }
                    Step::Seek(to) => {
                        let (got, expected) = (data.seek(to).await.ok(), model.seek(to).await.ok());
                        prop_assert_eq!(got, expected);
                    }
                    Step::Flush => data.flush().await.unwrap(),
                }
                prop_assert_eq!(data.len(), model.get_ref().len());
            }
            prop_assert_eq!(all(&mut data).await, model.into_inner());
            Ok(())
        })?;
    }
}

/// Whoever sends it needs it to its end.
#[tokio::test]
async fn a_superseded_snapshot_is_read_to_its_end() {
    let mut run = Run::on(Sim::new(512));
    run.run(&[Op::Append(1, 700), Op::Build]).await;
    let machine = &mut run.storage.1;
    let expected = snapshot::write(&machine.reader().freeze());
    let mut sent = machine.get_current_snapshot().await.unwrap().unwrap().snapshot;
    let mut begin = [0; 300];
    sent.read_exact(&mut begin).await.unwrap();
    for _ in 0..3 {
        run.run(&[Op::Append(1, 20), Op::Build]).await;
    }
    assert_eq!(files(&run.sim), ["snap/000000000003.snap", "snap/000000000004.snap"]);
    let mut rest = Vec::new();
    sent.read_to_end(&mut rest).await.unwrap();
    assert_eq!([&begin[..], &rest].concat(), expected);
    assert_eq!(sent.into_bytes().unwrap(), expected);
}

#[tokio::test]
async fn a_finished_file_is_not_written_to() {
    let mut run = Run::on(Sim::new(512));
    run.run(&[Op::Append(1, 700), Op::Build]).await;
    let before = run.sim.world().files();
    let machine = &mut run.storage.1;
    for mut handle in [build(machine).await, machine.get_current_snapshot().await.unwrap().unwrap()]
    {
        let refused = handle.snapshot.write_all(b"scribbled over").await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    }
    let name = "snap/000000000001.snap";
    assert_eq!(run.sim.world().files().get(name), before.get(name));
}

/// Half a snapshot of another node's.
async fn half(machine: &mut MachineStore) -> (Data, Vec<u8>) {
    let (_, mut whole) = snapshot_of(entry(1, 9, 700)).await;
    let bytes = all(&mut whole).await;
    let mut data = machine.begin_receiving_snapshot().await.unwrap();
    data.write_all(&bytes[..400]).await.unwrap();
    data.flush().await.unwrap();
    (data, bytes)
}

#[tokio::test]
async fn what_is_not_installed_is_gone_with_its_handle() {
    let sim = Sim::new(512);
    let (_log, mut machine) = open(sim.clone()).unwrap();
    let blank = machine.begin_receiving_snapshot().await.unwrap();
    let (data, _) = half(&mut machine).await;
    assert_eq!(files(&sim), ["snap/000000000002.snap.tmp"], "and none of the one without a byte");
    drop((blank, data));
    assert!(files(&sim).is_empty(), "{:?}", files(&sim));
}

#[tokio::test]
async fn what_a_kill_leaves_is_gone_when_the_storage_is_opened() {
    let sim = Sim::new(512);
    let (_log, mut machine) = open(sim.clone()).unwrap();
    let _half = half(&mut machine).await;
    let killed = sim.world().killed();
    let sim = Sim::on(killed);
    assert_eq!(files(&sim), [TEMPORARY]);
    drop(open(sim.clone()).unwrap());
    assert!(files(&sim).is_empty(), "{:?}", files(&sim));
}

/// Received from openraft's chunks, as a file of its own directory, it gets another name and no other bytes.
#[tokio::test]
async fn what_was_received_is_installed_as_it_lies_there() {
    let sim = Sim::new(512);
    let (_log, mut machine) = open(sim.clone()).unwrap();
    let (mut data, bytes) = half(&mut machine).await;
    data.write_all(&bytes[400..]).await.unwrap();
    data.shutdown().await.unwrap();
    let (meta, _) = snapshot_of(entry(1, 9, 700)).await;
    let before = sim.world().trace.len();
    machine.install_snapshot(&meta, data).await.unwrap();
    let trace = sim.world().trace[before..].join("\n");
    assert!(!trace.contains("write snap/"), "copied:\n{trace}");
    assert_eq!(sim.world().files()["snap/000000000001.snap"], bytes);
    assert_eq!(files(&sim).len(), 1);
    assert_eq!(machine.reader().get(b"last").unwrap(), "9");
}

/// In one process a handle may come from another directory. The file there stays its own.
#[tokio::test]
async fn a_file_of_another_storage_is_copied() {
    let mut other = Run::on(Sim::new(512));
    other.run(&[Op::Append(3, 700), Op::Build]).await;
    let Snapshot { meta, snapshot } = build(&mut other.storage.1).await;
    let (before, expected) =
        (files(&other.sim), snapshot::write(&other.storage.1.reader().freeze()));
    let sim = Sim::new(512);
    let (_log, mut machine) = open(sim.clone()).unwrap();
    machine.install_snapshot(&meta, snapshot).await.unwrap();
    assert_eq!(sim.world().files()["snap/000000000001.snap"], expected);
    assert_eq!((files(&sim).len(), files(&other.sim)), (1, before));
    let mut memory = MachineStore::default();
    memory.install_snapshot(&meta, build(&mut other.storage.1).await.snapshot).await.unwrap();
    assert_eq!(memory.reader().digest(), machine.reader().digest());
}

#[tokio::test]
async fn a_snapshot_that_is_refused_leaves_nothing() {
    let sim = Sim::new(512);
    let (_log, mut machine) = open(sim.clone()).unwrap();
    let (data, _) = half(&mut machine).await;
    let (meta, _) = snapshot_of(entry(1, 9, 700)).await;
    let error = machine.install_snapshot(&meta, data).await.unwrap_err().to_string();
    assert!(error.contains("are no trailer: cut short"), "{error}");
    assert!(files(&sim).is_empty(), "{:?}", files(&sim));
}

/// Who receives it is told, and can say no; the node goes on.
#[tokio::test]
async fn what_the_disk_has_no_room_for_is_told_and_leaves_nothing() {
    let sim = Sim::new(512);
    let (mut log, mut machine) = open(sim.clone()).unwrap();
    let room = sim.world().files().values().map(Vec::len).sum::<usize>() + 500;
    sim.world().faults.room = Some(room);
    let (mut data, bytes) = half(&mut machine).await;
    data.write_all(&bytes[400..]).await.unwrap();
    assert_eq!(data.flush().await.unwrap_err().kind(), ErrorKind::StorageFull);
    let again = data.shutdown().await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::StorageFull, "what failed stays so");
    drop(data);
    assert!(files(&sim).is_empty(), "{:?}", files(&sim));
    log.save_vote(&Vote::new(3, 1)).await.unwrap();
}

/// A disk that fails is no disk to go on with, whoever finds out.
#[tokio::test]
async fn a_write_that_fails_stops_the_storage_and_leaves_nothing() {
    let sim = Sim::new(512);
    let (mut log, mut machine) = open(sim.clone()).unwrap();
    let (mut data, bytes) = half(&mut machine).await;
    let calls = sim.world().calls;
    sim.world().faults.fail = Some(calls);
    data.write_all(&bytes[400..]).await.unwrap();
    let error = data.flush().await.unwrap_err().to_string();
    assert_eq!(error, format!("could not write \"{TEMPORARY}\""));
    drop(data);
    assert!(files(&sim).is_empty(), "{:?}", files(&sim));
    let stopped = log.save_vote(&Vote::new(3, 1)).await.unwrap_err().to_string();
    assert!(stopped.contains("takes nothing until it is opened anew"), "{stopped}");
}

/// openraft applies nothing while it waits for the current snapshot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_current_snapshot_is_there_while_the_next_is_written() {
    let mut run = Run::on(Sim::new(512));
    run.run(&[Op::Append(1, 700), Op::Build]).await;
    let mut machine = run.storage.1.clone();
    machine.apply([entry(1, 1, 20)]).await.unwrap();
    run.sim.shared.gate.shut(true);
    let building = tokio::spawn({
        let mut machine = machine.clone();
        async move { build(&mut machine).await }
    });
    run.sim.shared.gate.await_waiting(1);
    let current = tokio::time::timeout(PATIENCE, machine.get_current_snapshot()).await;
    // Whatever came of it, the others go on.
    run.sim.shared.gate.shut(false);
    let current = current.expect("it waits for the build").unwrap().unwrap();
    assert_eq!(current.meta.last_log_id.unwrap().index, 0);
    assert_eq!(soon(building).await.unwrap().meta.last_log_id.unwrap().index, 1);
}
