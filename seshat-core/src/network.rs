//! How nodes reach each other.
//!
//! A `RaftNode` takes any `Transport`: an [`openraft::RaftNetworkFactory`] that says, too, which formats
//! other nodes read. What every one of them must do:
//!
//! - Answer `Ok` only with what the target itself answered. The leader counts a success as a
//!   replica that holds the entries.
//! - Fail rather than wait for ever. openraft gives up on a vote after the minimal election timeout,
//!   but reports nothing then. Heartbeats are asked for by an AppendEntries without entries, and end
//!   within a heartbeat interval; one with entries may take as long as it moves, and `hard_ttl` says how
//!   long it is waited for while it doesn't.
//! - Let heartbeats pass whatever else is under way. A node keeps two connections or more to each other
//!   node: heartbeats go over one while entries, or a snapshot, are on their way over another.
//! - Tell "unreachable" ([`openraft::error::Unreachable`]: openraft backs off) from a failure
//!   that the next call may not meet ([`openraft::error::NetworkError`]: it retries at once).
//! - Deliver to the node that was meant, or refuse.
//! - Hand openraft nothing that no openraft would say, request or answer: it stops for good. What comes
//!   from other processes has to be judged; the [`switchboard`]'s nodes are all of this one, and it judges
//!   nothing.
//!
//! Loss, delay, duplication and reordering are for Raft to cope with; so are late deliveries of
//! calls that were given up.

#[cfg(feature = "grpc")]
pub mod grpc;
#[cfg(feature = "storage-v2")]
mod paced;
#[cfg(feature = "storage-v2")]
mod stub;
pub mod switchboard;

#[cfg(feature = "storage-v2")]
pub(crate) use self::paced::{Paced, Ways, heartbeat};
#[cfg(feature = "storage-v2")]
pub use self::stub::{NoTransport, StubConnection, StubNetwork};
#[cfg(not(feature = "storage-v2"))]
pub use self::switchboard::Switchboard;

/// What a [`RaftNode`](crate::node::RaftNode) reaches the others by.
#[cfg(feature = "storage-v2")]
pub trait Transport: openraft::RaftNetworkFactory<crate::types::TypeConfig> + Clone {
    /// Which formats node `target`, at `node`, reads, as it says when it is asked now; `None` if it
    /// doesn't answer. Asked by a leader before the cluster's format rises or a node is added, and
    /// given up after a second.
    ///
    /// By default all nodes are taken to read what this one does, as those in one process do. A
    /// transport between processes asks; one around another transport asks that.
    fn formats(
        &self,
        target: crate::types::NodeId,
        node: &crate::types::Node,
    ) -> impl Future<Output = Option<crate::codec::FormatsResponse>> + Send {
        let (_, _) = (target, node);
        let reads = crate::codec::reads();
        async move { Some(crate::codec::FormatsResponse { reads, agrees: reads }) }
    }
}

/// A [`Switchboard`](switchboard::Switchboard), of Seshat's own nodes unless told otherwise.
///
/// Messages cross it encoded and decoded ([`Encoded`](switchboard::Encoded)) or as they are
/// ([`Direct`](switchboard::Direct)).
///
/// ```
/// use seshat_core::network::Switchboard;
/// use seshat_core::network::switchboard::Faults;
///
/// let switchboard: Switchboard = Switchboard::new(42);
/// let network_of_node_1 = switchboard.port(1);
/// switchboard.set_faults(1, 2, Faults { drop: 0.1, ..Faults::default() });
/// switchboard.partition(&[&[1], &[2, 3]]);
/// switchboard.heal();
/// # drop(network_of_node_1);
/// ```
#[cfg(feature = "storage-v2")]
pub type Switchboard<C = crate::types::TypeConfig, W = switchboard::Encoded> =
    switchboard::Switchboard<C, W>;
