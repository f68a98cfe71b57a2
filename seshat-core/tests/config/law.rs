//! The rules as a law: any input is accepted if and only if it breaks none of them.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use seshat_core::config::{
    BatchConfig, DEFAULT_RAFT_PORT, NodeConfig, NodeConfigBuilder, SnapshotConfig,
};
use seshat_core::operation::Limits;

use super::*;

/// So many keys of that length are beyond what can be carried; 8 of them aren't.
const LARGE: usize = 1 << 16;

/// Input that may break any rule, as plain as it gets.
#[derive(Debug, Clone)]
struct Given {
    node_id: u64,
    /// Id, address as written, and its normal form if it has one.
    members: Vec<(u64, &'static str, Option<&'static str>)>,
    single_node: bool,
    cluster_name: &'static str,
    /// Heartbeat, election min, election max, rpc, propose; in microseconds.
    micros: [u64; 5],
    max_payload_entries: u64,
    batch: BatchConfig,
    snapshot: SnapshotConfig,
    limits: Limits,
}

impl Given {
    fn builder(&self) -> NodeConfigBuilder {
        let [heartbeat, min, max, rpc, propose] = self.micros.map(Duration::from_micros);
        let builder = NodeConfig::builder(self.node_id)
            .cluster_name(self.cluster_name)
            .heartbeat_interval(heartbeat)
            .election_timeout_min(min)
            .election_timeout_max(max)
            .rpc_timeout(rpc)
            .propose_timeout(propose)
            .max_payload_entries(self.max_payload_entries)
            .batch(self.batch)
            .snapshot(self.snapshot)
            .limits(self.limits);
        let builder = if self.single_node { builder.single_node() } else { builder };
        self.members.iter().fold(builder, |builder, (id, given, _)| builder.member(*id, *given))
    }

    /// `None` if a duration can't be said in TOML.
    fn toml(&self) -> Option<String> {
        if self.micros.iter().any(|micros| micros % 1000 != 0) {
            return None;
        }
        let [heartbeat, min, max, rpc, propose] = self.micros.map(|micros| micros / 1000);
        let members: String = self
            .members
            .iter()
            .map(|(id, given, _)| format!("{{ id = {id}, address = {given:?} }},"))
            .collect();
        let Self { node_id, single_node, cluster_name, max_payload_entries, .. } = self;
        let BatchConfig { max_operations, max_bytes, queue_bytes } = self.batch;
        let SnapshotConfig { min_log_bytes, growth_percent, log_bytes_to_keep, max_held_log_bytes } =
            self.snapshot;
        let Limits { max_key_bytes, max_value_bytes, max_del_keys } = self.limits;
        Some(format!(
            "node_id = {node_id}\n\
             members = [{members}]\n\
             single_node = {single_node}\n\
             cluster_name = {cluster_name:?}\n\
             heartbeat_ms = {heartbeat}\n\
             election_min_ms = {min}\n\
             election_max_ms = {max}\n\
             rpc_timeout_ms = {rpc}\n\
             propose_timeout_ms = {propose}\n\
             max_payload_entries = {max_payload_entries}\n\
             [batch]\n\
             max_operations = {max_operations}\n\
             max_bytes = {max_bytes}\n\
             queue_bytes = {queue_bytes}\n\
             [snapshot]\n\
             min_log_bytes = {min_log_bytes}\n\
             growth_percent = {growth_percent}\n\
             log_bytes_to_keep = {log_bytes_to_keep}\n\
             max_held_log_bytes = {max_held_log_bytes}\n\
             [limits]\n\
             max_key_bytes = {max_key_bytes}\n\
             max_value_bytes = {max_value_bytes}\n\
             max_del_keys = {max_del_keys}\n"
        ))
    }

    /// Everything else is far from what a message carries; a million keys of 4 KiB are not.
    fn fits(&self) -> bool {
        let Limits { max_key_bytes, max_value_bytes, max_del_keys } = self.limits;
        max_key_bytes.min(max_del_keys) < LARGE
            && max_value_bytes <= u32::MAX as usize / 2
            && self.batch.max_bytes < u32::MAX as usize
    }

    /// The rules once more, without a thought for what is said of them.
    fn is_valid(&self) -> bool {
        let ids: BTreeSet<u64> = self.members.iter().map(|(id, ..)| *id).collect();
        let addresses: BTreeSet<_> = self.members.iter().filter_map(|(_, _, at)| *at).collect();
        let count = self.members.len();
        let members = ids.len() == count
            && addresses.len() == count
            && !ids.contains(&0)
            && ids.contains(&self.node_id)
            && if self.single_node { count == 1 } else { count >= 3 && count % 2 == 1 };
        let [heartbeat, min, max, ..] = self.micros;
        let durations = heartbeat < min
            && min < max
            && self.micros.iter().all(|micros| {
                *micros > 0 && micros % 1000 == 0 && micros / 1000 <= u64::from(u32::MAX)
            });
        let amounts = (1..=U32_MAX).contains(&self.max_payload_entries)
            && self.batch.max_operations > 0
            && self.batch.max_bytes > 0
            && self.batch.max_bytes <= self.batch.queue_bytes
            && self.batch.queue_bytes <= u32::MAX as usize
            && self.snapshot.min_log_bytes > 0
            && self.snapshot.growth_percent > 0
            && self.limits.max_key_bytes > 0
            && self.limits.max_del_keys > 0;
        members && durations && amounts && self.fits() && !self.cluster_name.is_empty()
    }
}

const ADDRESSES: [(&str, Option<&str>); 14] = [
    ("a", Some("a:7379")),
    ("b:7379", Some("b:7379")),
    ("c:1", Some("c:1")),
    ("10.0.0.1", Some("10.0.0.1:7379")),
    ("::1", Some("[::1]:7379")),
    ("[::1]:7380", Some("[::1]:7380")),
    ("d:65535", Some("d:65535")),
    ("A:7379", Some("a:7379")),
    ("[::1]", Some("[::1]:7379")),
    ("", None),
    (":7379", None),
    ("a:0", None),
    ("a:65536", None),
    ("[::1", None),
];

/// Mostly `usual`, so that a whole configuration has a chance to be valid.
fn mostly<T: Clone + std::fmt::Debug + 'static>(
    usual: impl Strategy<Value = T> + 'static,
    edges: impl Into<Vec<T>>,
) -> impl Strategy<Value = T> {
    prop_oneof![40 => usual, 1 => select(edges.into())]
}

fn any_members() -> impl Strategy<Value = Vec<(u64, &'static str, Option<&'static str>)>> {
    let orderly = (select(vec![1, 2, 3, 3, 4, 5, 5]), Just(ADDRESSES)).prop_map(|(count, pool)| {
        (1..).zip(pool).take(count).map(|(id, (given, normal))| (id, given, normal)).collect()
    });
    let wild =
        prop::collection::vec((0..6u64, select(ADDRESSES.to_vec())), 0..6).prop_map(|list| {
            list.into_iter().map(|(id, (given, normal))| (id, given, normal)).collect()
        });
    prop_oneof![3 => orderly, 2 => wild]
}

fn any_given() -> impl Strategy<Value = Given> {
    let micros = |usual: std::ops::Range<u64>| {
        let edges = [0, 1, 999, 1000, 1001, 2000, 5000, U32_MAX * 1000, (U32_MAX + 1) * 1000];
        mostly(usual.prop_map(|millis| millis * 1000), edges)
    };
    let durations = [micros(1..10), micros(9..20), micros(19..30), micros(1..9), micros(1..9)];
    let batch = (
        mostly(1..9usize, [0, 1]),
        mostly(1..9usize, [0, 1, 9, 10, 11, u32::MAX as usize]),
        mostly(8..12usize, [0, 8, u32::MAX as usize, u32::MAX as usize + 1]),
    )
        .prop_map(|(max_operations, max_bytes, queue_bytes)| BatchConfig {
            max_operations,
            max_bytes,
            queue_bytes,
        });
    let snapshot = (mostly(1..9u64, [0]), mostly(1..9u32, [0, u32::MAX]), 0..9u64, 0..9u64)
        .prop_map(|(min_log_bytes, growth_percent, log_bytes_to_keep, max_held_log_bytes)| {
            SnapshotConfig { min_log_bytes, growth_percent, log_bytes_to_keep, max_held_log_bytes }
        });
    let lengths = || mostly(1..9usize, [0, LARGE]);
    let values = mostly(0..9usize, [u32::MAX as usize]);
    let limits = (lengths(), values, lengths()).prop_map(
        |(max_key_bytes, max_value_bytes, max_del_keys)| Limits {
            max_key_bytes,
            max_value_bytes,
            max_del_keys,
        },
    );
    let cluster = (mostly(Just(1), [0, 2, 5, 9]), any_members(), prop::bool::weighted(0.2));
    let rest = (mostly(Just("seshat"), [""]), mostly(1..9u64, [0, U32_MAX, U32_MAX + 1]));
    (cluster, rest, durations, batch, snapshot, limits).prop_map(
        |(
            (node_id, members, single_node),
            (cluster_name, max_payload_entries),
            micros,
            batch,
            snapshot,
            limits,
        )| Given {
            node_id,
            members,
            single_node,
            cluster_name,
            micros,
            max_payload_entries,
            batch,
            snapshot,
            limits,
        },
    )
}

#[test]
fn accepted_iff_no_rule_is_broken() {
    let (accepted, refused) = (Cell::new(0), Cell::new(0));
    let config = Config { cases: 2000, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&any_given(), |given| {
            let built = given.builder().build();
            prop_assert_eq!(built.is_ok(), given.is_valid(), "{:?}", built);
            if let Some(text) = given.toml() {
                prop_assert_eq!(&NodeConfig::from_toml(&text), &built);
            }
            match built {
                Ok(config) => {
                    let normal = given.members.iter().map(|(id, _, at)| (*id, at.unwrap().into()));
                    prop_assert_eq!(config.members(), &normal.collect::<BTreeMap<_, String>>());
                    prop_assert!(config.raft_config().validate().is_ok());
                    accepted.set(accepted.get() + 1);
                }
                Err(error) => {
                    let found = violations(Err(error.clone()));
                    prop_assert!(!found.is_empty());
                    prop_assert_eq!(error.to_string().lines().count(), found.len());
                    refused.set(refused.get() + 1);
                }
            }
            Ok(())
        })
        .unwrap();
    let (accepted, refused) = (accepted.get(), refused.get());
    assert!(accepted > 200 && refused > 200, "accepted {accepted}, refused {refused}");
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

    /// Whatever is typed is refused or comes out in a spelling that means itself.
    #[test]
    fn any_address_is_refused_or_normalised(given in "(.{0,20}|[\\[\\]:0-9a-f.]{0,20})") {
        if let Ok(config) = alone_at(&given).build() {
            let normal = &config.members()[&1];
            let (host, port) = normal.rsplit_once(':').unwrap();
            prop_assert!(!host.is_empty());
            prop_assert!(port.parse::<u16>().unwrap() > 0);
            prop_assert_eq!(&alone_at(normal).build().unwrap(), &config);
        }
    }

    #[test]
    fn default_port_is_the_one_left_out(host in "[a-z][a-z0-9.-]{0,20}") {
        let with_port = format!("{host}:{DEFAULT_RAFT_PORT}");
        prop_assert_eq!(alone_at(&host).build().unwrap(), alone_at(&with_port).build().unwrap());
    }
}
