//! [`Cluster`]: nodes of one process, each on a store under test, on Seshat's switchboard.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openraft::storage::RaftLogStorage;
use openraft::{Config, Raft, RaftMetrics, ServerState, SnapshotPolicy};
use seshat_core::network::Switchboard;

use super::wire::Copying;
use crate::backend::Backend;
use crate::failure::{Failure, Kind};
use crate::lab::Lab;
use crate::model::Model;
use crate::subject::{Subject, ok};
use crate::words::{Nid, NodeOf};

/// Nothing takes longer than this in a healthy cluster of one process.
pub(crate) const PATIENCE: Duration = Duration::from_secs(8);

/// Nodes that are up, and where the others' stores are.
pub(crate) struct Cluster<'l, B: Backend> {
    pub(crate) lab: &'l Lab<B>,
    pub(crate) switchboard: Switchboard<B::C, Copying<B::Transfer>>,
    pub(crate) up: BTreeMap<u64, Raft<B::C>>,
    /// Of the nodes that are up, where a log doesn't outlive its node: the only way to see it.
    pub(crate) readers: BTreeMap<u64, <B::Log as RaftLogStorage<B::C>>::LogReader>,
    dirs: BTreeMap<u64, PathBuf>,
    config: Arc<Config>,
}

type Metrics<B> = RaftMetrics<Nid<B>, NodeOf<B>>;

impl<'l, B: Backend> Cluster<'l, B> {
    /// Nodes 1, 2 and 3, with a leader.
    pub(crate) async fn of_three(lab: &'l Lab<B>) -> Result<Self, Failure> {
        let config = Config {
            heartbeat_interval: 60,
            election_timeout_min: 200,
            election_timeout_max: 400,
            snapshot_policy: SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: 0,
            purge_batch_size: 1,
            replication_lag_threshold: 20,
            ..Config::default()
        };
        let config =
            config.validate().map_err(|error| Failure::error("openraft's Config", error))?;
        let switchboard = Switchboard::with_wire(lab.seed, Copying::new());
        let mut cluster = Self {
            lab,
            switchboard,
            up: BTreeMap::new(),
            readers: BTreeMap::new(),
            dirs: BTreeMap::new(),
            config: Arc::new(config),
        };
        for n in 1..=3 {
            cluster.start(n).await?;
        }
        let members: BTreeMap<Nid<B>, NodeOf<B>> =
            (1..=3).map(|n| (lab.backend.node_id(n), lab.backend.node(n))).collect();
        lab.record.step("initialize nodes 1, 2, 3");
        let first = cluster.node(1)?;
        lab.call("Raft::initialize", first.initialize(members)).await?;
        cluster.leader().await?;
        Ok(cluster)
    }

    /// Starts a node on its store, which is fresh the first time.
    pub(crate) async fn start(&mut self, n: u64) -> Result<(), Failure> {
        let lab = self.lab;
        let dir = match self.dirs.get(&n) {
            Some(dir) => dir.clone(),
            None => lab.directory()?,
        };
        self.dirs.insert(n, dir.clone());
        lab.record.step(format!("start node {n}"));
        let (mut log, machine) = self.open(&dir).await?;
        if !lab.backend.capabilities().log_survives_restart {
            let making = async { ok(log.get_log_reader().await) };
            self.readers.insert(n, lab.call("get_log_reader", making).await?);
        }
        let id = lab.backend.node_id(n);
        let port = self.switchboard.port(id.clone());
        let starting = Raft::new(id.clone(), Arc::clone(&self.config), port, log, machine);
        let raft = lab.call("Raft::new", starting).await?;
        self.switchboard.plug(id, raft.clone());
        self.up.insert(n, raft);
        Ok(())
    }

    /// openraft lets go of a store a moment after it has shut down.
    async fn open(&self, dir: &std::path::Path) -> Result<(B::Log, B::Machine), Failure> {
        let deadline = Instant::now() + self.lab.patience;
        loop {
            match self.lab.call("open", self.lab.backend.open(dir)).await {
                Err(failure) if failure.kind != Kind::Error || Instant::now() > deadline => {
                    return Err(failure);
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                Ok(opened) => return Ok(opened),
            }
        }
    }

    /// Ends a node's process: it is cut off, its tasks end, its store is dropped, not closed.
    pub(crate) async fn kill(&mut self, n: u64) -> Result<(), Failure> {
        self.lab.record.step(format!("kill node {n}"));
        self.switchboard.unplug(&self.lab.backend.node_id(n));
        self.readers.remove(&n);
        if let Some(raft) = self.up.remove(&n) {
            self.lab.call("Raft::shutdown", raft.shutdown()).await?;
        }
        Ok(())
    }

    /// Cuts a node off from all others, both ways.
    pub(crate) fn isolate(&self, n: u64) {
        self.lab.record.step(format!("cut node {n} off"));
        self.switchboard.isolate(&self.lab.backend.node_id(n));
    }

    pub(crate) fn heal(&self) {
        self.lab.record.step("heal all links");
        self.switchboard.heal();
    }

    pub(crate) fn node(&self, n: u64) -> Result<Raft<B::C>, Failure> {
        let missing = || Failure::new(Kind::Kit, format!("node {n} is not up"), "", "");
        self.up.get(&n).cloned().ok_or_else(missing)
    }

    /// The number of the node with that id.
    fn number(&self, id: &Nid<B>) -> Option<u64> {
        self.dirs.keys().copied().find(|n| self.lab.backend.node_id(*n) == *id)
    }

    /// Who leads, among nodes that are up: the one of the greatest term.
    pub(crate) fn leader_now(&self) -> Option<u64> {
        let leads = |metrics: &Metrics<B>| metrics.state == ServerState::Leader;
        let metrics = self.up.values().map(|raft| raft.metrics().borrow().clone());
        let leader = metrics.filter(leads).max_by_key(|metrics| metrics.current_term)?;
        self.number(&leader.id)
    }

    /// Waits until somebody leads.
    pub(crate) async fn leader(&self) -> Result<u64, Failure> {
        self.until("no node became the leader", || self.leader_now()).await
    }

    /// Waits until a condition gives something. A node that stopped ends the wait: its store
    /// failed.
    pub(crate) async fn until<T>(
        &self,
        otherwise: &str,
        mut condition: impl FnMut() -> Option<T>,
    ) -> Result<T, Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(value) = condition() {
                return Ok(value);
            }
            self.all_run()?;
            if Instant::now() > deadline {
                let expected = format!("within {PATIENCE:?}");
                return Err(Failure::new(Kind::Broken, otherwise, expected, self.states()));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Every node that is up runs: openraft stops one whose storage fails.
    pub(crate) fn all_run(&self) -> Result<(), Failure> {
        for (n, raft) in &self.up {
            if let Err(fatal) = &raft.metrics().borrow().running_state {
                let what = format!("node {n} stopped");
                return Err(Failure::new(Kind::Error, what, "a running node", fatal.to_string()));
            }
        }
        Ok(())
    }

    fn states(&self) -> String {
        let said = self.up.iter().map(|(n, raft)| {
            let metrics = raft.metrics().borrow().clone();
            let (last, applied) = (metrics.last_log_index, metrics.last_applied);
            let applied = applied.map(|id| id.index);
            format!("node {n}: {:?}, last {last:?}, applied {applied:?}", metrics.state)
        });
        said.collect::<Vec<_>>().join("; ")
    }

    /// Waits until all nodes that are up have applied what the leader has written.
    pub(crate) async fn settle(&self) -> Result<u64, Failure> {
        self.leader().await?;
        let settled = self.until("the nodes did not apply the same entries", || {
            let applied: BTreeSet<Option<u64>> = self
                .up
                .values()
                .map(|raft| raft.metrics().borrow().last_applied.clone().map(|id| id.index))
                .collect();
            let last = self.up.values().filter_map(|raft| raft.metrics().borrow().last_log_index);
            let last = last.max();
            let leads = self.leader_now().is_some();
            (leads && applied.len() == 1 && applied.first() == Some(&last)).then_some(last)
        });
        Ok(settled.await?.unwrap_or_default())
    }

    /// Stops all nodes and opens their stores, as nothing but stores.
    pub(crate) async fn stop(mut self) -> Result<Vec<Subject<'l, B>>, Failure> {
        let nodes: Vec<u64> = self.up.keys().copied().collect();
        for n in &nodes {
            self.kill(*n).await?;
        }
        let mut stores = Vec::new();
        for n in nodes {
            if let Some(dir) = self.dirs.get(&n) {
                drop(self.open(dir).await?);
                stores.push(Subject::open(self.lab, dir.clone(), Model::new()).await?);
            }
        }
        Ok(stores)
    }
}
