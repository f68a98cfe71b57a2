//! What a state machine should do: one ordinary map, one key at a time.

#![allow(dead_code, reason = "each test file takes what it needs")]

use std::collections::BTreeMap;

use bytes::Bytes;
use seshat_core::machine::{Machine, Size};
use seshat_core::operation::{Condition, EntryResponse, Operation, Response};
use seshat_core::snapshot;
use seshat_core::types::{Entry, EntryPayload, LogId, SnapshotMeta, StoredMembership};

use crate::entries::{blank, id, membership, normal, set};

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Oracle {
    pub(crate) keys: BTreeMap<Bytes, Bytes>,
    pub(crate) last_applied: Option<LogId>,
    pub(crate) membership: StoredMembership,
}

impl Oracle {
    pub(crate) fn apply(&mut self, entries: &[Entry]) -> Vec<EntryResponse> {
        entries.iter().map(|entry| self.apply_one(entry)).collect()
    }

    fn apply_one(&mut self, entry: &Entry) -> EntryResponse {
        self.last_applied = Some(entry.log_id);
        match &entry.payload {
            EntryPayload::Blank => EntryResponse::Blank,
            EntryPayload::Membership(membership) => {
                self.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
                EntryResponse::Membership
            }
            EntryPayload::Normal(batch) => {
                EntryResponse::Batch(batch.operations().iter().map(|op| self.run(op)).collect())
            }
        }
    }

    fn run(&mut self, operation: &Operation) -> Response {
        match operation {
            Operation::Set(set) => {
                let before = self.keys.get(set.key()).cloned();
                let previous = before.clone().filter(|_| set.get());
                let wanted = match set.condition() {
                    None => true,
                    Some(Condition::Absent) => before.is_none(),
                    Some(Condition::Present) => before.is_some(),
                };
                if !wanted {
                    return Response::NotSet { previous };
                }
                self.keys.insert(set.key().clone(), set.value().clone());
                Response::Set { previous }
            }
            Operation::Del(del) => {
                let mut deleted = 0;
                for key in del.keys() {
                    deleted += u64::from(self.keys.remove(key).is_some());
                }
                Response::Del { deleted }
            }
        }
    }

    pub(crate) fn size(&self) -> Size {
        let lengths = self.keys.iter().map(|(key, value)| (key.len() + value.len()) as u64);
        Size { keys: self.keys.len() as u64, bytes: lengths.sum() }
    }

    pub(crate) fn meta(&self) -> SnapshotMeta {
        SnapshotMeta {
            last_log_id: self.last_applied,
            last_membership: self.membership.clone(),
            snapshot_id: "of the oracle".to_owned(),
        }
    }

    /// A machine that was never frozen and never overwrote anything, with this state. Index 0
    /// must be free: the keys get there in one batch.
    pub(crate) fn fresh_machine(&self) -> Machine {
        let mut machine = Machine::default();
        let mut entries = Vec::new();
        if !self.keys.is_empty() {
            let sets: Vec<_> = self.keys.iter().map(|(k, v)| set(k.clone(), v.clone())).collect();
            entries.push(normal(id(0, 0), sets));
        }
        if let Some(log_id) = self.membership.log_id() {
            entries.push(membership(*log_id, self.membership.membership().clone()));
        }
        if self.last_applied != *self.membership.log_id() {
            entries.extend(self.last_applied.map(blank));
        }
        machine.apply(entries).unwrap();
        machine
    }

    /// The bytes that a snapshot of this state has.
    pub(crate) fn snapshot(&self) -> Bytes {
        snapshot::write(&self.fresh_machine().freeze())
    }

    /// Whether the machine has this state, as far as it can be seen without a snapshot. `keys`
    /// are those that it may have ever held.
    #[track_caller]
    pub(crate) fn assert_live(&self, machine: &Machine, keys: impl IntoIterator<Item = Bytes>) {
        for key in keys {
            assert_eq!(machine.get(&key).as_ref(), self.keys.get(&key), "of {key:?}");
        }
        assert_eq!(machine.size(), self.size());
        assert_eq!(machine.last_applied(), self.last_applied);
        assert_eq!(machine.membership(), &self.membership);
    }
}
