//! [`Cluster`]: nodes of one process, each on a store under test, on Seshat's switchboard.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::driver::node::{Metrics, Network, Node};
use crate::driver::store::Reader;
use crate::failure::{Failure, Kind};
use crate::lab::Lab;
use crate::model::Model;
use crate::subject::Subject;

/// Nothing takes longer in a healthy cluster of one process than a call, so many times.
const CALLS: u32 = 4;

/// What is waited for a cluster.
pub(crate) fn patience(lab: &Lab) -> Duration {
    lab.patience() * CALLS
}

/// Nodes that are up, and where the others' stores are.
pub(crate) struct Cluster<'l> {
    pub(crate) lab: &'l Lab,
    network: Box<dyn Network>,
    pub(crate) up: BTreeMap<u64, Arc<dyn Node>>,
    /// Of the nodes that are up, where a log doesn't outlive its node: the only way to see it.
    pub(crate) readers: BTreeMap<u64, Box<dyn Reader>>,
    dirs: BTreeMap<u64, PathBuf>,
}

impl<'l> Cluster<'l> {
    /// Nodes 1, 2 and 3, with a leader.
    pub(crate) async fn of_three(lab: &'l Lab) -> Result<Self, Failure> {
        let network = lab.driver.network(lab.seed);
        let network = network.map_err(|error| Failure::error("openraft's Config", error))?;
        let mut cluster = Self {
            lab,
            network,
            up: BTreeMap::new(),
            readers: BTreeMap::new(),
            dirs: BTreeMap::new(),
        };
        for n in 1..=3 {
            cluster.start(n).await?;
        }
        lab.record.step("initialize nodes 1, 2, 3");
        let first = cluster.node(1)?;
        lab.call("Raft::initialize", first.initialize(&[1, 2, 3])).await?;
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
        let (mut log, machine) = lab.open(&dir).await?;
        if !lab.driver.capabilities().log_survives_restart {
            self.readers.insert(n, lab.call("get_log_reader", log.reader()).await?);
        }
        let node = lab.call("Raft::new", self.network.start(n, log, machine)).await?;
        self.up.insert(n, Arc::from(node));
        Ok(())
    }

    /// Ends a node's process: it is cut off, its tasks end, its store is dropped, not closed.
    pub(crate) async fn kill(&mut self, n: u64) -> Result<(), Failure> {
        self.lab.record.step(format!("kill node {n}"));
        self.network.unplug(n);
        self.readers.remove(&n);
        if let Some(node) = self.up.remove(&n) {
            self.lab.call("Raft::shutdown", node.stop()).await?;
        }
        Ok(())
    }

    /// Cuts a node off from all others, both ways.
    pub(crate) fn isolate(&self, n: u64) {
        self.lab.record.step(format!("cut node {n} off"));
        self.network.isolate(n);
    }

    pub(crate) fn heal(&self) {
        self.lab.record.step("heal all links");
        self.network.heal();
    }

    pub(crate) fn node(&self, n: u64) -> Result<Arc<dyn Node>, Failure> {
        let missing = || Failure::new(Kind::Kit, format!("node {n} is not up"), "", "");
        self.up.get(&n).cloned().ok_or_else(missing)
    }

    /// Who leads, among nodes that are up: the one of the greatest term.
    pub(crate) fn leader_now(&self) -> Option<u64> {
        let metrics = self.up.iter().map(|(n, node)| (*n, node.metrics()));
        let leading = metrics.filter(|(_, metrics)| metrics.leads);
        leading.max_by_key(|(_, metrics)| metrics.term).map(|(n, _)| n)
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
        let began = Instant::now();
        loop {
            if let Some(value) = condition() {
                return Ok(value);
            }
            self.all_run()?;
            let patience = patience(self.lab);
            self.lab.record.tick();
            if began.elapsed() > patience {
                let expected = format!("within {patience:.1?}; `--patience 20` waits for longer");
                return Err(Failure::new(Kind::Broken, otherwise, expected, self.states()));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Every node that is up runs: openraft stops one whose storage fails.
    pub(crate) fn all_run(&self) -> Result<(), Failure> {
        for (n, node) in &self.up {
            if let Err(fatal) = node.metrics().running {
                let what = format!("node {n} stopped");
                return Err(Failure::new(Kind::Error, what, "a running node", fatal));
            }
        }
        Ok(())
    }

    fn states(&self) -> String {
        let said = self.up.iter().map(|(n, node)| {
            let Metrics { state, last, applied, .. } = node.metrics();
            format!("node {n}: {state}, last {last:?}, applied {applied:?}")
        });
        said.collect::<Vec<_>>().join("; ")
    }

    /// Waits until all nodes that are up have applied what the leader has written.
    pub(crate) async fn settle(&self) -> Result<u64, Failure> {
        self.leader().await?;
        let settled = self.until("the nodes did not apply the same entries", || {
            let metrics: Vec<Metrics> = self.up.values().map(|node| node.metrics()).collect();
            let applied: BTreeSet<Option<u64>> = metrics.iter().map(|m| m.applied).collect();
            let last = metrics.iter().filter_map(|metrics| metrics.last).max();
            let leads = self.leader_now().is_some();
            (leads && applied.len() == 1 && applied.first() == Some(&last)).then_some(last)
        });
        Ok(settled.await?.unwrap_or_default())
    }

    /// Stops all nodes and opens their stores, as nothing but stores.
    pub(crate) async fn stop(mut self) -> Result<Vec<Subject<'l>>, Failure> {
        let nodes: Vec<u64> = self.up.keys().copied().collect();
        for n in &nodes {
            self.kill(*n).await?;
        }
        let mut stores = Vec::new();
        for n in nodes {
            if let Some(dir) = self.dirs.get(&n) {
                // openraft lets go of a store a moment after it has shut down.
                drop(self.lab.open(dir).await?);
                stores.push(Subject::open(self.lab, dir.clone(), Model::new()).await?);
            }
        }
        Ok(stores)
    }
}
