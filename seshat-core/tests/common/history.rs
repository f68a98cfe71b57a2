//! What clients did and saw, and whether registers would have shown it.

#![allow(dead_code, reason = "each test file takes what it needs")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use todc_utils::{Action, History as Actions, Specification, WGLChecker};

/// A register for each key, each value written once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The value before isn't known if the answer was lost.
    Set {
        value: u64,
        previous: Option<Option<u64>>,
    },
    Get(Option<u64>),
}

struct Register;

impl Specification for Register {
    type State = Option<u64>;
    type Operation = Seen;

    fn init() -> Option<u64> {
        None
    }

    fn apply(seen: &Seen, state: &Option<u64>) -> (bool, Option<u64>) {
        match seen {
            Seen::Set { value, previous } => (previous.is_none_or(|it| it == *state), Some(*value)),
            Seen::Get(value) => (value == state, *state),
        }
    }
}

/// One operation, between two moments. One without an answer may take effect any time later, or
/// never, which is after all others.
#[derive(Debug, Clone, Copy)]
struct Operation {
    key: u64,
    called: u64,
    answered: u64,
    seen: Seen,
}

/// Clones are the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    clock: Arc<AtomicU64>,
    operations: Arc<Mutex<Vec<Operation>>>,
}

impl History {
    /// A moment after all before. No two are the same.
    pub(crate) fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn note(&self, operation: Operation) {
        self.operations.lock().unwrap().push(operation);
    }

    /// What was called then has its answer now.
    pub(crate) fn answered(&self, key: u64, called: u64, seen: Seen) {
        self.note(Operation { key, called, answered: self.now(), seen });
    }

    /// A write that was called then may take effect at any time, or never.
    pub(crate) fn unknown(&self, key: u64, called: u64, value: u64) {
        let seen = Seen::Set { value, previous: None };
        self.note(Operation { key, called, answered: u64::MAX, seen });
    }

    /// How many operations ended, and how many of them without an answer.
    pub(crate) fn count(&self) -> (usize, usize) {
        let operations = self.operations.lock().unwrap();
        let unknown = operations.iter().filter(|operation| operation.answered == u64::MAX);
        (operations.len(), unknown.count())
    }

    pub(crate) fn is_linearizable(&self) -> bool {
        self.wrong().is_none()
    }

    /// The operations of a key that no register would have shown, in the order in which they began.
    pub(crate) fn wrong(&self) -> Option<Vec<String>> {
        let mut keys: BTreeMap<u64, Vec<Operation>> = BTreeMap::new();
        for operation in &*self.operations.lock().unwrap() {
            keys.entry(operation.key).or_default().push(*operation);
        }
        let mut wrong = keys.into_values().find(|operations| !is_register(operations))?;
        wrong.sort_by_key(|operation| operation.called);
        Some(wrong.iter().map(|operation| format!("{operation:?}")).collect())
    }
}

/// Those of one key, with what is known of the writes that had no answer: one that was seen took effect before
/// who saw it had an answer, and one that nobody saw may as well never have. It makes no difference, but that
/// there is less to try.
fn known(operations: &[Operation]) -> Vec<Operation> {
    let mut seen = BTreeMap::new();
    for Operation { answered, seen: what, .. } in operations {
        if let Seen::Get(Some(value)) | Seen::Set { previous: Some(Some(value)), .. } = what {
            let first = seen.entry(*value).or_insert(*answered);
            *first = (*answered).min(*first);
        }
    }
    let known = |operation: &Operation| match operation.seen {
        Seen::Set { value, previous: None } => {
            Some(Operation { answered: *seen.get(&value)?, ..*operation })
        }
        _ => Some(*operation),
    };
    operations.iter().filter_map(known).collect()
}

/// Each operation is a process of its own: the moments say what came after what.
fn is_register(operations: &[Operation]) -> bool {
    let operations = known(operations);
    let both = operations.iter().enumerate().flat_map(|(process, operation)| {
        let Operation { called, answered, seen, .. } = *operation;
        [(called, process, Action::Call(seen)), (answered, process, Action::Response(seen))]
    });
    let mut moments: Vec<_> = both.collect();
    moments.sort_by_key(|(moment, ..)| *moment);
    let actions = moments.into_iter().map(|(_, process, action)| (process, action));
    WGLChecker::<Register>::is_linearizable(Actions::from_actions(actions.collect()))
}

#[test]
fn the_checker_tells_a_stale_read_and_lets_an_unknown_write_come_late() {
    let set = |value, previous| Seen::Set { value, previous };
    let at = |called, answered, seen| Operation { key: 0, called, answered, seen };
    let never = u64::MAX;
    let fine = [
        at(0, 1, set(1, Some(None))),
        at(2, never, set(2, None)),
        at(3, 4, Seen::Get(Some(1))),
        at(5, 6, Seen::Get(Some(2))),
    ];
    assert!(is_register(&fine));
    assert!(is_register(&fine[..3]));
    // Once it was seen, it has taken effect.
    let back = [fine[0], fine[1], fine[3], at(7, 8, Seen::Get(Some(1)))];
    assert!(!is_register(&back));
    let stale = [at(0, 1, set(1, Some(None))), at(2, 3, Seen::Get(None))];
    assert!(!is_register(&stale));
    let lost = [at(0, 1, set(1, Some(None))), at(2, 3, set(2, Some(None)))];
    assert!(!is_register(&lost));
}
