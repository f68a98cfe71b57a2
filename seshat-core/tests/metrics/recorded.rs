//! What one node records of what it does.

use std::time::Duration;

use seshat_core::metrics::{ALL, Kind};
use seshat_core::operation::{Limits, Operation};
use seshat_core::storage::MemStorage;
use seshat_core::wal::{Disk, FileSystem};

use crate::disk::{self, Wrong};
use crate::host::{DEADLINE, Host, Ports};

fn alone() -> (Host, tempfile::TempDir) {
    let (mut ports, dir) = (Ports::of(1), tempfile::tempdir().unwrap());
    let path = dir.path().to_owned();
    let storage = move || disk::open(&path, 1, 1 << 20, &Wrong::default());
    let config = ports.config(1).propose_timeout(Duration::from_secs(2)).build().unwrap();
    let host = Host::start(config, ports.listener(1), storage);
    Host::admit(std::slice::from_ref(&host));
    host.leads();
    (host, dir)
}

/// From the first scrape on, so that a rate has where to begin; but for what is of another node.
#[test]
fn every_metric_is_there_before_anything_happens() {
    let (host, _dir) = alone();
    let scrape = host.scrape();
    for metric in ALL.iter().filter(|metric| !metric.labels.contains(&"peer")) {
        let name = match metric.kind {
            Kind::Counter | Kind::Gauge => metric.name.to_owned(),
            Kind::Histogram(_) => format!("{}_bucket", metric.name),
        };
        let series = scrape.series(&name);
        assert!(!series.is_empty(), "{name}");
        for (labels, _) in series {
            let mut has: Vec<&str> = labels.keys().map(String::as_str).collect();
            has.retain(|label| *label != "le");
            let mut expected = metric.labels.to_vec();
            expected.sort_unstable();
            assert_eq!(has, expected, "{name}");
        }
    }
    let text = host.text();
    for metric in ALL.iter().filter(|metric| !metric.labels.contains(&"peer")) {
        let help = format!("# HELP {} {}\n", metric.name, metric.help);
        assert!(text.contains(&help), "{help}");
    }
}

#[test]
fn proposals_are_counted_by_how_they_end() {
    let (host, _dir) = alone();
    let before = host.scrape();
    for n in 0..3 {
        host.set("key", n.to_string());
    }
    let limits = Limits { max_key_bytes: 1 << 20, ..Limits::default() };
    let large = Operation::set(vec![b'k'; 100_000], "value", &limits).unwrap();
    let node = host.node.clone();
    host.run(async move { node.propose(large).await }).unwrap_err();
    let node = host.node.clone();
    // Begun, and given up.
    host.run(async move {
        let mut set = Box::pin(node.set("key", "value"));
        futures_util::future::poll_fn(|cx| {
            let _ = set.as_mut().poll(cx);
            std::task::Poll::Ready(())
        })
        .await;
    });
    let after = host.scrape();
    let grown = |name: &str, with: &[(&str, &str)]| after.sum(name, with) - before.sum(name, with);
    let ended = |outcome| grown("seshat_raft_proposals_total", &[("outcome", outcome)]);
    assert_eq!((ended("applied"), ended("refused"), ended("unknown")), (3.0, 1.0, 1.0));
    let failed = |reason| grown("seshat_raft_proposals_failed_total", &[("reason", reason)]);
    assert_eq!((failed("limit"), failed("given_up"), failed("no_quorum")), (1.0, 1.0, 0.0));
    assert_eq!(after.sum("seshat_raft_proposals_pending", &[]), 0.0);
    for histogram in ["commit_duration_seconds", "propose_wait_seconds", "apply_duration_seconds"] {
        let samples = grown(&format!("seshat_raft_{histogram}_count"), &[]);
        assert!(samples >= 3.0, "{histogram}: {samples}");
    }
    // Each of them was written and synced, in an entry of its own.
    assert!(grown("seshat_raft_wal_fsync_duration_seconds_count", &[]) >= 3.0);
    assert!(grown("seshat_raft_wal_group_size_count", &[]) >= 3.0);
    let bytes = grown("seshat_raft_wal_write_bytes_total", &[]);
    assert!((3.0 * 20.0..100_000.0).contains(&bytes), "{bytes}");
    assert_eq!(grown("seshat_raft_wal_group_size_sum", &[]), bytes);
}

#[test]
fn levels_are_what_they_are_when_they_are_asked_for() {
    let (host, _dir) = alone();
    host.set("key", vec![0; 1000]);
    let node = host.node.clone();
    host.run(async move {
        node.trigger_snapshot().await.unwrap();
        let built = |now: &seshat_core::types::RaftMetrics| now.snapshot.is_some();
        node.wait_until(DEADLINE, "a snapshot", built).await.unwrap();
        let snapshot = node.metrics().borrow().snapshot.unwrap().index;
        node.trigger_purge(snapshot).await.unwrap();
        let purged = |now: &seshat_core::types::RaftMetrics| now.purged.is_some();
        node.wait_until(DEADLINE, "a purge", purged).await.unwrap();
        assert!(node.read_linearizable(b"key").await.unwrap().is_some());
    });
    host.set("key", "value");
    let scrape = host.until("the last entry", |scrape| {
        scrape.sum("seshat_raft_applied_index", &[])
            == scrape.sum("seshat_raft_committed_index", &[])
    });
    let is = |name: &str| scrape.sum(&format!("seshat_raft_{name}"), &[]);
    let now = host.node.metrics().borrow().clone();
    assert_eq!(is("applied_index"), now.last_applied.unwrap().index as f64);
    assert_eq!(is("purged_index"), now.purged.unwrap().index as f64);
    assert_eq!(is("snapshot_index"), now.snapshot.unwrap().index as f64);
    let entries = now.last_log_index.unwrap() - now.purged.unwrap().index;
    assert_eq!(is("log_entries"), entries as f64);
    assert_eq!(is("term"), now.current_term as f64);
    assert_eq!((is("has_leader"), is("is_leader")), (1.0, 1.0));
    assert_eq!((is("leader_changes_total"), is("elections_total")), (1.0, 1.0));
    for role in ["learner", "follower", "candidate", "leader", "stopped"] {
        let has = scrape.sum("seshat_raft_role", &[("role", role)]);
        assert_eq!(has, f64::from(u8::from(role == "leader")), "{role}");
    }
    assert_eq!(is("snapshot_build_seconds_count"), 1.0);
    assert!(is("snapshot_build_bytes") > 1000.0);
    assert!(is("read_index_duration_seconds_count") >= 1.0);
    assert_eq!((is("wal_segments"), is("wal_bytes")), (1.0, f64::from(256 << 10)));
    assert!(is("disk_free_bytes") > 0.0);
    assert_eq!((is("disk_full"), is("poisoned")), (0.0, 0.0));
    host.until("an older entry", |scrape| {
        scrape.sum("seshat_raft_wal_oldest_age_seconds", &[]) > 0.2
    });
}

/// What this machine's file system says.
#[test]
fn a_disk_knows_what_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let free = Disk::at(dir.path()).unwrap().free().unwrap();
    assert!(free.is_some_and(|free| free > 0), "{free:?}");
}

/// A node in memory has no disk, and says nothing of one: 0 bytes free would be an alarm.
#[test]
fn a_node_in_memory_says_nothing_of_a_disk() {
    let mut ports = Ports::of(1);
    let config = ports.config(1).build().unwrap();
    let host = Host::start(config, ports.listener(1), MemStorage::new);
    let scrape = host.scrape();
    for name in ["disk_free_bytes", "wal_segments", "wal_bytes"] {
        assert!(scrape.series(&format!("seshat_raft_{name}")).is_empty(), "{name}");
    }
    assert_eq!(scrape.sum("seshat_raft_disk_full", &[]), 0.0);
}

#[test]
fn a_node_that_stopped_leads_no_more() {
    let (host, _dir) = alone();
    let node = host.node.clone();
    let health = host.run(async move {
        assert!(node.health().await.is_ready());
        node.shutdown().await;
        node.health().await
    });
    assert!(!health.is_alive() && !health.is_ready(), "{health:?}");
    let scrape = host.scrape();
    assert_eq!(scrape.sum("seshat_raft_has_leader", &[]), 0.0);
    assert_eq!(scrape.sum("seshat_raft_role", &[("role", "stopped")]), 1.0);
    assert_eq!(scrape.sum("seshat_raft_poisoned", &[]), 0.0, "it was told to");
}
