//! How long messages take on a link of the switchboard that carries so many bytes in a second, and
//! what those do to each other that are on it at a time.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "common/calls.rs"]
mod calls;
#[path = "common/cluster.rs"]
mod cluster;

use std::num::NonZeroU64;
use std::time::Duration;

use calls::{Outcome, TTL, plug, send_vote, term};
use futures_util::future::join_all;
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use proptest::prelude::*;
use rstest::rstest;
use seshat_core::codec::Message;
use seshat_core::network::Switchboard;
use seshat_core::network::switchboard::{Faults, Wire};
use seshat_core::types::{InstallSnapshotRequest, Node, SnapshotMeta, TypeConfig, Vote};
use tokio::time::{Instant, sleep, timeout};

/// The clock ticks in milliseconds, so what is due in between is a tick late.
const TICK: Duration = Duration::from_millis(1);
/// How long a message may keep another one waiting, with the ticks.
const TURN: Duration = Duration::from_millis(2 + 2);

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

fn rate(bytes_per_second: u64) -> Faults {
    Faults { bytes_per_second: NonZeroU64::new(bytes_per_second), ..Faults::default() }
}

fn seconds(bytes: u64, rate: u64) -> Duration {
    Duration::from_secs_f64(bytes as f64 / rate as f64)
}

/// The chunk of a snapshot, which has no effect: a message as long as one likes.
fn chunk(bytes: u64) -> InstallSnapshotRequest {
    let meta = SnapshotMeta { snapshot_id: "s".into(), ..SnapshotMeta::default() };
    let data = vec![7; bytes as usize];
    let vote = Vote::new_committed(1, 99);
    InstallSnapshotRequest { vote, meta, offset: 0, data, done: false }
}

/// What goes over the link for it.
fn len(bytes: u64) -> u64 {
    chunk(bytes).encoded_len() as u64
}

/// Sends a chunk, and returns how long it took.
async fn send<W: Wire<TypeConfig>>(
    sb: &Switchboard<TypeConfig, W>,
    (from, to): (u64, u64),
    bytes: u64,
) -> Duration {
    let (mut port, started) = (sb.port(from), Instant::now());
    let mut connection = port.new_client(to, &Node::new("")).await;
    connection.install_snapshot(chunk(bytes), RPCOption::new(TTL)).await.unwrap();
    started.elapsed()
}

#[track_caller]
fn assert_took(took: Duration, expected: Duration, tolerance: Duration) {
    assert!((expected..=expected + tolerance).contains(&took), "{took:?}, expected {expected:?}");
}

#[rstest]
#[case::slower_than_a_packet_a_second(1000, 10_000)]
#[case::a_message_shorter_than_a_turn(MIB, 100)]
#[case::a_modem(7 * KIB, 300 * KIB)]
#[case::fast(125_000_000, 8 * MIB)]
#[case::faster_than_the_clock_ticks(u64::MAX, MIB)]
#[tokio::test(start_paused = true)]
async fn a_message_takes_its_bytes_by_the_bandwidth(#[case] bandwidth: u64, #[case] bytes: u64) {
    let sb = Switchboard::new(7);
    let _node = plug(&sb, 2).await;
    sb.set_faults(1, 2, rate(bandwidth));
    for _ in 0..3 {
        assert_took(send(&sb, (1, 2), bytes).await, seconds(len(bytes), bandwidth), TICK * 2);
    }
}

#[tokio::test(start_paused = true)]
async fn two_share_the_link() {
    let sb = Switchboard::new(7);
    let _node = plug(&sb, 2).await;
    sb.set_faults(1, 2, rate(MIB));
    let (short, long) = tokio::join!(send(&sb, (1, 2), MIB), send(&sb, (1, 2), 3 * MIB));
    // Side by side until the short one is over, and from then on alone.
    assert_took(short + TURN, seconds(2 * len(MIB), MIB), TURN * 2);
    assert_took(long, seconds(len(MIB) + len(3 * MIB), MIB), TICK * 2);
}

#[tokio::test(start_paused = true)]
async fn a_small_message_does_not_wait_for_the_end_of_a_large_one() {
    let sb = Switchboard::new(7);
    let node = plug(&sb, 2).await;
    sb.set_faults(1, 2, rate(MIB));
    let small = async {
        let mut small = Vec::new();
        for round in 1..=10 {
            sleep(Duration::from_millis(100)).await;
            let started = Instant::now();
            assert_eq!(send_vote(&sb, (1, 2), round).await, Outcome::Answered);
            assert_eq!(term(&node).await, round);
            small.push(started.elapsed());
        }
        small
    };
    let (large, small) = tokio::join!(send(&sb, (1, 2), 16 * MIB), small);
    assert!(small.iter().all(|took| *took <= TURN), "{small:?}");
    assert_took(large, seconds(len(16 * MIB), MIB), TURN);
}

#[tokio::test(start_paused = true)]
async fn each_direction_and_each_pair_has_a_bandwidth_of_its_own() {
    let sb = Switchboard::new(7);
    let _nodes = [plug(&sb, 1).await, plug(&sb, 2).await, plug(&sb, 3).await];
    sb.set_faults(1, 2, rate(64 * KIB));
    sb.set_faults(1, 3, rate(MIB));
    let (to_2, to_3, back) =
        tokio::join!(send(&sb, (1, 2), MIB), send(&sb, (1, 3), MIB), send(&sb, (2, 1), MIB));
    assert_took(to_2, seconds(len(MIB), 64 * KIB), TICK * 2);
    assert_took(to_3, seconds(len(MIB), MIB), TICK * 2);
    // Its answer alone goes a slow way.
    assert!(back < to_2 / 100, "{back:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_takes_its_bytes_in_its_own_direction() {
    let sb = Switchboard::new(7);
    let _node = plug(&sb, 2).await;
    sb.set_faults(2, 1, rate(1));
    let mut connection = sb.port(1).new_client(2, &Node::new("")).await;
    let started = Instant::now();
    let answer = connection.install_snapshot(chunk(MIB), RPCOption::new(TTL)).await.unwrap();
    let bytes = answer.encoded_len() as u64;
    assert_took(started.elapsed(), seconds(bytes, 1), TICK * 2);
    assert!(bytes > 0);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_leaves_the_link_to_others() {
    let sb = Switchboard::new(7);
    let _node = plug(&sb, 2).await;
    sb.set_faults(1, 2, rate(MIB));
    for _ in 0..20 {
        timeout(Duration::from_millis(50), send(&sb, (1, 2), 16 * MIB)).await.unwrap_err();
    }
    assert_took(send(&sb, (1, 2), MIB).await, seconds(len(MIB), MIB), TURN);
}

#[tokio::test(start_paused = true)]
async fn a_wire_that_makes_no_bytes_is_not_held_up() {
    let sb = Switchboard::direct(7);
    let _node = plug(&sb, 2).await;
    sb.set_faults(1, 2, rate(1));
    assert_eq!(send(&sb, (1, 2), MIB).await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_delay_comes_on_top() {
    let sb = Switchboard::new(7);
    let _node = plug(&sb, 2).await;
    let delay = Duration::from_millis(70);
    sb.set_faults(1, 2, Faults { delay_min: delay, ..rate(MIB) });
    // What is under way takes nothing of the link.
    let both = join_all([send(&sb, (1, 2), MIB), send(&sb, (1, 2), MIB)]).await;
    assert_took(both[1], seconds(2 * len(MIB), MIB) + delay, TICK * 2);
}

#[tokio::test(start_paused = true)]
async fn a_lost_message_and_a_copy_take_as_much_as_another() {
    let sb = Switchboard::new(7);
    let _node = plug(&sb, 2).await;
    let mut connection = sb.port(1).new_client(2, &Node::new("")).await;
    for (faults, copies) in [
        (Faults { drop: 1.0, ..rate(MIB) }, 1),
        (Faults { drop: 1.0, duplicate: 1.0, ..rate(MIB) }, 2),
    ] {
        sb.set_faults(1, 2, faults);
        let lost = async {
            let started = Instant::now();
            connection.install_snapshot(chunk(8 * MIB), RPCOption::new(TTL)).await.unwrap_err();
            started.elapsed()
        };
        let beside = async {
            // The copy has set out by now.
            sleep(Faults::LATE + TICK).await;
            sb.set_faults(1, 2, rate(MIB));
            send(&sb, (1, 2), 8 * MIB).await
        };
        let (lost, beside) = tokio::join!(lost, beside);
        let all = seconds((copies + 1) * len(8 * MIB), MIB);
        // The last of equals, which set out a little later.
        assert_took(beside + Faults::LATE + TICK, all, TURN * 3);
        assert!(lost < all + TTL, "{lost:?}, though it gets its share");
        assert!(lost > all - Faults::LATE * 3, "{lost:?}, though it shares the link");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_changed_counts_for_what_is_on_its_way() {
    let sb = Switchboard::new(7);
    let _node = plug(&sb, 2).await;
    sb.set_faults(1, 2, rate(MIB));
    let faster = async {
        sleep(Duration::from_secs(4)).await;
        sb.set_faults(1, 2, rate(2 * MIB));
        sleep(Duration::from_secs(1)).await;
        sb.heal();
    };
    let (took, ()) = tokio::join!(send(&sb, (1, 2), 16 * MIB), faster);
    assert_took(took, Duration::from_secs(5), TURN);
}

#[tokio::test(start_paused = true)]
async fn what_began_its_turn_at_another_bandwidth_is_not_in_the_way() {
    let sb = Switchboard::new(7);
    let _node = plug(&sb, 2).await;
    for heals in [false, true] {
        sb.set_faults(1, 2, rate(1));
        timeout(Duration::from_secs(1), send(&sb, (1, 2), MIB)).await.unwrap_err();
        if heals {
            sb.heal();
        }
        sb.set_faults(1, 2, rate(MIB));
        assert_took(send(&sb, (1, 2), MIB).await, seconds(len(MIB), MIB), TICK * 2);
    }
}

#[rstest]
#[case::the_message((1, 2), Duration::ZERO, |outcome: &Outcome| {
    outcome.is_unreachable("Vote from node 1 to node 2: the link is cut")
})]
#[case::the_answer((2, 1), TTL, |outcome: &Outcome| {
    outcome.is_network_error("Vote from node 1 to node 2: no answer")
})]
#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_when_the_link_is_cut_does_not_arrive(
    #[case] (from, to): (u64, u64),
    #[case] waits: Duration,
    #[case] expected: fn(&Outcome) -> bool,
) {
    let sb = Switchboard::new(7);
    let node = plug(&sb, 2).await;
    // Either takes some seconds.
    sb.set_faults(from, to, rate(1));
    let sent = async {
        let started = Instant::now();
        (send_vote(&sb, (1, 2), 9).await, started.elapsed())
    };
    let cutting = async {
        sleep(Duration::from_secs(1)).await;
        sb.cut(from, to);
    };
    let ((outcome, took), ()) = tokio::join!(sent, cutting);
    assert!(expected(&outcome), "{outcome:?}");
    assert!(took > Duration::from_secs(1) + waits, "{took:?}");
    // Whether it was the answer that didn't arrive.
    assert_eq!(term(&node).await, if from == 2 { 9 } else { 0 });
}

#[derive(Debug, Clone)]
struct Sent {
    at: u64,
    bytes: u64,
}

fn sent() -> impl Strategy<Value = Sent> {
    (0..2000_u64, prop_oneof![0..200_u64, 0..300_000_u64])
        .prop_map(|(at, bytes)| Sent { at, bytes })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// In whatever order they go: the link is never idle while there is something to send, and
    /// never does more than it can. So all are over when they would be one after the other.
    #[test]
    fn all_are_over_when_they_would_be_one_after_the_other(
        mut all in proptest::collection::vec(sent(), 1..20),
        bandwidth in 20_000..2_000_000_u64,
    ) {
        all.sort_by_key(|sent| sent.at);
        let mut free = Duration::ZERO;
        for Sent { at, bytes } in &all {
            free = free.max(Duration::from_millis(*at)) + seconds(len(*bytes), bandwidth);
        }
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let last = runtime.unwrap().block_on(async {
            let sb = Switchboard::new(7);
            let _node = plug(&sb, 2).await;
            sb.set_faults(1, 2, rate(bandwidth));
            let (started, sb) = (Instant::now(), &sb);
            let each = all.iter().map(|sent| async move {
                let at = Duration::from_millis(sent.at);
                sleep(at).await;
                let took = send(sb, (1, 2), sent.bytes).await;
                assert!(took >= seconds(len(sent.bytes), bandwidth), "{sent:?}: {took:?}");
            });
            join_all(each).await;
            started.elapsed()
        });
        assert_took(last, free, TICK * 2);
    }
}
