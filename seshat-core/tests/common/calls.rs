//! Single calls over a transport, and nodes that do nothing but answer them.

#![allow(dead_code, reason = "each test file takes what it needs")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Display;
use std::time::Duration;

use openraft::error::{RPCError, RaftError};
use openraft::network::{RPCOption, RPCTypes, RaftNetwork, RaftNetworkFactory};
use seshat_core::network::Switchboard;
use seshat_core::network::switchboard::Wire;
use seshat_core::node::RaftNode;
use seshat_core::storage::MemStorage;
use seshat_core::types::{
    AppendEntriesRequest, InstallSnapshotRequest, Node, SnapshotMeta, TypeConfig, Vote, VoteRequest,
};

use super::cluster::config;

pub(crate) const ALL: [RPCTypes; 3] =
    [RPCTypes::AppendEntries, RPCTypes::Vote, RPCTypes::InstallSnapshot];

/// How long a call may take. Nothing here takes that long unless it is meant to.
pub(crate) const TTL: Duration = Duration::from_millis(700);

/// How a call ended, errors as their text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered,
    Unreachable(String),
    Network(String),
    Remote(String),
    Other(String),
}

impl Outcome {
    fn of<T, E: std::error::Error>(
        result: Result<T, RPCError<u64, Node, RaftError<u64, E>>>,
    ) -> Self {
        match result {
            Ok(_) => Self::Answered,
            Err(RPCError::Unreachable(error)) => Self::Unreachable(error.to_string()),
            Err(RPCError::Network(error)) => Self::Network(error.to_string()),
            Err(RPCError::RemoteError(error)) => Self::Remote(error.to_string()),
            Err(error) => Self::Other(error.to_string()),
        }
    }

    pub(crate) fn is_unreachable(&self, text: impl Display) -> bool {
        matches!(self, Self::Unreachable(error) if error.contains(&text.to_string()))
    }

    pub(crate) fn is_network_error(&self, text: impl Display) -> bool {
        matches!(self, Self::Network(error) if error.contains(&text.to_string()))
    }
}

/// In whose name the calls are: a node that isn't there.
const LEADER: u64 = 99;

/// One call of that kind, in that term. An append that arrives raises the receiver's vote to the
/// term and begins a lease; a vote does the former, and not within a lease. The chunk of a
/// snapshot is the first of several and has no effect.
pub(crate) async fn call(
    connection: &mut impl RaftNetwork<TypeConfig>,
    rpc: RPCTypes,
    term: u64,
) -> Outcome {
    let (option, vote) = (RPCOption::new(TTL), Vote::new_committed(term, LEADER));
    match rpc {
        RPCTypes::AppendEntries => {
            let request = AppendEntriesRequest {
                vote,
                prev_log_id: None,
                entries: Vec::new(),
                leader_commit: None,
            };
            Outcome::of(connection.append_entries(request, option).await)
        }
        RPCTypes::Vote => {
            let request = VoteRequest::new(Vote::new(term, LEADER), None);
            Outcome::of(connection.vote(request, option).await)
        }
        RPCTypes::InstallSnapshot => {
            let meta = SnapshotMeta { snapshot_id: "s".into(), ..SnapshotMeta::default() };
            let (offset, data, done) = (0, vec![1, 2, 3], false);
            let request = InstallSnapshotRequest { vote, meta, offset, data, done };
            Outcome::of(connection.install_snapshot(request, option).await)
        }
    }
}

/// One call from one node to another.
pub(crate) async fn send<W: Wire<TypeConfig>>(
    switchboard: &Switchboard<TypeConfig, W>,
    (from, to): (u64, u64),
    rpc: RPCTypes,
    term: u64,
) -> Outcome {
    let mut connection = switchboard.port(from).new_client(to, &Node::new("")).await;
    call(&mut connection, rpc, term).await
}

/// An append from one node to another.
pub(crate) async fn send_append<W: Wire<TypeConfig>>(
    switchboard: &Switchboard<TypeConfig, W>,
    link: (u64, u64),
    term: u64,
) -> Outcome {
    send(switchboard, link, RPCTypes::AppendEntries, term).await
}

/// A request for a vote from one node to another.
pub(crate) async fn send_vote<W: Wire<TypeConfig>>(
    switchboard: &Switchboard<TypeConfig, W>,
    link: (u64, u64),
    term: u64,
) -> Outcome {
    send(switchboard, link, RPCTypes::Vote, term).await
}

/// A node that belongs to no cluster, so that nothing but the calls of a test reaches it.
pub(crate) async fn plug<W: Wire<TypeConfig>>(
    switchboard: &Switchboard<TypeConfig, W>,
    id: u64,
) -> RaftNode {
    let members = [id, id + 100, id + 101];
    let node = RaftNode::start(config(id, &members), MemStorage::new(), switchboard.port(id));
    let node = node.await.unwrap();
    switchboard.plug(id, node.raft().clone());
    node
}

/// The term that the node has voted in.
pub(crate) async fn term(node: &RaftNode) -> u64 {
    node.raft().with_raft_state(|state| state.vote_ref().leader_id.term).await.unwrap()
}
