//! One listener, and what is served there.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::Server;
use tower::util::{MapRequestLayer, option_layer};

use super::accept::Acceptor;
use super::caller::Caller;
use super::client::GrpcTransport;
use super::door::{Door, For};
use super::error::ServeError;
use super::peer::{CONNECTION_WINDOW, KEEPALIVE, KEEPALIVE_TIMEOUT, STREAM_WINDOW};
use super::tls::is_loopback_ip;
use super::totals::ClientsLayer;

/// Headers of a call: ours are a few hundred bytes.
const MAX_HEADER_BYTES: u32 = 8 << 10;

/// A client that has made no call for that long, and for twice as long as a proposal takes, gives way.
/// What takes longer streams, or waits for a node to catch up.
const IDLE: Duration = Duration::from_secs(60);

/// Where `listener` listens, if that may be.
pub(super) fn may_listen(
    listener: &TcpListener,
    whom: For,
    transport: &GrpcTransport,
) -> Result<SocketAddr, ServeError> {
    let whom = whom.word();
    let address = listener.local_addr().map_err(|source| ServeError::Listener { whom, source })?;
    let plaintext = transport.tls().is_none() && !transport.config().grpc().plaintext;
    if plaintext && !is_loopback_ip(address.ip()) {
        return Err(ServeError::Plaintext { whom, address });
    }
    Ok(address)
}

/// A listener that is served until this is dropped.
pub(super) struct Listening {
    serving: JoinHandle<()>,
    tasks: [JoinHandle<()>; 2],
}

impl Listening {
    /// Serves `routes`, calls of which take of `share`, until the sender of `stopped` is gone, and calls under way have ended.
    pub(super) fn start(
        listener: TcpListener,
        routes: Routes,
        whom: For,
        share: Option<ClientsLayer>,
        transport: &GrpcTransport,
        mut stopped: watch::Receiver<()>,
    ) -> Self {
        let config = transport.config();
        let grpc = config.grpc();
        let tls = transport.tls().cloned();
        let idle = IDLE.max(config.propose_timeout().saturating_mul(2));
        let idle = (whom == For::Clients).then_some(idle);
        let cluster = config.cluster_name();
        let door = Arc::new(Door::new(whom, cluster, grpc.max_connections, idle));
        let acceptor = Acceptor::new(Arc::clone(&door), cluster, tls, grpc.connect_timeout);
        let (accepted, incoming) = mpsc::channel(1);
        let tasks = [
            tokio::spawn(Arc::new(acceptor).accept(listener, accepted)),
            tokio::spawn(async move { door.tell().await }),
        ];
        let note: fn(Request<Body>) -> Request<Body> = note;
        let served = Server::builder()
            .max_concurrent_streams(grpc.max_calls)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .http2_max_header_list_size(MAX_HEADER_BYTES)
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            // What is around every call of either listener.
            .layer(MapRequestLayer::new(note))
            .layer(option_layer(share))
            .add_routes(routes)
            .serve_with_incoming_shutdown(ReceiverStream::new(incoming), async move {
                // It is never told anything else.
                let _ = stopped.changed().await;
            });
        let serving = tokio::spawn(async move {
            if let Err(error) = served.await {
                tracing::error!(%error, "the gRPC server ended");
            }
        });
        Self { serving, tasks }
    }

    /// Returns when all calls have ended after it was told to stop.
    pub(super) async fn drained(&mut self) {
        let _ = (&mut self.serving).await;
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.serving.abort();
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// The connection of a client that may do something is in use. Of nodes the gate knows.
fn note(request: Request<Body>) -> Request<Body> {
    if let Some(caller) = request.extensions().get::<Caller>()
        && caller.role().is_some()
    {
        caller.was_let_in();
    }
    request
}
