//! What operators ask for: of the leader, to give leadership away; of one node, how it is.

use std::future::Future;

use tokio::time::timeout;
use tonic::{Response, Status};

use super::attempt::words;
use super::{Client, ClientError, PATIENCE, Repeat, Stub, stub};
use crate::proto::client::{self as proto, snapshot_response::Outcome};

impl Client {
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

    /// Has the node at `address` build a snapshot of what it has applied, and waits for it. Asks it once; the error
    /// says why there is none.
    pub async fn snapshot(&self, address: &str) -> Result<proto::SnapshotBuilt, String> {
        let send = |mut stub: Stub| async move { stub.snapshot(proto::SnapshotRequest {}).await };
        match self.ask_one(address, send).await?.outcome {
            Some(Outcome::Built(built)) => Ok(built),
            Some(Outcome::Refused(refused)) => Err(refused.reason),
            None => Err("an outcome that isn't known here".to_owned()),
        }
    }

    /// How the node at `address` takes part in its partitions. Asks it once; the error says why there is no answer.
    pub async fn partitions(&self, address: &str) -> Result<Vec<proto::Partition>, String> {
        let send =
            |mut stub: Stub| async move { stub.partitions(proto::PartitionsRequest {}).await };
        self.ask_one(address, send).await.map(|answer| answer.partitions)
    }

    /// Whether the node at `address` lives, and is of use. Asks it once; the error says why there is no answer.
    pub async fn health(&self, address: &str) -> Result<proto::HealthResponse, String> {
        let send = |mut stub: Stub| async move { stub.health(proto::HealthRequest {}).await };
        self.ask_one(address, send).await
    }

    /// Asks that node, which must be one of those that were given, once.
    pub(super) async fn ask_one<A, F>(
        &self,
        address: &str,
        send: impl FnOnce(Stub) -> F,
    ) -> Result<A, String>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let shared = &*self.shared;
        let Some(node) = shared.nodes.iter().find(|node| node.address() == address) else {
            return Err(format!("{address} is none of this client's addresses"));
        };
        let limit = shared.timeout.min(PATIENCE);
        let connecting = timeout(limit, node.channel());
        let connected = connecting.await.map_err(|_| format!("silent for {limit:?}"))?;
        match timeout(shared.timeout, send(stub(connected?))).await {
            Ok(answer) => answer.map(Response::into_inner).map_err(|status| words(&status)),
            Err(_) => Err(format!("no answer within {:?}", shared.timeout)),
        }
    }
}
