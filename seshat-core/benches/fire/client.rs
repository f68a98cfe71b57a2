//! Those who are admitted, and what they meet.

use std::time::Instant;

use bytes::Bytes;
use seshat_core::proto::client::client_client::ClientClient;
use seshat_core::proto::client::{ProposeRequest, propose_response::Outcome};
use seshat_core::proto::v1::{self, operation::Kind};
use tonic::transport::Channel;

use super::CLUSTER;
use super::attack::{Target, endpoint};
use super::common::data::{Rng, key, value};

/// Clients at once, each in a closed loop, all over one connection.
const CLIENTS: u64 = 32;
const KEYS: u64 = 50_000;

/// What they met.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Met {
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Calls that weren't answered by what they asked for.
    pub(crate) failed: u64,
}

/// Writes for so many seconds to the node at that place, which leads.
pub(crate) async fn write(target: &Target, leader: usize, seconds: f64) -> Met {
    let by = format!("client.write.{CLUSTER}");
    let channel = endpoint(target, &target.clients[leader], &by).lazily();
    let started = Instant::now();
    let clients = (0..CLIENTS).map(|n| tokio::spawn(one(channel.clone(), n, started, seconds)));
    let (mut took, mut failed) = (Vec::new(), 0);
    for client in clients.collect::<Vec<_>>() {
        let (its, did_not) = client.await.unwrap();
        took.extend(its);
        failed += did_not;
    }
    let elapsed = started.elapsed().as_secs_f64();
    took.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| {
        let place = (took.len() as f64 * share) as usize;
        took.get(place.min(took.len().saturating_sub(1))).copied().unwrap_or(f64::INFINITY)
    };
    let per_second = took.len() as f64 / elapsed;
    Met { per_second, p50_ms: at(0.5), p99_ms: at(0.99), failed }
}

/// How long each write took, in ms, and how many weren't done.
async fn one(channel: Channel, n: u64, started: Instant, seconds: f64) -> (Vec<f64>, u64) {
    let mut client = ClientClient::new(channel);
    let (mut random, value) = (Rng::new(n), Bytes::from(value(n)));
    let (mut took, mut failed) = (Vec::new(), 0);
    while started.elapsed().as_secs_f64() < seconds {
        let set = v1::SetOperation {
            key: key(random.next() % KEYS).into(),
            value: value.clone(),
            ..Default::default()
        };
        let operation = Some(v1::Operation { kind: Some(Kind::Set(set)) });
        let asked = Instant::now();
        let answer = client.propose(ProposeRequest { operation }).await;
        let outcome = answer.ok().and_then(|answer| answer.into_inner().outcome);
        // What failed has kept its client waiting as well.
        took.push(asked.elapsed().as_secs_f64() * 1e3);
        failed += u64::from(!matches!(outcome, Some(Outcome::Response(_))));
    }
    (took, failed)
}
