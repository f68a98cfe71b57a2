//! What operators ask for: of the leader, who belongs to the cluster and who leads it; of one node, how it is.
//!
//! Guarantees: what is asked of the leader follows it, and is sent again only where it was certainly not done.
//! What is asked of one node, by one of the client's addresses, is sent to it once, and to no other: within a
//! second for the connection, and the client's timeout for the answer, there is one, or an error that says why not.

use std::future::Future;

use tokio::time::timeout;
use tonic::{Response, Status};

use super::connect::{Stub, stub};
use super::course::Repeat;
use super::error::{AskError, ClientError, Unanswered};
use super::{Client, PATIENCE, Shared};
use crate::proto::client::{self as proto, snapshot_response::Outcome};

impl Client {
    /// Makes a node a voter; returns the members.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub async fn add(&self, id: u64, address: &str) -> Result<Vec<proto::Member>, ClientError> {
        let send = |mut stub: Stub| {
            let request = proto::AddMemberRequest { id, address: address.to_owned() };
            async move { stub.add_member(request).await }
        };
        self.call(Repeat::IfNotDone, send).await.map(|membership| membership.members)
    }

    /// Makes a node a member no more; returns the members.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub async fn remove(&self, id: u64) -> Result<Vec<proto::Member>, ClientError> {
        let send = |mut stub: Stub| async move {
            stub.remove_member(proto::RemoveMemberRequest { id }).await
        };
        self.call(Repeat::IfNotDone, send).await.map(|membership| membership.members)
    }

    /// Makes node `to` the leader. It must be a voter; the leader waits for it while it catches up. If it leads
    /// already, nothing is done.
    ///
    /// # Errors
    /// See [`ClientError`]. An unknown outcome leaves no operation in doubt: see who leads.
    pub async fn transfer_leadership(&self, to: u64) -> Result<proto::Leader, ClientError> {
        let send = |mut stub: Stub| async move {
            stub.transfer_leadership(proto::TransferLeadershipRequest { to }).await
        };
        self.call(Repeat::IfNotDone, send).await
    }

    /// How the node at `address` is by its own account. Asks it once.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn status(&self, address: &str) -> Result<proto::StatusResponse, AskError> {
        let request = proto::StatusRequest { digest: true };
        self.ask_one(address, |mut stub| async move { stub.status(request).await }).await
    }

    /// Has the node at `address` build a snapshot of what it has applied, and waits for it. Asks it once.
    ///
    /// # Errors
    /// See [`AskError`]. The node may go on building all the same.
    pub async fn snapshot(&self, address: &str) -> Result<proto::SnapshotBuilt, AskError> {
        let send = |mut stub: Stub| async move { stub.snapshot(proto::SnapshotRequest {}).await };
        let why = match self.ask_one(address, send).await?.outcome {
            Some(Outcome::Built(built)) => return Ok(built),
            Some(Outcome::Refused(proto::Refused { reason, later })) => {
                Unanswered::Refused { reason, later }
            }
            None => Unanswered::Garbled,
        };
        Err(AskError { address: address.to_owned(), why })
    }

    /// How the node at `address` takes part in its partitions. Asks it once.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn partitions(&self, address: &str) -> Result<Vec<proto::Partition>, AskError> {
        let send =
            |mut stub: Stub| async move { stub.partitions(proto::PartitionsRequest {}).await };
        self.ask_one(address, send).await.map(|answer| answer.partitions)
    }

    /// Whether the node at `address` lives, and is of use. Asks it once.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn health(&self, address: &str) -> Result<proto::HealthResponse, AskError> {
        let send = |mut stub: Stub| async move { stub.health(proto::HealthRequest {}).await };
        self.ask_one(address, send).await
    }

    /// Asks that node once.
    async fn ask_one<A, F>(
        &self,
        address: &str,
        send: impl FnOnce(Stub) -> F,
    ) -> Result<A, AskError>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let answer = self.shared.ask_one(address, send).await;
        answer.map_err(|why| AskError { address: address.to_owned(), why })
    }
}

impl Shared {
    async fn ask_one<A, F>(
        &self,
        address: &str,
        send: impl FnOnce(Stub) -> F,
    ) -> Result<A, Unanswered>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let node = self.nodes.iter().find(|node| node.address() == address);
        let node = node.ok_or(Unanswered::Stranger)?;
        let waited = self.timeout.min(PATIENCE);
        let connected = timeout(waited, node.channel()).await;
        let channel = connected.map_err(|_| Unanswered::Silent { waited })?;
        let answer = send(stub(channel.map_err(Unanswered::Unconnected)?));
        let answered = timeout(self.timeout, answer).await;
        let answer = answered.map_err(|_| Unanswered::TooLate { waited: self.timeout })?;
        answer.map(Response::into_inner).map_err(|status| Unanswered::Failed(Box::new(status)))
    }
}
