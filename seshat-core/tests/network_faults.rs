//! What goes wrong on a link of the switchboard: as often and as late as it was told to, and the
//! same for the same seed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "common/calls.rs"]
mod calls;
#[path = "common/cluster.rs"]
mod cluster;

use std::num::NonZeroU64;
use std::time::Duration;

use calls::{Outcome, TTL, plug, send_append, send_vote, term};
use seshat_core::network::Switchboard;
use seshat_core::network::switchboard::{Faults, Wire};
use seshat_core::types::TypeConfig;
use tokio::time::Instant;

const NONE: Faults = Faults {
    cut: false,
    delay_min: Duration::ZERO,
    delay_max: Duration::ZERO,
    drop: 0.0,
    duplicate: 0.0,
    reorder: 0.0,
    bytes_per_second: None,
};

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Runs each test on both wires.
macro_rules! on_both_wires {
    ($($name:ident)*) => {
        mod encoded {
            $(#[tokio::test(start_paused = true)]
            async fn $name() {
                super::$name(super::Switchboard::new(7)).await;
            })*
        }
        mod direct {
            $(#[tokio::test(start_paused = true)]
            async fn $name() {
                super::$name(super::Switchboard::direct(7)).await;
            })*
        }
    };
}

on_both_wires! {
    a_lost_message_does_not_arrive_and_costs_the_whole_time_to_live
    a_lost_answer_costs_the_whole_time_to_live_though_the_message_arrived
    a_message_takes_a_time_within_its_bounds_each_way
    a_least_delay_above_the_greatest_is_kept_exactly
    a_duplicate_arrives_twice
    a_duplicate_arrives_though_the_original_was_lost
    a_reordered_message_is_overtaken_and_its_sender_takes_it_for_lost
    an_ordinary_message_arrives_once
}

async fn a_lost_message_does_not_arrive_and_costs_the_whole_time_to_live<W: Wire<TypeConfig>>(
    sb: Switchboard<TypeConfig, W>,
) {
    let node = plug(&sb, 2).await;
    sb.set_faults(1, 2, Faults { drop: 1.0, ..NONE });
    let started = Instant::now();
    let outcome = send_vote(&sb, (1, 2), 9).await;
    assert!(outcome.is_network_error("Vote from node 1 to node 2: no answer"), "{outcome:?}");
    assert_eq!(started.elapsed(), TTL);
    tokio::time::sleep(Faults::LATE * 2).await;
    assert_eq!(term(&node).await, 0);

    // Other links are as they were.
    let started = Instant::now();
    assert_eq!(send_vote(&sb, (3, 2), 8).await, Outcome::Answered);
    assert_eq!((term(&node).await, started.elapsed()), (8, Duration::ZERO));
}

async fn a_lost_answer_costs_the_whole_time_to_live_though_the_message_arrived<
    W: Wire<TypeConfig>,
>(
    sb: Switchboard<TypeConfig, W>,
) {
    let node = plug(&sb, 2).await;
    sb.set_faults(2, 1, Faults { drop: 1.0, ..NONE });
    let started = Instant::now();
    let outcome = send_vote(&sb, (1, 2), 9).await;
    assert!(outcome.is_network_error("Vote from node 1 to node 2: no answer"), "{outcome:?}");
    assert_eq!(started.elapsed(), TTL);
    assert_eq!(term(&node).await, 9);
}

/// How long each of so many calls takes.
async fn durations<W: Wire<TypeConfig>>(
    sb: &Switchboard<TypeConfig, W>,
    calls: usize,
) -> Vec<Duration> {
    let mut durations = Vec::new();
    for _ in 0..calls {
        let started = Instant::now();
        assert_eq!(send_vote(sb, (1, 2), 1).await, Outcome::Answered);
        durations.push(started.elapsed());
    }
    durations
}

async fn a_message_takes_a_time_within_its_bounds_each_way<W: Wire<TypeConfig>>(
    sb: Switchboard<TypeConfig, W>,
) {
    let _node = plug(&sb, 2).await;
    // The clock ticks in milliseconds, so what is due in between is a tick late.
    let tick = millis(1);
    let there = Faults { delay_min: millis(20), delay_max: millis(50), ..NONE };
    let back = Faults { delay_min: millis(100), delay_max: millis(200), ..NONE };
    for (there, back) in [(there, NONE), (NONE, back), (there, back)] {
        sb.set_faults(1, 2, there);
        sb.set_faults(2, 1, back);
        let (least, most) = (there.delay_min + back.delay_min, there.delay_max + back.delay_max);
        let took = durations(&sb, 100).await;
        let within = |took: &Duration| (least..=most + tick * 2).contains(took);
        assert!(took.iter().all(within), "{least:?} to {most:?}: {took:?}");
        // The whole range is used: a hundred draws all miss a fifth of it once in 10^9.
        let fifth = (most - least) / 5;
        assert!(took.iter().any(|took| *took < least + fifth), "{took:?}");
        assert!(took.iter().any(|took| *took > most - fifth), "{took:?}");
    }
}

async fn a_least_delay_above_the_greatest_is_kept_exactly<W: Wire<TypeConfig>>(
    sb: Switchboard<TypeConfig, W>,
) {
    let _node = plug(&sb, 2).await;
    sb.set_faults(1, 2, Faults { delay_min: millis(40), delay_max: millis(10), ..NONE });
    assert!(durations(&sb, 20).await.iter().all(|took| *took == millis(40)));
}

/// A voter refuses a vote for as long as it holds its leader's lease, and no longer. So what is
/// sent as the lease runs out is refused the first time and granted the second.
async fn voted_after_one_call<W: Wire<TypeConfig>>(
    sb: Switchboard<TypeConfig, W>,
    faults: Faults,
) -> bool {
    let node = plug(&sb, 2).await;
    assert_eq!(send_append(&sb, (1, 2), 1).await, Outcome::Answered);
    tokio::time::advance(node.config().election_timeout_max()).await;

    sb.set_faults(1, 2, faults);
    assert_eq!(send_vote(&sb, (1, 2), 9).await, Outcome::Answered);
    assert_eq!(term(&node).await, 1, "granted within the lease");
    tokio::time::sleep(Faults::LATE).await;
    term(&node).await == 9
}

async fn a_duplicate_arrives_twice<W: Wire<TypeConfig>>(sb: Switchboard<TypeConfig, W>) {
    assert!(voted_after_one_call(sb, Faults { duplicate: 1.0, ..NONE }).await);
}

async fn an_ordinary_message_arrives_once<W: Wire<TypeConfig>>(sb: Switchboard<TypeConfig, W>) {
    assert!(!voted_after_one_call(sb, NONE).await);
}

async fn a_duplicate_arrives_though_the_original_was_lost<W: Wire<TypeConfig>>(
    sb: Switchboard<TypeConfig, W>,
) {
    let node = plug(&sb, 2).await;
    sb.set_faults(1, 2, Faults { drop: 1.0, duplicate: 1.0, ..NONE });
    let outcome = send_vote(&sb, (1, 2), 9).await;
    assert!(outcome.is_network_error("no answer"), "{outcome:?}");
    assert_eq!(term(&node).await, 9);
}

async fn a_reordered_message_is_overtaken_and_its_sender_takes_it_for_lost<W: Wire<TypeConfig>>(
    sb: Switchboard<TypeConfig, W>,
) {
    let node = plug(&sb, 2).await;
    sb.set_faults(1, 2, Faults { reorder: 1.0, ..NONE });
    let held_back = async {
        let started = Instant::now();
        (send_vote(&sb, (1, 2), 9).await, started.elapsed())
    };
    let overtaking = async {
        sb.heal();
        (send_vote(&sb, (1, 2), 8).await, term(&node).await)
    };
    let ((held_back, waited), (overtaking, term_after_it)) = tokio::join!(held_back, overtaking);
    assert_eq!((overtaking, term_after_it), (Outcome::Answered, 8));
    assert!(held_back.is_network_error("no answer"), "{held_back:?}");
    assert_eq!(waited, TTL);
    assert_eq!(term(&node).await, 9, "never arrived");
}

#[tokio::test(start_paused = true)]
async fn what_is_late_is_not_later_than_promised() {
    let sb: Switchboard = Switchboard::new(7);
    for (id, faults) in
        [(2, Faults { reorder: 1.0, ..NONE }), (3, Faults { drop: 1.0, duplicate: 1.0, ..NONE })]
    {
        let node = plug(&sb, id).await;
        sb.set_faults(1, id, faults);
        for round in 1..=20 {
            let sent =
                tokio::time::timeout(Faults::LATE + millis(1), send_vote(&sb, (1, id), round));
            sent.await.unwrap_err();
            assert_eq!(term(&node).await, round, "{faults:?}");
        }
    }
}

/// What became of so many calls: whether each was answered, and when.
async fn fates(sb: &Switchboard, link: (u64, u64), calls: usize) -> Vec<Option<Duration>> {
    let mut fates = Vec::new();
    for _ in 0..calls {
        let started = Instant::now();
        let answered = send_vote(sb, link, 1).await == Outcome::Answered;
        fates.push(answered.then(|| started.elapsed()));
    }
    fates
}

/// The same on a fresh switchboard.
async fn fates_from(seed: u64, link: (u64, u64), faults: Faults) -> Vec<Option<Duration>> {
    let sb = Switchboard::new(seed);
    let _node = plug(&sb, link.1).await;
    sb.set_faults(link.0, link.1, faults);
    fates(&sb, link, 64).await
}

fn lost(fates: &[Option<Duration>]) -> Vec<bool> {
    fates.iter().map(Option::is_none).collect()
}

const HALF: Faults = Faults { drop: 0.5, ..NONE };

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_fates() {
    let half = Faults { delay_max: millis(100), ..HALF };
    let first = fates_from(7, (1, 2), half).await;
    assert_eq!(first, fates_from(7, (1, 2), half).await);
    // 64 fair coins show less than 12 heads, or more than 52, once in 10^6 seeds.
    assert!((12..=52).contains(&lost(&first).iter().filter(|lost| **lost).count()), "{first:?}");
}

#[tokio::test(start_paused = true)]
async fn another_seed_or_another_link_has_other_fates() {
    let first = lost(&fates_from(7, (1, 2), HALF).await);
    for (seed, link) in [(8, (1, 2)), (7, (1, 3)), (7, (3, 2)), (7, (2, 1))] {
        assert_ne!(first, lost(&fates_from(seed, link, HALF).await), "{seed} {link:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_fault_does_not_change_what_the_others_do() {
    let delay = Faults { delay_max: millis(100), ..NONE };
    let (dropped, delayed) =
        (fates_from(7, (1, 2), HALF).await, fates_from(7, (1, 2), delay).await);
    assert!(delayed.iter().all(Option::is_some));

    let both = fates_from(7, (1, 2), Faults { duplicate: 0.5, drop: 0.5, ..delay }).await;
    assert_eq!(lost(&both), lost(&dropped));
    for (both, delayed) in both.iter().zip(&delayed).filter(|(both, _)| both.is_some()) {
        assert_eq!(both, delayed);
    }
    let limited = Faults { bytes_per_second: NonZeroU64::new(1 << 10), ..HALF };
    assert_eq!(lost(&fates_from(7, (1, 2), limited).await), lost(&dropped));
    // What is reordered is lost beside what is dropped, and nothing is saved.
    let reordered = fates_from(7, (1, 2), Faults { reorder: 0.5, ..HALF }).await;
    let pairs: Vec<(bool, bool)> = lost(&dropped).into_iter().zip(lost(&reordered)).collect();
    assert!(pairs.iter().all(|(before, after)| !before || *after), "{pairs:?}");
    assert!(pairs.iter().any(|(before, after)| !before && *after), "{pairs:?}");
}

#[tokio::test(start_paused = true)]
async fn traffic_on_one_link_does_not_change_the_fates_on_another() {
    let alone = lost(&fates_from(7, (1, 2), HALF).await);
    let sb = Switchboard::new(7);
    let _nodes = [plug(&sb, 2).await, plug(&sb, 3).await];
    sb.set_faults(1, 2, HALF);
    sb.set_faults(1, 3, HALF);
    let mut beside = Vec::new();
    for round in 0..64 {
        fates(&sb, (1, 3), round % 3).await;
        beside.extend(fates(&sb, (1, 2), 1).await);
    }
    assert_eq!(lost(&beside), alone);
}

#[tokio::test(start_paused = true)]
async fn changing_faults_in_between_goes_on_where_the_link_was() {
    let all = lost(&fates_from(7, (1, 2), HALF).await);
    let sb = Switchboard::new(7);
    let _node = plug(&sb, 2).await;
    sb.set_faults(1, 2, HALF);
    let mut parts = fates(&sb, (1, 2), 20).await;
    sb.heal();
    assert_eq!(lost(&fates(&sb, (1, 2), 10).await), [false; 10]);
    sb.cut(1, 2);
    assert_eq!(lost(&fates(&sb, (1, 2), 10).await), [true; 10]);
    sb.set_faults(1, 2, HALF);
    parts.extend(fates(&sb, (1, 2), 24).await);
    assert_eq!(lost(&parts)[..20], all[..20]);
    assert_eq!(lost(&parts)[20..], all[40..]);
}
