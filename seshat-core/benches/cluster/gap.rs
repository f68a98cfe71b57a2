//! The gap in service when a leader goes: between the last success before and the first one after,
//! as a client sees it that keeps proposing and asks one node after the other.

use std::time::{Duration, Instant};

use seshat_core::network::switchboard::Direct;
use seshat_core::node::{Handover, RaftNode};

use super::common::measure::{Scale, median};
use super::load::Load;
use super::target::cluster;

/// For how long the leader serves first.
const BEFORE: Duration = Duration::from_millis(300);

pub(crate) fn print(scale: Scale) {
    let rounds = if scale.rounds == 1 { 3 } else { 15 };
    println!("\nThree nodes, the leader goes: gap in service, ms, {rounds} rounds each\n");
    println!("| | median | max | handed over |");
    println!("|--|--:|--:|--:|");
    let mut medians = Vec::new();
    for (how, hands_over) in [("shutdown, hands over first", true), ("stop, as a crash", false)] {
        let rounds: Vec<(f64, bool)> = (0..rounds).map(|_| gap_ms(hands_over)).collect();
        let longest = rounds.iter().map(|(gap, _)| *gap).fold(0.0, f64::max);
        let handed_over = rounds.iter().filter(|(_, handed_over)| *handed_over).count();
        let median = median(rounds.into_iter().map(|(gap, _)| gap).collect());
        println!("| {how} | {median:.2} | {longest:.2} | {handed_over} |");
        medians.push(median);
    }
    println!("\nmedian, shutdown / stop: 1/{:.0}", medians[1] / medians[0]);
}

/// And whether another node was handed the leadership.
fn gap_ms(hands_over: bool) -> (f64, bool) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let nodes = cluster(&Load::new("ours", 3, 1), u64::MAX, Direct).await;
        let client = tokio::spawn(served_by_another(nodes.clone()));
        tokio::time::sleep(BEFORE).await;
        let handed_over = if hands_over {
            matches!(nodes[0].shutdown().await, Handover::To(_))
        } else {
            nodes[0].stop().await;
            false
        };
        (client.await.unwrap().as_secs_f64() * 1e3, handed_over)
    })
}

/// Returns once another node than the first one has served; how long after the first one did.
async fn served_by_another(nodes: Vec<RaftNode>) -> Duration {
    let (mut last, mut at) = (Instant::now(), 0);
    loop {
        match nodes[at].set("key", "value").await {
            Ok(_) if at > 0 => return last.elapsed(),
            Ok(_) => last = Instant::now(),
            Err(_) => at = (at + 1) % nodes.len(),
        }
        tokio::task::yield_now().await;
    }
}
