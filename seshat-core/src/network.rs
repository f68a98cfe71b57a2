//! How nodes reach each other.
//!
//! A transport is an [`openraft::RaftNetworkFactory`]; a [`RaftNode`](crate::node::RaftNode)
//! takes any. What every one of them must do:
//!
//! - Answer `Ok` only with what the target itself answered. The leader counts a success as a
//!   replica that holds the entries.
//! - Fail rather than wait for ever. openraft gives up on AppendEntries after a heartbeat
//!   interval and on a vote after the minimal election timeout, but reports nothing then.
//! - Tell "unreachable" ([`openraft::error::Unreachable`]: openraft backs off) from a failure
//!   that the next call may not meet ([`openraft::error::NetworkError`]: it retries at once).
//! - Deliver to the node that was meant, or refuse.
//!
//! Loss, delay, duplication and reordering are for Raft to cope with; so are late deliveries of
//! calls that were given up.

mod observed;
mod stub;
pub mod switchboard;

pub(crate) use self::observed::Observed;
pub use self::stub::{NoTransport, StubConnection, StubNetwork};
pub use self::switchboard::Switchboard;
