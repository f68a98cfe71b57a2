//! Clients in a process of their own, a call for each operation.

use seshat_core::node::RaftNode;
use seshat_core::operation::Operation;
use seshat_core::proto::client::client_client::ClientClient;
use seshat_core::proto::client::client_server::{Client, ClientServer};
use seshat_core::proto::client::propose_response::Outcome;
use seshat_core::proto::client::{
    AddMemberRequest, BackupPart, BackupRequest, ChangeResponse, HealthRequest, HealthResponse,
    PartitionsRequest, PartitionsResponse, ProposeRequest, ProposeResponse, ReadRequest,
    ReadResponse, RemoveMemberRequest, SnapshotRequest, SnapshotResponse, StatusRequest,
    StatusResponse, TransferLeadershipRequest, TransferLeadershipResponse,
};
use seshat_core::proto::v1::{self, operation::Kind};
use tonic::transport::Endpoint;
use tonic::{Request, Response, Status};

use super::common::data::{key, value};
use super::load::{self, Load, drive};

/// Proposes, and nothing else.
pub(crate) struct Proposer(pub(crate) RaftNode);

impl Proposer {
    pub(crate) fn server(self) -> ClientServer<Self> {
        ClientServer::new(self)
    }
}

fn no<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("a benchmark"))
}

#[tonic::async_trait]
impl Client for Proposer {
    async fn propose(
        &self,
        request: Request<ProposeRequest>,
    ) -> Result<Response<ProposeResponse>, Status> {
        let kind = request.into_inner().operation.and_then(|operation| operation.kind);
        let Some(Kind::Set(v1::SetOperation { key, value, get: false })) = kind else {
            return no();
        };
        let operation = Operation::set(key, value, self.0.limits()).unwrap();
        let response = self.0.propose(operation).await.unwrap();
        let outcome = Some(Outcome::Response(v1::Response::from(&response)));
        Ok(Response::new(ProposeResponse { outcome }))
    }

    async fn read(&self, _: Request<ReadRequest>) -> Result<Response<ReadResponse>, Status> {
        no()
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        no()
    }

    async fn add_member(
        &self,
        _: Request<AddMemberRequest>,
    ) -> Result<Response<ChangeResponse>, Status> {
        no()
    }

    async fn remove_member(
        &self,
        _: Request<RemoveMemberRequest>,
    ) -> Result<Response<ChangeResponse>, Status> {
        no()
    }

    async fn transfer_leadership(
        &self,
        _: Request<TransferLeadershipRequest>,
    ) -> Result<Response<TransferLeadershipResponse>, Status> {
        no()
    }

    async fn snapshot(
        &self,
        _: Request<SnapshotRequest>,
    ) -> Result<Response<SnapshotResponse>, Status> {
        no()
    }

    async fn partitions(
        &self,
        _: Request<PartitionsRequest>,
    ) -> Result<Response<PartitionsResponse>, Status> {
        no()
    }

    async fn health(&self, _: Request<HealthRequest>) -> Result<Response<HealthResponse>, Status> {
        no()
    }

    type BackupStream = tokio_stream::Empty<Result<BackupPart, Status>>;

    async fn backup(
        &self,
        _: Request<BackupRequest>,
    ) -> Result<Response<Self::BackupStream>, Status> {
        no()
    }
}

/// Closed loops of clients in this process, towards the leader at `address`.
pub(crate) async fn load(address: &str, clients: usize, seconds: f64) -> load::Outcome {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap().tcp_nodelay(true);
    let stub = ClientClient::new(endpoint.connect().await.unwrap());
    let value = bytes::Bytes::from(value(1));
    let load = Load { seconds, ..Load::new("", 3, clients) };
    drive(&load, move |at, _| {
        let (mut stub, value) = (stub.clone(), value.clone());
        async move {
            let kind = Kind::Set(v1::SetOperation { key: key(at).into(), value, get: false });
            let operation = Some(v1::Operation { kind: Some(kind) });
            stub.propose(ProposeRequest { operation }).await.unwrap();
        }
    })
    .await
}
