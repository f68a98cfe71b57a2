//! What is read from TOML, what is said of all that is wrong with it, and what openraft is told.

use std::error::Error;
use std::path::Path;

use rstest::rstest;
use seshat_core::config::{
    BatchConfig, ConfigError, NodeConfig, NodeConfigBuilder, SnapshotConfig,
};
use seshat_core::operation::Limits;

use super::*;

#[test]
fn nothing_given_names_what_has_no_default() {
    let error = NodeConfig::from_toml("").unwrap_err();
    insta::assert_snapshot!(error, @"
    node_id: 0: at least 1
    members: []: at least 3 members unless single_node is set
    members: []: an odd number of members
    node_id: 0: one of members
    ");
    assert_eq!(NodeConfig::builder(0).build().unwrap_err(), error);
    assert!(error.source().is_none());
}

const ALL_WRONG: &str = r#"
    node_id = 9
    cluster_name = ""
    heartbeat_ms = 0
    election_min_ms = 0
    election_max_ms = 0
    rpc_timeout_ms = 0
    propose_timeout_ms = 4_294_967_296
    max_payload_entries = 0

    members = [
        { id = 0, address = "" },
        { id = 1, address = "n:0" },
        { id = 1, address = "a b:x" },
        { id = 2, address = "Same" },
        { id = 3, address = "same:7379" },
    ]

    [batch]
    max_operations = 0
    max_bytes = 0
    queue_bytes = 4_294_967_296

    [snapshot]
    min_log_bytes = 0
    growth_percent = 0

    [limits]
    max_key_bytes = 0
    max_del_keys = 0
"#;

#[test]
fn every_violation_is_reported_at_once() {
    let error = NodeConfig::from_toml(ALL_WRONG).unwrap_err();
    insta::assert_snapshot!(error, @r#"
    members.id: 0: at least 1
    members[id = 0].address: "": not empty
    members[id = 1].address: "n:0": a port in 1..=65535
    members.id: 1: an id that no other member has
    members[id = 1].address: "a b:x": a host name or an IP address (IPv6 in brackets if a port follows)
    members[id = 1].address: "a b:x": a port in 1..=65535
    members[id = 3].address: "same:7379": not the address of member 2, too
    members: [0, 1, 2, 3]: an odd number of members
    node_id: 9: one of members
    cluster_name: "": not empty
    heartbeat_ms: 0: at least 1
    election_min_ms: 0: at least 1
    election_max_ms: 0: at least 1
    rpc_timeout_ms: 0: at least 1
    propose_timeout_ms: 4294967296: at most 4294967295
    election_min_ms: 0: more than heartbeat_ms (0)
    election_max_ms: 0: more than election_min_ms (0)
    max_payload_entries: 0: at least 1
    batch.max_operations: 0: at least 1
    batch.max_bytes: 0: at least 1
    snapshot.min_log_bytes: 0: at least 1
    snapshot.growth_percent: 0: at least 1
    limits.max_key_bytes: 0: at least 1
    limits.max_del_keys: 0: at least 1
    batch.queue_bytes: 4294967296: at most 4294967295
    "#);
}

const FULL: &str = r#"
    node_id = 2
    single_node = false
    cluster_name = "library"
    heartbeat_ms = 10
    election_min_ms = 20
    election_max_ms = 30
    rpc_timeout_ms = 40
    propose_timeout_ms = 50
    max_payload_entries = 60
    max_format = 61
    data_dir = "data/library-2"
    metrics_address = "LocalHost:9379"

    [[members]]
    id = 1
    address = "n1"
    [[members]]
    id = 2
    address = "[::1]:7400"
    [[members]]
    id = 3
    address = "10.0.0.3:7379"

    [batch]
    max_operations = 1
    max_bytes = 2
    queue_bytes = 3

    [snapshot]
    min_log_bytes = 4
    growth_percent = 5
    log_bytes_to_keep = 6
    max_held_log_bytes = 7

    [limits]
    max_key_bytes = 7
    max_value_bytes = 8
    max_del_keys = 9
"#;

fn full() -> NodeConfigBuilder {
    NodeConfig::builder(2)
        .member(3, "10.0.0.3")
        .member(2, "[::1]:7400")
        .member(1, "n1:7379")
        .cluster_name("library")
        .heartbeat_interval(ms(10))
        .election_timeout_min(ms(20))
        .election_timeout_max(ms(30))
        .rpc_timeout(ms(40))
        .propose_timeout(ms(50))
        .max_payload_entries(60)
        .max_format(61)
        .data_dir("data/library-2")
        .metrics_address("localhost:9379")
        .batch(BatchConfig { max_operations: 1, max_bytes: 2, queue_bytes: 3 })
        .snapshot(SnapshotConfig {
            min_log_bytes: 4,
            growth_percent: 5,
            log_bytes_to_keep: 6,
            max_held_log_bytes: 7,
        })
        .limits(Limits { max_key_bytes: 7, max_value_bytes: 8, max_del_keys: 9 })
}

#[test]
fn toml_and_builder_agree() {
    let config = NodeConfig::from_toml(FULL).unwrap();
    assert_eq!(config, full().build().unwrap());
    let members = [(1, "n1:7379"), (2, "[::1]:7400"), (3, "10.0.0.3:7379")];
    assert_eq!(config.members(), &members.map(|(id, at)| (id, at.to_owned())).into());
    assert_eq!(config.node_id(), 2);
    assert_eq!(config.cluster_name(), "library");
    assert_eq!(config.heartbeat_interval(), ms(10));
    assert_eq!(config.election_timeout_min(), ms(20));
    assert_eq!(config.election_timeout_max(), ms(30));
    assert_eq!(config.rpc_timeout(), ms(40));
    assert_eq!(config.propose_timeout(), ms(50));
    assert_eq!(config.max_payload_entries(), 60);
    assert_eq!(config.max_format(), Some(61));
    assert_eq!(config.data_dir(), Some(Path::new("data/library-2")));
    assert_eq!(config.metrics_address(), Some("localhost:9379"));
    assert_eq!(config.snapshot().log_bytes_to_keep, 6);
    assert_eq!(config.snapshot().max_held_log_bytes, 7);
    assert_eq!(config.limits().max_value_bytes, 8);
}

#[test]
fn toml_defaults_are_the_builders() {
    let text = r#"
        node_id = 1
        members = [{ id = 1, address = "n1" }, { id = 2, address = "n2" }, { id = 3, address = "n3" }]
    "#;
    assert_eq!(NodeConfig::from_toml(text).unwrap(), valid().build().unwrap());
    let text = format!("{text}\n[batch]\nmax_operations = 1\n[snapshot]\n[limits]");
    let batch = BatchConfig { max_operations: 1, ..BatchConfig::default() };
    assert_eq!(NodeConfig::from_toml(&text).unwrap(), valid().batch(batch).build().unwrap());
}

#[rstest]
#[case::syntax("node_id = ", "node_id")]
#[case::key_twice("node_id = 1\nnode_id = 2", "duplicate key")]
#[case::unknown("nodeid = 1", "unknown field `nodeid`")]
#[case::code_name_of_a_duration("heartbeat_interval = 1", "unknown field `heartbeat_interval`")]
#[case::unknown_in_batch("[batch]\nbytes = 1", "unknown field `bytes`")]
#[case::unknown_in_snapshot("[snapshot]\nbytes = 1", "unknown field `bytes`")]
#[case::entries_to_keep(
    "[snapshot]\nlogs_to_keep = 1000",
    "unknown field `logs_to_keep`, expected one of `min_log_bytes`, `growth_percent`, \
     `log_bytes_to_keep`, `max_held_log_bytes`"
)]
#[case::unknown_in_limits("[limits]\nbytes = 1", "unknown field `bytes`")]
#[case::unknown_in_member("[[members]]\nid = 1\naddress = \"n\"\nport = 1", "unknown field `port`")]
#[case::member_without_id("[[members]]\naddress = \"n\"", "missing field `id`")]
#[case::member_without_address("[[members]]\nid = 1", "missing field `address`")]
#[case::text_for_number("node_id = \"1\"", "invalid type: string \"1\", expected u64")]
#[case::number_for_text("cluster_name = 1", "invalid type: integer `1`, expected a string")]
#[case::float_for_duration("heartbeat_ms = 1.5", "invalid type: floating point `1.5`")]
#[case::negative("heartbeat_ms = -1", "invalid value: integer `-1`, expected u64")]
#[case::beyond_u32("[snapshot]\ngrowth_percent = 4_294_967_296", "expected u32")]
#[case::number_for_flag("single_node = 1", "invalid type: integer `1`, expected a boolean")]
#[case::members_as_table("[members]\n1 = \"n\"", "invalid type: map, expected a sequence")]
fn toml_that_can_not_be_read(#[case] text: &str, #[case] reason: &str) {
    let error = NodeConfig::from_toml(text).unwrap_err();
    assert_eq!(error.to_string(), "the configuration can't be read");
    let source = error.source().and_then(|source| source.downcast_ref::<toml::de::Error>());
    let source = source.expect("toml's own error");
    assert!(source.to_string().contains(reason), "{source}");
    assert!(source.span().is_some(), "{source:?}");
    assert!(matches!(error, ConfigError::Toml(_)));
}

#[test]
fn toml_errors_say_where() {
    let error = NodeConfig::from_toml("node_id = 1\nheartbeat = 5\n").unwrap_err();
    insta::assert_snapshot!(error.source().unwrap(), @"
    TOML parse error at line 2, column 1
      |
    2 | heartbeat = 5
      | ^^^^^^^^^
    unknown field `heartbeat`, expected one of `node_id`, `members`, `single_node`, `joining`, `cluster_name`, `data_dir`, `metrics_address`, `heartbeat_ms`, `election_min_ms`, `election_max_ms`, `rpc_timeout_ms`, `propose_timeout_ms`, `max_payload_entries`, `max_format`, `batch`, `snapshot`, `limits`, `grpc`
    ");
}

#[test]
fn raft_config_says_what_was_asked() {
    let raft = full().build().unwrap().raft_config();
    assert_eq!(raft.cluster_name, "library");
    assert_eq!(raft.heartbeat_interval, 10);
    assert_eq!(raft.election_timeout_min, 20);
    assert_eq!(raft.election_timeout_max, 30);
    assert_eq!(raft.install_snapshot_timeout, 40);
    assert_eq!(raft.max_payload_entries, 60);
    assert_eq!(raft.snapshot_max_chunk_size, 262_144);
    assert_eq!(raft.snapshot_policy, openraft::SnapshotPolicy::Never);

    // Nothing is left to a number of entries.
    assert_eq!(raft.replication_lag_threshold, 0);
    assert_eq!(raft.max_in_snapshot_log_to_keep, u64::MAX);
    assert_eq!(raft.purge_batch_size, 1);
    assert!(raft.enable_tick && raft.enable_heartbeat && raft.enable_elect);
    raft.validate().unwrap();
}
