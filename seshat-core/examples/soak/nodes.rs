//! The three nodes, and what can go wrong with them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use seshat_core::config::{ConfigError, NodeConfig, SnapshotConfig};
use seshat_core::disk::{DiskOptions, DiskStorage, OpenError};
use seshat_core::error::{InitializeError, StartError};
use seshat_core::network::Switchboard;
use seshat_core::node::RaftNode;
use seshat_core::wal;

use crate::load::{Expected, version};

pub(crate) const IDS: [u64; 3] = [1, 2, 3];

/// Longer than an election and a restart take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Log bytes that are worth a snapshot, and those that stay behind it.
pub(crate) const LOG_BYTES: u64 = 16 << 20;
/// Of each file of the log.
pub(crate) const SEGMENT_BYTES: u64 = 8 << 20;
pub(crate) const HOT_BYTES: usize = 4 << 20;

/// Why it ends before its time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("--hours, --minutes and --restart-every are times")]
    Time,
    #[error("no directory")]
    Directory(#[source] io::Error),
    #[error("the configuration is wrong")]
    Config(#[from] ConfigError),
    #[error("node {id} can't open its directory")]
    Open { id: u64, source: OpenError },
    #[error("a node can't start")]
    Start(#[from] StartError),
    #[error("the cluster can't be formed")]
    Form(#[from] InitializeError),
    #[error("nobody leads for {waited:?}")]
    NoLeader { waited: Duration },
    #[error("nothing was acknowledged for {waited:?}")]
    Stuck { waited: Duration },
    #[error("{key} is {got:?}, and should be one of {expected:?}")]
    Wrong { key: String, got: Option<u64>, expected: Vec<Option<u64>> },
    #[error("the nodes' states differ")]
    Differ,
    #[error("a client ended")]
    Client,
    #[error("{what} is {got} MiB, beyond its bound of {bound} MiB")]
    Beyond { what: &'static str, got: u64, bound: u64 },
}

/// Those that run, by whoever looks for one.
#[derive(Clone, Default)]
pub(crate) struct Running(Arc<Mutex<BTreeMap<u64, RaftNode>>>);

impl Running {
    fn with<T>(&self, look: impl FnOnce(&mut BTreeMap<u64, RaftNode>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One that leads, as far as it knows.
    pub(crate) fn leader(&self) -> Option<RaftNode> {
        self.with(|nodes| nodes.values().find(|node| node.is_leader()).cloned())
    }
}

pub(crate) struct Nodes {
    dir: PathBuf,
    switchboard: Switchboard,
    running: Running,
}

fn config(id: u64) -> Result<NodeConfig, ConfigError> {
    let builder = NodeConfig::builder(id);
    let with = IDS.iter().fold(builder, |it, id| it.member(*id, format!("node-{id}")));
    let snapshot = SnapshotConfig {
        min_log_bytes: LOG_BYTES,
        growth_percent: 100,
        log_bytes_to_keep: LOG_BYTES,
        ..SnapshotConfig::default()
    };
    with.snapshot(snapshot).build()
}

fn options(id: u64) -> DiskOptions {
    let wal = wal::Options { segment_bytes: SEGMENT_BYTES, ..wal::Options::new("soak", id) };
    DiskOptions { wal, hot_bytes: HOT_BYTES }
}

impl Nodes {
    pub(crate) async fn start(dir: &Path) -> Result<Self, Trouble> {
        let switchboard = Switchboard::new(1);
        let mut nodes = Self { dir: dir.to_owned(), switchboard, running: Running::default() };
        for id in IDS {
            nodes.up(id).await?;
        }
        let first = nodes.running.with(|nodes| nodes.values().next().cloned());
        match first {
            Some(node) => match node.initialize().await {
                // The directories had a cluster already.
                Ok(()) | Err(InitializeError::AlreadyInitialized { .. }) => {}
                Err(error) => return Err(error.into()),
            },
            None => return Err(Trouble::NoLeader { waited: Duration::ZERO }),
        }
        nodes.leader().await?;
        Ok(nodes)
    }

    pub(crate) fn running(&self) -> Running {
        self.running.clone()
    }

    /// Starts a node on its directory.
    pub(crate) async fn up(&mut self, id: u64) -> Result<(), Trouble> {
        let dir = self.dir.join(format!("node-{id}"));
        let deadline = Instant::now() + PATIENCE;
        let storage = loop {
            let dir = dir.clone();
            let opened = tokio::task::spawn_blocking(move || DiskStorage::open(dir, options(id)));
            match opened.await.map_err(|_| Trouble::Client)? {
                Ok(storage) => break storage,
                // What is left of the node before holds it a moment longer than its end.
                Err(OpenError::Log(wal::OpenError::Locked { .. })) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(source) => return Err(Trouble::Open { id, source }),
            }
        };
        let node = RaftNode::start(config(id)?, storage, self.switchboard.port(id)).await?;
        self.switchboard.plug_guarded(id, node.raft().clone(), node.intake().clone());
        self.running.with(|nodes| nodes.insert(id, node));
        Ok(())
    }

    /// Stops a node, which hands nothing over and tells nobody.
    pub(crate) async fn stop(&mut self, id: u64) {
        self.switchboard.unplug(&id);
        if let Some(node) = self.running.with(|nodes| nodes.remove(&id)) {
            node.stop().await;
        }
    }

    /// One that leads, and that a quorum confirms.
    pub(crate) async fn leader(&self) -> Result<RaftNode, Trouble> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(node) = self.running.leader()
                && node.read_linearizable(b"").await.is_ok()
            {
                return Ok(node);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err(Trouble::NoLeader { waited: PATIENCE })
    }

    /// All that was acknowledged is there, and the same on all nodes.
    pub(crate) async fn verify(&self, expected: &Expected) -> Result<(), Trouble> {
        let leader = self.leader().await?;
        for (key, expected) in expected {
            let read = loop {
                match self.leader().await?.read_linearizable(key.as_bytes()).await {
                    Ok(read) => break read,
                    Err(error) => tracing::info!(%error, "read again"),
                }
            };
            let got = version(read.as_deref());
            if !expected.contains(&got) {
                let (key, expected) = (key.clone(), expected.clone());
                return Err(Trouble::Wrong { key, got, expected });
            }
        }
        let last = leader.metrics().borrow().last_log_index.unwrap_or(0);
        let nodes: Vec<RaftNode> = self.running.with(|nodes| nodes.values().cloned().collect());
        let mut digests = Vec::new();
        for node in nodes {
            let applied = node.wait_for_applied(PATIENCE, last).await;
            applied.map_err(|_| Trouble::Stuck { waited: PATIENCE })?;
            let digest = node.reader().shared_digest().await;
            digests.push(digest.map_err(|_| Trouble::Client)?);
        }
        digests.dedup();
        if digests.len() == 1 { Ok(()) } else { Err(Trouble::Differ) }
    }

    pub(crate) async fn end(mut self) {
        for id in IDS {
            self.stop(id).await;
        }
    }
}
