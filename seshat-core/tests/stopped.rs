//! A node whose core ended by itself, because its storage failed or because of a panic, says so wherever
//! it is asked, whatever it reported last.
//!
//! Time is paused.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "common/cluster.rs"]
mod cluster;

use std::fmt::Debug;
use std::ops::RangeBounds;
use std::sync::{Arc, Mutex};

use cluster::{PATIENCE, config};
use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use rstest::rstest;
use seshat_core::error::{MembershipError, ProposeError, ReadError, Stopped, WaitError};
use seshat_core::log::LogStore;
use seshat_core::machine::{MachineReader, MachineStore};
use seshat_core::network::StubNetwork;
use seshat_core::node::{Handover, RaftNode};
use seshat_core::storage::Storage;
use seshat_core::types::{Entry, LogId, LogState, StorageError, StorageIOError, TypeConfig, Vote};

/// How a log takes what is appended to it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Appends {
    #[default]
    Well,
    Fails,
    Panics,
}

/// A log that fails on command, in openraft's core.
#[derive(Debug, Clone, Default)]
struct Log {
    inner: LogStore,
    appends: Arc<Mutex<Appends>>,
}

impl RaftLogReader<TypeConfig> for Log {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        self.inner.try_get_log_entries(range).await
    }
}

impl RaftLogStorage<TypeConfig> for Log {
    type LogReader = LogStore;

    async fn get_log_state(&mut self) -> Result<LogState, StorageError> {
        self.inner.get_log_state().await
    }

    async fn get_log_reader(&mut self) -> LogStore {
        self.inner.get_log_reader().await
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        self.inner.save_vote(vote).await
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        self.inner.read_vote().await
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<TypeConfig>,
    ) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let appends = *self.appends.lock().unwrap();
        match appends {
            Appends::Well => self.inner.append(entries, callback).await,
            Appends::Fails => {
                Err(StorageIOError::write_logs(&std::io::Error::other("on command")).into())
            }
            Appends::Panics => panic!("on command"),
        }
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        self.inner.truncate(log_id).await
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        self.inner.purge(log_id).await
    }
}

/// A log that fails on command, and the rest in memory.
#[derive(Default)]
struct Failing(Log);

impl Storage for Failing {
    type Log = Log;
    type Machine = MachineStore;
    type Reader = MachineReader;

    fn into_parts(self) -> (Log, MachineStore, MachineReader) {
        let machine = MachineStore::default();
        let reader = machine.reader();
        (self.0, machine, reader)
    }
}

/// A leader that applied something, and what its storage does.
async fn leader() -> (RaftNode, Arc<Mutex<Appends>>) {
    let storage = Failing::default();
    let appends = Arc::clone(&storage.0.appends);
    let node = RaftNode::start(config(1, &[1]), storage, StubNetwork).await.unwrap();
    node.initialize().await.unwrap();
    node.wait_for_leader(PATIENCE).await.unwrap();
    node.set("k", "v").await.unwrap();
    (node, appends)
}

fn is_expected(stopped: &Stopped, appends: Appends) -> bool {
    match appends {
        Appends::Fails => matches!(stopped, Stopped::Storage(_)),
        Appends::Panics => *stopped == Stopped::Panicked,
        Appends::Well => false,
    }
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn a_node_that_ended_leads_no_more(
    #[values(Appends::Fails, Appends::Panics)] appends: Appends,
) {
    let (node, storage) = leader().await;
    let applied = node.last_applied();
    *storage.lock().unwrap() = appends;
    // Somebody waits for what the node would report if it went on.
    let waits = node.clone();
    let waiting = tokio::spawn(async move {
        waits.wait_until(PATIENCE * 1000, "nothing", |_| false).await.unwrap_err()
    });
    let set = node.set("k", "w").await.unwrap_err();
    assert!(matches!(set, ProposeError::Stopped(_)), "{set}");
    let WaitError::Stopped(stopped) = waiting.await.unwrap() else { panic!("it timed out") };
    assert!(is_expected(&stopped, appends), "{stopped}");

    assert!(!node.is_leader());
    // Who looks only now.
    for wait in [
        node.wait_for_leader(PATIENCE).await.map(drop),
        node.wait_for_applied(PATIENCE, 1).await,
        node.wait_until(PATIENCE, "to lead", |now| now.state.is_leader()).await.map(drop),
    ] {
        let Err(WaitError::Stopped(stopped)) = wait else { panic!("{wait:?}") };
        assert!(is_expected(&stopped, appends), "{stopped}");
    }
    match node.set("k", "w").await {
        Err(ProposeError::Stopped(stopped)) if is_expected(&stopped, appends) => {}
        other => panic!("{other:?}"),
    }
    match node.read_linearizable(b"k").await {
        Err(ReadError::Stopped(stopped)) if is_expected(&stopped, appends) => {}
        other => panic!("{other:?}"),
    }
    for changed in [
        node.add_learner(2, "node-2").await,
        node.add_voters([1].into()).await,
        node.remove_voters([2].into(), false).await,
        node.change_membership([1].into(), true).await,
        node.remove_learners([2].into()).await,
    ] {
        match changed {
            Err(MembershipError::Stopped(stopped)) if is_expected(&stopped, appends) => {}
            other => panic!("{other:?}"),
        }
    }
    // What is true stays so.
    assert_eq!(node.last_applied(), applied);
    assert_eq!(node.read(b"k").await.unwrap().as_deref(), Some(&b"v"[..]));
    assert_eq!(node.shutdown().await, Handover::NotLeading);
}

/// It is in the midst of a change of the membership.
#[rstest]
#[tokio::test(start_paused = true)]
async fn who_waits_for_a_change_hears_of_it(
    #[values(Appends::Fails, Appends::Panics)] appends: Appends,
) {
    let (node, storage) = leader().await;
    *storage.lock().unwrap() = appends;
    let end = tokio::time::timeout(PATIENCE, node.add_learner(2, "node-2")).await.unwrap();
    match end {
        Err(MembershipError::Stopped(stopped)) if is_expected(&stopped, appends) => {}
        other => panic!("{other:?}"),
    }
}
