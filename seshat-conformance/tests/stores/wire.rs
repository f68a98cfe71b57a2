//! Values to bytes and back: every record is sealed with a checksum.
//!
//! Guarantees: what was put is taken, bit by bit; anything else than a whole sealed record gives
//! `None`.

use std::collections::{BTreeMap, BTreeSet};

use openraft::{CommittedLeaderId, EntryPayload, Membership};
use seshat_conformance::openraft;

use super::machine::State;
use super::types::{Cmd, Data, Entry, Host, LogId, Meta, Op, Stored, Vote};

/// A checksum: FNV-1a over words of eight bytes.
pub fn sum(bytes: &[u8]) -> u64 {
    let mut sum = 0xcbf2_9ce4_8422_2325_u64 ^ bytes.len() as u64;
    let mut add = |word: [u8; 8]| {
        sum = (sum ^ u64::from_le_bytes(word)).wrapping_mul(0x0000_0100_0000_01b3);
        sum ^= sum >> 29;
    };
    let (words, rest) = bytes.as_chunks();
    words.iter().for_each(|word| add(*word));
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        add(last);
    }
    sum
}

/// How many bytes of a sealed record are its checksum.
pub const SEAL: usize = 8;

/// What can be a record.
pub trait Wire: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn take(from: &mut &[u8]) -> Option<Self>;
}

/// The record of a value.
pub fn seal<T: Wire>(value: &T) -> Vec<u8> {
    let mut out = vec![0; SEAL];
    value.put(&mut out);
    let sum = sum(&out[SEAL..]);
    out[..SEAL].copy_from_slice(&sum.to_le_bytes());
    out
}

/// The value of a record; `None` if it is damaged.
pub fn open<T: Wire>(record: &[u8]) -> Option<T> {
    let (seal, body) = record.split_at_checked(SEAL)?;
    if sum(body).to_le_bytes() != seal { None } else { open_damaged(record) }
}

/// The value of a record whose checksum isn't looked at.
pub fn open_damaged<T: Wire>(record: &[u8]) -> Option<T> {
    let mut body = record.get(SEAL..)?;
    let value = T::take(&mut body)?;
    body.is_empty().then_some(value)
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

impl Wire for u8 {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        Some(*byte)
    }
}

impl Wire for Vec<u8> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u64).put(out);
        out.extend(self);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let length = usize::try_from(u64::take(from)?).ok()?;
        let (bytes, rest) = from.split_at_checked(length)?;
        *from = rest;
        Some(bytes.to_vec())
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.is_some()));
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        match u8::take(from)? {
            0 => Some(None),
            1 => T::take(from).map(Some),
            _ => None,
        }
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

fn put_all<T: Wire>(items: impl ExactSizeIterator<Item = T>, out: &mut Vec<u8>) {
    (items.len() as u64).put(out);
    items.for_each(|item| item.put(out));
}

/// Ends at the first item that isn't there, however many are promised.
fn take_all<T: Wire>(from: &mut &[u8]) -> Option<Vec<T>> {
    let count = u64::take(from)?;
    (0..count).map(|_| T::take(from)).collect()
}

impl Wire for LogId {
    fn put(&self, out: &mut Vec<u8>) {
        self.leader_id.term.put(out);
        self.leader_id.node_id.put(out);
        self.index.put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let leader = CommittedLeaderId::new(u64::take(from)?, u64::take(from)?);
        Some(Self::new(leader, u64::take(from)?))
    }
}

impl Wire for Vote {
    fn put(&self, out: &mut Vec<u8>) {
        self.leader_id.term.put(out);
        self.leader_id.node_id.put(out);
        u8::from(self.committed).put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let mut vote = Self::new(u64::take(from)?, u64::take(from)?);
        vote.committed = u8::take(from)? == 1;
        Some(vote)
    }
}

impl Wire for Membership<u64, Host> {
    fn put(&self, out: &mut Vec<u8>) {
        let ids = |set: &BTreeSet<u64>| {
            let mut out = Vec::new();
            put_all(set.iter().copied(), &mut out);
            out
        };
        put_all(self.get_joint_config().iter().map(ids), out);
        let hosts: Vec<_> = self.nodes().map(|(id, host)| (*id, host.clone())).collect();
        put_all(hosts.into_iter(), out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let ids = |bytes: Vec<u8>| Some(take_all(&mut &bytes[..])?.into_iter().collect());
        let configs: Option<Vec<BTreeSet<u64>>> = take_all(from)?.into_iter().map(ids).collect();
        let hosts: BTreeMap<u64, Host> = take_all(from)?.into_iter().collect();
        Some(Self::new(configs?, hosts))
    }
}

impl Wire for Host {
    fn put(&self, out: &mut Vec<u8>) {
        self.address.as_bytes().to_vec().put(out);
        self.zone.put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let address = String::from_utf8(Vec::take(from)?).ok()?;
        Some(Self { address, zone: u8::take(from)? })
    }
}

impl Wire for Stored {
    fn put(&self, out: &mut Vec<u8>) {
        (*self.log_id()).put(out);
        self.membership().put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Some(Self::new(Wire::take(from)?, Membership::take(from)?))
    }
}

impl Wire for Cmd {
    fn put(&self, out: &mut Vec<u8>) {
        self.n.put(out);
        let (kind, key) = match &self.op {
            Op::Set(key, _) => (0, key),
            Op::Append(key, _) => (1, key),
            Op::Del(key) => (2, key),
            Op::Incr(key, _) => (3, key),
            Op::Expect(key, _) => (4, key),
        };
        out.push(kind);
        key.put(out);
        match &self.op {
            Op::Set(_, value) | Op::Append(_, value) | Op::Expect(_, value) => value.put(out),
            Op::Incr(_, by) => by.put(out),
            Op::Del(_) => {}
        }
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let (n, (kind, key)) = Wire::take(from)?;
        let op = match kind {
            0_u8 => Op::Set(key, Vec::take(from)?),
            1 => Op::Append(key, Vec::take(from)?),
            2 => Op::Del(key),
            3 => Op::Incr(key, u64::take(from)?),
            4 => Op::Expect(key, Vec::take(from)?),
            _ => return None,
        };
        Some(Self { n, op })
    }
}

impl Wire for Entry {
    fn put(&self, out: &mut Vec<u8>) {
        self.log_id.put(out);
        match &self.payload {
            EntryPayload::Blank => out.push(0),
            EntryPayload::Normal(command) => {
                out.push(1);
                command.put(out);
            }
            EntryPayload::Membership(membership) => {
                out.push(2);
                membership.put(out);
            }
        }
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let log_id = LogId::take(from)?;
        let payload = match u8::take(from)? {
            0 => EntryPayload::Blank,
            1 => EntryPayload::Normal(Cmd::take(from)?),
            2 => EntryPayload::Membership(Membership::take(from)?),
            _ => return None,
        };
        Some(Self { log_id, payload })
    }
}

impl Wire for Data {
    fn put(&self, out: &mut Vec<u8>) {
        put_all(self.values.iter().map(|(key, value)| (key.clone(), value.to_vec())), out);
        put_all(self.counters.iter().map(|(key, count)| (key.clone(), *count)), out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let values: Vec<(Vec<u8>, Vec<u8>)> = take_all(from)?;
        let counters: Vec<(Vec<u8>, u64)> = take_all(from)?;
        Some(Self {
            values: values.into_iter().map(|(key, value)| (key, value.into())).collect(),
            counters: counters.into_iter().collect(),
        })
    }
}

impl Wire for State {
    fn put(&self, out: &mut Vec<u8>) {
        self.applied.put(out);
        self.membership.put(out);
        self.data.put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let (applied, (membership, data)) = Wire::take(from)?;
        Some(Self { applied, membership, data })
    }
}

impl Wire for Meta {
    fn put(&self, out: &mut Vec<u8>) {
        self.last_log_id.put(out);
        self.last_membership.put(out);
        self.snapshot_id.as_bytes().to_vec().put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let (last_log_id, (last_membership, id)) = Wire::take(from)?;
        Some(Self { last_log_id, last_membership, snapshot_id: String::from_utf8(id).ok()? })
    }
}
