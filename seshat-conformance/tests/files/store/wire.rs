//! Values to bytes and back.
//!
//! Guarantees: what was put is taken, bit by bit; bytes that are no value give `None`.

use std::collections::{BTreeMap, BTreeSet};

use openraft::{BasicNode, CommittedLeaderId, EntryPayload, Membership};
use seshat_conformance::openraft;
use seshat_conformance::reference::Request;

use super::{Entry, LogId, Meta, Stored, Vote};

/// A checksum: FNV-1a over words of eight bytes, its halves folded.
pub fn sum(bytes: &[u8]) -> u64 {
    let mut sum = 0xcbf2_9ce4_8422_2325_u64 ^ bytes.len() as u64;
    for word in bytes.chunks(8) {
        let mut eight = [0; 8];
        eight[..word.len()].copy_from_slice(word);
        sum = (sum ^ u64::from_le_bytes(eight)).wrapping_mul(0x0000_0100_0000_01b3);
        sum ^= sum >> 29;
    }
    sum ^ sum >> 32
}

/// What can be stored.
pub trait Wire: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn take(from: &mut &[u8]) -> Option<Self>;

    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.put(&mut out);
        out
    }

    /// The value of all of some bytes.
    fn read(mut bytes: &[u8]) -> Option<Self> {
        let value = Self::take(&mut bytes)?;
        bytes.is_empty().then_some(value)
    }
}

impl Wire for u64 {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.to_le_bytes());
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let (number, rest) = from.split_first_chunk()?;
        *from = rest;
        Some(Self::from_le_bytes(*number))
    }
}

impl Wire for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        (*byte < 2).then_some(*byte == 1)
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        self.iter().for_each(|value| value.put(out));
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        if bool::take(from)? { T::take(from).map(Some) } else { Some(None) }
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Some((A::take(from)?, B::take(from)?))
    }
}

/// Ends at the first item that isn't there, however many are promised.
impl<T: Wire> Wire for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u64).put(out);
        self.iter().for_each(|item| item.put(out));
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let count = u64::take(from)?;
        (0..count).map(|_| T::take(from)).collect()
    }
}

/// Bytes: no vector of values, for they are copied whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Wire for Bytes {
    fn put(&self, out: &mut Vec<u8>) {
        (self.0.len() as u64).put(out);
        out.extend(&self.0);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let length = usize::try_from(u64::take(from)?).ok()?;
        let (bytes, rest) = from.split_at_checked(length)?;
        *from = rest;
        Some(Self(bytes.to_vec()))
    }
}

impl Wire for String {
    fn put(&self, out: &mut Vec<u8>) {
        Bytes(self.as_bytes().to_vec()).put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Self::from_utf8(Bytes::take(from)?.0).ok()
    }
}

impl Wire for LogId {
    fn put(&self, out: &mut Vec<u8>) {
        ((self.leader_id.term, self.leader_id.node_id), self.index).put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let ((term, node), index) = Wire::take(from)?;
        Some(Self::new(CommittedLeaderId::new(term, node), index))
    }
}

impl Wire for Vote {
    fn put(&self, out: &mut Vec<u8>) {
        ((self.leader_id.term, self.leader_id.node_id), self.committed).put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let ((term, node), committed): ((u64, u64), bool) = Wire::take(from)?;
        let vote = if committed { Self::new_committed } else { Self::new };
        Some(vote(term, node))
    }
}

impl Wire for Membership<u64, BasicNode> {
    fn put(&self, out: &mut Vec<u8>) {
        let voters: Vec<Vec<u64>> =
            self.get_joint_config().iter().map(|set| set.iter().copied().collect()).collect();
        let nodes: Vec<_> = self.nodes().map(|(id, node)| (*id, node.addr.clone())).collect();
        (voters, nodes).put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let (voters, nodes): (Vec<Vec<u64>>, Vec<(u64, String)>) = Wire::take(from)?;
        let voters = voters.into_iter().map(BTreeSet::from_iter).collect();
        let nodes = nodes.into_iter().map(|(id, addr)| (id, BasicNode { addr }));
        Some(Self::new(voters, nodes.collect::<BTreeMap<_, _>>()))
    }
}

impl Wire for Entry {
    fn put(&self, out: &mut Vec<u8>) {
        let (command, members) = match &self.payload {
            EntryPayload::Blank => (None, None),
            EntryPayload::Normal(Request(bytes)) => (Some(Bytes(bytes.clone())), None),
            EntryPayload::Membership(members) => (None, Some(members.clone())),
        };
        (self.log_id, (command, members)).put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let (log_id, payload): (_, (Option<Bytes>, Option<_>)) = Wire::take(from)?;
        let payload = match payload {
            (Some(Bytes(bytes)), _) => EntryPayload::Normal(Request(bytes)),
            (_, Some(members)) => EntryPayload::Membership(members),
            (None, None) => EntryPayload::Blank,
        };
        Some(Self { log_id, payload })
    }
}

impl Wire for Stored {
    fn put(&self, out: &mut Vec<u8>) {
        (*self.log_id(), self.membership().clone()).put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let (id, members) = Wire::take(from)?;
        Some(Self::new(id, members))
    }
}

impl Wire for Meta {
    fn put(&self, out: &mut Vec<u8>) {
        (self.last_log_id, (self.last_membership.clone(), self.snapshot_id.clone())).put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let (last_log_id, (last_membership, snapshot_id)) = Wire::take(from)?;
        Some(Self { last_log_id, last_membership, snapshot_id })
    }
}
