//! Clients that read and write while nodes come and go, and know what they were told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use seshat_core::error::{ProposeError, ReadError};
use seshat_core::node::RaftNode;
use seshat_core::operation::{Operation, Response};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cluster::{Nodes, until};
use crate::history::{History, Seen};

const KEYS: u64 = 5;

/// Clients under way.
pub(crate) struct Clients {
    nodes: Nodes,
    pub(crate) history: History,
    /// Keys that were written once, and acknowledged.
    once: Arc<Mutex<Vec<String>>>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// What became of an operation.
enum End<T> {
    Done(T),
    Undone,
    Unknown,
}

fn proposed(end: Result<Response, ProposeError>) -> End<Option<Bytes>> {
    match end {
        Ok(Response::Set { previous }) => End::Done(previous),
        Err(
            ProposeError::NotLeader(_)
            | ProposeError::DiskFull(_)
            | ProposeError::QueueFull { .. }
            | ProposeError::QuorumLost { .. },
        ) => End::Undone,
        Err(
            ProposeError::Deposed { .. } | ProposeError::NoQuorum { .. } | ProposeError::Stopped(_),
        ) => End::Unknown,
        other => panic!("{other:?}"),
    }
}

fn number(value: Option<Bytes>) -> Option<u64> {
    value.map(|value| String::from_utf8_lossy(&value).trim_end().parse().unwrap())
}

fn register(key: u64) -> String {
    format!("register-{key}")
}

/// A value that takes some room.
fn wide(value: u64) -> Vec<u8> {
    format!("{value:<200}").into_bytes()
}

impl Clients {
    pub(crate) fn start(nodes: &Nodes, count: usize) -> Self {
        let (stop, _) = watch::channel(false);
        let mut clients = Self {
            nodes: nodes.clone(),
            history: History::default(),
            once: Arc::default(),
            stop,
            tasks: Vec::new(),
        };
        for number in 0..count {
            let worker = Worker {
                nodes: nodes.clone(),
                history: clients.history.clone(),
                once: Arc::clone(&clients.once),
                turn: number,
            };
            clients.tasks.push(tokio::spawn(worker.work(clients.stop.subscribe())));
        }
        clients
    }

    /// Waits for so many operations more that are answered.
    pub(crate) async fn go_on(&self, more: usize) {
        let answered = || {
            let (ended, unknown) = self.history.count();
            ended - unknown
        };
        let from = answered();
        until("clients that go on", async || (answered() >= from + more).then_some(())).await;
    }

    /// Reads all registers at once, from whoever leads.
    pub(crate) async fn read_all(&self) {
        for key in 0..KEYS {
            until("a read", async || {
                for node in self.nodes.all().into_iter().filter(RaftNode::is_leader) {
                    let called = self.history.now();
                    if let Ok(value) = node.read_linearizable(register(key).as_bytes()).await {
                        self.history.answered(key, called, Seen::Get(number(value)));
                        return Some(());
                    }
                }
                None
            })
            .await;
        }
    }

    /// Ends them, and looks whether all that they were told is so.
    pub(crate) async fn judge(mut self) {
        self.stop.send_replace(true);
        for task in std::mem::take(&mut self.tasks) {
            task.await.unwrap();
        }
        self.read_all().await;
        if let Some(wrong) = self.history.wrong() {
            panic!("no register would have shown that:\n{}", wrong.join("\n"));
        }
        let once = self.once.lock().unwrap().clone();
        assert!(!once.is_empty());
        for key in once {
            let found = until("a read", async || {
                for node in self.nodes.all().into_iter().filter(RaftNode::is_leader) {
                    if let Ok(found) = node.read_linearizable(key.as_bytes()).await {
                        return Some(found);
                    }
                }
                None
            });
            assert!(found.await.is_some(), "{key} was acknowledged, and is lost");
        }
    }
}

struct Worker {
    nodes: Nodes,
    history: History,
    once: Arc<Mutex<Vec<String>>>,
    /// Whom to ask.
    turn: usize,
}

impl Worker {
    async fn work(mut self, stopped: watch::Receiver<bool>) {
        while !*stopped.borrow() {
            let all = self.nodes.all();
            let leads = all.iter().find(|node| node.is_leader());
            // One that believes that it leads, or anybody.
            let node = match leads.filter(|_| !self.turn.is_multiple_of(4)) {
                Some(leader) => Some(leader.clone()),
                None => all.get(self.turn % all.len().max(1)).cloned(),
            };
            self.turn += 1;
            if let Some(node) = node {
                self.step(&node).await;
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }

    async fn step(&self, node: &RaftNode) {
        let called = self.history.now();
        // Values are unique, and so is the moment.
        let (key, value) = (called % KEYS, called);
        match called % 7 {
            0..3 => match node.read_linearizable(register(key).as_bytes()).await {
                Ok(found) => self.history.answered(key, called, Seen::Get(number(found))),
                Err(ReadError::Storage(error)) => panic!("{error}"),
                Err(_) => {}
            },
            3..6 => {
                let set = Operation::set_get(register(key), wide(value), node.limits()).unwrap();
                match proposed(node.propose(set).await) {
                    End::Done(previous) => {
                        let previous = Some(number(previous));
                        self.history.answered(key, called, Seen::Set { value, previous });
                    }
                    End::Unknown => self.history.unknown(key, called, value),
                    End::Undone => {}
                }
            }
            _ => {
                let key = format!("once-{called}");
                if let End::Done(_) = proposed(node.set(key.clone(), wide(value)).await) {
                    self.once.lock().unwrap().push(key);
                }
            }
        }
    }
}
