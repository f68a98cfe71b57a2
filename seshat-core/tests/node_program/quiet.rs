//! What a node logs while others are lost: a line for each change, however often it tries.

use crate::cluster::{Cluster, IDS};

/// A node that is left alone campaigns again and again, and calls both others each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_peers_are_dead_says_so_once_and_once_that_they_are_back() {
    let mut cluster = Cluster::start_on_disk("").await;
    let leader = cluster.leader().await;
    let others: Vec<u64> = IDS.into_iter().filter(|id| *id != leader).collect();
    let alone = others[0];
    cluster.settled().await;
    let before = cluster.running[&alone].logged().len();
    for id in [leader, others[1]] {
        cluster.kill(id).await;
    }
    let first = cluster.until("an election", |all| all[0].leader.is_none()).await[0].term;
    cluster.until("many more elections", |all| all[0].term >= first + 5).await;
    let logged = cluster.running[&alone].logged().split_off(before);
    let told = |words: &str| logged.lines().filter(|line| line.contains(words)).count();
    for id in [leader, others[1]] {
        assert_eq!(told(&format!("calls to peer fail peer={id} ")), 1, "{logged}");
    }
    assert_eq!(told("leadership changed"), 1, "{logged}");
    assert!(told("openraft") <= 1, "{logged}");
    assert!(logged.lines().count() <= 6, "{logged}");

    let before = cluster.running[&alone].logged().len();
    for id in [leader, others[1]] {
        cluster.run(id).says("takes part again").await;
    }
    cluster.settled().await;
    // Who leads calls the others.
    cluster.client().transfer_leadership(alone).await.unwrap();
    for id in [leader, others[1]] {
        let line = format!("calls to peer succeed again peer={id} ");
        cluster.running.get_mut(&alone).unwrap().logs(&line).await;
        let back = cluster.running[&alone].logged().split_off(before);
        assert_eq!(back.matches(&line).count(), 1, "{back}");
    }
}
