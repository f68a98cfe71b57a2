//! What the transports promise: the stub refuses everything at once, the switchboard reaches
//! whom it should and nobody else, by the wire it was given.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "common/calls.rs"]
mod calls;
#[path = "common/cluster.rs"]
mod cluster;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use calls::{ALL, Outcome, TTL, call, plug, send, send_append, send_vote, term};
use openraft::error::{ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::storage::RaftLogReader;
use openraft::{AnyError, CommittedLeaderId, EntryPayload};
use seshat_core::codec::Message;
use seshat_core::error::ReadError;
use seshat_core::network::switchboard::{Carry, Encoded, Faults, InChunks, Wire};
use seshat_core::network::{StubNetwork, Switchboard};
use seshat_core::node::RaftNode;
use seshat_core::operation::{Batch, Limits, Operation};
use seshat_core::snapshot::SnapshotData;
use seshat_core::storage::MemStorage;
use seshat_core::types::{
    AppendEntriesRequest, AppendEntriesResponse, Entry, InstallSnapshotRequest,
    InstallSnapshotResponse, LogId, Node, Snapshot, SnapshotMeta, TypeConfig, Vote, VoteRequest,
    VoteResponse,
};
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn the_stub_refuses_every_call_as_unreachable_at_once() {
    let mut connection = StubNetwork.new_client(2, &Node::new("node-2:7379")).await;
    let started = Instant::now();
    for rpc in ALL {
        let outcome = call(&mut connection, rpc, 1).await;
        let text = format!("{rpc} to node 2 at \"node-2:7379\": this node has no transport");
        assert!(outcome.is_unreachable(text), "{outcome:?}");
    }
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_stub_refuses_a_whole_snapshot_as_unreachable_at_once() {
    let mut connection = StubNetwork.new_client(2, &Node::new("node-2:7379")).await;
    let started = Instant::now();
    let snapshot = Snapshot {
        meta: SnapshotMeta::default(),
        snapshot: Box::new(SnapshotData::from(Bytes::from_static(b"a snapshot"))),
    };
    let never = std::future::pending::<ReplicationClosed>();
    let option = RPCOption::new(TTL);
    let sent = connection.full_snapshot(Vote::new(1, 1), snapshot, never, option).await;
    let Err(StreamingError::Unreachable(Unreachable { .. })) = &sent else {
        panic!("not unreachable: {sent:?}")
    };
    assert!(sent.unwrap_err().to_string().contains("node 2 at \"node-2:7379\""));
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_node_on_the_stub_counts_nobody_else_as_a_replica() {
    let config = cluster::config(1, &[1, 2, 3]);
    let node = RaftNode::start(config, MemStorage::new(), StubNetwork).await.unwrap();
    node.initialize().await.unwrap();
    // Long enough for several elections.
    node.wait_for_leader(Duration::from_secs(10)).await.unwrap_err();
    assert!(matches!(node.read_linearizable(b"k").await, Err(ReadError::NotLeader(_))));
    node.stop().await;
}

/// Runs each test on both wires.
macro_rules! on_both_wires {
    ($($name:ident)*) => {
        mod encoded {
            $(#[tokio::test(start_paused = true)]
            async fn $name() {
                super::$name(super::Switchboard::new(7)).await;
            })*
        }
        mod direct {
            $(#[tokio::test(start_paused = true)]
            async fn $name() {
                super::$name(super::Switchboard::direct(7)).await;
            })*
        }
    };
}

on_both_wires! {
    only_a_plugged_node_is_reached
    a_node_that_stopped_answers_with_its_own_error
    a_cut_concerns_one_direction
    a_partition_cuts_between_its_groups_and_heals_within_them
    an_isolated_node_reaches_nobody_and_is_reached_by_nobody
    healing_ends_every_fault
}

/// Every kind of call over the link fails at once, and says what failed between whom.
async fn assert_cut<W: Wire<TypeConfig>>(
    switchboard: &Switchboard<TypeConfig, W>,
    link: (u64, u64),
    why: &str,
) {
    let started = Instant::now();
    for rpc in ALL {
        let outcome = send(switchboard, link, rpc, 1).await;
        let text = format!("{rpc} from node {} to node {}: {why}", link.0, link.1);
        assert!(outcome.is_unreachable(&text), "{outcome:?}, not {text}");
    }
    assert_eq!(started.elapsed(), Duration::ZERO);
}

/// Every kind of call over the links is answered at once.
async fn assert_open<W: Wire<TypeConfig>>(
    switchboard: &Switchboard<TypeConfig, W>,
    links: &[(u64, u64)],
) {
    let started = Instant::now();
    for link in links {
        for rpc in ALL {
            assert_eq!(send(switchboard, *link, rpc, 1).await, Outcome::Answered, "{link:?}");
        }
    }
    assert_eq!(started.elapsed(), Duration::ZERO);
}

async fn only_a_plugged_node_is_reached<W: Wire<TypeConfig>>(sb: Switchboard<TypeConfig, W>) {
    assert_cut(&sb, (1, 2), "node 2 is not plugged in").await;
    let first = plug(&sb, 2).await;
    assert_open(&sb, &[(1, 2)]).await;
    sb.unplug(&2);
    assert_cut(&sb, (1, 2), "node 2 is not plugged in").await;

    // What is sent reaches the node plugged in last, and only that.
    let (second, other) = (plug(&sb, 2).await, plug(&sb, 3).await);
    assert_eq!(send_append(&sb, (1, 2), 9).await, Outcome::Answered);
    assert_eq!((term(&first).await, term(&second).await, term(&other).await), (1, 9, 0));
}

async fn a_node_that_stopped_answers_with_its_own_error<W: Wire<TypeConfig>>(
    sb: Switchboard<TypeConfig, W>,
) {
    plug(&sb, 2).await.stop().await;
    for rpc in ALL {
        let outcome = send(&sb, (1, 2), rpc, 1).await;
        let Outcome::Remote(error) = outcome else { panic!("not from the node: {outcome:?}") };
        assert!(error.contains("remote peer 2"), "{error}");
    }
}

async fn a_cut_concerns_one_direction<W: Wire<TypeConfig>>(sb: Switchboard<TypeConfig, W>) {
    let nodes = [plug(&sb, 1).await, plug(&sb, 2).await, plug(&sb, 3).await];
    sb.cut(1, 2);
    assert_cut(&sb, (1, 2), "the link is cut").await;
    assert_eq!(term(&nodes[1]).await, 0, "it got through");
    assert_open(&sb, &[(1, 3), (3, 1), (2, 3), (3, 2)]).await;

    // The other direction carries requests, but the answers go the way that is cut.
    let started = Instant::now();
    let outcome = send_append(&sb, (2, 1), 9).await;
    assert!(
        outcome.is_network_error("AppendEntries from node 2 to node 1: no answer"),
        "{outcome:?}"
    );
    assert_eq!(started.elapsed(), TTL);
    assert_eq!(term(&nodes[0]).await, 9);
}

async fn a_partition_cuts_between_its_groups_and_heals_within_them<W: Wire<TypeConfig>>(
    sb: Switchboard<TypeConfig, W>,
) {
    let _nodes = [plug(&sb, 1).await, plug(&sb, 2).await, plug(&sb, 3).await, plug(&sb, 4).await];
    sb.partition(&[&[1], &[2, 3]]);
    for link in [(1, 2), (2, 1), (1, 3), (3, 1)] {
        assert_cut(&sb, link, "the link is cut").await;
    }
    // Node 4 is in no group.
    let rest = [(2, 3), (3, 2), (1, 4), (4, 1), (2, 4), (4, 2), (3, 4), (4, 3)];
    assert_open(&sb, &rest).await;

    sb.partition(&[&[1, 2], &[3]]);
    for link in [(1, 3), (3, 1), (2, 3), (3, 2)] {
        assert_cut(&sb, link, "the link is cut").await;
    }
    assert_open(&sb, &[(1, 2), (2, 1), (1, 4), (4, 1)]).await;
}

async fn an_isolated_node_reaches_nobody_and_is_reached_by_nobody<W: Wire<TypeConfig>>(
    sb: Switchboard<TypeConfig, W>,
) {
    let _nodes = [plug(&sb, 1).await, plug(&sb, 2).await, plug(&sb, 3).await];
    sb.isolate(&1);
    for link in [(1, 2), (2, 1), (1, 3), (3, 1)] {
        assert_cut(&sb, link, "the link is cut").await;
    }
    assert_open(&sb, &[(2, 3), (3, 2)]).await;
}

async fn healing_ends_every_fault<W: Wire<TypeConfig>>(sb: Switchboard<TypeConfig, W>) {
    let _nodes = [plug(&sb, 1).await, plug(&sb, 2).await, plug(&sb, 3).await];
    let delay_min = Duration::from_millis(20);
    sb.set_faults(1, 2, Faults { drop: 1.0, delay_min, ..Faults::default() });
    sb.set_faults(2, 1, Faults { delay_min, ..Faults::default() });
    sb.cut(1, 3);
    sb.heal();
    assert_open(&sb, &[(1, 2), (2, 1), (1, 3), (3, 1), (2, 3), (3, 2)]).await;
}

/// Encodes and decodes, and notes what.
#[derive(Debug, Clone, Default)]
struct Recording(Arc<Mutex<Vec<&'static str>>>);

impl<M: Message> Carry<M> for Recording {
    fn carry(&self, message: M) -> Result<M, AnyError> {
        self.0.lock().unwrap().push(M::NAME);
        Encoded.carry(message)
    }
}

impl InChunks for Recording {}

#[tokio::test(start_paused = true)]
async fn every_request_and_every_answer_crosses_the_wire() {
    let wire = Recording::default();
    let sb = Switchboard::with_wire(7, wire.clone());
    let _node = plug(&sb, 2).await;
    assert_open(&sb, &[(1, 2)]).await;
    let expected = [
        <AppendEntriesRequest as Message>::NAME,
        <AppendEntriesResponse as Message>::NAME,
        <VoteRequest as Message>::NAME,
        <VoteResponse as Message>::NAME,
        <InstallSnapshotRequest as Message>::NAME,
        <InstallSnapshotResponse as Message>::NAME,
    ];
    assert_eq!(*wire.0.lock().unwrap(), expected);
}

/// Loses what is behind the first byte of messages with that name.
#[derive(Debug, Clone)]
struct Garbling(&'static str);

impl<M: Message> Carry<M> for Garbling {
    fn carry(&self, message: M) -> Result<M, AnyError> {
        let bytes = message.encode();
        let bytes = if M::NAME == self.0 { bytes.slice(..1) } else { bytes };
        M::decode(bytes).map_err(|error| AnyError::new(&error))
    }
}

impl InChunks for Garbling {}

#[tokio::test(start_paused = true)]
async fn what_is_not_understood_is_a_network_error_that_names_both_ends() {
    for (garbled, arrives) in
        [(<VoteRequest as Message>::NAME, false), (<VoteResponse as Message>::NAME, true)]
    {
        let sb = Switchboard::with_wire(7, Garbling(garbled));
        let node = plug(&sb, 2).await;
        let outcome = send_vote(&sb, (1, 2), 9).await;
        let text = "Vote from node 1 to node 2: not understood";
        assert!(outcome.is_network_error(text), "{garbled}: {outcome:?}");
        assert_eq!(term(&node).await == 9, arrives, "{garbled}");
    }
}

/// Whether the key in node 2's log is the very memory that node 1 sent.
async fn shares_memory<W: Wire<TypeConfig>>(sb: Switchboard<TypeConfig, W>) -> bool {
    let storage = MemStorage::new();
    let config = cluster::config(2, &[1, 2, 3]);
    let node = RaftNode::start(config, storage.clone(), sb.port(2)).await.unwrap();
    sb.plug(2, node.raft().clone());

    let key = Bytes::from(b"a key".to_vec());
    let set = Operation::set(key.clone(), "a value", &Limits::default()).unwrap();
    let log_id = |index| LogId::new(CommittedLeaderId::new(1, 1), index);
    let batch = Entry { log_id: log_id(1), payload: EntryPayload::Normal(Batch::from(set)) };
    let blank = Entry { log_id: log_id(0), payload: EntryPayload::Blank };
    let request = AppendEntriesRequest {
        vote: Vote::new_committed(1, 1),
        prev_log_id: None,
        entries: vec![blank, batch.clone()],
        leader_commit: None,
    };
    let mut connection = sb.port(1).new_client(2, &Node::new("")).await;
    let answer = connection.append_entries(request, RPCOption::new(TTL)).await.unwrap();
    assert_eq!(answer, AppendEntriesResponse::Success);

    let stored = storage.log.clone().try_get_log_entries(1..=1).await.unwrap();
    assert_eq!(stored, [batch]);
    let EntryPayload::Normal(stored) = &stored[0].payload else { panic!("not a batch") };
    let Operation::Set(set) = &stored.operations()[0] else { panic!("not a SET") };
    set.key().as_ptr() == key.as_ptr()
}

#[tokio::test(start_paused = true)]
async fn messages_are_encoded_by_one_wire_and_moved_by_the_other() {
    assert!(!shares_memory(Switchboard::new(7)).await, "not encoded");
    assert!(shares_memory(Switchboard::direct(7)).await, "copied");
}
