//! The state machine: keys, what was applied last, and the membership.
//!
//! Pure, synchronous and deterministic: equal logs give equal states, and equal states give
//! equal snapshot bytes. Entries apply in order: an index at or below the last applied one is
//! refused and changes nothing (Raft paper, section 5.3, State Machine Safety); a gap is
//! accepted, because a snapshot may have covered it. Blank and membership entries advance the
//! last applied id like any other (R21, R23).

mod kept;
mod keyspace;
#[cfg(feature = "next")]
mod next;
mod record;
mod scan;
mod store;

use bytes::Bytes;

pub use self::kept::NoRoom;
pub(crate) use self::kept::{Kept, KeptError, Made, Whole};
use self::keyspace::GROUP;
pub use self::keyspace::Size;
pub(crate) use self::keyspace::{KeySpace, View};
pub(crate) use self::record::Record;
pub use self::scan::{Page, Scan};
pub use self::store::{MachineReader, MachineSnapshotBuilder, MachineStore};
use crate::codec::OLDEST_FORMAT;
#[cfg(feature = "next")]
use crate::operation::How;
use crate::operation::{EntryResponse, Operation, Response};
use crate::types::{Entry, EntryPayload, LogId, StoredMembership};

/// Places of the key space's overlay that are folded for each operation applied: about two
/// records, so that `apply` slows to a half, not to a crawl, until a view's overlay is gone.
const FOLD_PER_OPERATION: usize = 4;

/// Places that are folded at once for who is about to take a view: some hundred microseconds.
const FOLD_AT_ONCE: usize = 4096;

/// See the [module](self).
#[derive(Debug)]
pub struct Machine {
    pub(crate) keys: KeySpace,
    pub(crate) last_applied: Option<LogId>,
    pub(crate) membership: StoredMembership,
    pub(crate) format: u32,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            keys: KeySpace::default(),
            last_applied: None,
            membership: StoredMembership::default(),
            format: OLDEST_FORMAT,
        }
    }
}

impl Machine {
    /// The last entry applied, or covered by the snapshot installed.
    pub fn last_applied(&self) -> Option<LogId> {
        self.last_applied
    }

    /// The last membership applied, with the id of its entry.
    pub fn membership(&self) -> &StoredMembership {
        &self.membership
    }

    /// The cluster's format: the greatest to which an entry raised it, 1 before the first. Not what the
    /// machine reads, which reads what the codec does.
    pub fn format(&self) -> u32 {
        self.format
    }

    /// The value of `key`, copied.
    pub fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.keys.get(key).map(Bytes::copy_from_slice)
    }

    /// The values of `keys`, in their order, copied.
    ///
    /// # Errors
    /// They have more than `max_bytes` in all. Then nothing is copied.
    pub fn get_many(
        &self,
        keys: &[Bytes],
        max_bytes: usize,
    ) -> Result<Vec<Option<Bytes>>, TooLong> {
        let found: Vec<_> = keys.iter().map(|key| self.keys.get(key)).collect();
        let got = found.iter().flatten().map(|value| value.len()).sum();
        if got > max_bytes {
            return Err(TooLong { got, max: max_bytes });
        }
        Ok(found.into_iter().map(|value| value.map(Bytes::copy_from_slice)).collect())
    }

    /// How much is stored.
    pub fn size(&self) -> Size {
        self.keys.size()
    }

    /// Applies entries in order, and answers each. What the answers hold was freed from the state,
    /// or came with the entries: values that were replaced, where it was asked for.
    ///
    /// # Errors
    /// An entry whose index isn't above the one before it, or above the last applied one.
    /// Nothing is applied then.
    pub fn apply(&mut self, entries: Vec<Entry>) -> Result<Vec<EntryResponse>, ApplyError> {
        let mut last_applied = self.last_applied;
        for entry in &entries {
            if let Some(last) = last_applied
                && entry.log_id.index <= last.index
            {
                return Err(ApplyError { got: entry.log_id, last_applied: last });
            }
            last_applied = Some(entry.log_id);
        }
        let count: usize = entries.iter().map(|entry| operations(entry).len()).sum();
        self.keys.fold(FOLD_PER_OPERATION.saturating_mul(count));
        let mut ahead = Ahead { keys: entries.iter().flat_map(operations).map(first_key), left: 0 };
        Ok(entries.iter().map(|entry| self.apply_one(entry, &mut ahead)).collect())
    }

    fn apply_one<'a>(
        &mut self,
        entry: &'a Entry,
        ahead: &mut Ahead<impl Iterator<Item = &'a [u8]>>,
    ) -> EntryResponse {
        self.last_applied = Some(entry.log_id);
        match &entry.payload {
            EntryPayload::Blank => EntryResponse::Blank,
            EntryPayload::Membership(membership) => {
                self.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
                EntryResponse::Membership
            }
            EntryPayload::Normal(batch) => {
                self.format = self.format.max(batch.raises().unwrap_or_default());
                let run = |operation| {
                    ahead.look(&self.keys);
                    run(&mut self.keys, operation)
                };
                EntryResponse::Batch(batch.operations().iter().map(run).collect())
            }
        }
    }

    /// Folds a share of what was written beside views that are gone; returns whether there is more. Views that
    /// follow each other faster than [`apply`](Self::apply) folds would leave a layer each otherwise, for
    /// every lookup to pass.
    pub(crate) fn fold(&mut self) -> bool {
        self.keys.fold(FOLD_AT_ONCE)
    }

    /// The state of this moment, for a snapshot. Takes microseconds however many keys there are.
    pub fn freeze(&mut self) -> FrozenMachine {
        FrozenMachine {
            keys: self.keys.freeze(),
            last_applied: self.last_applied,
            membership: self.membership.clone(),
            format: self.format,
        }
    }
}

fn operations(entry: &Entry) -> &[Operation] {
    match &entry.payload {
        EntryPayload::Normal(batch) => batch.operations(),
        EntryPayload::Blank | EntryPayload::Membership(_) => &[],
    }
}

/// The key that decides where an operation looks first.
fn first_key(operation: &Operation) -> &[u8] {
    match operation {
        Operation::Set(set) => set.key(),
        Operation::Del(del) => del.keys().iter().next().unwrap_or_default(),
    }
}

/// Has the key space read, a group at a time, what the operations to come will need.
struct Ahead<I> {
    keys: I,
    /// Operations until the next group is due.
    left: usize,
}

impl<'a, I: Iterator<Item = &'a [u8]>> Ahead<I> {
    fn look(&mut self, space: &KeySpace) {
        if self.left == 0 {
            space.expect(self.keys.by_ref().take(GROUP));
            self.left = GROUP;
        }
        self.left -= 1;
    }
}

/// Values are copied out of the entry: a slice would keep alive the whole frame it arrived in.
fn run(keys: &mut KeySpace, operation: &Operation) -> Response {
    if let Operation::Set(set) = operation
        && let Some(condition) = set.condition()
    {
        let there = keys.get(set.key());
        if !condition.holds(there.is_some()) {
            let previous = there.filter(|_| set.get()).map(Bytes::copy_from_slice);
            return Response::NotSet { previous };
        }
    }
    match operation {
        #[cfg(feature = "next")]
        Operation::Set(set) if matches!(set.how(), How::Prepend | How::Append) => {
            next::run(keys, set);
            Response::Set { previous: None }
        }
        Operation::Set(set) if set.get() => {
            Response::Set { previous: keys.set_get(set.key(), set.value()) }
        }
        Operation::Set(set) => {
            keys.set(set.key(), set.value());
            Response::Set { previous: None }
        }
        Operation::Del(del) => {
            let deleted = del.keys().iter().filter(|key| keys.remove(key)).count() as u64;
            Response::Del { deleted }
        }
    }
}

/// A [`Machine`] as it was at one moment. Later changes don't show (R27, R61).
#[derive(Debug, Clone)]
pub struct FrozenMachine {
    pub(crate) keys: View,
    pub(crate) last_applied: Option<LogId>,
    pub(crate) membership: StoredMembership,
    pub(crate) format: u32,
}

impl FrozenMachine {
    /// A page of what was there. Looks at every key, so call it off the runtime's worker threads.
    pub fn scan(&self, scan: &Scan) -> Page {
        self.scan_each(std::slice::from_ref(scan)).pop().unwrap_or_default()
    }

    /// A page for each.
    fn scan_each(&self, scans: &[Scan]) -> Vec<Page> {
        scan::pages(self.keys.records(), scans)
    }
}

/// What several keys are bound to is more than was to be answered at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the values have {got} bytes in all, and at most {max} are answered at once: ask for fewer keys"
)]
pub struct TooLong {
    /// Bytes of all values.
    pub got: usize,
    /// Bytes allowed.
    pub max: usize,
}

/// An entry that was applied before, or comes out of order. Nothing was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("entry {got} is not above the last applied entry {last_applied}")]
pub struct ApplyError {
    /// The entry's id.
    pub got: LogId,
    /// The entry before it.
    pub last_applied: LogId,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::{Batch, Limits};
    use crate::types::LeaderId;

    #[test]
    fn applying_folds_what_a_view_left_behind() {
        let mut machine = Machine::default();
        let mut index = 0;
        let mut apply = |machine: &mut Machine, n: u32| {
            index += 1;
            let set = Operation::set(n.to_be_bytes().to_vec(), "", &Limits::default()).unwrap();
            let log_id = LogId::new(LeaderId::new(1, 1), index);
            let payload = EntryPayload::Normal(Batch::from(set));
            machine.apply(vec![Entry { log_id, payload }]).unwrap();
        };
        (0..500).for_each(|n| apply(&mut machine, n));
        let view = machine.freeze();
        (250..750).for_each(|n| apply(&mut machine, n));
        assert!(!machine.keys.is_flat());
        drop(view);
        // Twice the places of 500 records, at 4 an operation.
        (0..500).for_each(|n| apply(&mut machine, n));
        assert!(machine.keys.is_flat());
    }
}
