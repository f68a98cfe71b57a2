//! The `Client` service: what clients ask, put to the node.
//!
//! Guarantees: an answer says whether what was asked for was done, was not, or may have been; where
//! the node can't be certain, it may have been. What comes while the node shuts down is answered at
//! once, and not done. A client does what its [`Role`] allows, and is told by name what it lacks.
//!
//! ```no_run
//! # use seshat_core::network::grpc::{Clients, GrpcServer, GrpcTransport, ServeError};
//! # use seshat_core::node::RaftNode;
//! # async fn serve(
//! #     node: RaftNode,
//! #     transport: GrpcTransport,
//! #     [peers, listener]: [tokio::net::TcpListener; 2],
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! use seshat_core::service::Service;
//! use tonic::service::Routes;
//!
//! let service = Service::new(node.clone());
//! let clients = Clients { listener, routes: Routes::new(service.server()) };
//! let server = GrpcServer::start(&node, &transport, peers, Some(clients)).await?;
//! server.admit().await?;
//! service.admitted();
//! // It serves; and when it is to end:
//! service.close().await;
//! node.shutdown().await;
//! server.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod admin;
mod answer;
mod backup;
mod exchange;
mod reads;

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::network::grpc::{NotAllowed, Role};
use crate::node::RaftNode;
use crate::operation::{Condition, Limits, Operation, SetOptions};
use crate::proto::client::client_server::{Client, ClientServer};
use crate::proto::client::{
    self as proto, change_response, propose_response, read_response, snapshot_response,
    transfer_leadership_response,
};
use crate::proto::v1::{self, operation::Kind};
use crate::types::{NodeId, RaftMetrics};
use openraft::ServerState;
use tokio::sync::{RwLock, RwLockReadGuard, Semaphore, watch};
use tonic::{Request, Response, Status, Streaming};

use self::answer::{Not, leader, members};
use self::backup::{Backups, Parts};
use self::exchange::Packs;

/// The service of one node. Clones are the same one.
#[derive(Clone)]
pub struct Service {
    node: RaftNode,
    admitted: Arc<AtomicBool>,
    backups: Backups,
    /// Read by whatever may change something, until it is answered; written to, for good, before the
    /// node stops. So what was let in is answered by a node that runs, and what comes later
    /// certainly does nothing.
    open: Arc<RwLock<()>>,
    /// Whether that was begun.
    closing: watch::Sender<bool>,
    /// How many operations that ask for a value may be under way on all streams, or have answers that find no
    /// room, beside those that each stream may have: as many as find a place in the queue.
    previous: Arc<Semaphore>,
}

impl Service {
    /// What `node` serves to clients. Until it is [`admitted`](Self::admitted) its status says that it applies.
    pub fn new(node: RaftNode) -> Self {
        let config = node.config();
        let previous = config.batch().queue_bytes / config.limits().max_value_bytes.max(1);
        let previous = Arc::new(Semaphore::new(previous.min(Semaphore::MAX_PERMITS)));
        Self {
            node,
            previous,
            admitted: Arc::default(),
            backups: Backups::default(),
            open: Arc::default(),
            closing: watch::Sender::new(false),
        }
    }

    /// The same, for a server's routes: takes messages up to the node's
    /// [`max_message_bytes`](crate::config::NodeConfig::max_message_bytes).
    pub fn server(&self) -> ClientServer<Self> {
        let limit = self.node.config().max_message_bytes();
        ClientServer::new(self.clone()).max_decoding_message_size(limit)
    }

    /// The node takes part from now on.
    pub fn admitted(&self) {
        self.admitted.store(true, Ordering::Relaxed);
    }

    /// Lets nothing in that would change anything, from now on. Returns when all that was let in is
    /// answered, or has had the time that it may take ([`NodeConfig::propose_timeout`]). Call it before the node is
    /// shut down; to cancel it leaves the door closed.
    ///
    /// [`NodeConfig::propose_timeout`]: crate::config::NodeConfig::propose_timeout
    pub async fn close(&self) {
        self.closing.send_replace(true);
        let open = Arc::clone(&self.open);
        // In a task of its own, as the door must stay closed when patience ends.
        let closing = tokio::spawn(async move { std::mem::forget(open.write_owned().await) });
        let patience = self.node.config().propose_timeout();
        let answered = tokio::time::timeout(patience, closing).await.is_ok();
        tracing::debug!(answered, "clients are let in no more");
    }

    fn enter(&self) -> Result<RwLockReadGuard<'_, ()>, Not> {
        self.open.try_read().map_err(|_| {
            let successor = leader(&self.metrics()).filter(|leader| leader.id != self.node.id());
            match successor {
                Some(leader) => Not::Leader(proto::NotLeader { leader: Some(leader) }),
                None => Not::now(format!("node {} is shutting down", self.node.id())),
            }
        })
    }

    async fn propose(&self, proposed: Option<v1::Operation>) -> Result<v1::Response, Not> {
        let _inside = self.enter()?;
        let Some(kind) = proposed.and_then(|operation| operation.kind) else {
            return Err(Not::ever("no operation, or one that this node doesn't know"));
        };
        let response = self.node.propose(checked(kind, self.node.limits())?).await?;
        Ok(v1::Response::from(&response))
    }

    /// Any step may be done already: whoever asks again goes on from there.
    async fn add(&self, id: NodeId, address: String) -> Result<proto::Membership, Not> {
        let _inside = self.enter()?;
        let metrics = self.metrics();
        let membership = metrics.membership_config.membership();
        if let Some(node) = membership.get_node(&id).filter(|node| node.addr != address) {
            let at = &node.addr;
            let words = format!("node {id} is a member already, at {at}: remove it first");
            return Err(Not::ever(words));
        }
        if !membership.voter_ids().any(|voter| voter == id) {
            self.node.add_learner(id, address).await?;
            self.node.add_voters([id].into()).await?;
        }
        Ok(self.membership())
    }

    async fn remove(&self, id: NodeId) -> Result<proto::Membership, Not> {
        let _inside = self.enter()?;
        let metrics = self.metrics();
        let membership = metrics.membership_config.membership();
        // Others than the leader may have heard of it late.
        if metrics.state.is_leader() && membership.get_node(&id).is_none() {
            let ids: Vec<String> = membership.nodes().map(|(id, _)| id.to_string()).collect();
            let words = format!("node {id} is not a member: nodes {} are", ids.join(", "));
            return Err(Not::ever(words));
        }
        self.node.remove_voters([id].into(), false).await?;
        Ok(self.membership())
    }

    fn membership(&self) -> proto::Membership {
        proto::Membership { members: members(&self.metrics()) }
    }

    fn metrics(&self) -> RaftMetrics {
        self.node.metrics().borrow().clone()
    }

    fn role(&self, state: ServerState) -> proto::Role {
        match state {
            ServerState::Shutdown => proto::Role::Stopped,
            _ if !self.admitted.load(Ordering::Relaxed) => proto::Role::Applicant,
            ServerState::Learner => proto::Role::Learner,
            ServerState::Follower => proto::Role::Follower,
            ServerState::Candidate => proto::Role::Candidate,
            ServerState::Leader => proto::Role::Leader,
        }
    }

    async fn status(&self, with_digest: bool) -> Result<proto::StatusResponse, Status> {
        let reader = self.node.reader();
        let digest = match with_digest {
            // Reads every key, so whoever asks shares it.
            true => Some(reader.shared_digest().await),
            false => None,
        };
        let digest = digest.transpose().map_err(|error| Status::internal(error.to_string()))?;
        let size = reader.size();
        // A node that stopped can't tell, and one that panicked reports as before.
        let committed = self.node.raft().with_raft_state(|state| state.committed).await;
        let metrics = self.metrics();
        let role = committed.as_ref().map_or(proto::Role::Stopped, |_| self.role(metrics.state));
        Ok(proto::StatusResponse {
            id: self.node.id(),
            role: role.into(),
            leader: leader(&metrics),
            term: metrics.current_term,
            last_applied: metrics.last_applied.map(|last| last.index),
            committed: committed.ok().flatten().map(|last| last.index),
            members: members(&metrics),
            keys: size.keys,
            bytes: size.bytes,
            digest: digest.map(|digest| digest.to_be_bytes().to_vec().into()),
        })
    }
}

/// By way of the constructors, which know the limits; the codec knows what is well formed, no more.
fn checked(kind: Kind, limits: &Limits) -> Result<Operation, Not> {
    Ok(match kind {
        Kind::Set(v1::SetOperation { key, value, get, condition }) => {
            let condition = match v1::SetCondition::try_from(condition) {
                Ok(v1::SetCondition::Unspecified) => None,
                Ok(v1::SetCondition::Absent) => Some(Condition::Absent),
                Ok(v1::SetCondition::Present) => Some(Condition::Present),
                Err(_) => return Err(Not::ever("a condition that this node doesn't know")),
            };
            Operation::set_with(key, value, SetOptions { condition, get }, limits)?
        }
        Kind::Del(v1::DelOperation { keys }) => Operation::del(keys, limits)?,
    })
}

/// What was sent, if whoever sent it may do `what`.
fn allowed<T>(request: Request<T>, role: Role, what: &'static str) -> Result<T, NotAllowed> {
    role.require(&request, what)?;
    Ok(request.into_inner())
}

fn read_answer(end: Result<proto::Value, Not>) -> proto::ReadResponse {
    let outcome = end.map_or_else(Into::into, read_response::Outcome::Value);
    proto::ReadResponse { outcome: Some(outcome) }
}

fn changed(end: Result<proto::Membership, Not>) -> Response<proto::ChangeResponse> {
    let outcome = end.map_or_else(Into::into, change_response::Outcome::Membership);
    Response::new(proto::ChangeResponse { outcome: Some(outcome) })
}

#[tonic::async_trait]
impl Client for Service {
    async fn propose(
        &self,
        request: Request<proto::ProposeRequest>,
    ) -> Result<Response<proto::ProposeResponse>, Status> {
        let end = async { self.propose(allowed(request, Role::Write, "propose")?.operation).await };
        let outcome = end.await.map_or_else(Into::into, propose_response::Outcome::Response);
        Ok(Response::new(proto::ProposeResponse { outcome: Some(outcome) }))
    }

    async fn read(
        &self,
        request: Request<proto::ReadRequest>,
    ) -> Result<Response<proto::ReadResponse>, Status> {
        let end = async { self.read(allowed(request, Role::Read, "read")?, ready(())).await };
        Ok(Response::new(read_answer(end.await.map(|(value, ())| value))))
    }

    async fn get_many(
        &self,
        request: Request<proto::GetManyRequest>,
    ) -> Result<Response<proto::GetManyResponse>, Status> {
        let end = async { self.get_many(allowed(request, Role::Read, "read")?, ready(())).await };
        Ok(Response::new(end.await.map(|(read, ())| read).into()))
    }

    async fn scan(
        &self,
        request: Request<proto::ScanRequest>,
    ) -> Result<Response<proto::ScanResponse>, Status> {
        let end = async { self.scan(allowed(request, Role::Read, "read")?, ready(())).await };
        Ok(Response::new(end.await.map(|(read, ())| read).into()))
    }

    type ExchangeStream = Packs;

    async fn exchange(
        &self,
        request: Request<Streaming<proto::Requests>>,
    ) -> Result<Response<Packs>, Status> {
        Ok(Response::new(exchange::begin(self.clone(), request)))
    }

    async fn status(
        &self,
        request: Request<proto::StatusRequest>,
    ) -> Result<Response<proto::StatusResponse>, Status> {
        let request = allowed(request, Role::Read, "ask for the status")?;
        self.status(request.digest).await.map(Response::new)
    }

    async fn add_member(
        &self,
        request: Request<proto::AddMemberRequest>,
    ) -> Result<Response<proto::ChangeResponse>, Status> {
        let end = async {
            let request = allowed(request, Role::Admin, "add a member")?;
            self.add(request.id, request.address).await
        };
        Ok(changed(end.await))
    }

    async fn remove_member(
        &self,
        request: Request<proto::RemoveMemberRequest>,
    ) -> Result<Response<proto::ChangeResponse>, Status> {
        let end = async { self.remove(allowed(request, Role::Admin, "remove a member")?.id).await };
        Ok(changed(end.await))
    }

    type BackupStream = Parts;

    async fn backup(
        &self,
        request: Request<proto::BackupRequest>,
    ) -> Result<Response<Parts>, Status> {
        // All keys at once, at the cost of a snapshot: more than a reader's.
        let parts = match allowed(request, Role::Admin, "back up") {
            Ok(request) => self.backups.begin(self.node.clone(), request.local),
            Err(error) => Backups::refused(error.into()),
        };
        Ok(Response::new(parts))
    }

    async fn transfer_leadership(
        &self,
        request: Request<proto::TransferLeadershipRequest>,
    ) -> Result<Response<proto::TransferLeadershipResponse>, Status> {
        let end = async {
            let request = allowed(request, Role::Admin, "transfer leadership")?;
            self.transfer(request.to).await
        };
        let outcome =
            end.await.map_or_else(Into::into, transfer_leadership_response::Outcome::Leader);
        Ok(Response::new(proto::TransferLeadershipResponse { outcome: Some(outcome) }))
    }

    async fn snapshot(
        &self,
        request: Request<proto::SnapshotRequest>,
    ) -> Result<Response<proto::SnapshotResponse>, Status> {
        let end = async {
            allowed(request, Role::Admin, "ask for a snapshot")?;
            self.build_snapshot().await
        };
        let outcome = end.await.map_or_else(Into::into, snapshot_response::Outcome::Built);
        Ok(Response::new(proto::SnapshotResponse { outcome: Some(outcome) }))
    }

    async fn partitions(
        &self,
        request: Request<proto::PartitionsRequest>,
    ) -> Result<Response<proto::PartitionsResponse>, Status> {
        allowed(request, Role::Read, "ask for the partitions")?;
        let partitions = vec![self.partition().await];
        Ok(Response::new(proto::PartitionsResponse { partitions }))
    }

    async fn health(
        &self,
        request: Request<proto::HealthRequest>,
    ) -> Result<Response<proto::HealthResponse>, Status> {
        allowed(request, Role::Read, "ask for the health")?;
        Ok(Response::new(self.health().await))
    }
}
