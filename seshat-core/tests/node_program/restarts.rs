//! Nodes that end and come back, while a client writes.

use tokio::time::Instant;

use crate::cluster::{Cluster, IDS};
use crate::writer::Writer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_killed_costs_an_election_and_one_that_is_asked_to_end_next_to_nothing() {
    let mut cluster = Cluster::start("").await;
    let mut writer = Writer::start(cluster.client());
    writer.more(50).await;

    let first = cluster.leader().await;
    let asked_at = Instant::now();
    let asked = cluster.take(first);
    asked.signal("TERM").await;
    let ended = asked.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    writer.more(50).await;
    cluster.rejoin(first).await;
    writer.more(50).await;

    let second = cluster.leader().await;
    assert_ne!(first, second);
    let killed_at = Instant::now();
    let mut killed = cluster.take(second);
    killed.kill();
    assert_eq!(killed.ended().await.code, None);
    writer.more(50).await;

    let written = writer.finish(&cluster).await;
    assert!(written.failed.is_empty(), "{:?}", written.failed);
    assert!(written.unknown.len() <= 1, "what was under way at most: {:?}", written.unknown);
    let after = written.gap(killed_at);
    let before = |at: &Instant| *at < killed_at;
    let acknowledged = written.acknowledged.iter().filter(|(_, at)| before(at)).copied().collect();
    let graceful = crate::writer::Written { acknowledged, ..written.clone() }.gap(asked_at);
    println!("gap in service: leader asked to end {graceful:?}, leader killed {after:?}");
    println!("{} writes acknowledged, {} retries", written.acknowledged.len(), written.retries);
    assert!(graceful < after, "asked {graceful:?}, killed {after:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_three_restart_one_after_the_other_and_a_client_hears_nothing_of_it() {
    let mut cluster = Cluster::start("").await;
    let mut writer = Writer::start(cluster.client());
    for id in IDS {
        writer.more(50).await;
        let node = cluster.take(id);
        node.signal("TERM").await;
        let ended = node.ended().await;
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        writer.more(20).await;
        cluster.rejoin(id).await;
    }
    writer.more(50).await;
    let started = Instant::now();
    let written = writer.finish(&cluster).await;
    let (count, retries) = (written.acknowledged.len(), written.retries);
    println!("{count} writes acknowledged, {retries} retries, checked in {:?}", started.elapsed());
    assert!(written.unknown.is_empty(), "{:?}", written.unknown);
    assert!(written.failed.is_empty(), "{:?}", written.failed);
    let statuses = cluster.settled().await;
    assert!(statuses.iter().all(|it| it.keys == count as u64), "{statuses:#?}");
}
