#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use openraft::entry::{FromAppData, RaftEntry};
use openraft::storage::{RaftLogReader, RaftLogStorage, RaftLogStorageExt, RaftStateMachine};
use openraft::{
    BasicNode, CommittedLeaderId, Entry, LogId, Membership, RaftLogId, RaftSnapshotBuilder,
};
use rstest::rstest;

use super::*;
use crate::backend::suite::SUITE;
use crate::backend::{Backend, BoxError, Chunks, Command, OpenraftSuite, Suite};

#[derive(Default)]
struct Pair {
    logs: ReferenceLogs<TypeConfig>,
    machines: ReferenceMachines<TypeConfig>,
}

impl Backend for Pair {
    type C = TypeConfig;
    type Log = ReferenceLog<TypeConfig>;
    type Machine = ReferenceMachine<TypeConfig>;
    type Transfer = Chunks;
    type Suite = OpenraftSuite;

    async fn open(&self, dir: &Path) -> Result<(Self::Log, Self::Machine), BoxError> {
        Ok((self.logs.open(dir)?, self.machines.open(dir)?))
    }

    fn command(&self, command: &Command) -> Option<Request> {
        super::command(command)
    }

    fn fingerprint(&self, entry: &Entry<TypeConfig>) -> Vec<u8> {
        fingerprint(entry)
    }

    fn node_id(&self, n: u64) -> u64 {
        n
    }

    fn node(&self, n: u64) -> BasicNode {
        node(n)
    }
}

fn id(index: u64) -> LogId<u64> {
    LogId::new(CommittedLeaderId::new(1, 1), index)
}

fn request(index: u64) -> Entry<TypeConfig> {
    let mut entry = Entry::from_app_data(command(&Command::plain(index)).unwrap());
    entry.set_log_id(&id(index));
    entry
}

async fn indexes(log: &mut ReferenceLog<TypeConfig>) -> Vec<u64> {
    let entries = log.try_get_log_entries(..).await.unwrap();
    entries.iter().map(|entry| entry.log_id.index).collect()
}

// Paused, because the suite sleeps for a second here and there.
#[tokio::test(start_paused = true)]
async fn the_pair_passes_openrafts_own_suite() {
    let dir = tempfile::tempdir().unwrap();
    let pair = Pair::default();
    for (name, _) in SUITE {
        let function = <OpenraftSuite as Suite<Pair>>::function(name).unwrap();
        function(&pair, dir.path()).await.unwrap();
    }
}

#[tokio::test]
async fn a_directory_keeps_what_was_there_and_a_copy_of_it_has_a_copy() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [original, copy] = [dirs[0].path(), dirs[1].path()];
    let pair = Pair::default();
    let (mut log, mut machine) = pair.open(original).await.unwrap();
    log.blocking_append([request(0), request(1)]).await.unwrap();
    machine.apply([request(0)]).await.unwrap();
    for file in fs::read_dir(original).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), copy.join(file.file_name())).unwrap();
    }
    log.truncate(id(1)).await.unwrap();
    machine.apply([request(1)]).await.unwrap();

    let (mut again, same) = pair.open(original).await.unwrap();
    assert_eq!(indexes(&mut again).await, [0]);
    assert_eq!(same.digest(), machine.digest());

    let (mut copied, mut other) = pair.open(copy).await.unwrap();
    assert_eq!(indexes(&mut copied).await, [0, 1]);
    assert_eq!(other.applied_state().await.unwrap().0, Some(id(0)));
    copied.purge(id(0)).await.unwrap();
    other.apply([request(1)]).await.unwrap();
    assert_eq!(other.digest(), machine.digest());
    assert_eq!(indexes(&mut again).await, [0]);
}

#[tokio::test]
async fn a_snapshot_is_of_the_moment_its_builder_was_made() {
    let dir = tempfile::tempdir().unwrap();
    let (_, mut machine) = Pair::default().open(dir.path()).await.unwrap();
    machine.apply([request(0)]).await.unwrap();
    let digest = machine.digest();
    let mut builder = machine.get_snapshot_builder().await;
    machine.apply([request(1)]).await.unwrap();
    let snapshot = builder.build_snapshot().await.unwrap();
    assert_eq!(snapshot.meta.last_log_id, Some(id(0)));
    machine.install_snapshot(&snapshot.meta, snapshot.snapshot).await.unwrap();
    assert_eq!(machine.digest(), digest);
}

#[rstest]
#[case::bit(|bytes: &mut Vec<u8>| bytes[9] ^= 1, "damaged")]
#[case::cut(|bytes: &mut Vec<u8>| bytes.truncate(11), "not whole")]
#[case::word(|bytes: &mut Vec<u8>| bytes.truncate(16), "damaged")]
#[case::nothing(Vec::clear, "not whole")]
#[tokio::test]
async fn a_faulty_snapshot_is_refused_and_the_state_stands(
    #[case] damage: fn(&mut Vec<u8>),
    #[case] why: &str,
) {
    let dir = tempfile::tempdir().unwrap();
    let (_, mut machine) = Pair::default().open(dir.path()).await.unwrap();
    machine.apply([request(0)]).await.unwrap();
    let mut snapshot = machine.get_snapshot_builder().await.build_snapshot().await.unwrap();
    machine.apply([request(1)]).await.unwrap();
    let digest = machine.digest();
    damage(snapshot.snapshot.get_mut());
    let refused = machine.install_snapshot(&snapshot.meta, snapshot.snapshot).await.unwrap_err();
    assert!(refused.to_string().contains(why), "{refused}");
    assert_eq!(machine.digest(), digest);
}

#[tokio::test]
async fn a_snapshot_under_another_name_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (_, mut machine) = Pair::default().open(dir.path()).await.unwrap();
    let members = Membership::new(vec![[1].into()], BTreeMap::from([(1, node(1))]));
    machine.apply([Entry::new_membership(id(0), members)]).await.unwrap();
    let mut snapshot = machine.get_snapshot_builder().await.build_snapshot().await.unwrap();
    snapshot.meta.last_log_id = Some(id(3));
    let refused = machine.install_snapshot(&snapshot.meta, snapshot.snapshot).await.unwrap_err();
    assert!(refused.to_string().contains("other metadata"), "{refused}");
}
