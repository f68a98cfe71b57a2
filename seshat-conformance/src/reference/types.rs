//! [`TypeConfig`]: for stores that take any type configuration.

use openraft::{BasicNode, Entry, EntryPayload};
use serde::{Deserialize, Serialize};

use crate::words::{Command, Shape};

openraft::declare_raft_types!(
    /// A ready-made type configuration: ids are numbers, commands are bytes, replies say nothing,
    /// and a snapshot is a vector. All of it has serde's traits, whether openraft asks for them or
    /// not.
    pub TypeConfig:
        D = Request,
        R = Reply,
        NodeId = u64,
        Node = BasicNode,
        Entry = Entry<TypeConfig>,
        SnapshotData = std::io::Cursor<Vec<u8>>,
);

/// A command: bytes that mean nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request(pub Vec<u8>);

/// The reply to any command.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply;

/// For [`Backend::command`](crate::Backend::command).
pub fn command(command: &Command) -> Option<Request> {
    let n = command.n;
    Some(Request(match command.shape {
        Shape::Plain => format!("command {n}").into_bytes(),
        Shape::Empty => Vec::new(),
        Shape::Large(bytes) => n.to_le_bytes().into_iter().cycle().take(bytes).collect(),
        Shape::Binary => [b"\0\xff\r\n\"'".as_slice(), &n.to_le_bytes()].concat(),
        // Bytes that mean nothing can't undo anything.
        Shape::Refused => return None,
        Shape::Delete => return None,
    }))
}

/// For [`Backend::fingerprint`](crate::Backend::fingerprint).
pub fn fingerprint(entry: &Entry<TypeConfig>) -> Vec<u8> {
    let id = entry.log_id;
    match &entry.payload {
        EntryPayload::Blank => format!("{id:?} blank").into_bytes(),
        EntryPayload::Normal(Request(bytes)) => {
            [format!("{id:?} command ").as_bytes(), bytes].concat()
        }
        EntryPayload::Membership(members) => format!("{id:?} members {members:?}").into_bytes(),
    }
}

/// For [`Backend::node`](crate::Backend::node).
pub fn node(n: u64) -> BasicNode {
    BasicNode::new(format!("node-{n}.example:21001"))
}
