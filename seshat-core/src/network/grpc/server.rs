//! [`GrpcServer`]: answers the calls of other nodes, and of clients.
//!
//! Guarantees: peers and clients come in by listeners of their own, neither of which takes the other's
//! places; nothing of the one is served at the other. Nothing is served in plaintext beyond this
//! machine unless that was asked for.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use openraft::error::Fatal;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::answers::Answers;
use super::client::GrpcTransport;
use super::door::For;
use super::error::{AdmissionError, ServeError};
use super::follower::Follower;
use super::gate::Gate;
use super::listen::{Listening, may_listen};
use super::reception::Receptions;
use super::services::transport_server::{self, TransportServer};
use super::standing::{Admission, Standing};
use super::totals::{ClientsLayer, LONGEST_PART, Refusals, SHORT, Totals, UnderWay};
use crate::error::Stopped;
use crate::node::RaftNode;
use crate::storage::StateReader;
use crate::types::Raft;

/// How often to look whether certificates have changed.
const RELOAD_EVERY: Duration = Duration::from_secs(5);

/// What clients are served, and where.
#[derive(Debug)]
pub struct Clients {
    /// Where clients connect, which is no other node's business: an address of its own.
    pub listener: TcpListener,
    /// Services of the embedding program. Of the request's extensions [`Caller`](super::Caller) says
    /// who calls, and [`Role::require`](super::Role::require) whether it may.
    pub routes: Routes,
}

/// Serves a node to its peers; and, on a listener of their own, services of the embedding program
/// together with the standard health and reflection services to clients. Health and reflection take
/// no [role](super::Role).
///
/// Dropping it closes the ports; [`shutdown`](GrpcServer::shutdown) lets calls end first.
#[must_use]
pub struct GrpcServer {
    local_addr: SocketAddr,
    clients_addr: Option<SocketAddr>,
    admitted: watch::Sender<bool>,
    standing: Arc<Standing>,
    health: HealthReporter,
    /// Dropped when there are to be no more calls.
    stop: Option<watch::Sender<()>>,
    listening: Vec<Listening>,
    tasks: Vec<JoinHandle<()>>,
    patience: Duration,
    totals: Totals,
}

impl fmt::Debug for GrpcServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcServer").field("local_addr", &self.local_addr).finish_non_exhaustive()
    }
}

impl GrpcServer {
    /// Serves `node` to its peers on `listener`, and to clients what they are to be served, if they
    /// are. `transport` is what the node was started with.
    ///
    /// Calls of clients are counted and bounded ([`GrpcConfig`](crate::config::GrpcConfig)),
    /// up to the last of what is answered. What a client sends must come without a pause longer than
    /// `rpc_timeout`, so a stream from a client to the node isn't one to wait on; the other way it may be.
    ///
    /// Until [`admit`](GrpcServer::admit) has returned, other nodes are told no more than that this
    /// one takes no part yet. Needs a tokio runtime; tasks run on it until the server stops.
    ///
    /// # Errors
    /// See [`ServeError`]; nothing is served then.
    pub async fn start<R: StateReader>(
        node: &RaftNode<R>,
        transport: &GrpcTransport,
        listener: TcpListener,
        clients: Option<Clients>,
    ) -> Result<Self, ServeError> {
        let config = transport.config();
        let local_addr = may_listen(&listener, For::Peers, transport)?;
        let clients_addr = clients
            .as_ref()
            .map(|clients| may_listen(&clients.listener, For::Clients, transport))
            .transpose()?;
        let (admitted, is_admitted) = watch::channel(false);
        let raft = node.raft().clone();
        let formats = Arc::clone(node.formats());
        let mine = formats.mine();
        let asked = (node.elections().clone(), node.reads().clone(), formats);
        let standing = Arc::new(Standing::new(raft.clone(), asked, transport.clone()));
        let follower = Arc::new(Follower::new(raft.clone(), node.intake().clone()));
        let (told, reader) = (Arc::clone(&follower), node.reader().clone());
        let receptions = Arc::new(Receptions::new(raft.clone(), told, reader, config));
        let answers = Answers {
            follower,
            limit: config.rpc_timeout(),
            receptions: Arc::clone(&receptions),
            standing: Arc::clone(&standing),
            formats: mine,
        };
        let totals = Totals::new(config);
        let (health, clients) = for_clients(clients).await?;
        let peers = (listener, for_peers(answers, totals.clone(), transport, is_admitted));

        let (stop, stopped) = watch::channel(());
        let listen = |(listener, routes), whom, share| {
            Listening::start(listener, routes, whom, share, transport, stopped.clone())
        };
        let mut listening = vec![listen(peers, For::Peers, None)];
        let share = || Some(ClientsLayer::new(totals.clone()));
        listening.extend(clients.map(|clients| listen(clients, For::Clients, share())));
        let mut tasks = vec![
            tokio::spawn(follow(raft, transport.clone(), totals.clone(), health.clone())),
            tokio::spawn(async move { receptions.expire().await }),
        ];
        let tls = transport.tls().is_some();
        if tls {
            tasks.push(tokio::spawn(reload(transport.clone())));
        }
        tracing::info!(node_id = node.id(), %local_addr, ?clients_addr, tls, "serving");
        let (stop, patience) = (Some(stop), config.rpc_timeout());
        Ok(Self {
            local_addr,
            clients_addr,
            admitted,
            standing,
            health,
            stop,
            listening,
            tasks,
            patience,
            totals,
        })
    }

    /// Where the server listens for other nodes.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Where the server listens for clients, if it does.
    pub fn clients_addr(&self) -> Option<SocketAddr> {
        self.clients_addr
    }

    /// What others have under way here at this moment.
    pub fn under_way(&self) -> UnderWay {
        self.totals.under_way()
    }

    /// Finds out whether this node may take part, and lets it: at once where it remembers its
    /// cluster; with all the others where none of them does, in which case they form the cluster
    /// that their configurations name; as a new node where its cluster doesn't have it for a member.
    /// Asks until it knows: a majority that isn't there could know it.
    ///
    /// Dropping the future gives up; calling it again starts anew.
    ///
    /// # Errors
    /// The cluster has this node for a member, which the node doesn't remember; or writes a newer format
    /// than this build reads; or the node stopped.
    pub async fn admit(&self) -> Result<Admission, AdmissionError> {
        let admission = self.standing.apply(&self.admitted).await?;
        self.health.set_service_status("", ServingStatus::Serving).await;
        let service = transport_server::SERVICE_NAME;
        self.health.set_service_status(service, ServingStatus::Serving).await;
        tracing::info!(?admission, "admitted");
        Ok(admission)
    }

    /// Takes no more calls, and returns when those under way have ended, after the configured
    /// `rpc_timeout` at the latest. Shut the node down first: its peers must hear who leads then.
    /// Dropping the future ends the calls as well, and closes the port at once.
    pub async fn shutdown(mut self) {
        for service in ["", transport_server::SERVICE_NAME] {
            self.health.set_service_status(service, ServingStatus::NotServing).await;
        }
        drop(self.stop.take());
        let drained = async {
            for listening in &mut self.listening {
                listening.drained().await;
            }
        };
        let drained = tokio::time::timeout(self.patience, drained).await;
        tracing::info!(drained = drained.is_ok(), "served");
    }
}

impl Drop for GrpcServer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// What other nodes are served.
fn for_peers(
    answers: Answers,
    totals: Totals,
    transport: &GrpcTransport,
    admitted: watch::Receiver<bool>,
) -> Routes {
    let limit = answers.limit;
    let longest = transport.config().max_message_bytes();
    let answers = Arc::new(answers);
    let taking = |bytes| {
        let service = TransportServer::from_arc(Arc::clone(&answers));
        service.max_decoding_message_size(bytes).max_encoding_message_size(usize::MAX)
    };
    let gate = Gate {
        short: taking(SHORT),
        long: taking(longest),
        parts: taking(LONGEST_PART),
        longest,
        identity: transport.identity().clone(),
        admitted,
        limit,
        totals,
        refusals: Refusals::default(),
    };
    Routes::new(gate).prepare()
}

/// What clients are served: theirs, health and reflection.
async fn for_clients(
    clients: Option<Clients>,
) -> Result<(HealthReporter, Option<(TcpListener, Routes)>), ServeError> {
    let (health, health_service) = tonic_health::server::health_reporter();
    for service in ["", transport_server::SERVICE_NAME] {
        health.set_service_status(service, ServingStatus::NotServing).await;
    }
    let Some(Clients { listener, routes }) = clients else { return Ok((health, None)) };
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(crate::proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .map_err(ServeError::Reflection)?;
    let routes = routes.add_service(health_service).add_service(reflection);
    Ok((health, Some((listener, routes.prepare()))))
}

/// Forgets peers that leave the membership; says so when the node stops.
async fn follow(raft: Raft, transport: GrpcTransport, totals: Totals, health: HealthReporter) {
    let mut metrics = raft.metrics();
    let mut members = None;
    while metrics.changed().await.is_ok() {
        let metrics = metrics.borrow_and_update();
        let now = &metrics.membership_config;
        // Before there is a membership, all that is known is the configuration.
        if members.as_ref() != Some(now) && now.log_id().is_some() {
            transport.peers().retain(|id| now.membership().get_node(&id).is_some());
            totals.divide(now.membership().nodes().map(|(id, _)| *id));
            members = Some(now.clone());
        }
    }
    for service in ["", transport_server::SERVICE_NAME] {
        health.set_service_status(service, ServingStatus::NotServing).await;
    }
}

/// Reads certificates again as they change.
async fn reload(transport: GrpcTransport) {
    let mut ticks = tokio::time::interval(RELOAD_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let transport = transport.clone();
        // It leaves an event of whatever comes of it.
        let _ = tokio::task::spawn_blocking(move || transport.reload()).await;
    }
}

impl From<Fatal<u64>> for AdmissionError {
    fn from(fatal: Fatal<u64>) -> Self {
        Stopped::from(fatal).into()
    }
}
