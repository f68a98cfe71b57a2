//! What operators ask for by the program: how nodes are, who belongs to the cluster, who is to lead it.

use crate::cluster::{Cluster, IDS};
use crate::program::{Ended, run};

/// Asks, and tells the program where all three nodes are.
async fn ask(cluster: &Cluster, command: &[&str]) -> Ended {
    let mut arguments = vec!["client"];
    for id in IDS {
        arguments.extend(["--to", cluster.for_clients(id)]);
    }
    arguments.extend(command);
    run(arguments).await
}

/// The words of each line below the heading, by the node's address.
fn rows(out: &str) -> Vec<Vec<&str>> {
    let mut rows: Vec<Vec<&str>> =
        out.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    rows.sort();
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_see_the_members_the_partitions_and_whether_all_are_ready() {
    let mut cluster = Cluster::start("propose_timeout_ms = 1000").await;
    cluster.client().set("key", "value").await.unwrap();
    let settled = cluster.settled().await;
    let leader = cluster.leader().await;

    let members = ask(&cluster, &["members"]).await;
    assert_eq!(members.code, Some(0), "{members:#?}");
    let expected = IDS.map(|id| {
        let mut row = vec![id.to_string(), cluster.address(id).to_owned(), "voter".to_owned()];
        row.push(if id == leader { "yes" } else { "-" }.to_owned());
        row
    });
    assert_eq!(rows(&members.out), expected);

    let partitions = ask(&cluster, &["partitions"]).await;
    assert_eq!(partitions.code, Some(0), "{partitions:#?}");
    let applied = settled[0].last_applied.unwrap().to_string();
    for id in IDS {
        let rows = rows(&partitions.out);
        let row = rows.iter().find(|row| row[1] == cluster.for_clients(id)).unwrap();
        let role = if id == leader { "leader" } else { "follower" };
        let (leader, term) = (leader.to_string(), settled[0].term.to_string());
        let expected =
            ["0", cluster.for_clients(id), role, &leader, &term, &applied, &applied, &applied, "-"];
        assert_eq!(row[..9], expected, "{partitions:#?}");
    }

    let health = ask(&cluster, &["health"]).await;
    assert_eq!(health.code, Some(0), "{health:#?}");
    assert!(rows(&health.out).iter().all(|row| row[2..] == ["ready", "-"]), "{health:#?}");

    // One goes, and the others tell.
    let gone = IDS.into_iter().find(|id| *id != leader).unwrap();
    cluster.kill(gone).await;
    let health = ask(&cluster, &["health"]).await;
    assert_eq!(health.code, Some(1), "{health:#?}");
    assert_eq!(health.out.matches(" ready ").count(), 2, "{health:#?}");
    assert_eq!(health.out.matches("no answer: ").count(), 1, "{health:#?}");
    let members = ask(&cluster, &["members"]).await;
    assert_eq!((members.code, rows(&members.out).len()), (Some(0), 3), "{members:#?}");

    // Another goes, and the last knows of no leader.
    cluster.kill(leader).await;
    let alone = IDS.into_iter().find(|id| ![gone, leader].contains(id)).unwrap();
    let leaderless = |statuses: &[seshat_core::proto::client::StatusResponse]| {
        statuses.iter().all(|status| status.leader.is_none())
    };
    cluster.until("no leader", leaderless).await;
    let health = ask(&cluster, &["health"]).await;
    assert_eq!(health.code, Some(1), "{health:#?}");
    let words = "unready  no leader is heard: see whether a majority of the members runs";
    assert!(health.out.contains(words), "{health:#?}");
    let members = ask(&cluster, &["members"]).await;
    let words = format!("(as {} knows it: no leader answers)", cluster.for_clients(alone));
    assert!(members.out.starts_with(&words), "{members:#?}");
    cluster.kill(alone).await;
    let members = ask(&cluster, &["members"]).await;
    assert_eq!(members.code, Some(1), "{members:#?}");
    assert!(members.err.starts_with("seshat: no node answers:\n"), "{members:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_transferred_to_whom_the_operator_names() {
    let mut cluster = Cluster::start_on_disk("propose_timeout_ms = 1000").await;
    cluster.client().set("key", "value").await.unwrap();
    for to in IDS {
        let ended = ask(&cluster, &["transfer", &to.to_string()]).await;
        assert_eq!(
            (ended.code, ended.out),
            (Some(0), format!("node {to} leads\n")),
            "{}",
            ended.err
        );
        assert_eq!(cluster.leader().await, to);
    }
    let refused = ask(&cluster, &["transfer", "9"]).await;
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    let words =
        "node 9 is not a voter, and only a voter can lead: nodes 1, 2 and 3 are. Name one of them";
    assert!(refused.err.contains(words), "{refused:#?}");

    // Who is gone takes over nothing, and who led leads.
    cluster.kill(1).await;
    cluster.client().set("key", "other").await.unwrap();
    let refused = ask(&cluster, &["transfer", "1"]).await;
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    let words = "node 1 is not caught up, and made no progress for 1";
    assert!(refused.err.contains(words), "{refused:#?}");
    assert!(refused.err.contains("See whether it runs and can be reached, or name another"));
    assert_eq!(cluster.leader().await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_node_builds_a_snapshot_when_it_is_asked_to() {
    let mut cluster = Cluster::start_on_disk("").await;
    cluster.client().set("key", "value").await.unwrap();
    let settled = cluster.settled().await;
    let (index, term) = (settled[0].last_applied.unwrap().to_string(), settled[0].term.to_string());
    // The second one finds what the first has built.
    for _ in 0..2 {
        let built = ask(&cluster, &["snapshot"]).await;
        assert_eq!(built.code, Some(0), "{built:#?}");
        for row in rows(&built.out) {
            assert_eq!((row[1], row[2], row[4]), (&*index, &*term, "bytes"), "{built:#?}");
            assert!(row[3].parse::<u64>().unwrap() > 0, "{built:#?}");
        }
        assert_eq!(rows(&built.out).len(), 3, "{built:#?}");
    }
    for id in IDS {
        let files = std::fs::read_dir(cluster.data_dir(id).join("snap")).unwrap().count();
        assert!(files > 0, "node {id} has none");
    }
    cluster.kill(1).await;
    let built = ask(&cluster, &["snapshot"]).await;
    assert_eq!(built.code, Some(1), "{built:#?}");
    assert_eq!(built.out.matches("no snapshot: ").count(), 1, "{built:#?}");
}
