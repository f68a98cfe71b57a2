//! [`RaftNode`]: one member of a cluster. The only file that knows all the others.

#[cfg(feature = "metrics")]
mod ages;
mod batcher;
mod changes;
#[cfg(feature = "metrics")]
mod collect;
#[cfg_attr(
    not(feature = "grpc"),
    allow(dead_code, reason = "only that transport begins a probation")
)]
mod elections;
mod formats;
mod handover;
mod health;
mod intake;
mod leaderships;
mod membership;
mod observed;
mod policy;
mod reads;
mod retention;
mod running;
mod shutdown;
mod snapshots;
mod transfer;
mod waits;

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use openraft::error::{Fatal, RaftError};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::batcher::Batcher;
use self::changes::Changes;
#[cfg(feature = "metrics")]
use self::collect::Collected;
pub(crate) use self::elections::Elections;
pub(crate) use self::formats::Formats;
use self::handover::Peers;
pub use self::health::{Dead, Health, MAX_BEHIND, Unready};
pub use self::intake::Intake;
use self::leaderships::Leaderships;
use self::observed::Observed;
use self::policy::{Metered, Policy};
use self::reads::Led;
pub(crate) use self::reads::Reads;
pub use self::reads::{Behind, ReadLevel};
use self::retention::Retention;
use self::running::running;
pub use self::shutdown::Handover;
use crate::config::NodeConfig;
use crate::error::{InitializeError, NotLeader, ProposeError, ReadError, StartError, Stopped};
use crate::machine::MachineReader;
use crate::metrics;
use crate::network::{Paced, Transport, Ways};
use crate::operation::{Operation, Response};
use crate::storage::{Released, StateReader, Storage};
use crate::types::{LogId, Node, NodeId, Raft, RaftMetrics};

/// One member of a cluster, running. Clones are the same node.
///
/// Generic over log store and state machine ([`Storage`]) and over the network, of which only the
/// state's reader shows in the type. Dropping the last clone stops the node without ceremony, whoever
/// holds what [`raft`](RaftNode::raft) returned, a server for one;
/// [`shutdown`](RaftNode::shutdown) hands leadership over first.
///
/// Each future says what dropping it does; after that the node goes on as if nobody had waited.
///
/// # Example
///
/// ```
/// use seshat_core::config::NodeConfig;
/// use seshat_core::network::StubNetwork;
/// use seshat_core::node::RaftNode;
/// use seshat_core::operation::Operation;
/// use seshat_core::storage::MemStorage;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = NodeConfig::builder(1).member(1, "127.0.0.1").single_node().build()?;
/// let node = RaftNode::start(config, MemStorage::new(), StubNetwork).await?;
/// node.initialize().await?;
/// node.wait_for_leader(std::time::Duration::from_secs(5)).await?;
///
/// let set = Operation::set("greeting", "hello", node.limits())?;
/// node.propose(set).await?;
/// assert_eq!(node.read_linearizable(b"greeting").await?.as_deref(), Some(&b"hello"[..]));
/// node.shutdown().await;
/// # Ok(())
/// # }
/// ```
pub struct RaftNode<R = MachineReader> {
    inner: Arc<Inner<R>>,
}

struct Inner<R> {
    config: NodeConfig,
    raft: Raft,
    elections: Elections,
    intake: Intake,
    reader: R,
    reads: Reads,
    batcher: Batcher,
    proposals: Arc<metrics::Proposals>,
    #[cfg(feature = "metrics")]
    collected: Collected,
    changes: Arc<Changes>,
    driver: Mutex<Option<JoinHandle<()>>>,
    /// Once a shutdown has begun: how it ended, once it has.
    shutdown: OnceLock<watch::Receiver<Option<Handover>>>,
    peers: Arc<dyn Peers>,
    retention: Arc<Retention>,
    formats: Arc<Formats>,
    released: Released,
    /// End with the node.
    tasks: Vec<JoinHandle<()>>,
    /// Where the node runs.
    runtime: Handle,
}

impl<R> Clone for RaftNode<R> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<R> fmt::Debug for RaftNode<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RaftNode").field("node_id", &self.id()).finish_non_exhaustive()
    }
}

impl<R: StateReader> RaftNode<R> {
    /// Starts a node from what its storage holds. A fresh one waits to be
    /// [initialized](RaftNode::initialize), or to be added to a cluster by its leader.
    ///
    /// Needs a tokio runtime with time enabled; tasks run on it until the node stops. Dropping the
    /// future starts nothing.
    ///
    /// # Errors
    /// The storage can't be read.
    pub async fn start<S, N>(config: NodeConfig, storage: S, network: N) -> Result<Self, StartError>
    where
        S: Storage<Reader = R>,
        N: Transport,
    {
        let node_id = config.node_id();
        let mut raft_config = config.raft_config().validate().map_err(StartError::Config)?;
        let intake = Intake::new(node_id, storage.room());
        let (probations, released) = (storage.probations(), storage.released());
        let (mut log, machine, reader) = storage.into_parts();
        let stopped = |fatal: Fatal<NodeId>| StartError::Stopped { node_id, source: fatal.into() };
        let led = Led::read(node_id, &mut log).await.map_err(|error| stopped(error.into()))?;
        let probation = elections::probation(&*probations, &mut log);
        let probation = probation.await.map_err(|error| stopped(error.into()))?;
        // Before its clock runs: who is on probation doesn't campaign.
        raft_config.enable_elect = probation.is_none();
        let retention = Arc::new(Retention::new(&config));
        let formats =
            Arc::new(Formats::new(&config, network.clone(), reader.format(), intake.clone()));
        let policy = Policy::new(config.snapshot(), Arc::clone(&retention), Arc::clone(&formats));
        let policy = Arc::new(policy);
        let machine = Metered::new(machine, Arc::clone(&policy));
        let ways = Ways::new(config.heartbeat_interval());
        let network = Paced::new(network, ways.clone());
        let network = Observed::new(&config, network, Arc::clone(&retention));

        let raft = Raft::new(node_id, Arc::new(raft_config), network.clone(), log, machine);
        let raft = raft.await.map_err(stopped)?;
        let leaderships = Leaderships::of(node_id, &raft);
        if let Some(led) = led {
            led.speak(&raft).await;
        }

        let elections = Elections::new(node_id, raft.clone(), probations, probation);
        let proposals = Arc::new(metrics::Proposals::new());
        let meters = Arc::clone(&proposals);
        let (batcher, driver) =
            Batcher::new(&config, raft.clone(), ways.clone(), intake.clone(), meters);
        let peers: Arc<dyn Peers> = Arc::new(network);
        let changes =
            Arc::new(Changes::new(&config, raft.clone(), Arc::clone(&peers), intake.clone()));
        let watch = intake.clone().watch(
            config.clone(),
            raft.clone(),
            elections.clone(),
            Arc::clone(&peers),
        );
        let tasks = vec![
            tokio::spawn(policy.run(raft.clone())),
            tokio::spawn(Arc::clone(&changes).end_those_left()),
            tokio::spawn(watch),
            tokio::spawn(Arc::clone(&retention).run(raft.clone())),
            tokio::spawn(Arc::clone(&formats).run(raft.clone())),
            tokio::spawn(elections.clone().end_probation()),
            tokio::spawn(leaderships.watch()),
        ];
        let driver = Mutex::new(Some(tokio::spawn(driver)));
        tracing::info!(node_id, members = ?config.members(), "node started");
        Ok(Self {
            inner: Arc::new(Inner {
                #[cfg(feature = "metrics")]
                collected: Collected::begin(&config, &raft, ways),
                config,
                elections,
                intake,
                reads: Reads::new(raft.clone(), led),
                raft,
                reader,
                batcher,
                proposals,
                changes,
                driver,
                shutdown: OnceLock::new(),
                peers,
                retention,
                formats,
                released,
                tasks,
                runtime: Handle::current(),
            }),
        })
    }

    /// Makes the configured initial members a cluster. One of them suffices; it campaigns at
    /// once. Dropping the future initializes the node or doesn't; asking again tells.
    ///
    /// # Errors
    /// The node belongs to a cluster already, which a caller that only wants that may ignore.
    pub async fn initialize(&self) -> Result<(), InitializeError> {
        use openraft::error::InitializeError as Raft;
        let node_id = self.id();
        let members = self.inner.config.members().iter();
        let members = members
            .map(|(id, address)| (*id, Node::new(address)))
            .collect::<std::collections::BTreeMap<_, _>>();
        match self.inner.raft.initialize(members).await {
            Ok(()) => Ok(()),
            Err(RaftError::APIError(Raft::NotAllowed(found))) => {
                let (vote, last) = (found.vote, found.last_log_id);
                Err(InitializeError::AlreadyInitialized { node_id, vote, last })
            }
            Err(RaftError::APIError(Raft::NotInMembers(_))) => {
                Err(InitializeError::NotAMember { node_id })
            }
            Err(RaftError::Fatal(fatal)) => Err(Stopped::from(fatal).into()),
        }
    }

    /// Proposes an operation and waits until it is applied here.
    ///
    /// Operations of one caller that awaits each, or polls them in order, are applied in that
    /// order. Waits at most the configured `propose_timeout`. Dropping the future gives the
    /// response up; the operation may still be applied. A leader that a change of the membership takes
    /// the vote from refuses, until another leads.
    ///
    /// # Errors
    /// See [`ProposeError`], which says for each case whether the operation may have been, or may
    /// yet be, applied. An operation beyond this node's own [`limits`](RaftNode::limits) is a
    /// [`ProposeError::Limit`], whichever limits it was made with: peers would refuse its entry. One of
    /// a newer format than all members read is a [`ProposeError::Format`]. A leader whose disk is full takes
    /// none ([`ProposeError::DiskFull`]), hands leadership over if another voter has room, and takes some again
    /// when it has.
    pub async fn propose(&self, operation: Operation) -> Result<Response, ProposeError> {
        let pending = self.inner.proposals.begins();
        if let Err(refused) = self.takes(&operation) {
            return pending.ends(Err(refused), ProposeError::reason);
        }
        if operation.format() > self.inner.formats.written() {
            let (raft, patience) = (&self.inner.raft, self.inner.config.propose_timeout());
            if let Err(refused) = self.inner.formats.allow(&operation, raft, patience).await {
                return pending.ends(Err(refused), ProposeError::reason);
            }
        }
        pending.ends(self.inner.batcher.propose(operation).await, ProposeError::reason)
    }

    fn takes(&self, operation: &Operation) -> Result<(), ProposeError> {
        operation.check(self.limits())?;
        if self.inner.changes.is_leaving() {
            return Err(NotLeader { leader: None }.into());
        }
        Ok(())
    }

    /// `SET key value`, within this node's limits. See [`propose`](RaftNode::propose).
    ///
    /// # Errors
    /// See [`ProposeError`].
    pub async fn set(
        &self,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
    ) -> Result<Response, ProposeError> {
        self.propose(Operation::set(key, value, self.limits())?).await
    }

    /// `DEL key [key ...]`, within this node's limits. See [`propose`](RaftNode::propose).
    ///
    /// # Errors
    /// See [`ProposeError`].
    pub async fn del<K: Into<Bytes>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Response, ProposeError> {
        let operation = Operation::del(keys, self.limits())?;
        self.propose(operation).await
    }

    /// The value of `key` as this node has it: some committed state, not necessarily the latest.
    /// Dropping the future does nothing.
    ///
    /// # Errors
    /// The state machine can't be read.
    pub async fn read(&self, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        self.inner.reader.get(key).await.map_err(|error| ReadError::Storage(Box::new(error)))
    }

    /// Asks for a snapshot of what is applied now. Returns before it is built;
    /// [`build_snapshot`](Self::build_snapshot) waits for it. Does nothing while one is being built. Asks when it is first polled; dropping
    /// the future later takes nothing back, which goes for the other triggers too.
    ///
    /// # Errors
    /// The node stopped.
    pub async fn trigger_snapshot(&self) -> Result<(), Stopped> {
        Ok(self.inner.raft.trigger().snapshot().await?)
    }

    /// Purges log entries up to `index`, as far as a snapshot covers them.
    ///
    /// # Errors
    /// The node stopped.
    pub async fn trigger_purge(&self, index: u64) -> Result<(), Stopped> {
        Ok(self.inner.raft.trigger().purge_log(index).await?)
    }

    /// Campaigns now. Voters refuse while they hear from a leader. Does nothing where the node is no
    /// voter, has not caught up since its cluster let it take part without a memory
    /// (`network::grpc::Admission::Waits`), or has a full disk.
    ///
    /// # Errors
    /// The node stopped.
    pub async fn trigger_election(&self) -> Result<(), Stopped> {
        if let Some(reason) = self.inner.elections.reason_against() {
            tracing::info!(node_id = self.id(), ?reason, "no campaign");
            return Ok(());
        }
        Ok(self.inner.raft.trigger().elect().await?)
    }
}

impl<R> RaftNode<R> {
    /// The node's id.
    pub fn id(&self) -> NodeId {
        self.inner.config.node_id()
    }

    /// What the node was started with.
    pub fn config(&self) -> &NodeConfig {
        &self.inner.config
    }

    /// What an operation may carry when it is proposed here.
    pub fn limits(&self) -> &crate::operation::Limits {
        self.inner.config.limits()
    }

    /// openraft's own handle: what a transport's server side calls, and everything that has no
    /// method here.
    pub fn raft(&self) -> &Raft {
        &self.inner.raft
    }

    /// What stands between openraft's [handle](Self::raft) and those who would append to the node's log: an
    /// AppendEntries that it doesn't admit must not come there, or a full disk ends the node. A
    /// [`GrpcServer`](crate::network::grpc::GrpcServer) asks it; on a switchboard, for a storage on disk, it is
    /// [plugged in](crate::network::switchboard::Switchboard::plug_guarded) with the handle.
    pub fn intake(&self) -> &Intake {
        &self.inner.intake
    }

    /// Why the node takes no writes now though it may lead: its disk is full. `None` while it has room, and
    /// again when there is some.
    pub fn disk_full(&self) -> Option<crate::error::DiskFull> {
        self.inner.intake.refusal()
    }

    /// Whether the node may campaign.
    #[cfg(feature = "grpc")]
    pub(crate) fn elections(&self) -> &Elections {
        &self.inner.elections
    }

    /// Confirms that the node leads.
    pub(crate) fn reads(&self) -> &Reads {
        &self.inner.reads
    }

    /// Which formats are read and written.
    #[cfg(feature = "grpc")]
    pub(crate) fn formats(&self) -> &Arc<Formats> {
        &self.inner.formats
    }

    /// The format that the cluster writes, as far as this node has applied it: an operation of a newer
    /// one is refused ([`ProposeError::Format`]). Never falls.
    pub fn format(&self) -> u32 {
        self.inner.formats.written()
    }

    /// Reads the state machine, local and unconfirmed.
    pub fn reader(&self) -> &R {
        &self.inner.reader
    }

    /// What the node reports of itself, as it changes. A node that panicked doesn't report that: what it
    /// reported last stays, as running, and the channel is closed.
    pub fn metrics(&self) -> watch::Receiver<RaftMetrics> {
        self.inner.raft.metrics()
    }

    /// Whether the node leads, as far as it knows. A leader that was cut off, or that restarts with
    /// what it stored, takes itself for one until it hears of its successor. A node that stopped, for
    /// whatever reason, leads no more.
    pub fn is_leader(&self) -> bool {
        running(&mut self.inner.raft.metrics()).is_ok_and(|now| now.state.is_leader())
    }

    /// The last entry applied here, as last reported: a node that stopped applies nothing more.
    pub fn last_applied(&self) -> Option<LogId> {
        self.inner.raft.metrics().borrow().last_applied
    }
}
