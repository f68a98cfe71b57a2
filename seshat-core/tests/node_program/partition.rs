//! Wires between nodes are cut, while clients read and write at all of them.

use std::collections::BTreeMap;
use std::time::Duration;

use seshat_core::proto::client::propose_response::Outcome;
use seshat_core::proto::client::{Role, StatusResponse};
use tokio::sync::watch;

use crate::cluster::{Cluster, IDS};
use crate::history::History;
use crate::proxy::{Proxy, Way, Wire};
use crate::signals::propose_at;

/// A proposal without a quorum is given up after a second.
const SETTINGS: &str = "propose_timeout_ms = 1000\nrpc_timeout_ms = 1000";

/// From each node to each other.
struct Wires(BTreeMap<(u64, u64), Proxy>);

impl Wires {
    /// Has the nodes reach each other through proxies, and clients as ever.
    async fn between(cluster: &mut Cluster) -> Self {
        let mut wires = BTreeMap::new();
        for (from, to) in IDS.iter().flat_map(|from| IDS.map(|to| (*from, to))) {
            if from != to {
                let proxy = Proxy::to(cluster.address(to).to_owned(), from).await;
                let way = format!("{to}={}", proxy.address);
                cluster.arguments.entry(from).or_default().extend(["--via".to_owned(), way]);
                wires.insert((from, to), proxy);
            }
        }
        Self(wires)
    }

    fn all(&self, wire: Wire) {
        self.0.values().for_each(|proxy| proxy.set(wire));
    }

    /// All that lead to a node or from it.
    fn of(&self, id: u64, wire: Wire) {
        let of = self.0.iter().filter(|((from, to), _)| *from == id || *to == id);
        of.for_each(|(_, proxy)| proxy.set(wire));
    }
}

/// Cuts the leader off until another leads; returns both.
async fn cut_off_leader(cluster: &Cluster, wires: &Wires, wire: Wire) -> (u64, u64) {
    let old = cluster.leader().await;
    wires.of(old, wire);
    let another = |statuses: &[StatusResponse]| {
        statuses.iter().find(|it| it.role() == Role::Leader && it.id != old).map(|it| it.id)
    };
    let statuses = cluster.until("another to lead", |now| another(now).is_some()).await;
    (old, another(&statuses).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_loses_nothing_and_invents_nothing() {
    let mut cluster = Cluster::new(SETTINGS);
    let wires = Wires::between(&mut cluster).await;
    for id in IDS {
        cluster.run(id);
    }
    cluster.leader().await;
    // What the clients ask for needs all members to have said that they read it.
    cluster.client().set_get("format", "").await.unwrap();

    let (stop, stopped) = watch::channel(false);
    let history = History::default();
    let clients = IDS.map(|id| {
        let client = cluster.hasty_client(id, Duration::from_millis(1500));
        tokio::spawn(history.clone().work(client, stopped.clone()))
    });
    for wire in [Wire::Cut, Wire::HalfOpen] {
        let (old, new) = cut_off_leader(&cluster, &wires, wire).await;
        let answer = propose_at(cluster.for_clients(old)).await;
        assert!(!matches!(answer, Outcome::Response(_)), "{wire:?}: {answer:?}");
        let answer = propose_at(cluster.for_clients(new)).await;
        assert!(matches!(answer, Outcome::Response(_)), "{wire:?}: {answer:?}");
        history.goes_on(40).await;
        wires.all(Wire::WHOLE);
        let follows = |statuses: &[StatusResponse]| {
            statuses.iter().all(|it| it.leader.is_some() && it.leader == statuses[0].leader)
        };
        cluster.until("the old leader to follow", follows).await;
    }
    wires.all(Wire::both(Way::slow(Duration::from_millis(15))));
    cluster.leader().await;
    let applied = |statuses: &[StatusResponse]| {
        statuses.iter().map(|it| it.last_applied.unwrap_or(0)).max().unwrap_or(0)
    };
    let before = applied(&cluster.statuses().await);
    let written = |statuses: &[StatusResponse]| applied(statuses) >= before + 10;
    cluster.until("writes over slow wires", written).await;
    wires.all(Wire::WHOLE);
    stop.send_replace(true);
    for client in clients {
        client.await.unwrap();
    }
    cluster.settled().await;
    let (count, unknown) = history.count();
    println!("{count} operations, {unknown} of them with an unknown outcome");
    assert!(count > 100 && unknown < count, "{count} operations, {unknown} unknown");
    assert!(history.is_linearizable(), "{history:#?}");
}
