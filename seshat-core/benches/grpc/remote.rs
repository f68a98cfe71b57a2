//! Clients in a process of their own.

use std::time::Duration;

use seshat_core::client::Client;
use seshat_core::proto::client::ProposeRequest;
use seshat_core::proto::client::client_client::ClientClient;
use seshat_core::proto::v1::{self, operation::Kind};
use tonic::transport::Endpoint;

use super::common::data::{key, value};
use super::load::{self, Load, drive};

/// How operations travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// A call for each.
    Each,
    /// By one client of the library, which packs them.
    Packed,
}

/// Closed loops of clients in this process, towards the leader at `address`.
pub(crate) async fn load(address: &str, way: Way, clients: usize, seconds: f64) -> load::Outcome {
    match way {
        Way::Each => each(address, clients, seconds).await,
        Way::Packed => packed(address, clients, seconds).await,
    }
}

async fn packed(address: &str, clients: usize, seconds: f64) -> load::Outcome {
    let client = Client::new(vec![address.to_owned()], None, Duration::from_secs(10)).unwrap();
    let value = bytes::Bytes::from(value(1));
    let load = Load { seconds, ..Load::new("", 3, clients) };
    drive(&load, move |at, _| {
        let (client, value) = (client.clone(), value.clone());
        async move { client.set(key(at), value).await.unwrap() }
    })
    .await
}

async fn each(address: &str, clients: usize, seconds: f64) -> load::Outcome {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap().tcp_nodelay(true);
    let stub = ClientClient::new(endpoint.connect().await.unwrap());
    let value = bytes::Bytes::from(value(1));
    let load = Load { seconds, ..Load::new("", 3, clients) };
    drive(&load, move |at, _| {
        let (mut stub, value) = (stub.clone(), value.clone());
        async move {
            let kind =
                Kind::Set(v1::SetOperation { key: key(at).into(), value, ..Default::default() });
            let operation = Some(v1::Operation { kind: Some(kind) });
            stub.propose(ProposeRequest { operation }).await.unwrap();
        }
    })
    .await
}
