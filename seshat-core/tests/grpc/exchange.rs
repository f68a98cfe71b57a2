//! What one node says is what the other hears, field by field, in both directions.

use std::sync::Arc;
use std::time::Duration;

use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use seshat_core::codec::Message;
use seshat_core::config::{GrpcConfig, NodeConfig};
use seshat_core::network::grpc::{GrpcConnection, GrpcTransport};
use seshat_core::operation::{Batch, Limits, Operation};
use seshat_core::proto::v1;
use seshat_core::snapshot::SnapshotData;
use seshat_core::types::{
    AppendEntriesRequest, AppendEntriesResponse, Entry, EntryPayload, LeaderId, LogId, Membership,
    Node, Snapshot, SnapshotMeta, StoredMembership, Vote, VoteRequest,
};
use twox_hash::XxHash3_64;

use crate::raw::{Asked, Recorder};

const OPTION: Duration = Duration::from_secs(5);

fn id(term: u64, node: u64, index: u64) -> LogId {
    LogId::new(LeaderId::new(term, node), index)
}

fn proto_id(term: u64, node_id: u64, index: u64) -> v1::LogId {
    v1::LogId { term, node_id, index }
}

fn proto_vote(term: u64, node_id: u64, committed: bool) -> v1::Vote {
    v1::Vote { term, node_id, committed }
}

fn vote(term: u64, node: u64, committed: bool) -> Vote {
    Vote { leader_id: LeaderId::new(term, node), committed }
}

fn membership() -> Membership {
    let nodes = [(1, Node::new("a:1")), (2, Node::new("b:2")), (3, Node::new("c:3"))];
    Membership::new(vec![[1, 2].into()], std::collections::BTreeMap::from(nodes))
}

fn recorder() -> Recorder {
    let matching = Some(proto_id(3, 1, 41));
    let partial =
        v1::append_entries_response::Result::PartialSuccess(v1::AppendPartialSuccess { matching });
    Recorder {
        append: v1::AppendEntriesResponse { result: Some(partial) },
        vote: v1::VoteResponse {
            vote: Some(proto_vote(8, 2, false)),
            vote_granted: true,
            last_log_id: Some(proto_id(7, 3, 0)),
        },
        snapshot: v1::FullSnapshotResponse { vote: Some(proto_vote(9, 2, true)) },
        installs: None,
        asked: Arc::default(),
    }
}

/// Node 1 of cluster "exchange", towards node 2 at `address`.
async fn connection(address: &str) -> GrpcConnection {
    let grpc = GrpcConfig { snapshot_chunk_bytes: 1000, ..GrpcConfig::default() };
    // A short snapshot needs no heartbeat beside it.
    let config = NodeConfig::builder(1)
        .cluster_name("exchange ψ")
        .grpc(grpc)
        .heartbeat_interval(Duration::from_secs(10))
        .election_timeout_min(Duration::from_secs(20))
        .election_timeout_max(Duration::from_secs(30));
    let config = config.member(1, "127.0.0.1").single_node().build().unwrap();
    let mut transport = GrpcTransport::new(&config).unwrap();
    // A name is looked up when it is used.
    let address = address.replace("127.0.0.1", "localhost");
    transport.new_client(2, &Node::new(address)).await
}

/// The one call that was recorded, for the right node of the right cluster.
fn only(recorder: &Recorder) -> Asked {
    let asked = recorder.asked.lock().unwrap();
    let [(metadata, asked)] = &asked[..] else { panic!("one call, not {asked:?}") };
    let cluster = metadata.get_bin("seshat-cluster-bin").unwrap().to_bytes().unwrap();
    assert_eq!(cluster, "exchange ψ".as_bytes());
    assert_eq!(metadata.get("seshat-target").unwrap(), "2");
    assert_eq!(metadata.get("seshat-from").unwrap(), "1");
    asked.clone()
}

#[tokio::test]
async fn append_entries() {
    let recorder = recorder();
    let mut connection = connection(&recorder.serve().await).await;
    let set = Operation::set("key", "value", &Limits::default()).unwrap();
    let entries = vec![
        Entry { log_id: id(3, 1, 41), payload: EntryPayload::Blank },
        Entry { log_id: id(3, 1, 42), payload: EntryPayload::Normal(Batch::new([set])) },
        Entry { log_id: id(3, 1, 43), payload: EntryPayload::Membership(membership()) },
    ];
    let request = AppendEntriesRequest {
        vote: vote(3, 1, true),
        prev_log_id: Some(id(2, 3, 40)),
        entries: entries.clone(),
        leader_commit: Some(id(2, 3, 39)),
    };
    let answer = connection.append_entries(request, RPCOption::new(OPTION)).await.unwrap();
    let Asked::AppendEntries(heard) = only(&recorder) else { panic!("another call") };
    assert_eq!(heard.vote, Some(proto_vote(3, 1, true)));
    assert_eq!(heard.prev_log_id, Some(proto_id(2, 3, 40)));
    assert_eq!(heard.leader_commit, Some(proto_id(2, 3, 39)));
    let bytes = |entry: &v1::Entry| Entry::decode(prost::Message::encode_to_vec(entry).into());
    let heard: Vec<Entry> = heard.entries.iter().map(|entry| bytes(entry).unwrap()).collect();
    assert_eq!(heard, entries);
    assert_eq!(answer, AppendEntriesResponse::PartialSuccess(Some(id(3, 1, 41))));
}

#[tokio::test]
async fn request_vote() {
    let recorder = recorder();
    let mut connection = connection(&recorder.serve().await).await;
    let request = VoteRequest::new(vote(8, 1, false), Some(id(7, 2, u64::MAX - 1)));
    let answer = connection.vote(request, RPCOption::new(OPTION)).await.unwrap();
    let Asked::Vote(heard) = only(&recorder) else { panic!("another call") };
    assert_eq!(heard.vote, Some(proto_vote(8, 1, false)));
    assert_eq!(heard.last_log_id, Some(proto_id(7, 2, u64::MAX - 1)));
    assert_eq!(answer.vote, vote(8, 2, false));
    assert!(answer.vote_granted);
    assert_eq!(answer.last_log_id, Some(id(7, 3, 0)));
}

#[tokio::test]
async fn a_snapshot_in_chunks() {
    let recorder = recorder();
    let mut connection = connection(&recorder.serve().await).await;
    let bytes: Vec<u8> = (0..2500_u32).map(|n| (n % 251) as u8).collect();
    let meta = SnapshotMeta {
        last_log_id: Some(id(5, 2, 77)),
        last_membership: StoredMembership::new(Some(id(5, 2, 70)), membership()),
        snapshot_id: "T5-N2-77-x-1".to_owned(),
    };
    let data = SnapshotData::from(bytes::Bytes::from(bytes.clone()));
    let snapshot = Snapshot { meta: meta.clone(), snapshot: Box::new(data) };
    let never = std::future::pending();
    let option = RPCOption::new(OPTION);
    let answer = connection.full_snapshot(vote(9, 1, true), snapshot, never, option);
    assert_eq!(answer.await.unwrap().vote, vote(9, 2, true));

    use v1::full_snapshot_request::Part;
    let Asked::FullSnapshot(parts) = only(&recorder) else { panic!("another call") };
    let parts: Vec<Part> = parts.into_iter().map(|part| part.part.unwrap()).collect();
    let [Part::Header(header), Part::Chunk(a), Part::Chunk(b), Part::Chunk(c), Part::Trailer(end)] =
        &parts[..]
    else {
        panic!("other parts: {parts:?}")
    };
    assert_eq!(header.vote, Some(proto_vote(9, 1, true)));
    assert_eq!(header.length, 2500);
    // The peer is of an older version: it can't say what it has.
    assert_eq!(header.offset, 0);
    assert_eq!(header.checksum, Some(XxHash3_64::oneshot(&bytes)));
    let heard = prost::Message::encode_to_vec(header.meta.as_ref().unwrap());
    assert_eq!(SnapshotMeta::decode(heard.into()).unwrap(), meta);
    assert_eq!([a.len(), b.len(), c.len()], [1000, 1000, 500]);
    assert_eq!([&a[..], &b[..], &c[..]].concat(), bytes);
    assert_eq!(end.checksum, XxHash3_64::oneshot(&bytes));
}
