//! [`GrpcTransport`]: calls to other nodes. An answer that can't be true is none.

mod raft;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use openraft::network::{RPCOption, RaftNetworkFactory};
use tokio::time::Instant;
use tonic::metadata::AsciiMetadataValue;
use tonic::{Code, Response, Status};
use tracing::Instrument;
use tracing::field::Empty;

use super::error::{CallError, Cause, Implausible, TransportError, chain};
use super::follower::terms;
use super::identity::Identity;
use super::message::{FormatsRequest, StandingRequest};
use super::peer::{Lane, Peer, Peers, Sort, Ways, pauses};
use super::progress::{LONG, Progress, Watched};
use super::services::transport_client::TransportClient;
use super::tls::{Tls, is_loopback};
use super::totals::SHORT;
use super::transmission::Summed;
use crate::codec::{FormatsResponse, Message, StandingResponse};
use crate::config::{GrpcConfig, NodeConfig};
use crate::metrics::Stopwatch;
use crate::network::Transport;
use crate::statement::answer::Asker;
use crate::types::{Node, NodeId, TypeConfig, VoteRequest, VoteResponse};

type Client = TransportClient<Watched>;

/// How often a request for a vote is sent where the peer can't be reached.
const VOTE_ATTEMPTS: usize = 3;

/// The network of a node, over gRPC. Clones are the same one.
///
/// See the [module](super) for what it guarantees.
#[derive(Clone)]
pub struct GrpcTransport {
    shared: Arc<Shared>,
}

struct Shared {
    identity: Identity,
    tls: Option<Arc<Tls>>,
    peers: Peers,
    config: NodeConfig,
    summed: Summed,
    /// The longest message that peers take.
    max_message_bytes: usize,
}

impl fmt::Debug for GrpcTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcTransport").field("identity", self.identity()).finish_non_exhaustive()
    }
}

impl GrpcTransport {
    /// A transport for the node of that configuration. Connects to nobody yet.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub fn new(config: &NodeConfig) -> Result<Self, TransportError> {
        let GrpcConfig { plaintext, connect_timeout, .. } = *config.grpc();
        let tls = Tls::of(config)?.map(Arc::new);
        let mut beyond = config.members().iter().filter(|(_, address)| !is_loopback(address));
        if let (None, false, Some((member, address))) = (&tls, plaintext, beyond.next()) {
            return Err(TransportError::Plaintext { member: *member, address: address.clone() });
        }
        let ways = Ways { connect_timeout, tls: tls.clone(), plaintext };
        Ok(Self {
            shared: Arc::new(Shared {
                identity: Identity::new(config.node_id(), config.cluster_name()),
                peers: Peers::new(config.cluster_name(), ways),
                tls,
                max_message_bytes: config.max_message_bytes(),
                config: config.clone(),
                summed: Summed::default(),
            }),
        })
    }

    /// Reads the files of [`TlsConfig`](crate::config::TlsConfig) again, of this transport and of the
    /// server that goes with it; returns whether they have changed. Connections to come are made with
    /// what they hold now, towards other nodes at once; those that others made stay, until they end,
    /// with what they were made with. There is no revocation: a certificate is good until it expires.
    ///
    /// A [`GrpcServer`](super::GrpcServer) does this itself every five seconds. It reads three small
    /// files, and blocks for that long.
    ///
    /// # Errors
    /// What the files hold now can't be used, see [`TransportError`]; what they held before stays in
    /// use.
    pub fn reload(&self) -> Result<bool, TransportError> {
        let Some(tls) = self.tls() else { return Ok(false) };
        let node_id = self.identity().node_id;
        match tls.reload() {
            Ok(false) => Ok(false),
            Ok(true) => {
                self.peers().reconnect();
                tracing::info!(node_id, "certificates read again");
                Ok(true)
            }
            Err(error) => {
                let why = chain(&error);
                tracing::warn!(
                    node_id,
                    error = why,
                    "certificates can't be used, the old ones stay"
                );
                Err(error)
            }
        }
    }

    pub(super) fn identity(&self) -> &Identity {
        &self.shared.identity
    }

    pub(super) fn tls(&self) -> Option<&Arc<Tls>> {
        self.shared.tls.as_ref()
    }

    pub(super) fn config(&self) -> &NodeConfig {
        &self.shared.config
    }

    pub(super) fn peers(&self) -> &Peers {
        &self.shared.peers
    }

    pub(super) fn connect(&self, target: NodeId, address: &str) -> GrpcConnection {
        let shared = Arc::clone(&self.shared);
        GrpcConnection { peer: self.shared.peers.at(target, address), shared }
    }
}

impl RaftNetworkFactory<TypeConfig> for GrpcTransport {
    type Network = GrpcConnection;

    async fn new_client(&mut self, target: NodeId, node: &Node) -> GrpcConnection {
        self.connect(target, &node.addr)
    }
}

impl Transport for GrpcTransport {
    async fn formats(&self, target: NodeId, node: &Node) -> Option<FormatsResponse> {
        self.connect(target, &node.addr).formats().await
    }
}

/// What is known of a call before its message is looked at.
#[derive(Clone, Copy)]
struct Kind {
    rpc: &'static str,
    /// `None` where there are none by nature.
    entries: Option<usize>,
    /// Whether it may take a while to arrive. To watch those that don't costs more than it tells.
    long: bool,
}

impl Kind {
    fn short(rpc: &'static str) -> Self {
        Self { rpc, entries: None, long: false }
    }
}

/// [`GrpcTransport`] towards one node. All of them share three HTTP/2 connections: one for what is
/// urgent, one for entries, one for snapshots.
pub struct GrpcConnection {
    shared: Arc<Shared>,
    peer: Arc<Peer>,
}

impl GrpcConnection {
    fn client(&self, lane: Lane, progress: Option<Progress>) -> Result<Client, Cause> {
        let channel = self.peer.channel(lane)?;
        Ok(TransportClient::new(Watched { channel, progress })
            // No answer carries much.
            .max_decoding_message_size(SHORT)
            .max_encoding_message_size(usize::MAX))
    }

    /// As long as the caller waits, less what it takes to tell it, and no longer than configured.
    fn limit(&self, option: &RPCOption) -> Duration {
        let ttl = option.hard_ttl();
        self.shared.config.rpc_timeout().min(ttl - ttl / 16)
    }

    /// Who judges answers, by now.
    fn asker(&self) -> Asker {
        Asker { me: self.shared.identity.node_id, terms: terms() }
    }

    /// Sends one message and waits for one: within `limit`, and if it is long, for as long as something
    /// moves within `limit`. An answer that `judge` doesn't let pass is none.
    async fn call<M: Message, T, F>(
        &self,
        Kind { rpc, entries, long }: Kind,
        message: M,
        limit: Duration,
        send: impl FnOnce(Client, tonic::Request<M>) -> F,
        judge: impl FnOnce(&T) -> Result<(), Implausible>,
    ) -> Result<T, CallError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let span = tracing::debug_span!(
            "rpc",
            peer = self.peer.id,
            kind = rpc,
            entries,
            bytes = Empty,
            elapsed_us = Empty,
            outcome = Empty,
        );
        if !span.is_disabled() {
            span.record("bytes", message.encoded_len());
        }
        let (started, since) = (Instant::now(), Stopwatch::start());
        let mut request = self.shared.identity.sign(self.peer.id, message);
        if long {
            request.metadata_mut().insert(LONG, AsciiMetadataValue::from_static("1"));
        }
        let place = self.peer.place(entries);
        let end = async {
            let progress = Progress::default();
            let watched = long.then(|| progress.clone());
            let answer = progress.wait(limit, send(self.client(place.lane, watched)?, request));
            match answer.await {
                Some(Ok(response)) => {
                    let answer = response.into_inner();
                    judge(&answer)?;
                    Ok(answer)
                }
                Some(Err(status)) => Err(Cause::of(status)),
                None => Err(Cause::TimedOut(limit)),
            }
        };
        let end = end.instrument(span.clone()).await;
        match &end {
            Ok(_) => {
                place.answered();
                if entries == Some(0) {
                    self.peer.meters.answered(since);
                }
            }
            Err(Cause::TimedOut(_)) if entries > Some(0) => self.peer.renew(place.lane),
            Err(_) => {}
        }
        span.record("elapsed_us", started.elapsed().as_micros() as u64);
        span.record("outcome", end.as_ref().err().map_or("ok", Cause::word));
        let sort = if entries > Some(0) { Sort::Entries } else { Sort::Short };
        span.in_scope(|| self.peer.note(rpc, sort, end))
    }

    /// Which formats the peer reads. Asked now and then, of peers that may be of any version or not
    /// there at all, so that it tells nothing of whether calls work.
    async fn formats(&self) -> Option<FormatsResponse> {
        let mut client = self.client(Lane::Liveness, None).ok()?;
        let request = self.shared.identity.sign(self.peer.id, FormatsRequest);
        let answer =
            tokio::time::timeout(self.shared.config.rpc_timeout(), client.formats(request));
        match answer.await.ok()?.map_err(Cause::of) {
            Ok(answer) => Some(answer.into_inner()),
            Err(Cause::Failed { code: Code::Unimplemented, .. }) => Some(FormatsResponse::OLDEST),
            Err(_) => None,
        }
    }

    /// What the peer knows of this node.
    pub(super) async fn standing(
        &self,
        request: StandingRequest,
        limit: Duration,
    ) -> Result<StandingResponse, CallError> {
        let send = async |mut client: Client, request| client.standing(request).await;
        // Whoever remembers nothing takes its leader's vote.
        let judge = |answer: &StandingResponse| {
            answer.leadership.map_or(Ok(()), |leadership| terms().judge(leadership.vote))
        };
        self.call(Kind::short("Standing"), request, limit, send, judge).await
    }

    /// Where the peer can't be reached, or takes no part yet, tries again: openraft wouldn't before
    /// the next election. To ask twice does no harm, as a vote is granted to the same candidate any
    /// number of times.
    async fn request_vote(
        &self,
        rpc: VoteRequest,
        limit: Duration,
    ) -> Result<VoteResponse, CallError> {
        let deadline = Instant::now() + limit;
        let mut pauses = pauses(Duration::from_millis(20), limit).take(VOTE_ATTEMPTS - 1);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let send = async |mut client: Client, request| client.vote(request).await;
            let judge = |answer: &VoteResponse| self.asker().vote(&rpc, answer);
            let end = self.call(Kind::short("Vote"), rpc.clone(), left, send, judge).await;
            let transient = end.as_ref().is_err_and(|error| error.cause.is_transient());
            match pauses.next() {
                Some(pause) if transient && Instant::now() + pause < deadline => {
                    tokio::time::sleep(pause).await;
                }
                _ => return end,
            }
        }
    }
}
