//! A new cluster from a snapshot's file: [`seed`].
//!
//! Every member gets a directory of its own, from the same file and with the same members. What comes of it is
//! equal on all of them but for whose it is, so that they agree before they have said a word:
//!
//! - The state is the file's, and so is the id of the last entry in it, L. The log begins behind L, and L is
//!   committed.
//! - The membership is the one that is given, as of L: it takes the place of the one in the file. No entry
//!   is left that could say otherwise.
//! - The vote is for L's leader in L's term, and not known to be granted by a quorum. So nobody leads by what it
//!   remembers, also not the member that has that leader's id; and whoever is elected leads in a later term, so
//!   that log ids go on to ascend.
//!
//! The first election has all members with equal logs, and whoever wins it goes on behind L. That is a history
//! of its own: members of the cluster that the file comes from have others for the same indexes. They are kept
//! apart by the cluster's name, which every call and every directory carries; so the new name should be new.
//! Members that were seeded from different files must never meet; nothing tells them apart.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::Hasher as _;
use std::path::Path;

use prost::encoding::{encode_varint, fixed64};
use twox_hash::xxhash3_64::Hasher;

use super::draft::{BuildError, Draft, Filling};
use super::error::Unreadable;
use super::stream::{Content, Stream, TRAILER, check};
use crate::codec::Message;
use crate::snapshot::Header;
use crate::types::{LogId, Membership, Node, NodeId, SnapshotMeta, StoredMembership};
use crate::wal::fs::File;
use crate::wal::{Call, Context, Failure};

/// A member of a new cluster, and all the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMember {
    /// The new cluster's name.
    pub cluster: String,
    /// Whose directory it is to be.
    pub node_id: NodeId,
    /// All voters, and where the others reach each.
    pub members: BTreeMap<NodeId, String>,
}

/// Why no directory was written.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The file is no snapshot, or damaged.
    #[error("{file} can't be used: {source}")]
    File {
        /// The file.
        file: String,
        /// Why.
        source: Unreadable,
    },
    /// The file is of a state before the first entry.
    #[error("{file} has no state in it: its cluster had not begun")]
    Empty {
        /// The file.
        file: String,
    },
    /// The node is not among the members.
    #[error("node {node_id} is not among the members {}: give all of them, itself too", Ids(.members))]
    NotAMember {
        /// The node.
        node_id: NodeId,
        /// The members.
        members: Vec<NodeId>,
    },
    /// The directory can't be written.
    #[error(transparent)]
    Build(#[from] BuildError),
}

struct Ids<'a>(&'a [NodeId]);

impl std::fmt::Display for Ids<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&ids.join(", "))
    }
}

/// Whether a file is a whole snapshot, and what it says of itself.
///
/// # Errors
/// See [`Unreadable`].
pub fn check_file(file: &Path) -> Result<Content, Unreadable> {
    let name = file.to_string_lossy();
    check(&fs::File::open(file).during(Call::Open, &name)?, &name)
}

/// Writes the directory of one member of a new cluster, from a snapshot's file. Returns what the snapshot says of
/// itself.
///
/// # Errors
/// See [`SeedError`]. The directory is as it was.
pub fn seed(file: &Path, dir: &Path, member: &NewMember) -> Result<Header, SeedError> {
    let NewMember { cluster, node_id, members } = member;
    if !members.contains_key(node_id) {
        let members = members.keys().copied().collect();
        return Err(SeedError::NotAMember { node_id: *node_id, members });
    }
    let name = file.to_string_lossy().into_owned();
    let unusable = |source| SeedError::File { file: name.clone(), source };
    let header = check_file(file).map_err(unusable)?.header;
    let Some(last) = header.last_log_id else { return Err(SeedError::Empty { file: name }) };
    let header = Header { last_membership: membership(last, members), ..header };
    let meta = SnapshotMeta {
        last_log_id: Some(last),
        last_membership: header.last_membership.clone(),
        snapshot_id: format!("seed-{last}"),
    };
    let opened = fs::File::open(file).during(Call::Open, &name);
    let opened = opened.map_err(|failure| unusable(failure.into()))?;
    let draft = Draft::begin(dir, cluster, *node_id)?;
    draft.snapshot(&meta, |filling| copy(&opened, &name, &header, filling))?;
    draft.finish(None, Some(last), Some(last))?;
    Ok(header)
}

fn membership(last: LogId, members: &BTreeMap<NodeId, String>) -> StoredMembership {
    let voters: BTreeSet<NodeId> = members.keys().copied().collect();
    let nodes: BTreeMap<_, _> =
        members.iter().map(|(id, address)| (*id, Node::new(address))).collect();
    StoredMembership::new(Some(last), Membership::new(vec![voters], nodes))
}

/// The same records behind another header.
fn copy(
    file: &impl File,
    name: &str,
    header: &Header,
    filling: &mut Filling<'_>,
) -> Result<(), Unreadable> {
    let mut stream = Stream::open(file, name)?;
    stream.header()?;
    let mut hasher = Hasher::new();
    let mut put = |message: &[u8]| -> Result<(), Failure> {
        let mut prefix = Vec::new();
        encode_varint(message.len() as u64, &mut prefix);
        for bytes in [&prefix, message] {
            hasher.write(bytes);
            filling.put(bytes)?;
        }
        Ok(())
    };
    put(&header.encode())?;
    while let Some(record) = stream.message()? {
        put(stream.bytes(record))?;
    }
    // It may have changed since it was checked.
    stream.finish()?;
    let mut trailer = vec![TRAILER as u8 - 1];
    // Always there, also where it is 0.
    fixed64::encode(1, &hasher.finish(), &mut trailer);
    Ok(filling.put(&trailer)?)
}
