//! A node without a `data_dir` that was killed has forgotten everything.

use crate::cluster::Cluster;

/// What was applied is in a snapshot, and no log is kept behind it.
pub(crate) const SNAPSHOTS: &str =
    "snapshot = { min_log_bytes = 1, growth_percent = 1, log_bytes_to_keep = 0 }";

async fn comes_back_as_a_new_member(settings: &'static str) {
    let mut cluster = Cluster::start(settings).await;
    let client = cluster.client();
    for n in 0..100 {
        client.set(format!("key-{n}"), vec![b'x'; 10_000]).await.unwrap();
    }
    let id = cluster.leader().await;
    let mut killed = cluster.take(id);
    killed.kill();
    assert_eq!(killed.ended().await.code, None);
    // A read may be repeated, a write that was sent to the killed one may not.
    assert_eq!(client.get("more").await.unwrap(), None);
    client.set("more", "").await.unwrap();

    cluster.run(id);
    let ended = cluster.take(id).ended().await;
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    // A task that still runs may log behind it.
    let said = ended.err.lines().rev().find(|line| line.starts_with("seshat: ")).unwrap();
    let (subject, rest) = said.split_once(" (node ").expect(said);
    assert_eq!(subject, format!("seshat: node {id} is a member of cluster \"seshat\""));
    let remedy =
        format!("Remove node {id} from the cluster, start it again, and add it when it waits");
    assert!(rest.contains("remembers nothing of it") && rest.contains(&remedy), "{said}");

    cluster.rejoin(id).await;
    let statuses = cluster.settled().await;
    assert!(statuses.iter().all(|it| it.keys == 101), "{statuses:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_is_refused_and_comes_back_as_a_new_member_by_the_log() {
    comes_back_as_a_new_member("").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_is_refused_and_comes_back_as_a_new_member_by_a_snapshot() {
    comes_back_as_a_new_member(SNAPSHOTS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_the_membership_that_make_no_sense_are_refused() {
    let cluster = Cluster::start("").await;
    let client = cluster.client();
    let refused = client.remove(9).await.unwrap_err().to_string();
    assert!(refused.contains("node 9 is not a member: nodes 1, 2, 3 are"), "{refused}");
    let refused = client.add(1, "127.0.0.1:1").await.unwrap_err().to_string();
    let at = cluster.address(1);
    let expected = format!("node 1 is a member already, at {at}: remove it first");
    assert!(refused.contains(&expected), "{refused}");
    // Not a change.
    assert_eq!(client.add(1, at).await.unwrap().len(), 3);
    let refused = client.del(vec![]).await.unwrap_err().to_string();
    assert!(refused.contains("DEL without a key"), "{refused}");
    let refused = client.set("key", vec![0; 4 << 20]).await.unwrap_err().to_string();
    assert!(refused.starts_with("refused by"), "{refused}");
}
