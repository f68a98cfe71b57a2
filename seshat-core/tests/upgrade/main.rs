//! A cluster is upgraded and downgraded node by node, under load.
//!
//! The nodes are processes of this very program ([`node`]), over gRPC. The old build is the one that is
//! tested everywhere else; the new one has one more kind of operation, and one more field in an old kind
//! (feature `next`), and so reads the format after the last.

#![cfg(unix)]
// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stdout, reason = "how a node answers")]

mod cluster;
mod load;
mod node;
mod process;

use std::time::Duration;

use self::cluster::Cluster;
use self::load::Load;
use self::process::Build;

/// Longer than anything takes that goes well, on a machine that is busy.
const DEADLINE: Duration = Duration::from_secs(20);

const IDS: [u64; 3] = [1, 2, 3];
/// What the old build reads, and a cluster of it writes.
const OLD: u64 = 3;
/// The same of the new one.
const NEW: u64 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_upgraded_and_downgraded_one_by_one_under_load() {
    let mut cluster = Cluster::start(Build::Old).await;
    cluster.writes(OLD).await;
    let mut load = Load::start(&cluster);

    // Held back, an upgrade can be undone, also once all nodes have it.
    for id in IDS {
        cluster.replace(id, Build::Holding).await;
        load.goes_on(20).await;
        let why = if id == 3 { "holds it at format 3" } else { "reads up to format 3" };
        cluster.refuses_what_is_new(why).await;
    }
    cluster.writes(OLD).await;
    for id in IDS {
        cluster.replace(id, Build::Old).await;
        load.goes_on(20).await;
        cluster.refuses_what_is_new("reads up to format 3").await;
    }

    // As long as one can't read it, nothing new is written.
    cluster.replace(1, Build::New).await;
    cluster.replace(2, Build::New).await;
    load.goes_on(20).await;
    cluster.refuses_what_is_new("reads up to format 3").await;
    cluster.writes(OLD).await;
    cluster.replace(3, Build::New).await;
    cluster.writes(NEW).await;
    assert_eq!(cluster.lead("append log a").await, Ok(String::new()));
    assert_eq!(cluster.lead("prepend log b").await, Ok(String::new()));
    assert_eq!(cluster.lead("append log c").await, Ok(String::new()));
    assert_eq!(cluster.lead("prepend new d").await, Ok(String::new()));
    assert_eq!(cluster.lead("get log").await, Ok("bac".to_owned()));
    assert_eq!(cluster.lead("get new").await, Ok("d".to_owned()));
    load.goes_on(20).await;

    // Also for who comes later: by the log, and by a snapshot.
    cluster.snapshots().await;
    cluster.replace(1, Build::New).await;
    cluster.writes(NEW).await;
    load.finish().await;
    cluster.agrees().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_build_is_refused_by_name_once_the_cluster_writes_what_it_cannot_read() {
    let mut cluster = Cluster::start(Build::Old).await;
    let mut load = Load::start(&cluster);
    let early = cluster.joining(4, Build::Old);
    assert_eq!(early.admission().await.as_deref(), Ok("Waits"));
    for id in IDS {
        cluster.replace(id, Build::New).await;
    }
    // One that isn't a member holds nothing back.
    cluster.writes(NEW).await;
    cluster.lead("append log a").await.unwrap();
    load.goes_on(20).await;

    let late = cluster.joining(5, Build::Old);
    let words = late.admission().await.unwrap_err();
    assert!(words.contains("this build reads format 3, cluster \"upgraded\" writes 4"), "{words}");
    assert!(words.ends_with("start a newer version as node 5"), "{words}");

    let refused = cluster.lead(&format!("add 4 {}", early.address)).await.unwrap_err();
    assert_eq!(refused, "node 4 reads format 3, the cluster writes 4");

    // Past that check it takes no harm, and does none: neither by the log nor by a snapshot.
    cluster.lead(&format!("force 4 {}", early.address)).await.unwrap();
    load.goes_on(20).await;
    cluster.leader().await.says("format version 4, this build reads 1 to 3").await;
    cluster.snapshots().await;
    cluster.leader().await.says("it reads format 3, the snapshot needs 4").await;
    load.goes_on(20).await;
    assert!(early.status().await.format < NEW, "{:?}", early.status().await);
    load.finish().await;
    cluster.agrees().await;
}
