//! Each alert comes true by the fault that it is for, and is false before.

use std::time::{Duration, Instant};

use seshat_core::node::Unready;
use seshat_core::operation::{Batch, Operation};
use seshat_core::storage::MemStorage;
use seshat_core::types::{AppendEntriesRequest, RaftMetrics, Vote};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::disk::{self, Wrong};
use crate::host::{DEADLINE, Host, POLL, Ports};
use crate::machine;
use crate::proxy::{Proxy, Way, Wire};
use crate::rules::{self, Rule, named};
use crate::scrape::Scrape;

/// Sees that the alert comes true by the fault, which it wasn't before.
fn fires(host: &Host, alert: &str, fault: impl FnOnce()) {
    all_fire(host, &[alert], fault);
}

fn all_fire(host: &Host, alerts: &[&str], fault: impl FnOnce()) {
    let rules: Vec<_> = alerts.iter().map(|alert| named(alert)).collect();
    let before = well(host, &rules, || ());
    fault();
    // Not all of them last.
    let mut due: Vec<_> = rules.iter().collect();
    let deadline = Instant::now() + DEADLINE;
    loop {
        let now = host.scrape();
        due.retain(|rule| {
            let fires = rule.fires(&before, &now);
            if fires {
                rule.check(&before, &now);
            }
            !fires
        });
        if due.is_empty() {
            return;
        }
        let names: Vec<_> = due.iter().map(|rule| &rule.alert).collect();
        assert!(Instant::now() < deadline, "never came true: {names:?}:\n{}", host.gist());
        std::thread::sleep(POLL);
    }
}

/// The second of two scrapes between which none of them came true: soon, as what was done before may have an end yet.
fn well(host: &Host, rules: &[Rule], meanwhile: impl Fn()) -> Scrape {
    let (mut earlier, deadline) = (host.scrape(), Instant::now() + DEADLINE);
    loop {
        std::thread::sleep(POLL);
        meanwhile();
        let now = host.scrape();
        let Some(ill) = rules.iter().find(|rule| rule.fires(&earlier, &now)) else { return now };
        assert!(Instant::now() < deadline, "{} is true before:\n{}", ill.alert, host.gist());
        earlier = now;
    }
}

/// One node on such a disk, which leads.
fn alone(hot_bytes: usize) -> (Host, Wrong, tempfile::TempDir) {
    let (mut ports, dir, wrong) = (Ports::of(1), tempfile::tempdir().unwrap(), Wrong::default());
    let config = ports.config(1).propose_timeout(Duration::from_secs(2)).build().unwrap();
    let (path, of_disk) = (dir.path().to_owned(), wrong.clone());
    let storage = move || disk::open(&path, 1, hot_bytes, &of_disk);
    let host = Host::start(config, ports.listener(1), storage);
    Host::admit(std::slice::from_ref(&host));
    host.leads();
    (host, wrong, dir)
}

#[test]
fn a_full_disk_and_one_that_will_be() {
    let (host, wrong, _dir) = alone(1 << 20);
    fires(&host, "SeshatDiskLow", || wrong.low());
    fires(&host, "SeshatDiskFull", || {
        wrong.full();
        // Into the spare file, behind which there is no other.
        let node = host.node.clone();
        host.run(async move {
            for _ in 0..4 {
                // Refused when it is full.
                let _ = node.set("key", vec![0; 100_000]).await;
            }
        });
    });
    let node = host.node.clone();
    let health = host.run(async move { node.health().await });
    assert!(health.is_alive() && !health.is_ready(), "{health:?}");
}

#[test]
fn a_disk_that_fails() {
    let (host, wrong, _dir) = alone(1 << 20);
    fires(&host, "SeshatPoisoned", || {
        wrong.fails();
        let node = host.node.clone();
        host.run(async move { node.set("key", "value").await }).unwrap_err();
    });
    let node = host.node.clone();
    let health = host.run(async move { node.health().await });
    assert!(!health.is_alive(), "{health:?}");
}

/// A program whose node ends does so too, and is started again, and again.
#[test]
fn a_node_that_is_started_again_and_again() {
    let (before, after) = (alone(1 << 20).0.scrape(), alone(1 << 20).0.scrape());
    assert!(!named("SeshatRestarts").fires(&before, &before));
    assert!(named("SeshatRestarts").fires(&before, &after));
    named("SeshatRestarts").check(&before, &after);
}

/// It may come back: the node is alive, and of no use meanwhile.
#[test]
fn a_disk_that_hangs() {
    let (host, wrong, _dir) = alone(1 << 20);
    wrong.slow(Duration::from_millis(1800));
    let node = host.node.clone();
    let written = host.spawn(async move { node.set("key", "value").await });
    let node = host.node.clone();
    let health = host.run(async move {
        let deadline = Instant::now() + DEADLINE;
        loop {
            // As soon as it waits for its disk.
            let health = node.health().await;
            if !health.is_ready() || Instant::now() > deadline {
                return health;
            }
        }
    });
    assert!(health.is_alive(), "{health:?}");
    assert!(matches!(health.unready[..], [Unready::Unresponsive { .. }]), "{health:?}");
    wrong.slow(Duration::ZERO);
    // Whether it was in time is nobody's business.
    drop(host.run(written).unwrap());
    let node = host.node.clone();
    assert!(host.run(async move { node.health().await }).is_ready());
}

#[test]
fn a_disk_that_returns_something_else() {
    // Nothing of the log stays in memory.
    let (host, wrong, _dir) = alone(0);
    fires(&host, "SeshatChecksumFailures", || {
        wrong.garbles();
        let node = host.node.clone();
        // Whether it is answered before it is read back is nobody's business.
        let _ = host.run(async move { node.set("key", "value").await });
    });
}

#[test]
fn a_state_machine_that_is_too_slow() {
    let mut ports = Ports::of(1);
    let config = ports.config(1).build().unwrap();
    let (switch, goes) = watch::channel(true);
    let host = Host::start(config, ports.listener(1), || machine::storage(goes));
    Host::admit(std::slice::from_ref(&host));
    host.leads();
    fires(&host, "SeshatApplyBehind", || {
        switch.send_replace(false);
        append(&host, 5002);
    });
    let node = host.node.clone();
    let health = host.run(async move { node.health().await });
    assert!(health.is_alive() && !health.is_ready(), "{health:?}");
    switch.send_replace(true);
    let node = host.node.clone();
    host.run(async move {
        while !node.health().await.is_ready() {
            tokio::time::sleep(POLL).await;
        }
    });
}

/// A follower hears of one leader after the other.
#[test]
fn one_election_after_the_other() {
    let mut ports = Ports::of(3);
    let config = ports.config(1).build().unwrap();
    let host = Host::start(config, ports.listener(1), MemStorage::new);
    fires(&host, "SeshatLeaderChanges", || {
        for term in 1..=4 {
            let vote = Vote::new_committed(term, 2 + term % 2);
            let beat = AppendEntriesRequest {
                vote,
                prev_log_id: None,
                entries: vec![],
                leader_commit: None,
            };
            let node = host.node.clone();
            host.run(async move { node.raft().append_entries(beat).await }).unwrap();
            let changes = |now: &Scrape| now.sum("seshat_raft_leader_changes_total", &[]);
            host.until("it to hear", |now| changes(now) == term as f64);
        }
    });
    let scrape = host.scrape();
    assert_eq!(scrape.sum("seshat_raft_elections_total", &[]), 0.0, "it stood for none");
}

/// Appends entries, and waits for none of them.
fn append(host: &Host, count: usize) {
    let node = host.node.clone();
    host.run(async move {
        for _ in 0..count {
            let batch = Batch::from(Operation::del(["key"], node.limits()).unwrap());
            drop(node.raft().client_write_ff(batch).await.unwrap());
        }
    });
}

/// Three nodes, each with a disk, and behind a wire.
struct Cluster {
    ports: Ports,
    wires: Vec<Proxy>,
    _runtime: Runtime,
    dirs: Vec<tempfile::TempDir>,
    disks: Vec<Wrong>,
    hosts: Vec<Option<Host>>,
}

impl Cluster {
    fn start() -> Self {
        let mut ports = Ports::of(3);
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let wire = |id: u64| runtime.block_on(Proxy::to(ports.address(id).to_owned(), id));
        let wires: Vec<_> = (1..=3).map(wire).collect();
        (1..=3).zip(&wires).for_each(|(id, wire)| ports.found_at(id, wire.address));
        let dirs = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
        let disks = (0..3).map(|_| Wrong::default()).collect();
        let mut cluster = Self { ports, wires, _runtime: runtime, dirs, disks, hosts: vec![] };
        let hosts: Vec<Host> = (0..3).map(|at| cluster.host(at)).collect();
        Host::admit(&hosts);
        cluster.hosts = hosts.into_iter().map(Some).collect();
        cluster
    }

    fn host(&mut self, at: usize) -> Host {
        let id = at as u64 + 1;
        let config = self.ports.config(id).propose_timeout(Duration::from_secs(3));
        let config = config.rpc_timeout(Duration::from_secs(1)).build().unwrap();
        let (dir, wrong) = (self.dirs[at].path().to_owned(), self.disks[at].clone());
        Host::start(config, self.ports.listener(id), move || disk::open(&dir, id, 1 << 20, &wrong))
    }

    /// The leader's place, and those of the others.
    fn leader(&self) -> (usize, [usize; 2]) {
        let deadline = Instant::now() + DEADLINE;
        let leads = |host: &Option<Host>| host.as_ref().is_some_and(|host| host.node.is_leader());
        loop {
            if let Some(at) = self.hosts.iter().position(leads) {
                return (at, [(at + 1) % 3, (at + 2) % 3]);
            }
            assert!(Instant::now() < deadline, "nobody leads");
            std::thread::sleep(POLL);
        }
    }

    fn at(&self, at: usize) -> &Host {
        self.hosts[at].as_ref().unwrap()
    }
}

/// All that the rules and the dashboard name is there, with the labels that they use, in what three nodes say.
fn names_exist(scrapes: &[Scrape]) {
    let has = |name: &str, labels: &mut dyn Iterator<Item = &str>| {
        let series: Vec<_> = scrapes.iter().flat_map(|scrape| scrape.series(name)).collect();
        assert!(!series.is_empty(), "{name} is not there");
        // Prometheus' own.
        for label in labels.filter(|label| !["job", "instance"].contains(label)) {
            let has = series.iter().any(|(labels, _)| labels.contains_key(label));
            assert!(has, "{name} has no label {label}");
        }
    };
    let rules = rules::all();
    let of_rules = rules.iter().flat_map(Rule::selectors);
    for selector in of_rules.filter(|selector| selector.name != "up") {
        has(&selector.name, &mut selector.labels.keys().map(String::as_str));
    }
    let queries = crate::dashboard::queries();
    for query in &queries {
        assert!(!query.names.is_empty(), "{}", query.expr);
        for name in &query.names {
            has(name, &mut query.labels.iter().map(String::as_str));
        }
    }
    // And all that is there is shown.
    for metric in seshat_core::metrics::ALL {
        let shown = queries.iter().any(|query| {
            query.names.iter().any(|name| {
                name == metric.name || name.strip_suffix("_bucket") == Some(metric.name)
            })
        });
        assert!(shown, "{} is not on the dashboard", metric.name);
    }
}

/// Reads and writes, of a cluster that is well.
fn work(leader: &Host) {
    for n in 0..3 {
        leader.set("key", n.to_string());
    }
    let node = leader.node.clone();
    leader.run(async move { node.read_linearizable(b"key").await }).unwrap();
}

#[test]
fn what_can_befall_a_cluster() {
    let mut cluster = Cluster::start();
    let (leads, [second, third]) = cluster.leader();
    let works = || work(cluster.at(leads));
    let later = [0, 1, 2].map(|at| well(cluster.at(at), &rules::all(), works));
    names_exist(&later);

    // The first waits for its sync, and the others for it.
    let slow = [
        "SeshatSlowSync",
        "SeshatVerySlowSync",
        "SeshatSlowCommits",
        "SeshatSlowProposals",
        "SeshatHeartbeatsLate",
    ];
    let leader = cluster.at(leads);
    all_fire(leader, &slow, || {
        cluster.disks[leads].slow(Duration::from_millis(1200));
        let node = leader.node.clone();
        leader.run(async move {
            let first = tokio::spawn({
                let node = node.clone();
                async move { node.set("first", "").await }
            });
            tokio::time::sleep(Duration::from_millis(50)).await;
            let (second, third) = tokio::join!(node.set("second", ""), node.set("third", ""));
            drop((first.await, second, third));
        });
        cluster.disks[leads].slow(Duration::ZERO);
    });
    let (still, _) = cluster.leader();
    assert_eq!(still, leads, "it keeps its place, or what follows tells nothing");

    fires(leader, "SeshatPeerSlow", || {
        cluster.wires[third].set(Wire::both(Way::slow(Duration::from_millis(120))));
    });
    cluster.wires[third].set(Wire::WHOLE);

    let lost = ["SeshatPeerSilent", "SeshatPeerFails", "SeshatPeerLags", "SeshatPeerLagsInTime"];
    let gone = cluster.hosts[third].take();
    let leader = cluster.at(leads);
    all_fire(leader, &lost, || {
        drop(gone);
        append(leader, 1002);
    });
    named("SeshatDown").check(&Scrape::up(true), &Scrape::up(false));
    assert!(!named("SeshatDown").fires(&Scrape::up(true), &Scrape::up(true)));

    // It lacks what isn't there any more.
    fires(leader, "SeshatSnapshotsFail", || {
        let node = leader.node.clone();
        leader.run(async move {
            node.trigger_snapshot().await.unwrap();
            let last = node.last_applied().unwrap().index;
            let built = |now: &RaftMetrics| now.snapshot.is_some_and(|id| id.index >= last);
            node.wait_until(DEADLINE, "a snapshot", built).await.unwrap();
            node.trigger_purge(last).await.unwrap();
        });
    });
    // Its log begins with the first entry behind the snapshot, which it took long to install.
    let back = cluster.host(third);
    let leader = cluster.at(leads);
    cluster.disks[third].slow(Duration::from_secs(2));
    fires(&back, "SeshatLogTooShort", || {
        Host::admit(std::slice::from_ref(&back));
        back.until("a snapshot", |now| now.sum("seshat_raft_snapshot_restore_seconds", &[]) > 1.0);
        cluster.disks[third].slow(Duration::ZERO);
        leader.set("key", "value");
        back.until("an entry", |now| now.sum("seshat_raft_log_entries", &[]) > 0.0);
    });
    drop(back);

    let alone = [
        "SeshatNoLeader",
        "SeshatProposalsPending",
        "SeshatProposalsUnknown",
        "SeshatReadsUnconfirmed",
    ];
    let gone = cluster.hosts[second].take();
    let leader = cluster.at(leads);
    let mut asked = None;
    all_fire(leader, &alone, || {
        drop(gone);
        let node = leader.node.clone();
        asked = Some(leader.spawn(async move {
            let writes = (0..1001).map(|_| node.set("key", "value"));
            let reads = async {
                for _ in 0..6 {
                    node.read_linearizable(b"key").await.unwrap_err();
                }
            };
            tokio::join!(futures_util::future::join_all(writes), reads);
        }));
    });
    leader.run(async { asked.expect("it was begun").await.unwrap() });
}

/// Every alert has a test by its name.
#[test]
fn no_alert_is_left_out() {
    let tests = include_str!("faults.rs");
    for rule in rules::all() {
        assert!(tests.contains(&format!("\"{}\"", rule.alert)), "{}", rule.alert);
    }
}
