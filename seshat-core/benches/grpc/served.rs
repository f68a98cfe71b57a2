//! Nodes behind the gRPC transport.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::storage::{RaftSnapshotBuilder, RaftStateMachine};
use seshat_core::config::NodeConfig;
use seshat_core::machine::MachineReader;
use seshat_core::network::grpc::{Clients, GrpcServer, GrpcTransport};
use seshat_core::node::RaftNode;
use seshat_core::operation::{Batch, Operation};
use seshat_core::service::Service;
use seshat_core::snapshot::SnapshotData;
use seshat_core::storage::{MemStorage, Storage};
use seshat_core::types::{Entry, EntryPayload, LeaderId, LogId, Node, Snapshot, Vote};
use tokio::io::{AsyncBufRead, Lines};
use tokio::net::TcpListener;

use super::common::data::{key, value};
use super::common::disk;
use super::load::{Load, drive};
use super::process::{MEMORY, Process, addresses};

const PATIENCE: Duration = Duration::from_secs(20);

/// Runs one node; each line is a load to put on it.
pub(crate) async fn node(
    id: u64,
    clients: &str,
    kept: Option<&Path>,
    addresses: &[String],
    lines: Lines<impl AsyncBufRead + Unpin>,
) {
    match kept {
        None => serve(id, clients, MemStorage::new(), addresses, lines).await,
        Some(dir) => serve(id, clients, disk::open(dir, id), addresses, lines).await,
    }
}

async fn serve<S: Storage<Reader = MachineReader>>(
    id: u64,
    clients: &str,
    storage: S,
    addresses: &[String],
    mut lines: Lines<impl AsyncBufRead + Unpin>,
) {
    let builder = NodeConfig::builder(id);
    let builder = if addresses.len() == 1 { builder.single_node() } else { builder };
    let members = (1..).zip(addresses);
    let config = members.fold(builder, |config, (id, address)| config.member(id, address));
    let config = config.build().unwrap();
    let listener = TcpListener::bind(&addresses[id as usize - 1]).await.unwrap();
    let transport = GrpcTransport::new(&config).unwrap();
    let node = RaftNode::start(config, storage, transport.clone()).await.unwrap();
    let clients = Clients {
        listener: TcpListener::bind(clients).await.unwrap(),
        routes: tonic::service::Routes::new(Service::new(node.clone()).server()),
    };
    let server = GrpcServer::start(&node, &transport, listener, Some(clients)).await.unwrap();
    server.admit().await.unwrap();
    println!("{}", node.wait_for_leader(PATIENCE).await.unwrap());
    while let Some(line) = lines.next_line().await.unwrap() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [clients, value_len, seconds] = words[..] else { panic!("no load: {line:?}") };
        let load = Load {
            seconds: seconds.parse().unwrap(),
            ..Load::new("", 3, clients.parse().unwrap())
        };
        let value = Bytes::from(vec![7; value_len.parse().unwrap()]);
        let keys: Vec<Bytes> = (0..load.keys).map(|n| Bytes::from(key(n))).collect();
        // A large state is no part of what is measured.
        let keys = if value.len() > 1024 { keys[..64].to_vec() } else { keys };
        let writer = node.clone();
        let outcome = drive(&load, move |at, _| {
            let (node, value) = (writer.clone(), value.clone());
            let key = keys[at as usize % keys.len()].clone();
            async move { drop(node.set(key, value).await.unwrap()) }
        });
        println!("{}", outcome.await.to_line());
    }
}

/// A snapshot's way, in bytes and seconds.
pub(crate) struct Transfer {
    pub(crate) bytes: f64,
    pub(crate) sent_and_installed: f64,
    pub(crate) installed: f64,
}

/// Sends a snapshot of `count` keys to a process that knows nothing, then installs it here.
pub(crate) async fn snapshot(count: u64) -> Transfer {
    let addresses = addresses(2).await;
    let mut process = Process::start(&["node", "1", &addresses[1], MEMORY, &addresses[0]]).await;
    process.hear().await;
    let config = NodeConfig::builder(9).member(9, "127.0.0.1:9").single_node().build().unwrap();
    let limits = *config.limits();
    let mut transport = GrpcTransport::new(&config).unwrap();

    let (_, mut machine, _) = MemStorage::new().into_parts();
    let value = Bytes::from(value(1));
    let last = (count - 1) / 1000;
    for index in 0..=last {
        let keys = index * 1000..count.min(index * 1000 + 1000);
        let sets = keys.map(|n| Operation::set(key(n), value.clone(), &limits).unwrap());
        let payload = EntryPayload::Normal(Batch::new(sets.collect::<Vec<_>>()));
        let log_id = LogId::new(LeaderId::new(99, 9), index);
        machine.apply([Entry { log_id, payload }]).await.unwrap();
    }
    let snapshot = machine.get_snapshot_builder().await.build_snapshot().await.unwrap();
    let bytes = snapshot.snapshot.len() as f64;
    let (meta, data) = (snapshot.meta.clone(), snapshot.snapshot.into_bytes().unwrap());
    let handle = || Box::new(SnapshotData::from(data.clone()));
    let snapshot = Snapshot { meta: meta.clone(), snapshot: handle() };

    let mut connection = transport.new_client(1, &Node::new(&addresses[0])).await;
    let vote = Vote { leader_id: LeaderId::new(99, 9), committed: true };
    let started = Instant::now();
    let option = RPCOption::new(PATIENCE);
    let never = std::future::pending();
    connection.full_snapshot(vote, snapshot, never, option).await.unwrap();
    let sent_and_installed = started.elapsed().as_secs_f64();

    let (_, mut fresh, _) = MemStorage::new().into_parts();
    let started = Instant::now();
    fresh.install_snapshot(&meta, handle()).await.unwrap();
    Transfer { bytes, sent_and_installed, installed: started.elapsed().as_secs_f64() }
}
