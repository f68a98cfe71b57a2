//! Each check of the family `wire` finds the store out that breaks its promise, and that only.
#![cfg(feature = "storage-v2")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fmt::Debug;
use std::ops::RangeBounds;
use std::path::Path;

use openraft::storage::{
    LogFlushed, LogState, RaftLogReader, RaftLogStorage, RaftSnapshotBuilder, RaftStateMachine,
};
use openraft::{OptionalSend, RaftLogId};
use rstest::rstest;
use seshat_conformance::Backend;
use seshat_conformance::backend::{BoxError, Capabilities, Chunks, Command, NoSuite};
use seshat_conformance::check::Outcome;
use seshat_conformance::embedded::InMemory;
use seshat_conformance::openraft;
use seshat_conformance::runner::{Filter, Options, run};
use seshat_core::log::LogStore;
use seshat_core::machine::MachineStore;
use seshat_core::operation::{Batch, EntryResponse};
use seshat_core::snapshot::SnapshotData;
use seshat_core::types::{
    Entry, EntryPayload, LeaderId, LogId, Membership, Node, NodeId, Snapshot, SnapshotMeta,
    StorageError, StoredMembership, TypeConfig, Vote,
};

/// What the embedded store is made to do wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    TermIn32,
    BatchReversed,
    VoteNodeIn32,
    PurgedNodeLost,
    CommittedTermLost,
    AddressesLost,
    LearnersLost,
    SnapshotPadded,
    SnapshotForeign,
}

use Fault::*;

#[derive(Debug)]
struct Bent<T> {
    inner: T,
    fault: Option<Fault>,
}

impl<T> Bent<T> {
    fn is(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }
}

impl RaftLogReader<TypeConfig> for Bent<LogStore> {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        let mut entries = self.inner.try_get_log_entries(range).await?;
        for entry in &mut entries {
            let LogId { leader_id, index } = entry.log_id;
            if self.is(TermIn32) {
                let term = u64::from(leader_id.term as u32);
                entry.set_log_id(&LogId::new(LeaderId::new(term, leader_id.node_id), index));
            }
            if let (true, EntryPayload::Normal(batch)) = (self.is(BatchReversed), &entry.payload) {
                let reversed: Vec<_> = batch.operations().iter().rev().cloned().collect();
                entry.payload = EntryPayload::Normal(Batch::new(reversed));
            }
        }
        Ok(entries)
    }
}

impl RaftLogStorage<TypeConfig> for Bent<LogStore> {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError> {
        let mut state = self.inner.get_log_state().await?;
        if let (true, Some(id)) = (self.is(PurgedNodeLost), &mut state.last_purged_log_id) {
            id.leader_id.node_id = 0;
        }
        Ok(state)
    }

    async fn get_log_reader(&mut self) -> Self {
        Self { inner: self.inner.get_log_reader().await, fault: self.fault }
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        self.inner.save_vote(vote).await
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        let mut vote = self.inner.read_vote().await?;
        if let (true, Some(vote)) = (self.is(VoteNodeIn32), &mut vote) {
            vote.leader_id.node_id = u64::from(vote.leader_id.node_id as u32);
        }
        Ok(vote)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        self.inner.save_committed(committed).await
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        let mut committed = self.inner.read_committed().await?;
        if let (true, Some(id)) = (self.is(CommittedTermLost), &mut committed) {
            id.leader_id.term = 0;
        }
        Ok(committed)
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
        self.inner.append(entries, callback).await
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        self.inner.truncate(log_id).await
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        self.inner.purge(log_id).await
    }
}

impl Bent<MachineStore> {
    fn bend(&self, stored: StoredMembership) -> StoredMembership {
        let membership = stored.membership();
        let voters = membership.get_joint_config().clone();
        let is_voter = |id: &NodeId| voters.iter().any(|set| set.contains(id));
        let mut nodes: Vec<(NodeId, Node)> =
            membership.nodes().map(|(id, node)| (*id, node.clone())).collect();
        if self.is(AddressesLost) {
            nodes.iter_mut().for_each(|(_, node)| node.addr.clear());
        }
        if self.is(LearnersLost) {
            nodes.retain(|(id, _)| is_voter(id));
        }
        let nodes: std::collections::BTreeMap<NodeId, Node> = nodes.into_iter().collect();
        StoredMembership::new(*stored.log_id(), Membership::new(voters, nodes))
    }

    fn bend_snapshot(&self, mut snapshot: Snapshot) -> Snapshot {
        if self.is(SnapshotPadded) {
            let mut bytes = (*snapshot.snapshot).into_bytes().unwrap().to_vec();
            bytes.push(0);
            snapshot.snapshot = Box::new(SnapshotData::from(bytes::Bytes::from(bytes)));
        }
        snapshot
    }
}

impl RaftStateMachine<TypeConfig> for Bent<MachineStore> {
    type SnapshotBuilder = <MachineStore as RaftStateMachine<TypeConfig>>::SnapshotBuilder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        let (applied, stored) = self.inner.applied_state().await?;
        Ok((applied, self.bend(stored)))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<EntryResponse>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.inner.apply(entries).await
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        self.inner.get_snapshot_builder().await
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<SnapshotData>, StorageError> {
        self.inner.begin_receiving_snapshot().await
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<SnapshotData>,
    ) -> Result<(), StorageError> {
        // A format of its own, in which the state of others means nothing.
        if self.is(SnapshotForeign) {
            let own = self.inner.get_snapshot_builder().await.build_snapshot().await?;
            return self.inner.install_snapshot(&own.meta, own.snapshot).await;
        }
        self.inner.install_snapshot(meta, snapshot).await
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        let current = self.inner.get_current_snapshot().await?;
        Ok(current.map(|snapshot| self.bend_snapshot(snapshot)))
    }
}

impl Backend for Bent<InMemory> {
    type C = TypeConfig;
    type Log = Bent<LogStore>;
    type Machine = Bent<MachineStore>;
    type Transfer = Chunks;
    type Suite = NoSuite;

    async fn open(&self, dir: &Path) -> Result<(Self::Log, Self::Machine), BoxError> {
        let fault = self.fault;
        let (log, machine) = self.inner.open(dir).await?;
        Ok((Bent { inner: log, fault }, Bent { inner: machine, fault }))
    }

    fn command(&self, command: &Command) -> Option<Batch> {
        self.inner.command(command)
    }

    fn fingerprint(&self, entry: &Entry) -> Vec<u8> {
        self.inner.fingerprint(entry)
    }

    fn node_id(&self, n: u64) -> NodeId {
        self.inner.node_id(n)
    }

    fn node(&self, n: u64) -> Node {
        self.inner.node(n)
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
}

/// The checks of the family that fail, and how many ran.
fn failed(fault: Option<Fault>) -> (Vec<&'static str>, usize) {
    let options = Options { filter: Filter::only(["wire"]), ..Options::default() };
    let report = run(Bent { inner: InMemory::default(), fault }, &options, &mut |_| {});
    let failed = report.results.iter().filter_map(|result| match &result.outcome {
        Outcome::Failed(_) => Some(result.spec.id),
        Outcome::Passed { .. } => None,
        other => panic!("{}: {other:?}", result.spec.id),
    });
    (failed.collect(), report.results.len())
}

#[rstest]
#[case(TermIn32, &["wire/entries"])]
#[case(BatchReversed, &["wire/entries", "wire/segments"])]
#[case(VoteNodeIn32, &["wire/votes"])]
#[case(PurgedNodeLost, &["wire/segments"])]
#[case(CommittedTermLost, &["wire/segments"])]
#[case(AddressesLost, &["wire/memberships", "wire/snapshots"])]
#[case(LearnersLost, &["wire/memberships", "wire/snapshots"])]
#[case(SnapshotPadded, &["wire/snapshots"])]
#[case(SnapshotForeign, &["wire/snapshots"])]
fn a_fault_is_found(#[case] fault: Fault, #[case] by: &[&str]) {
    assert_eq!(failed(Some(fault)).0, by);
}

#[test]
fn the_right_store_is_accused_of_nothing() {
    assert_eq!(failed(None), (vec![], 6));
}
