//! The services that tools know: health, and reflection.

use seshat_core::proto::v1;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::host::{Host, Ports};
use crate::raw::{channel, signed, unary};

async fn health(address: &str) -> [ServingStatus; 2] {
    let mut client = HealthClient::new(channel(address));
    let mut statuses = Vec::new();
    for service in ["", "seshat.v1.Transport"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        statuses.push(client.check(request).await.unwrap().into_inner().status());
    }
    statuses.try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_follows_admission() {
    let mut ports = Ports::of(1).await;
    let config = ports.config(1).single_node().build().unwrap();
    let listener = ports.listener(1);
    let (host, address) = Host::with_clients(config, listener, Default::default()).await;
    assert_eq!(health(&address).await, [ServingStatus::NotServing; 2]);
    host.admit().await.unwrap();
    assert_eq!(health(&address).await, [ServingStatus::Serving; 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reflection_lists_the_services() {
    let mut ports = Ports::of(1).await;
    let config = ports.config(1).single_node().build().unwrap();
    let listener = ports.listener(1);
    let (_host, address) = Host::with_clients(config, listener, Default::default()).await;
    let mut client = ServerReflectionClient::new(channel(address));
    let list = MessageRequest::ListServices(String::new());
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(list) };
    let answers = client.server_reflection_info(tokio_stream::iter([request])).await.unwrap();
    let answer = answers.into_inner().message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("another answer: {answer:?}")
    };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    for name in ["seshat.v1.Transport", "grpc.health.v1.Health"] {
        assert!(names.contains(&name), "{names:?} lacks {name}");
    }
}

/// What one listener serves, the other doesn't know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_and_clients_are_served_apart() {
    let mut ports = Ports::of(1).await;
    let config = ports.config(1).single_node().build().unwrap();
    let listener = ports.listener(1);
    let (host, address) = Host::with_clients(config, listener, Default::default()).await;
    host.admit().await.unwrap();
    let check = HealthCheckRequest::default();
    let refused = HealthClient::new(channel(ports.address(1))).check(check).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented, "{refused}");
    let asked = v1::StandingRequest { node_id: 9, incarnation: 0, ..Default::default() };
    let asked = || signed("seshat", 1, asked);
    let refused = unary::<_, v1::StandingResponse>(channel(&address), "Standing", asked()).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unimplemented);
    unary::<_, v1::StandingResponse>(channel(ports.address(1)), "Standing", asked()).await.unwrap();
}
