//! A snapshot is installed whole or not at all.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use rstest::rstest;
use seshat_core::config::GrpcConfig;
use seshat_core::proto::v1;
use seshat_core::proto::v1::full_snapshot_request::Part;
use tonic::{Code, Status};
use twox_hash::XxHash3_64;

use crate::host::{DEADLINE, Host, Ports};
use crate::raw::{channel, signed, snapshot};

/// A node alone, which waits no longer than 400 ms and takes no more than 1000 bytes.
async fn receiver() -> (Host, String) {
    let mut ports = Ports::of(1).await;
    let grpc = GrpcConfig { max_snapshot_bytes: 1000, ..GrpcConfig::default() };
    let config = ports.config(1).single_node().rpc_timeout(Duration::from_millis(400)).grpc(grpc);
    // What comes within a heartbeat's interval never comes to Raft.
    let config = config.heartbeat_interval(Duration::from_secs(1));
    let host = Host::start(config.build().unwrap(), ports.listener(1)).await;
    host.admit().await.unwrap();
    host.node.wait_for_leader(DEADLINE).await.unwrap();
    host.node.set("key", "value").await.unwrap();
    (host, ports.address(1).to_owned())
}

fn header_of(term: u64, length: u64) -> Part {
    let membership = v1::Membership {
        configs: vec![v1::VoterSet { node_ids: vec![1] }],
        members: vec![v1::Member { node_id: 1, node: Some(v1::Node::default()) }],
    };
    let last = v1::LogId { term, node_id: 9, index: 99 };
    let meta = v1::SnapshotMeta {
        last_log_id: Some(last),
        last_membership: Some(v1::StoredMembership {
            log_id: Some(last),
            membership: Some(membership),
        }),
        snapshot_id: "hostile".to_owned(),
    };
    let vote = Some(v1::Vote { term, node_id: 9, committed: true });
    Part::Header(v1::FullSnapshotHeader { vote, meta: Some(meta), length, ..Default::default() })
}

fn header(length: u64) -> Part {
    header_of(99, length)
}

/// Of one that says what it sends, and from where on.
fn resuming(length: u64, offset: u64, checksum: Option<u64>) -> Part {
    let Part::Header(header) = header(length) else { panic!("a header") };
    Part::Header(v1::FullSnapshotHeader { offset, checksum, ..header })
}

fn chunk(bytes: &'static [u8]) -> Part {
    Part::Chunk(Bytes::from_static(bytes))
}

fn trailer(bytes: &[u8]) -> Part {
    Part::Trailer(v1::FullSnapshotTrailer { checksum: XxHash3_64::oneshot(bytes) })
}

fn message(part: Part) -> v1::FullSnapshotRequest {
    v1::FullSnapshotRequest { part: Some(part) }
}

async fn send(
    address: &str,
    parts: Vec<Part>,
    open: bool,
) -> Result<v1::FullSnapshotResponse, Status> {
    let parts = stream::iter(parts.into_iter().map(message));
    let answer = match open {
        true => {
            let parts = parts.chain(stream::pending());
            tokio::time::timeout(DEADLINE, snapshot(channel(address), signed("seshat", 1, parts)))
                .await
        }
        false => {
            tokio::time::timeout(DEADLINE, snapshot(channel(address), signed("seshat", 1, parts)))
                .await
        }
    };
    answer.expect("an answer")
}

#[rstest]
#[case::no_header(vec![chunk(b"abc")], "garbled", "the stream begins without a header")]
#[case::nothing(vec![], "garbled", "the stream begins without a header")]
#[case::two_headers(vec![header(3), header(3)], "garbled", "a second header")]
#[case::more(vec![header(3), chunk(b"abcd")], "garbled", "more than the 3 bytes that were announced")]
#[case::less(
    vec![header(5), chunk(b"abc"), trailer(b"abc")], "garbled", "3 bytes arrived, 5 were announced"
)]
#[case::cut(vec![header(5), chunk(b"abc")], "garbled", "cut after 3 of 5 bytes")]
#[case::changed(
    vec![header(3), chunk(b"abc"), trailer(b"abd")], "garbled",
    "checksum 0x78af5f94892f3950, the trailer says"
)]
#[case::nothing_to_go_on_from(
    vec![resuming(5, 3, Some(7)), chunk(b"ab"), trailer(b"abcab")], "garbled",
    "the first 3 bytes are left out, and 0 are here"
)]
#[case::nothing_to_tell_it_by(
    vec![resuming(5, 3, None), chunk(b"ab"), trailer(b"abcab")], "garbled",
    "the first 3 bytes are left out, and 0 are here"
)]
#[case::behind_the_end(
    vec![resuming(5, u64::MAX, Some(7)), chunk(b"ab")], "garbled", "bytes are left out, and 0 are here"
)]
#[case::something_else(
    vec![resuming(3, 0, Some(7)), chunk(b"abc"), trailer(b"abc")], "garbled",
    "checksum 0x78af5f94892f3950, the header says 0x0000000000000007"
)]
#[case::too_long(
    vec![header(1001), chunk(b"abc")], "garbled", "1001 bytes are announced, at most 1000 are taken"
)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused(#[case] parts: Vec<Part>, #[case] refusal: &str, #[case] words: &str) {
    let (host, address) = receiver().await;
    let status = send(&address, parts, false).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    assert_eq!(status.metadata().get("seshat-refusal").unwrap(), refusal);
    assert!(status.message().contains(words), "{:?} lacks {words:?}", status.message());
    assert_eq!(host.node.read(b"key").await.unwrap().as_deref(), Some(&b"value"[..]));
    assert!(host.node.metrics().borrow().current_term < 99, "it never came to Raft");
    host.node.set("key", "as before").await.unwrap();
}

/// openraft takes for granted that a snapshot comes from a leader, and from another.
#[rstest]
#[case::own(v1::Vote { term: 99, node_id: 1, committed: true })]
#[case::candidate(v1::Vote { term: 99, node_id: 9, committed: false })]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vote_that_is_no_leaders(#[case] vote: v1::Vote) {
    let (host, address) = receiver().await;
    let Part::Header(header) = header(3) else { panic!("a header") };
    let header = Part::Header(v1::FullSnapshotHeader { vote: Some(vote), ..header });
    let parts = vec![header, chunk(b"abc"), trailer(b"abc")];
    let status = send(&address, parts, false).await.unwrap_err();
    assert_eq!(status.metadata().get("seshat-refusal").unwrap(), "implausible");
    assert!(status.message().contains("is not another leader's"), "{status}");
    host.node.set("key", "as before").await.unwrap();
}

/// Whole, with the right checksum, and none that could be installed: openraft would stop for good.
#[rstest]
#[case::of_another_format(99, b"format 2 looks like this", "the snapshot can't be read")]
#[case::of_a_term_that_cannot_be(u64::MAX - 1, b"abc", "elections can have been held")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_content_that_is_none(
    #[case] term: u64,
    #[case] bytes: &'static [u8],
    #[case] words: &str,
) {
    let (host, address) = receiver().await;
    let parts = vec![header_of(term, bytes.len() as u64), chunk(bytes), trailer(bytes)];
    let status = send(&address, parts, false).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    assert_eq!(status.metadata().get("seshat-refusal").unwrap(), "implausible");
    assert!(status.message().contains(words), "{:?} lacks {words:?}", status.message());
    host.node.set("key", "as before").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_that_is_none() {
    let (_host, address) = receiver().await;
    let parts = vec![Part::Header(v1::FullSnapshotHeader::default())];
    let status = send(&address, parts, false).await.unwrap_err();
    assert!(status.message().contains("FullSnapshotHeader.vote"), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_that_stops_is_given_up() {
    let (host, address) = receiver().await;
    let status = send(&address, vec![header(5), chunk(b"abc")], true).await.unwrap_err();
    assert_eq!(status.metadata().get("seshat-refusal").unwrap(), "stalled");
    assert_eq!(status.message(), "nothing came for 400ms");
    host.node.set("key", "as before").await.unwrap();
}

/// It learns who leads by the answer, before it has sent the rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposed_leader_is_told_at_once() {
    let (host, address) = receiver().await;
    let answer = send(&address, vec![header_of(0, 5)], true).await.unwrap();
    let vote = host.node.metrics().borrow().vote;
    assert_eq!(answer.vote.unwrap().term, vote.leader_id.term);
}

/// What becomes of a sender that others follow.
async fn ended_by_others(address: &str, deadline: tokio::time::Instant) -> Status {
    let first = {
        let address = address.to_owned();
        tokio::spawn(async move { send(&address, vec![header(5), chunk(b"abc")], true).await })
    };
    // As often as it takes until the first has begun. Each of these is cut short, or ended by the first.
    while !first.is_finished() && tokio::time::Instant::now() < deadline {
        let cut = send(address, vec![header(5)], false).await.unwrap_err();
        let ends = ["cut after 0 of 5 bytes", "another snapshot is on its way here"];
        assert!(ends.contains(&cut.message()), "{cut}");
    }
    first.await.unwrap().unwrap_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_snapshot_ends_an_older_one() {
    let (_host, address) = receiver().await;
    let deadline = tokio::time::Instant::now() + DEADLINE;
    let mut ended = ended_by_others(&address, deadline).await;
    // On a busy machine nothing may come for as long as a sender is waited for.
    while ended.message() == "nothing came for 400ms" && tokio::time::Instant::now() < deadline {
        ended = ended_by_others(&address, deadline).await;
    }
    assert_eq!(ended.metadata().get("seshat-refusal").unwrap(), "superseded");
    assert_eq!(ended.message(), "another snapshot is on its way here");
}
