//! Clients that each count up on a key of their own, whatever becomes of the nodes.

#![allow(dead_code, reason = "each test file takes what it needs")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use seshat_core::error::ProposeError;
use seshat_core::node::RaftNode;
use seshat_core::operation::{Operation, Response};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The nodes that run, as clients know them.
#[derive(Clone, Default)]
pub(crate) struct Directory(Arc<Mutex<BTreeMap<u64, RaftNode>>>);

impl Directory {
    pub(crate) fn update(&self, nodes: &BTreeMap<u64, RaftNode>) {
        *self.0.lock().unwrap() = nodes.clone();
    }

    /// The node with that id, or some other.
    fn pick(&self, hint: Option<u64>, attempt: u64) -> Option<RaftNode> {
        let nodes = self.0.lock().unwrap();
        let nth = || nodes.values().nth(attempt as usize % nodes.len().max(1));
        hint.and_then(|id| nodes.get(&id)).or_else(nth).cloned()
    }
}

/// What one client knows of its key: it was set to `acknowledged`, and maybe to some of the
/// numbers up to `attempted`, in their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counter {
    pub(crate) key: String,
    pub(crate) attempted: u64,
    pub(crate) acknowledged: u64,
    pub(crate) acknowledgements: u64,
}

impl Counter {
    /// Asserts that a value found is one that the key may have.
    pub(crate) fn check(&self, found: Option<&[u8]>) {
        let value = found.map_or(0, |found| std::str::from_utf8(found).unwrap().parse().unwrap());
        let allowed = self.acknowledged..=self.attempted;
        assert!(allowed.contains(&value), "{}: {value} is not in {allowed:?}", self.key);
    }

    async fn count(mut self, directory: Directory, stop: watch::Receiver<bool>) -> Self {
        let mut hint = None;
        while !*stop.borrow() {
            let Some(node) = directory.pick(hint, self.attempted) else { continue };
            let before = self.clone();
            self.attempted += 1;
            let (key, value) = (self.key.clone(), self.attempted.to_string());
            let counted = Operation::set_get(key, value, node.limits()).unwrap();
            match node.propose(counted).await {
                Ok(Response::Set { previous }) => {
                    before.check(previous.as_deref());
                    self.acknowledged = self.attempted;
                    self.acknowledgements += 1;
                }
                Ok(answer) => panic!("{answer:?} answers a SET"),
                Err(ProposeError::NotLeader(refused)) => {
                    hint = refused.leader.map(|leader| leader.id);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(
                    error @ (ProposeError::Limit(_)
                    | ProposeError::QueueFull { .. }
                    | ProposeError::DiskFull(_)
                    | ProposeError::Unanswered { .. }),
                ) => panic!("{error}"),
                // It may be applied or not.
                Err(_) => {
                    hint = None;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
        self
    }
}

/// Clients at work.
pub(crate) struct Clients {
    counting: JoinSet<Counter>,
    stop: watch::Sender<bool>,
}

impl Clients {
    pub(crate) fn start(clients: usize, directory: &Directory) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut counting = JoinSet::new();
        for client in 0..clients {
            let counter = Counter { key: format!("counter-{client}"), ..Counter::default() };
            counting.spawn(counter.count(directory.clone(), stopped.clone()));
        }
        Self { counting, stop }
    }

    /// Lets everyone finish the attempt it is at.
    pub(crate) async fn finish(self) -> Vec<Counter> {
        self.stop.send(true).unwrap();
        self.counting.join_all().await
    }
}
