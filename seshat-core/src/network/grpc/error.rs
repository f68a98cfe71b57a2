//! What can go wrong between nodes, and how it is told over the wire.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use openraft::error::{RPCError, RaftError, StreamingError, Timeout, Unreachable};
use openraft::network::RPCTypes;
use tonic::{Code, Status};

use super::names::NotNamed;
use crate::error::Stopped;
use crate::snapshot::ReadError;
pub use crate::statement::Implausible;
use crate::types::{Node, NodeId, TypeConfig};

/// A call to another node that has no answer. Its text holds all that is known of the cause, so
/// it has no source.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{rpc} to node {target} at {address}, attempt {attempt}: {cause}")]
pub struct CallError {
    /// What was asked.
    pub rpc: &'static str,
    /// Whom.
    pub target: NodeId,
    /// Where that is.
    pub address: String,
    /// The first call after one of its sort that was answered is 1.
    pub attempt: u64,
    /// Why there is no answer.
    pub cause: Cause,
}

/// Why a call has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Cause {
    /// No connection, or it broke. What was sent may have arrived.
    #[error("unreachable: {}", chain(.0.as_ref()))]
    Unreachable(Arc<dyn Error + Send + Sync>),
    /// What the membership has for an address is none. Nothing was sent.
    #[error("that is no address: {}", chain(.0.as_ref()))]
    NoAddress(Arc<dyn Error + Send + Sync>),
    /// There is no TLS, and the node isn't on this machine. Nothing was sent.
    #[error(
        "that is not on this machine's loopback interface, and there is no TLS: set [grpc.tls], or \
         grpc.plaintext = true where the network is trusted"
    )]
    Plaintext,
    /// Nothing came in time. What was sent may have arrived.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The peer would refuse it, so it wasn't sent.
    #[error("it reads format {got}, the snapshot needs {expected}")]
    Format {
        /// The newest format that the peer reads.
        got: u32,
        /// The snapshot's.
        expected: u32,
    },
    /// The snapshot that was to be sent can't be read from this node's own disk, or was damaged there. The
    /// next one that is built takes its place.
    #[error("this node's own snapshot can't be read: {}", chain(.0.as_ref()))]
    Unreadable(Arc<ReadError>),
    /// The node won't do what it was asked, and did nothing.
    #[error("refused, {refusal}: {words}")]
    Refused {
        /// Why.
        refusal: Refusal,
        /// In the node's own words.
        words: String,
    },
    /// The node answered what can't be true.
    #[error("an answer that can't be: {0}")]
    Implausible(#[from] Implausible),
    /// Something that is no Seshat node answered, or the protocol was broken.
    #[error("failed with status {code:?}: {words}")]
    Failed {
        /// The status of the call.
        code: Code,
        /// In the words of whoever answered.
        words: String,
    },
}

/// Why a node won't do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The call is meant for another cluster, or doesn't say for which.
    WrongCluster,
    /// The call is meant for another node, or doesn't say for which.
    WrongNode,
    /// Who calls can't speak for whom it says it is.
    WrongCaller,
    /// The node takes no part yet.
    NotAdmitted,
    /// The node stopped.
    Stopped,
    /// What arrived is no valid message, or not the one that was due.
    Garbled,
    /// What arrived is a valid message, and can't be true.
    Implausible,
    /// It took too long to arrive.
    Stalled,
    /// A newer snapshot is on its way.
    Superseded,
    /// The node has as many calls under way, or as many bytes of messages, as it may.
    Busy,
    /// The node's disk has no room for what it is sent.
    Full,
}

impl Refusal {
    /// Metadata that holds [`word`](Self::word).
    pub(super) const KEY: &'static str = "seshat-refusal";

    pub(super) const ALL: [Self; 11] = [
        Self::WrongCluster,
        Self::WrongNode,
        Self::WrongCaller,
        Self::NotAdmitted,
        Self::Stopped,
        Self::Garbled,
        Self::Implausible,
        Self::Stalled,
        Self::Superseded,
        Self::Busy,
        Self::Full,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::WrongCluster => "wrong cluster",
            Self::WrongNode => "wrong node",
            Self::WrongCaller => "wrong caller",
            Self::NotAdmitted => "not admitted",
            Self::Stopped => "stopped",
            Self::Garbled => "garbled",
            Self::Implausible => "implausible",
            Self::Stalled => "stalled",
            Self::Superseded => "superseded",
            Self::Busy => "busy",
            Self::Full => "full",
        }
    }

    fn code(self) -> Code {
        match self {
            Self::WrongCluster | Self::WrongNode => Code::FailedPrecondition,
            Self::WrongCaller => Code::PermissionDenied,
            Self::NotAdmitted | Self::Stopped => Code::Unavailable,
            Self::Garbled | Self::Implausible => Code::InvalidArgument,
            Self::Stalled => Code::DeadlineExceeded,
            Self::Superseded => Code::Aborted,
            Self::Busy | Self::Full => Code::ResourceExhausted,
        }
    }

    /// What the caller is told. Who looks after this node is told at the edge, and not each time
    /// ([`Refusals`](super::totals::Refusals)).
    pub(super) fn status(self, words: impl fmt::Display) -> Status {
        let mut status = Status::new(self.code(), words.to_string());
        let word = tonic::metadata::MetadataValue::from_static(self.word());
        status.metadata_mut().insert(Self::KEY, word);
        status
    }

    pub(super) fn of(status: &Status) -> Option<Self> {
        let word = status.metadata().get(Self::KEY)?;
        Self::ALL.into_iter().find(|refusal| word == refusal.word())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// An error and what is behind it, each once.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    // A status displays its source's inner parts as well.
    let status = error.downcast_ref::<Status>();
    let mut text = status.map_or_else(|| error.to_string(), |status| status.message().to_owned());
    let mut next = error.source();
    while let Some(error) = next {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = error.source();
    }
    text
}

impl Cause {
    pub(super) fn unreadable(error: ReadError) -> Self {
        Self::Unreadable(Arc::new(error))
    }

    pub(super) fn of(status: Status) -> Self {
        let words = status.message().to_owned();
        if let Some(refusal) = Refusal::of(&status) {
            return Self::Refused { refusal, words };
        }
        // Only a status that was made here, of an error of the connection, has a source.
        match status.source() {
            Some(_) => Self::Unreachable(Arc::new(status)),
            None => Self::Failed { code: status.code(), words },
        }
    }

    /// Whether the same call may be answered in a moment.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused { refusal, .. } => {
                matches!(refusal, Refusal::NotAdmitted | Refusal::Busy)
            }
            Self::NoAddress(_)
            | Self::Plaintext
            | Self::TimedOut(_)
            | Self::Implausible(_)
            | Self::Format { .. }
            | Self::Unreadable(_)
            | Self::Failed { .. } => false,
        }
    }

    /// One word, for the record.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::NoAddress(_) => "no address",
            Self::Plaintext => "plaintext",
            Self::TimedOut(_) => "timed out",
            Self::Format { .. } => "of a newer format",
            Self::Unreadable(_) => "unreadable",
            Self::Refused { .. } => "refused",
            Self::Implausible(_) => "implausible",
            Self::Failed { .. } => "failed",
        }
    }
}

impl CallError {
    /// What openraft makes of it: of a timeout that the next call may be answered, of all else
    /// that it had better wait.
    pub(super) fn into_rpc(
        self,
        me: NodeId,
        action: RPCTypes,
    ) -> RPCError<NodeId, Node, RaftError<NodeId>> {
        match self.cause {
            Cause::TimedOut(timeout) => {
                Timeout { action, id: me, target: self.target, timeout }.into()
            }
            _ => Unreachable::new(&self).into(),
        }
    }

    /// As [`into_rpc`](Self::into_rpc).
    pub(super) fn into_streaming<E: Error>(self, me: NodeId) -> StreamingError<TypeConfig, E> {
        match self.cause {
            Cause::TimedOut(timeout) => {
                let action = RPCTypes::InstallSnapshot;
                Timeout { action, id: me, target: self.target, timeout }.into()
            }
            _ => Unreachable::new(&self).into(),
        }
    }
}

/// Why there is no transport.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// Without TLS, all that this node stores would be there for others to read and to change.
    #[error(
        "member {member} at {address} is not on this machine's loopback interface, and there is no \
         TLS: set [grpc.tls], or grpc.plaintext = true where the network is trusted"
    )]
    Plaintext {
        /// The member.
        member: NodeId,
        /// Its address.
        address: String,
    },
    /// A file of [`TlsConfig`](crate::config::TlsConfig) can't be read.
    #[error("grpc.tls.{field} ({}) can't be read", .path.display())]
    File {
        /// The field that names it.
        field: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of [`TlsConfig`](crate::config::TlsConfig) holds something else.
    #[error("grpc.tls.{field} ({}) holds no {expected} in PEM", .path.display())]
    NoPem {
        /// The field that names it.
        field: &'static str,
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// Other nodes would refuse what this one says, as its certificate doesn't say that it is this
    /// node's.
    #[error("grpc.tls.cert ({}) can't be this node's", .path.display())]
    NotItsName {
        /// The file.
        path: PathBuf,
        /// What it is for, and what it should be for.
        source: NotNamed,
    },
    /// The key is another certificate's, or none that is understood.
    #[error("grpc.tls.key ({}) is not the key to grpc.tls.cert ({})", key.display(), cert.display())]
    NotItsKey {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
        /// What is wrong with both.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The certificates don't go together.
    #[error("the certificates of grpc.tls can't be used")]
    Certificates(#[source] Box<dyn Error + Send + Sync>),
}

/// Why a node can't be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Without TLS, all that this node stores would be there for others to read and to change.
    #[error(
        "{whom} at {address} would be served beyond this machine's loopback interface, and there is \
         no TLS: set [grpc.tls], or grpc.plaintext = true where the network is trusted"
    )]
    Plaintext {
        /// For whom the listener is: peers or clients.
        whom: &'static str,
        /// Where it listens.
        address: SocketAddr,
    },
    /// The listener has no address.
    #[error("the listener for {whom} has no address")]
    Listener {
        /// For whom it is: peers or clients.
        whom: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The schema that is served for reflection can't be read.
    #[error("reflection can't be served")]
    Reflection(#[source] tonic_reflection::server::Error),
}

/// Why a node may not take part.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AdmissionError {
    /// The cluster has this node for a member, and the node remembers nothing of it. It could vote
    /// a second time in a term, and lacks entries that it acknowledged (Raft paper, section 5):
    /// both can undo what clients were told is done.
    #[error(
        "node {node_id} is a member of cluster {cluster:?} (node {asked} says so), but remembers \
         nothing of it: it must not take part as if it did. Remove node {node_id} from the cluster, \
         start it again, and add it when it waits to be added"
    )]
    LostMemory {
        /// This node.
        node_id: NodeId,
        /// Its cluster.
        cluster: String,
        /// The leader, which said so.
        asked: NodeId,
    },
    /// The cluster writes what this build doesn't read, and never goes back to what it does.
    #[error(
        "this build reads format {reads}, cluster {cluster:?} writes {writes} (node {asked} says so): \
         start a newer version as node {node_id}"
    )]
    Format {
        /// This node.
        node_id: NodeId,
        /// Its cluster.
        cluster: String,
        /// The leader, which said so.
        asked: NodeId,
        /// The newest format that this build reads.
        reads: u32,
        /// The cluster's.
        writes: u32,
    },
    /// The node stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}
