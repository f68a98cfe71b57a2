//! A node that is added at an address where nobody is.

use crate::cluster::{Cluster, port};
use crate::program::run;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_becomes_a_voter_by_a_typing_error() {
    let cluster = Cluster::start("propose_timeout_ms = 1000").await;
    let leader = cluster.for_clients(cluster.leader().await).to_owned();
    let nobody = format!("127.0.0.1:{}", port());

    let ended = run(["client", "--to", &leader, "add", "4", &nobody]).await;
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(
        ended.err.contains("node 4 is not caught up, and made no progress for 1"),
        "{ended:#?}"
    );
    assert!(ended.err.contains("known to go to no entry"), "{ended:#?}");
    let statuses = cluster.statuses().await;
    let fourth = || statuses.iter().flat_map(|status| &status.members).filter(|it| it.id == 4);
    assert!(fourth().count() > 0 && fourth().all(|it| !it.voter), "{statuses:#?}");

    let ended = run(["client", "--to", &leader, "remove", "4"]).await;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    cluster.client().set("key", "value").await.unwrap();
    let statuses = cluster.settled().await;
    assert!(statuses.iter().all(|it| it.members.len() == 3), "{statuses:#?}");
}
