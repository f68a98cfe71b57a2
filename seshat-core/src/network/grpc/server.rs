//! [`GrpcServer`]: answers the calls of other nodes.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use openraft::error::Fatal;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::accept::accept;
use super::answers::Answers;
use super::client::GrpcTransport;
use super::error::AdmissionError;
use super::gate::Gate;
use super::peer::{CONNECTION_WINDOW, KEEPALIVE, KEEPALIVE_TIMEOUT, STREAM_WINDOW};
use super::reception::Receptions;
use super::standing::{Admission, Standing};
use crate::error::Stopped;
use crate::node::RaftNode;
use crate::proto::services::transport_server::{self, TransportServer};
use crate::types::Raft;

/// Headers of a call: ours are a few hundred bytes.
const MAX_HEADER_BYTES: u32 = 8 << 10;

/// Serves a node to its peers, and the standard health and reflection services to everybody.
///
/// Dropping it closes the port; [`shutdown`](GrpcServer::shutdown) lets calls end first.
#[must_use]
pub struct GrpcServer {
    local_addr: SocketAddr,
    admitted: watch::Sender<bool>,
    standing: Arc<Standing>,
    health: HealthReporter,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
    patience: Duration,
}

impl fmt::Debug for GrpcServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcServer").field("local_addr", &self.local_addr).finish_non_exhaustive()
    }
}

impl GrpcServer {
    /// Serves `node` on `listener`, together with the services in `more`. `transport` is what the
    /// node was started with.
    ///
    /// Until [`admit`](GrpcServer::admit) has returned, other nodes are told no more than that this
    /// one takes no part yet. Needs a tokio runtime; tasks run on it until the server stops.
    ///
    /// # Errors
    /// The certificates don't fit, or the listener has no address.
    pub async fn start<R>(
        node: &RaftNode<R>,
        transport: &GrpcTransport,
        listener: TcpListener,
        more: Routes,
    ) -> io::Result<Self> {
        let local_addr = listener.local_addr()?;
        let config = transport.config();
        let (admitted, is_admitted) = watch::channel(false);
        let (raft, elections) = (node.raft().clone(), node.elections().clone());
        let formats = Arc::clone(node.formats());
        let mine = formats.mine();
        let standing = Standing::new(raft.clone(), elections, formats, transport.clone());
        let standing = Arc::new(standing);
        let receptions = Arc::new(Receptions::new(raft.clone(), config));
        let answers = Answers {
            raft: raft.clone(),
            limit: config.rpc_timeout(),
            receptions: Arc::clone(&receptions),
            standing: Arc::clone(&standing),
            formats: mine,
        };
        let (health, routes) = routes(answers, transport, is_admitted, more).await?;

        let (grpc, limit) = (config.grpc(), config.rpc_timeout());
        let mut server = Server::builder()
            .tcp_nodelay(true)
            .max_concurrent_streams(grpc.max_calls)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .http2_max_header_list_size(MAX_HEADER_BYTES)
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT));
        if let Some(tls) = transport.tls() {
            server = server.tls_config(tls.server.clone()).map_err(io::Error::other)?;
        }
        let (accepted, incoming) = mpsc::channel(1);
        let (stop, stopped) = oneshot::channel::<()>();
        let served = server.add_routes(routes).serve_with_incoming_shutdown(
            ReceiverStream::new(incoming),
            async {
                // Told so, or left: both mean the same.
                let _ = stopped.await;
            },
        );
        let serving = tokio::spawn(async move {
            if let Err(error) = served.await {
                tracing::error!(%error, "the gRPC server ended");
            }
        });
        let tasks = vec![
            tokio::spawn(accept(listener, grpc.max_connections, limit, accepted)),
            tokio::spawn(follow(raft, transport.clone(), health.clone())),
            tokio::spawn({
                let standing = Arc::clone(&standing);
                async move { standing.end_probation().await }
            }),
            tokio::spawn(async move { receptions.expire().await }),
        ];
        tracing::info!(node_id = node.id(), %local_addr, tls = transport.tls().is_some(), "serving");
        let (stop, patience) = (Some(stop), limit);
        Ok(Self { local_addr, admitted, standing, health, stop, serving, tasks, patience })
    }

    /// Where the server listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
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
    pub async fn shutdown(mut self) {
        for service in ["", transport_server::SERVICE_NAME] {
            self.health.set_service_status(service, ServingStatus::NotServing).await;
        }
        drop(self.stop.take());
        let drained = tokio::time::timeout(self.patience, &mut self.serving).await;
        tracing::info!(drained = drained.is_ok(), "served");
    }
}

impl Drop for GrpcServer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.serving.abort();
    }
}

/// Everything that is served.
async fn routes(
    answers: Answers,
    transport: &GrpcTransport,
    admitted: watch::Receiver<bool>,
    more: Routes,
) -> io::Result<(HealthReporter, Routes)> {
    let limit = answers.limit;
    let service = TransportServer::new(answers)
        .max_decoding_message_size(transport.config().max_message_bytes())
        .max_encoding_message_size(usize::MAX);
    let gate = Gate { inner: service, identity: transport.identity().clone(), admitted, limit };
    let (health, health_service) = tonic_health::server::health_reporter();
    for service in ["", transport_server::SERVICE_NAME] {
        health.set_service_status(service, ServingStatus::NotServing).await;
    }
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(crate::proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .map_err(io::Error::other)?;
    let routes = more.add_service(gate).add_service(health_service).add_service(reflection);
    Ok((health, routes.prepare()))
}

/// Forgets peers that leave the membership; says so when the node stops.
async fn follow(raft: Raft, transport: GrpcTransport, health: HealthReporter) {
    let mut metrics = raft.metrics();
    let mut members = None;
    while metrics.changed().await.is_ok() {
        let metrics = metrics.borrow_and_update();
        let now = &metrics.membership_config;
        // Before there is a membership, all that is known is the configuration.
        if members.as_ref() != Some(now) && now.log_id().is_some() {
            transport.peers().retain(|id| now.membership().get_node(&id).is_some());
            members = Some(now.clone());
        }
    }
    for service in ["", transport_server::SERVICE_NAME] {
        health.set_service_status(service, ServingStatus::NotServing).await;
    }
}

impl From<Fatal<u64>> for AdmissionError {
    fn from(fatal: Fatal<u64>) -> Self {
        Stopped::from(fatal).into()
    }
}
