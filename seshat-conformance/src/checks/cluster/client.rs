//! Clients of a cluster under test, and what their history must satisfy.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use todc_utils::{Action, History as Actions, Specification, WGLChecker};

use super::nodes::Cluster;
use crate::driver::node::{Node, Written};
use crate::failure::Failure;
use crate::words::Command;

/// A write that takes longer has an unknown outcome.
const GIVE_UP: Duration = Duration::from_millis(600);

/// What clients did and saw, in the order in which it happened.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    events: Arc<Mutex<Vec<(usize, Event)>>>,
    next: Arc<AtomicU64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Called(u64),
    /// The index of the command's entry.
    Acknowledged(u64, u64),
    /// Whether it is applied, now or later, is unknown.
    Unknown(u64),
}

impl History {
    fn note(&self, client: usize, event: Event) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push((client, event));
    }

    fn events(&self) -> Vec<(usize, Event)> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Commands that were acknowledged, by the index of their entry.
    pub(crate) fn acknowledged(&self) -> BTreeMap<u64, Command> {
        let acknowledged = self.events().into_iter().filter_map(|(_, event)| match event {
            Event::Acknowledged(n, index) => Some((index, Command::plain(n))),
            _ => None,
        });
        acknowledged.collect()
    }

    /// Writes some commands, one after the other, at whoever leads.
    pub(crate) async fn write(&self, client: usize, nodes: Vec<Arc<dyn Node>>, count: usize) {
        for _ in 0..count {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            self.note(client, Event::Called(n));
            let outcome = tokio::time::timeout(GIVE_UP, write_one(&nodes, n)).await;
            match outcome {
                Ok(Some(index)) => self.note(client, Event::Acknowledged(n, index)),
                Ok(None) | Err(_) => self.note(client, Event::Unknown(n)),
            }
        }
    }

    /// The history is one that a single log could have given: each write has a place of its own,
    /// after all those that were acknowledged before it began.
    pub(crate) fn linearizable(&self) -> bool {
        let events = self.events();
        let place = |n: u64| {
            events.iter().find_map(|(_, event)| match event {
                Event::Acknowledged(m, index) if *m == n => Some(*index),
                _ => None,
            })
        };
        // What was never acknowledged showed nobody a place.
        let actions = events.iter().filter_map(|(client, event)| match event {
            Event::Called(n) => place(*n).map(|index| (*client, Action::Call(index))),
            Event::Acknowledged(_, index) => Some((*client, Action::Response(*index))),
            Event::Unknown(_) => None,
        });
        let actions: Vec<(usize, Action<u64>)> = actions.collect();
        actions.is_empty() || WGLChecker::<Log>::is_linearizable(Actions::from_actions(actions))
    }
}

/// A log: a write gets a place behind all others.
struct Log;

impl Specification for Log {
    type State = Option<u64>;
    type Operation = u64;

    fn init() -> Option<u64> {
        None
    }

    fn apply(index: &u64, last: &Option<u64>) -> (bool, Option<u64>) {
        (*last < Some(*index), Some(*index))
    }
}

/// The index of the entry, or `None` if the outcome is unknown.
async fn write_one(nodes: &[Arc<dyn Node>], n: u64) -> Option<u64> {
    loop {
        // A leader that was cut off takes itself for one still: the later one counts.
        let leads = |node: &&Arc<dyn Node>| node.metrics().knows_it_leads;
        let term = |node: &&Arc<dyn Node>| node.metrics().term;
        if let Some(leader) = nodes.iter().filter(leads).max_by_key(term) {
            match leader.write(&Command::plain(n)).await {
                Written::At(index) => return Some(index),
                Written::Elsewhere => {}
                Written::Unknown => return None,
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Several clients at once.
pub(crate) async fn load(
    cluster: &Cluster<'_>,
    history: &History,
    clients: usize,
    writes: usize,
) -> Vec<tokio::task::JoinHandle<()>> {
    cluster.lab.record.step(format!("{clients} clients write {writes} commands each"));
    let nodes: Vec<_> = cluster.up.values().cloned().collect();
    let spawn = |client| {
        let (history, nodes) = (history.clone(), nodes.clone());
        tokio::spawn(async move { history.write(client, nodes, writes).await })
    };
    (0..clients).map(spawn).collect()
}

/// Waits for clients. Each of their writes ends by itself.
pub(crate) async fn finish(tasks: Vec<tokio::task::JoinHandle<()>>) -> Result<(), Failure> {
    for task in tasks {
        task.await.map_err(|error| Failure::error("a client", error))?;
    }
    Ok(())
}
