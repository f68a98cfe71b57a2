//! Three processes serve.

use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::{Cluster, IDS};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_processes_started_one_after_the_other_elect_a_leader_and_serve() {
    let mut cluster = Cluster::new("");
    cluster.run(3).says("listens at").await;
    cluster.run(1).says("listens at").await;
    // They form nothing without the third.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(cluster.statuses().await.iter().all(|it| it.leader.is_none()));

    let started = Instant::now();
    cluster.run(2);
    let client = cluster.client();
    assert_eq!(client.set_get("a", "1").await.unwrap(), None);
    println!(
        "election: the first write was acknowledged {:?} after the last start",
        started.elapsed()
    );

    assert_eq!(client.set_get("a", "2").await.unwrap().as_deref(), Some(&b"1"[..]));
    client.set("b", "").await.unwrap();
    assert_eq!(client.del(vec!["a".into(), "c".into()]).await.unwrap(), 1);
    assert_eq!(client.get("a").await.unwrap(), None);
    assert_eq!(client.get("b").await.unwrap().as_deref(), Some(&b""[..]));
    let statuses = cluster.settled().await;
    assert!(statuses.iter().all(|it| it.keys == 1 && it.bytes == 1), "{statuses:#?}");
}

/// Whatever it has come to, it ends: by its own account, or before it listens for signals by the system's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_are_told_to_end_while_they_start_do() {
    let mut cluster = Cluster::start_on_disk("").await;
    for id in IDS {
        let node = cluster.take(id);
        node.signal("TERM").await;
        assert_eq!(node.ended().await.code, Some(0));
    }
    for millis in [0, 3, 6, 12, 25, 50, 100, 200] {
        cluster.run(1);
        tokio::time::sleep(Duration::from_millis(millis)).await;
        let node = cluster.take(1);
        node.signal("TERM").await;
        let ended = node.ended().await;
        assert!(matches!(ended.code, Some(0) | None), "{ended:#?}");
        assert!(ended.code.is_none() || ended.out.contains("node 1 shuts down"), "{ended:#?}");
    }
}
