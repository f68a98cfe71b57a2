//! Three nodes in this process, and the links between them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use seshat_core::config::{NodeConfig, NodeConfigBuilder};
use seshat_core::network::Switchboard;
use seshat_core::network::grpc::{GrpcServer, GrpcTransport};
use seshat_core::node::RaftNode;
use seshat_core::operation::Limits;
use seshat_core::storage::MemStorage;
use tokio::net::TcpListener;

use super::link::{By, Link, Place, faults};
use super::proxy::{Proxy, Way, Wire};
use super::via::Via;

const IDS: [u64; 3] = [1, 2, 3];
/// How long a cluster may take to form over links without faults.
const FORMS: Duration = Duration::from_secs(10);
/// The longest value of a load.
pub(crate) const MAX_VALUE: usize = 8 << 20;

pub(crate) struct Cluster {
    pub(crate) nodes: Vec<RaftNode>,
    links: Links,
    places: BTreeMap<u64, Place>,
    /// The term of the first leader.
    term: u64,
}

enum Links {
    Switchboard(Switchboard),
    Grpc { wires: BTreeMap<(u64, u64), Proxy>, _servers: Vec<GrpcServer> },
}

impl Links {
    fn set(&self, (from, to): (u64, u64), there: Way, back: Way) {
        match self {
            Self::Switchboard(switchboard) => {
                switchboard.set_faults(from, to, faults(there));
                switchboard.set_faults(to, from, faults(back));
            }
            Self::Grpc { wires, .. } => wires[&(from, to)].set(Wire::Whole { there, back }),
        }
    }

    fn cut(&self, (from, to): (u64, u64)) {
        match self {
            Self::Switchboard(switchboard) => switchboard.cut(from, to),
            Self::Grpc { wires, .. } => wires[&(from, to)].set(Wire::Cut),
        }
    }
}

/// What an operator leaves as it is, but for the longest value.
fn config(id: u64, address: impl Fn(u64) -> String) -> NodeConfig {
    let builder = NodeConfig::builder(id);
    let with_member = |config: NodeConfigBuilder, id| config.member(id, address(id));
    let limits = Limits { max_value_bytes: MAX_VALUE, ..Limits::default() };
    IDS.into_iter().fold(builder, with_member).limits(limits).build().unwrap()
}

impl Cluster {
    /// Formed over links without faults.
    pub(crate) async fn form(by: By) -> Self {
        let (nodes, links) = match by {
            By::Switchboard => on_switchboard().await,
            By::Grpc => over_grpc().await,
        };
        let leader = nodes[0].wait_for_leader(FORMS).await.unwrap();
        for node in &nodes {
            node.wait_until(FORMS, "to know the leader", |now| now.current_leader == Some(leader))
                .await
                .unwrap();
        }
        let followers = IDS.into_iter().filter(|id| *id != leader);
        let places = followers.zip([Place::Near, Place::Far]).chain([(leader, Place::Leader)]);
        let term = nodes[0].metrics().borrow().current_term;
        Self { nodes, links, places: places.collect(), term }
    }

    /// From now on the links are so.
    pub(crate) fn set(&self, link: &Link) {
        for pair in pairs() {
            let (from, to) = (self.places[&pair.0], self.places[&pair.1]);
            self.links.set(pair, link.way(from, to), link.way(to, from));
        }
    }

    /// Cuts the far follower off.
    pub(crate) fn cut_far(&self) {
        let far = self.far().id();
        pairs().filter(|(from, to)| *from == far || *to == far).for_each(|it| self.links.cut(it));
    }

    fn far(&self) -> &RaftNode {
        self.nodes.iter().find(|node| self.places[&node.id()] == Place::Far).unwrap()
    }

    /// Whoever leads, in the latest term if more than one believes so.
    pub(crate) fn leader(&self) -> Option<RaftNode> {
        let leaders = self.nodes.iter().filter(|node| node.is_leader());
        leaders.max_by_key(|node| node.metrics().borrow().current_term).cloned()
    }

    /// Whether every node has by then applied what one has applied now.
    pub(crate) async fn all_follow(&self, until: Instant) -> bool {
        let applied = self.nodes.iter().filter_map(RaftNode::last_applied).max();
        let index = applied.map_or(0, |id| id.index);
        let left = until.saturating_duration_since(Instant::now());
        let all = self.nodes.iter().map(|node| node.wait_for_applied(left, index));
        join_all(all).await.iter().all(Result::is_ok)
    }

    /// How many elections there were since the first leader's.
    pub(crate) fn elections(&self) -> u64 {
        let terms = self.nodes.iter().map(|node| node.metrics().borrow().current_term);
        terms.max().unwrap_or(0) - self.term
    }

    /// Sets a key through whoever leads, again if it fails; returns how long that took, or `None`
    /// if it has not succeeded by then.
    pub(crate) async fn write(
        &self,
        key: impl Into<bytes::Bytes>,
        value: impl Into<bytes::Bytes>,
        until: Instant,
    ) -> Option<Duration> {
        let (key, value, started) = (key.into(), value.into(), Instant::now());
        let written = async {
            loop {
                if let Some(leader) = self.leader()
                    && leader.set(key.clone(), value.clone()).await.is_ok()
                {
                    return started.elapsed();
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout_at(until.into(), written).await.ok()
    }
}

fn pairs() -> impl Iterator<Item = (u64, u64)> {
    let all = IDS.into_iter().flat_map(|from| IDS.map(|to| (from, to)));
    all.filter(|(from, to)| from != to)
}

async fn on_switchboard() -> (Vec<RaftNode>, Links) {
    let switchboard = Switchboard::new(1);
    let mut nodes = Vec::new();
    for id in IDS {
        let (config, port) = (config(id, |id| format!("node-{id}")), switchboard.port(id));
        let node = RaftNode::start(config, MemStorage::new(), port).await.unwrap();
        switchboard.plug(id, node.raft().clone());
        nodes.push(node);
    }
    nodes[0].initialize().await.unwrap();
    (nodes, Links::Switchboard(switchboard))
}

/// Each node reaches each other by a wire of its own.
async fn over_grpc() -> (Vec<RaftNode>, Links) {
    let (mut listeners, mut addresses) = (BTreeMap::new(), BTreeMap::new());
    for id in IDS {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        addresses.insert(id, listener.local_addr().unwrap().to_string());
        listeners.insert(id, listener);
    }
    let mut wires = BTreeMap::new();
    for (from, to) in pairs() {
        wires.insert((from, to), Proxy::to(addresses[&to].clone(), from * 10 + to).await);
    }
    let (mut nodes, mut servers) = (Vec::new(), Vec::new());
    for (id, listener) in listeners {
        let config = config(id, |id| addresses[&id].clone());
        let transport = GrpcTransport::new(&config).unwrap();
        let of_this = wires.iter().filter(|((from, _), _)| *from == id);
        let ways = of_this.map(|((_, to), wire)| (*to, wire.address.to_string())).collect();
        let via = Via { transport: transport.clone(), ways: Arc::new(ways) };
        let node = RaftNode::start(config, MemStorage::new(), via).await.unwrap();
        let server = GrpcServer::start(&node, &transport, listener, Default::default());
        servers.push(server.await.unwrap());
        nodes.push(node);
    }
    for admitted in join_all(servers.iter().map(GrpcServer::admit)).await {
        admitted.unwrap();
    }
    (nodes, Links::Grpc { wires, _servers: servers })
}
