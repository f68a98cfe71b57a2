//! Shares and parts, and rooms that are waited for.

use http_body_util::{BodyExt, StreamBody};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use super::*;
use crate::config::GrpcConfig;
use crate::network::grpc::progress::Progress;

const MIB: usize = 1 << 20;
const LIMIT: Duration = Duration::from_secs(4);

/// Node 1 of three. 128 calls of others, of which 8 each; 64 MiB, of which 32 each.
fn totals() -> Totals {
    let grpc =
        GrpcConfig { max_peer_calls: 128, max_peer_bytes: 256 << 20, ..GrpcConfig::default() };
    let config = NodeConfig::builder(1).member(1, "a").member(2, "b").member(3, "c");
    Totals::new(&config.rpc_timeout(LIMIT).grpc(grpc).build().unwrap())
}

fn budget(totals: &Totals, from: u64) -> Budget {
    totals.peer_budget(Some(from), 128 * MIB)
}

#[test]
fn a_node_takes_no_more_than_its_part() {
    let totals = totals();
    let all = |from| std::iter::from_fn(|| totals.peer(from, false).ok()).collect::<Vec<_>>();
    let (strangers, two) = (all(Some(99)), all(Some(2)));
    assert_eq!((strangers.len(), two.len()), (8, 8));
    assert!(totals.peer(None, false).is_err(), "who doesn't say who it is is a stranger");
    assert!(totals.peer(Some(3), false).is_ok());
    assert_eq!(totals.under_way().peer_calls, 16);
    drop(strangers);
    totals.divide([1, 2, 99].into_iter());
    assert!(totals.peer(Some(2), false).is_err(), "it keeps its part, and what it took of it");
    assert_eq!(all(Some(99)).len(), 8);
    assert_eq!(all(Some(3)).len(), 8, "it is a stranger now");
    drop(two);
    assert_eq!(totals.under_way().peer_calls, 0);
}

#[test]
fn what_is_long_leaves_places_for_what_is_short() {
    let totals = totals();
    let long: Vec<_> = std::iter::from_fn(|| totals.peer(Some(2), true).ok()).collect();
    assert_eq!(long.len(), LONG_EACH);
    assert!(totals.peer(Some(2), false).is_ok());
}

#[test]
fn the_total_is_the_total() {
    let totals = totals();
    totals.divide(1..=100);
    let calls = (1..=100).flat_map(|id| (0..8).map(move |_| id));
    let places: Vec<_> = calls.filter_map(|id| totals.peer(Some(id), false).ok()).collect();
    assert_eq!(places.len(), 128);
}

#[tokio::test(start_paused = true)]
async fn room_is_waited_for_in_turn_and_not_for_long() {
    let totals = totals();
    let (two, three) = (budget(&totals, 2), budget(&totals, 3));
    let all = [two.room_now(128 << 20).unwrap(), three.room_now(128 << 20).unwrap()];
    assert_eq!(totals.under_way().peer_bytes, 256 * MIB);
    let started = Instant::now();
    let refused = budget(&totals, 99).room(1).await.err().expect("there is no room");
    assert_eq!(started.elapsed(), LIMIT / 2);
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
    let waits = tokio::spawn(budget(&totals, 99).room(100 << 20));
    tokio::task::yield_now().await;
    assert!(two.room_now(1).is_none(), "others came before");
    drop(all);
    let room = waits.await.unwrap().unwrap();
    assert_eq!(totals.under_way().peer_bytes, 100 * MIB);
    drop(room);
    assert_eq!(totals.under_way().peer_bytes, 0);
}

fn metered(budget: Budget, single: bool) -> (mpsc::Sender<bytes::Bytes>, tonic::body::Body, Held) {
    let (sender, frames) = mpsc::channel::<bytes::Bytes>(1);
    let frames = tokio_stream::StreamExt::map(ReceiverStream::new(frames), |data| {
        Ok::<_, Status>(http_body::Frame::data(data))
    });
    let body = tonic::body::Body::new(StreamBody::new(frames));
    let progress = Progress::default();
    let meter = Meter { budget, progress, single, pauses: false, stall: Some(LIMIT) };
    let (body, held) = meter.let_in(body);
    (sender, body, held)
}

fn prefix(len: usize) -> bytes::Bytes {
    [&[0][..], &(len as u32).to_be_bytes()].concat().into()
}

/// It ends by itself, if anybody is in need of what it has.
#[rstest::rstest]
#[case::others_wait(true)]
#[case::nobody_waits(false)]
#[tokio::test(start_paused = true)]
async fn who_trickles_keeps_its_room_as_long_as_nobody_waits(#[case] others: bool) {
    let totals = totals();
    let (sender, mut body, held) = metered(budget(&totals, 2), true);
    let trickles = tokio::spawn(async move {
        sender.send(prefix(MIB)).await.unwrap();
        // At a byte a second it takes twelve days.
        while sender.send(bytes::Bytes::from_static(b"x")).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let waiting = Arc::clone(&totals.shared.peers.waiting);
    let _waits = others.then(|| Waits::among(&waiting));
    let started = Instant::now();
    let read = async {
        loop {
            match body.frame().await {
                Some(Ok(_)) => assert_eq!(totals.under_way().peer_bytes, MIB),
                end => return end,
            }
        }
    };
    let end = timeout(Duration::from_secs(3600), read).await;
    assert_eq!(end.is_ok(), others);
    if let Ok(end) = end {
        let status = end.unwrap().unwrap_err();
        assert!(status.message().contains("others wait"), "{status}");
        let allowed = LIMIT + Duration::from_secs(MIB as u64 / LEAST_RATE);
        assert!(started.elapsed() >= allowed && started.elapsed() <= allowed + 2 * LIMIT);
    }
    drop((body, held));
    assert_eq!(totals.under_way().peer_bytes, 0);
    trickles.await.unwrap();
}

/// The first message may be kept until the call is over, and a second one beside it.
#[tokio::test(start_paused = true)]
async fn every_message_is_paid_for() {
    let totals = totals();
    let (sender, mut body, held) = metered(budget(&totals, 2), false);
    for (len, taken) in [(MIB, MIB), (2 * MIB, 3 * MIB), (MIB, 2 * MIB)] {
        sender.send(prefix(len)).await.unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), prefix(len));
        assert_eq!(totals.under_way().peer_bytes, taken);
        sender.send(vec![7; len].into()).await.unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), len);
    }
    drop((sender, body));
    assert_eq!(totals.under_way().peer_bytes, 2 * MIB);
    drop(held);
    assert_eq!(totals.under_way().peer_bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn where_there_is_one_message_there_is_no_second() {
    let totals = totals();
    let (sender, mut body, _held) = metered(budget(&totals, 2), true);
    sender.send([&prefix(1)[..], b"x", &prefix(1)].concat().into()).await.unwrap();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), 6);
    let refused = body.frame().await.unwrap().unwrap_err();
    assert_eq!(Refusal::of(&refused), Some(Refusal::Garbled));
}
