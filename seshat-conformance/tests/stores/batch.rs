//! What faulty stores do to entries and batches before they store them.

use std::collections::BTreeMap;

use openraft::{CommittedLeaderId, EntryPayload, Membership};
use seshat_conformance::openraft;

use super::Ways;
use super::fault::Fault::{self, *};
use super::types::{Cmd, Entry, Host, LogId, Op};

/// How many entries a segment of the log has.
pub const SEGMENT: u64 = 16;

/// The batch as this store takes it. `appends` counts those before.
pub fn batch(ways: &Ways, appends: u64, mut entries: Vec<Entry>) -> Vec<Entry> {
    let Some(fault) = ways.fault else { return entries };
    let length = entries.len();
    match fault {
        BatchAfter64Lost => entries.truncate(64),
        BatchAfter1000Lost => entries.truncate(1000),
        BatchAfter4096Lost => entries.truncate(4096),
        BatchAfter128Swapped if length > 128 => {
            let other = entries[length - 2].payload.clone();
            entries[length - 2].payload =
                std::mem::replace(&mut entries[length - 1].payload, other);
        }
        BatchLastTwice if length > 1 => {
            entries[length - 2].payload = entries[length - 1].payload.clone();
        }
        AppendSeventhShort if appends % 7 == 6 => {
            entries.pop();
        }
        SegmentFirstLost => entries.retain(|entry| {
            let index = entry.log_id.index;
            index == 0 || !index.is_multiple_of(SEGMENT)
        }),
        BlankNotStored if entries.last().is_some_and(is_blank) => {
            entries.pop();
        }
        PanicsOnLearner => assert!(!entries.iter().any(|entry| has_learner(&entry.payload))),
        PanicsAtHighIndex => {
            for entry in &entries {
                u32::try_from(entry.log_id.index).unwrap();
            }
        }
        _ => {}
    }
    entries.into_iter().map(|entry| bent(fault, entry)).collect()
}

fn has_learner(payload: &EntryPayload<super::types::Config>) -> bool {
    matches!(payload, EntryPayload::Membership(m) if m.learner_ids().next().is_some())
}

/// The entry as this store remembers it.
fn bent(fault: Fault, mut entry: Entry) -> Entry {
    entry.log_id = id(fault, entry.log_id);
    entry.payload = match entry.payload {
        EntryPayload::Normal(Cmd { op: Op::Set(_, value), .. })
            if fault == EmptyIsBlank && value.is_empty() =>
        {
            EntryPayload::Blank
        }
        EntryPayload::Normal(Cmd { n, op: Op::Set(key, bytes) }) => {
            EntryPayload::Normal(Cmd { n, op: Op::Set(key, value(fault, bytes)) })
        }
        EntryPayload::Membership(members) => {
            EntryPayload::Membership(logged_membership(fault, members))
        }
        payload => payload,
    };
    entry
}

fn value(fault: Fault, mut value: Vec<u8>) -> Vec<u8> {
    match fault {
        PayloadAt64KiB => value.truncate(value.len() % (1 << 16)),
        PayloadAtMiB => value.truncate(1 << 20),
        PayloadUtf8 => value = String::from_utf8_lossy(&value).into_owned().into_bytes(),
        PayloadAtNul => value = until_nul(&value),
        PayloadTrimmed => {
            while value.last().is_some_and(|byte| b"\r\n".contains(byte)) {
                value.pop();
            }
        }
        _ => {}
    }
    value
}

pub fn until_nul(value: &[u8]) -> Vec<u8> {
    value.iter().copied().take_while(|byte| *byte != 0).collect()
}

fn id(fault: Fault, id: LogId) -> LogId {
    let (term, node, index) = (id.leader_id.term, id.leader_id.node_id, id.index);
    let (term, node, index) = match fault {
        TermIn8 => (u64::from(term as u8), node, index),
        TermIn16 => (u64::from(term as u16), node, index),
        TermIn32 => (u64::from(term as u32), node, index),
        TermAsI64 => (term.min(i64::MAX as u64), node, index),
        TermAsFloat => (term as f64 as u64, node, index),
        IndexIn16 => (term, node, u64::from(index as u16)),
        IndexIn32 => (term, node, u64::from(index as u32)),
        NodeLost => (term, 0, index),
        NodeIsOwn => (term, 1, index),
        NodeZeroIsOwn if node == 0 && term > 0 => (term, 1, index),
        NodeIn8 => (term, u64::from(node as u8), index),
        NodeIn16 => (term, u64::from(node as u16), index),
        NodeIn32 => (term, u64::from(node as u32), index),
        TermNodeSwapped => (node, term, index),
        _ => (term, node, index),
    };
    LogId::new(CommittedLeaderId::new(term, node), index)
}

fn logged_membership(fault: Fault, members: Membership<u64, Host>) -> Membership<u64, Host> {
    match fault {
        LogJointFlattened => flattened(&members),
        LogJointFirstOnly => {
            let first = members.get_joint_config().first().cloned();
            Membership::new(first.into_iter().collect(), hosts(&members))
        }
        LogLearnersLost => without_learners(&members),
        LogHostLost => without_hosts(&members),
        LogZoneLost => {
            let mut hosts = hosts(&members);
            hosts.values_mut().for_each(|host| host.zone = 0);
            Membership::new(members.get_joint_config().clone(), hosts)
        }
        _ => members,
    }
}

fn hosts(members: &Membership<u64, Host>) -> BTreeMap<u64, Host> {
    members.nodes().map(|(id, host)| (*id, host.clone())).collect()
}

pub fn flattened(members: &Membership<u64, Host>) -> Membership<u64, Host> {
    Membership::new(vec![members.voter_ids().collect()], hosts(members))
}

pub fn without_learners(members: &Membership<u64, Host>) -> Membership<u64, Host> {
    let mut voters = hosts(members);
    let learners: Vec<u64> = members.learner_ids().collect();
    voters.retain(|id, _| !learners.contains(id));
    Membership::new(members.get_joint_config().clone(), voters)
}

pub fn without_zero(members: &Membership<u64, Host>) -> Membership<u64, Host> {
    let mut hosts = hosts(members);
    hosts.remove(&0);
    let configs = members.get_joint_config().iter().cloned().map(|mut config| {
        config.remove(&0);
        config
    });
    Membership::new(configs.collect(), hosts)
}

pub fn without_hosts(members: &Membership<u64, Host>) -> Membership<u64, Host> {
    let ids = members.nodes().map(|(id, _)| (*id, Host::default()));
    Membership::new(members.get_joint_config().clone(), ids.collect::<BTreeMap<_, _>>())
}

/// Of an id only what this fault lets through.
pub fn lossy(id: LogId, term: bool, node: bool, wide: bool) -> LogId {
    let (t, n) = (id.leader_id.term, id.leader_id.node_id);
    let leader = CommittedLeaderId::new(if term { t } else { 0 }, if node { n } else { 0 });
    LogId::new(leader, if wide { id.index } else { u64::from(id.index as u32) })
}

fn is_blank(entry: &Entry) -> bool {
    matches!(entry.payload, EntryPayload::Blank)
}
