//! The services that tools know: health, and reflection.

use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::host::{Host, Ports};
use crate::raw::channel;

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
    let host = Host::start(config, ports.listener(1)).await;
    assert_eq!(health(ports.address(1)).await, [ServingStatus::NotServing; 2]);
    host.admit().await.unwrap();
    assert_eq!(health(ports.address(1)).await, [ServingStatus::Serving; 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reflection_lists_the_services() {
    let mut ports = Ports::of(1).await;
    let config = ports.config(1).single_node().build().unwrap();
    let _host = Host::start(config, ports.listener(1)).await;
    let mut client = ServerReflectionClient::new(channel(ports.address(1)));
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
