//! Nodes on Seshat's switchboard.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use openraft::error::{ClientWriteError, RaftError};
use openraft::{ChangeMembers, Config, Raft, ServerState, SnapshotPolicy};
use seshat_core::network::Switchboard;

use super::halves;
use super::wire::Copying;
use super::words::{Nid, NodeOf};
use crate::backend::Backend;
use crate::driver::Doing;
use crate::driver::node::{Metrics, Network, Node, Written};
use crate::driver::store::{Log, Machine};
use crate::words::{BoxError, Command};

pub(super) struct Links<B: Backend> {
    backend: Arc<B>,
    switchboard: Switchboard<B::C, Copying<B::Transfer>>,
    config: Arc<Config>,
}

impl<B: Backend> Links<B> {
    /// No nodes. Terms are short, and nothing is built or purged but on demand.
    pub(super) fn new(backend: Arc<B>, seed: u64) -> Result<Self, BoxError> {
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
        let config = Arc::new(config.validate()?);
        let switchboard = Switchboard::with_wire(seed, Copying::new());
        Ok(Self { backend, switchboard, config })
    }
}

impl<B: Backend> Network for Links<B> {
    fn start<'a>(
        &'a self,
        n: u64,
        log: Box<dyn Log>,
        machine: Box<dyn Machine>,
    ) -> Doing<'a, Box<dyn Node>> {
        Box::pin(async move {
            let (log, machine) = halves::<B>(log, machine)?;
            let id = self.backend.node_id(n);
            let port = self.switchboard.port(id.clone());
            let raft = Raft::new(id.clone(), Arc::clone(&self.config), port, log, machine).await?;
            self.switchboard.plug(id, raft.clone());
            let node: Box<dyn Node> =
                Box::new(Running { backend: Arc::clone(&self.backend), raft });
            Ok(node)
        })
    }

    fn unplug(&self, n: u64) {
        self.switchboard.unplug(&self.backend.node_id(n));
    }

    fn isolate(&self, n: u64) {
        self.switchboard.isolate(&self.backend.node_id(n));
    }

    fn heal(&self) {
        self.switchboard.heal();
    }
}

struct Running<B: Backend> {
    backend: Arc<B>,
    raft: Raft<B::C>,
}

impl<B: Backend> Running<B> {
    fn members<T: FromIterator<(Nid<B>, NodeOf<B>)>>(&self, ns: &[u64]) -> T {
        ns.iter().map(|n| (self.backend.node_id(*n), self.backend.node(*n))).collect()
    }
}

impl<B: Backend> Node for Running<B> {
    fn metrics(&self) -> Metrics {
        let metrics = self.raft.metrics().borrow().clone();
        Metrics {
            term: metrics.current_term,
            leads: metrics.state == ServerState::Leader,
            knows_it_leads: metrics.current_leader.as_ref() == Some(&metrics.id),
            state: format!("{:?}", metrics.state),
            last: metrics.last_log_index,
            applied: metrics.last_applied.map(|id| id.index),
            snapshot: metrics.snapshot.map(|id| id.index),
            purged: metrics.purged.map(|id| id.index),
            running: metrics.running_state.map_err(|fatal| fatal.to_string()),
        }
    }

    fn initialize<'a>(&'a self, voters: &[u64]) -> Doing<'a, ()> {
        let members: BTreeMap<Nid<B>, NodeOf<B>> = self.members(voters);
        Box::pin(async move { Ok(self.raft.initialize(members).await?) })
    }

    fn write<'a>(
        &'a self,
        command: &Command,
    ) -> Pin<Box<dyn Future<Output = Written> + Send + 'a>> {
        let command = self.backend.command(command);
        Box::pin(async move {
            let Some(command) = command else { return Written::Unknown };
            match self.raft.client_write(command).await {
                Ok(written) => Written::At(written.log_id.index),
                Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => {
                    Written::Elsewhere
                }
                Err(_) => Written::Unknown,
            }
        })
    }

    fn add_learner(&self, n: u64) -> Doing<'_, ()> {
        Box::pin(async move {
            let (id, node) = (self.backend.node_id(n), self.backend.node(n));
            self.raft.add_learner(id, node, true).await?;
            Ok(())
        })
    }

    fn change_voters<'a>(&'a self, voters: &[u64]) -> Doing<'a, ()> {
        let voters = voters.iter().map(|n| self.backend.node_id(*n)).collect();
        Box::pin(async move {
            let change = ChangeMembers::ReplaceAllVoters(voters);
            self.raft.change_membership(change, false).await?;
            Ok(())
        })
    }

    fn build(&self) -> Doing<'_, ()> {
        Box::pin(async move { Ok(self.raft.trigger().snapshot().await?) })
    }

    fn purge(&self, upto: u64) -> Doing<'_, ()> {
        Box::pin(async move { Ok(self.raft.trigger().purge_log(upto).await?) })
    }

    fn stop(&self) -> Doing<'_, ()> {
        Box::pin(async move {
            // An error of the runtime need not be one that can be boxed.
            self.raft.shutdown().await.map_err(|error| error.to_string())?;
            Ok(())
        })
    }
}
