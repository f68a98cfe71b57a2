//! What clients did and saw, and whether registers would have shown it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use todc_utils::{Action, History as Actions, Specification, WGLChecker};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::client::{Client, ClientError};
use crate::{DEADLINE, POLL};

const KEYS: u64 = 5;

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
    fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn note(&self, operation: Operation) {
        self.operations.lock().unwrap().push(operation);
    }

    /// How many operations ended, and how many of them without an answer.
    pub(crate) fn count(&self) -> (usize, usize) {
        let operations = self.operations.lock().unwrap();
        let unknown = operations.iter().filter(|operation| operation.answered == u64::MAX);
        (operations.len(), unknown.count())
    }

    /// Reads and writes until it is told to stop.
    pub(crate) async fn work(self, mut client: Client, stopped: watch::Receiver<bool>) {
        while !*stopped.borrow() {
            let called = self.now();
            // Values are unique, and so is the moment.
            let (key, value) = (called % KEYS, called);
            let name = format!("register-{key}");
            let seen = if called.is_multiple_of(3) {
                client.get(name).await.map(|value| Seen::Get(number(value)))
            } else {
                let previous = client.set_get(name, value.to_string()).await;
                previous.map(|it| Seen::Set { value, previous: Some(number(it)) })
            };
            match seen {
                Ok(seen) => self.note(Operation { key, called, answered: self.now(), seen }),
                Err(ClientError::Unknown { .. }) => {
                    let seen = Seen::Set { value, previous: None };
                    self.note(Operation { key, called, answered: u64::MAX, seen });
                }
                // It certainly did nothing.
                Err(ClientError::TooLate { .. }) => {}
                Err(error) => panic!("{error}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits for so many operations more.
    pub(crate) async fn goes_on(&self, more: usize) {
        let (from, deadline) = (self.count().0, Instant::now() + DEADLINE);
        while self.count().0 < from + more {
            assert!(Instant::now() < deadline, "the clients are stuck");
            tokio::time::sleep(POLL).await;
        }
    }

    pub(crate) fn is_linearizable(&self) -> bool {
        let mut keys: BTreeMap<u64, Vec<Operation>> = BTreeMap::new();
        for operation in &*self.operations.lock().unwrap() {
            keys.entry(operation.key).or_default().push(*operation);
        }
        keys.values().all(|operations| is_register(operations))
    }
}

fn number(value: Option<Bytes>) -> Option<u64> {
    value.map(|value| String::from_utf8_lossy(&value).parse().unwrap())
}

/// Each operation is a process of its own: the moments say what came after what.
fn is_register(operations: &[Operation]) -> bool {
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
    let stale = [at(0, 1, set(1, Some(None))), at(2, 3, Seen::Get(None))];
    assert!(!is_register(&stale));
    let lost = [at(0, 1, set(1, Some(None))), at(2, 3, set(2, Some(None)))];
    assert!(!is_register(&lost));
}
