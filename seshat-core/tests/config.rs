//! What makes a node's configuration valid, and what is said of one that is not.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use rstest::rstest;
use seshat_core::config::{
    BatchConfig, ConfigError, DEFAULT_RAFT_PORT, Field, MAX_DURATION, NodeConfig,
    NodeConfigBuilder, Rule, SnapshotConfig, Violation,
};
use seshat_core::operation::Limits;

const U32_MAX: u64 = u32::MAX as u64;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// One of `ids`, everything else by default.
fn node_of(id: u64, ids: impl IntoIterator<Item = u64>) -> NodeConfigBuilder {
    ids.into_iter()
        .fold(NodeConfig::builder(id), |builder, id| builder.member(id, format!("n{id}")))
}

fn valid() -> NodeConfigBuilder {
    node_of(1, 1..=3)
}

/// The only node, at `address`.
fn alone_at(address: &str) -> NodeConfigBuilder {
    NodeConfig::builder(1).single_node().member(1, address)
}

fn violations(result: Result<NodeConfig, ConfigError>) -> Vec<Violation> {
    match result {
        Ok(_) => Vec::new(),
        Err(ConfigError::Invalid(violations)) => violations,
        Err(error) => unreachable!("nothing was read: {error:?}"),
    }
}

/// What is said of a configuration; nothing if it is accepted.
fn said(builder: NodeConfigBuilder) -> String {
    builder.build().err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn defaults() {
    let config = valid().build().unwrap();
    assert_eq!(config.node_id(), 1);
    assert_eq!(config.cluster_name(), "seshat");
    assert_eq!(config.heartbeat_interval(), ms(100));
    assert_eq!(config.election_timeout_min(), ms(500));
    assert_eq!(config.election_timeout_max(), ms(1000));
    assert_eq!(config.rpc_timeout(), ms(5000));
    assert_eq!(config.propose_timeout(), ms(5000));
    assert_eq!(config.max_payload_entries(), 300);
    assert_eq!(
        *config.batch(),
        BatchConfig { max_operations: 1024, max_bytes: 1_048_576, queue_bytes: 67_108_864 }
    );
    assert_eq!(
        *config.snapshot(),
        SnapshotConfig { min_log_bytes: 67_108_864, growth_percent: 400, logs_to_keep: 1000 }
    );
    assert_eq!(*config.limits(), Limits::default());
}

#[rstest]
#[case::zero(0, "node_id: 0: at least 1\nnode_id: 0: one of members")]
#[case::first(1, "")]
#[case::last(3, "")]
#[case::stranger(4, "node_id: 4: one of members")]
fn node_id(#[case] id: u64, #[case] expected: &str) {
    assert_eq!(said(node_of(id, 1..=3)), expected);
}

#[rstest]
#[case::single(&[1], true, "")]
#[case::three_by_default(&[1, 2, 3], false, "")]
#[case::five(&[1, 2, 3, 4, 5], false, "")]
#[case::largest_id(&[1, 2, u64::MAX], false, "")]
#[case::single_not_asked_for(
    &[1], false, "members: [1]: at least 3 members unless single_node is set"
)]
#[case::two(
    &[1, 2], false,
    "members: [1, 2]: at least 3 members unless single_node is set\n\
     members: [1, 2]: an odd number of members"
)]
#[case::even(&[1, 2, 3, 4], false, "members: [1, 2, 3, 4]: an odd number of members")]
#[case::three_as_single(
    &[1, 2, 3], true, "members: [1, 2, 3]: exactly 1 member if single_node is set"
)]
#[case::two_as_single(&[1, 2], true, "members: [1, 2]: exactly 1 member if single_node is set")]
#[case::none_as_single(
    &[], true,
    "members: []: exactly 1 member if single_node is set\nnode_id: 1: one of members"
)]
#[case::id_zero(&[0, 1, 2], false, "members.id: 0: at least 1")]
#[case::id_twice(&[1, 2, 3, 2], false, "members.id: 2: an id that no other member has")]
#[case::a_member_counts_once(
    &[1, 2, 2], false,
    "members.id: 2: an id that no other member has\n\
     members: [1, 2]: at least 3 members unless single_node is set\n\
     members: [1, 2]: an odd number of members"
)]
fn members(#[case] ids: &[u64], #[case] single: bool, #[case] expected: &str) {
    let builder = node_of(1, ids.iter().copied());
    assert_eq!(said(if single { builder.single_node() } else { builder }), expected);
}

#[rstest]
#[case::name("seshat-1", "seshat-1:7379")]
#[case::name_and_port("seshat-1.example.com:1", "seshat-1.example.com:1")]
#[case::name_in_capitals("Seshat-1", "seshat-1:7379")]
#[case::v4("10.0.0.1", "10.0.0.1:7379")]
#[case::v4_and_port("10.0.0.1:65535", "10.0.0.1:65535")]
#[case::port_with_zeros("n:07400", "n:7400")]
#[case::v6_bare("::1", "[::1]:7379")]
#[case::v6_in_brackets("[::1]", "[::1]:7379")]
#[case::v6_and_port("[::1]:7400", "[::1]:7400")]
#[case::v6_spelled_out("[2001:DB8:0:0:0:0:0:1]:7400", "[2001:db8::1]:7400")]
#[case::v6_that_ends_like_a_port("::7379", "[::7379]:7379")]
fn address_is_normalised(#[case] given: &str, #[case] expected: &str) {
    let config = alone_at(given).build().unwrap();
    assert_eq!(config.members()[&1], expected);
    assert_eq!(alone_at(expected).build().unwrap(), config);
}

#[rstest]
#[case::empty("", &[Rule::NotEmpty])]
#[case::no_host(":7379", &[Rule::NotEmpty])]
#[case::no_host_bad_port(":0", &[Rule::NotEmpty, Rule::Port])]
#[case::port_empty("n:", &[Rule::Port])]
#[case::port_zero("n:0", &[Rule::Port])]
#[case::port_too_large("n:65536", &[Rule::Port])]
#[case::port_negative("n:-1", &[Rule::Port])]
#[case::port_signed("n:+1", &[Rule::Port])]
#[case::port_name("n:raft", &[Rule::Port])]
#[case::v6_port_zero("[::1]:0", &[Rule::Port])]
#[case::v6_unclosed("[::1:7379", &[Rule::Host])]
#[case::v6_unopened("::1]:7379", &[Rule::Host])]
#[case::v6_brackets_empty("[]:7379", &[Rule::Host])]
#[case::v6_brackets_twice("[[::1]]:7379", &[Rule::Host])]
#[case::v6_glued_port("[::1]7379", &[Rule::Host, Rule::Port])]
#[case::v6_bare_with_nine_groups("1:2:3:4:5:6:7:8:9", &[Rule::Host])]
#[case::name_in_brackets("[n]", &[Rule::Host])]
#[case::v4_in_brackets("[10.0.0.1]", &[Rule::Host])]
#[case::url("http://n:7379", &[Rule::Host])]
#[case::path("n/raft", &[Rule::Host])]
#[case::blank(" ", &[Rule::Host])]
#[case::trailing_blank("n ", &[Rule::Host])]
#[case::nul("n\0", &[Rule::Host])]
fn address_is_refused(#[case] given: &str, #[case] rules: &[Rule]) {
    let found = violations(alone_at(given).build());
    assert_eq!(found.iter().map(|violation| violation.rule).collect::<Vec<_>>(), rules);
    for violation in found {
        assert_eq!(violation.field, Field::MemberAddress { id: 1 });
        assert_eq!(violation.value, format!("{given:?}"));
    }
}

#[rstest]
#[case::same("n:1", "n:1", Some("n:1"))]
#[case::default_port("n", "n:7379", Some("n:7379"))]
#[case::case("N", "n", Some("n:7379"))]
#[case::v6("::1", "[0:0:0:0:0:0:0:1]:7379", Some("[::1]:7379"))]
#[case::other_port("n", "n:7380", None)]
#[case::other_host("n", "m", None)]
#[case::v6_other_port("[::1]", "[::1]:7380", None)]
fn addresses_are_unique(#[case] one: &str, #[case] two: &str, #[case] shared: Option<&str>) {
    let builder = NodeConfig::builder(1).member(1, one).member(2, two).member(3, "z");
    let expected = shared.map(|address| Violation {
        field: Field::MemberAddress { id: 2 },
        value: format!("{address:?}"),
        rule: Rule::UniqueAddress(1),
    });
    assert_eq!(violations(builder.build()), Vec::from_iter(expected));
}

/// One mistake, one complaint: the id's.
#[test]
fn a_member_named_twice_does_not_share_its_address() {
    let found = said(valid().member(3, "n3"));
    assert_eq!(found, "members.id: 3: an id that no other member has");
}

#[rstest]
#[case("", "cluster_name: \"\": not empty")]
#[case("s", "")]
fn cluster_name(#[case] name: &str, #[case] expected: &str) {
    assert_eq!(said(valid().cluster_name(name)), expected);
}

#[rstest]
#[case::equal(500, 500, 1000, "election_min_ms: 500: more than heartbeat_ms (500)")]
#[case::above(501, 500, 1000, "election_min_ms: 500: more than heartbeat_ms (501)")]
#[case::just_below(499, 500, 1000, "")]
#[case::min_equals_max(100, 1000, 1000, "election_max_ms: 1000: more than election_min_ms (1000)")]
#[case::min_above_max(100, 1001, 1000, "election_max_ms: 1000: more than election_min_ms (1001)")]
#[case::min_just_below_max(100, 999, 1000, "")]
#[case::smallest(1, 2, 3, "")]
#[case::heartbeat_zero(0, 1, 2, "heartbeat_ms: 0: at least 1")]
#[case::min_zero(
    1,
    0,
    2,
    "election_min_ms: 0: at least 1\nelection_min_ms: 0: more than heartbeat_ms (1)"
)]
#[case::all_zero(
    0,
    0,
    0,
    "heartbeat_ms: 0: at least 1\n\
     election_min_ms: 0: at least 1\n\
     election_max_ms: 0: at least 1\n\
     election_min_ms: 0: more than heartbeat_ms (0)\n\
     election_max_ms: 0: more than election_min_ms (0)"
)]
#[case::longest(U32_MAX - 2, U32_MAX - 1, U32_MAX, "")]
#[case::too_long(1, 2, U32_MAX + 1, "election_max_ms: 4294967296: at most 4294967295")]
fn elections(#[case] heartbeat: u64, #[case] min: u64, #[case] max: u64, #[case] expected: &str) {
    let builder = valid()
        .heartbeat_interval(ms(heartbeat))
        .election_timeout_min(ms(min))
        .election_timeout_max(ms(max));
    assert_eq!(said(builder), expected);
}

#[rstest]
#[case::zero(Duration::ZERO, "0: at least 1")]
#[case::nanosecond(Duration::from_nanos(1), "0.000001: a whole number of milliseconds")]
#[case::half(Duration::from_micros(500), "0.5: a whole number of milliseconds")]
#[case::smallest(ms(1), "")]
#[case::one_and_a_bit(Duration::from_micros(1050), "1.05: a whole number of milliseconds")]
#[case::longest(MAX_DURATION, "")]
#[case::too_long(MAX_DURATION + ms(1), "4294967296: at most 4294967295")]
fn timeouts(#[case] timeout: Duration, #[case] complaint: &str) {
    let expected = |field| match complaint {
        "" => String::new(),
        complaint => format!("{field}: {complaint}"),
    };
    assert_eq!(said(valid().rpc_timeout(timeout)), expected("rpc_timeout_ms"));
    assert_eq!(said(valid().propose_timeout(timeout)), expected("propose_timeout_ms"));
}

#[rstest]
#[case(0, "max_payload_entries: 0: at least 1")]
#[case(1, "")]
#[case(U32_MAX, "")]
#[case(U32_MAX + 1, "max_payload_entries: 4294967296: at most 4294967295")]
fn max_payload_entries(#[case] entries: u64, #[case] expected: &str) {
    assert_eq!(said(valid().max_payload_entries(entries)), expected);
}

#[rstest]
#[case::smallest(1, 1, 1, "")]
#[case::no_operations(0, 1, 1, "batch.max_operations: 0: at least 1")]
#[case::no_bytes(1, 0, 0, "batch.max_bytes: 0: at least 1")]
#[case::queue_below(1, 2, 1, "batch.queue_bytes: 1: at least batch.max_bytes (2)")]
#[case::queue_equal(1, 2, 2, "")]
#[case::largest(usize::MAX, u32::MAX as usize, u32::MAX as usize, "")]
#[case::queue_too_large(
    1, 1, u32::MAX as usize + 1, "batch.queue_bytes: 4294967296: at most 4294967295"
)]
fn batch(
    #[case] max_operations: usize,
    #[case] max_bytes: usize,
    #[case] queue_bytes: usize,
    #[case] expected: &str,
) {
    let batch = BatchConfig { max_operations, max_bytes, queue_bytes };
    assert_eq!(said(valid().batch(batch)), expected);
}

#[rstest]
#[case::smallest(1, 1, 0, "")]
#[case::largest(u64::MAX, u32::MAX, u64::MAX, "")]
#[case::no_log_bytes(0, 1, 0, "snapshot.min_log_bytes: 0: at least 1")]
#[case::no_growth(1, 0, 0, "snapshot.growth_percent: 0: at least 1")]
fn snapshot(
    #[case] min_log_bytes: u64,
    #[case] growth_percent: u32,
    #[case] logs_to_keep: u64,
    #[case] expected: &str,
) {
    let snapshot = SnapshotConfig { min_log_bytes, growth_percent, logs_to_keep };
    assert_eq!(said(valid().snapshot(snapshot)), expected);
}

#[rstest]
#[case::smallest(1, 0, 1, "")]
#[case::largest(usize::MAX, usize::MAX, usize::MAX, "")]
#[case::no_key(0, 0, 1, "limits.max_key_bytes: 0: at least 1")]
#[case::no_keys(1, 0, 0, "limits.max_del_keys: 0: at least 1")]
fn limits(
    #[case] max_key_bytes: usize,
    #[case] max_value_bytes: usize,
    #[case] max_del_keys: usize,
    #[case] expected: &str,
) {
    let limits = Limits { max_key_bytes, max_value_bytes, max_del_keys };
    assert_eq!(said(valid().limits(limits)), expected);
}

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
    logs_to_keep = 6

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
        .batch(BatchConfig { max_operations: 1, max_bytes: 2, queue_bytes: 3 })
        .snapshot(SnapshotConfig { min_log_bytes: 4, growth_percent: 5, logs_to_keep: 6 })
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
    assert_eq!(config.snapshot().logs_to_keep, 6);
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
    unknown field `heartbeat`, expected one of `node_id`, `members`, `single_node`, `cluster_name`, `heartbeat_ms`, `election_min_ms`, `election_max_ms`, `rpc_timeout_ms`, `propose_timeout_ms`, `max_payload_entries`, `batch`, `snapshot`, `limits`
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
    assert_eq!(raft.max_in_snapshot_log_to_keep, 6);
    assert_eq!(raft.snapshot_policy, openraft::SnapshotPolicy::Never);

    let theirs = openraft::Config::default();
    assert_eq!(raft.replication_lag_threshold, theirs.replication_lag_threshold);
    assert_eq!(raft.snapshot_max_chunk_size, theirs.snapshot_max_chunk_size);
    assert_eq!(raft.purge_batch_size, theirs.purge_batch_size);
    assert!(raft.enable_tick && raft.enable_heartbeat && raft.enable_elect);
    raft.validate().unwrap();
}

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
        let SnapshotConfig { min_log_bytes, growth_percent, logs_to_keep } = self.snapshot;
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
             logs_to_keep = {logs_to_keep}\n\
             [limits]\n\
             max_key_bytes = {max_key_bytes}\n\
             max_value_bytes = {max_value_bytes}\n\
             max_del_keys = {max_del_keys}\n"
        ))
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
        members && durations && amounts && !self.cluster_name.is_empty()
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
    let snapshot = (mostly(1..9u64, [0]), mostly(1..9u32, [0, u32::MAX]), 0..9u64).prop_map(
        |(min_log_bytes, growth_percent, logs_to_keep)| SnapshotConfig {
            min_log_bytes,
            growth_percent,
            logs_to_keep,
        },
    );
    let limits = (mostly(1..9usize, [0]), 0..9usize, mostly(1..9usize, [0])).prop_map(
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
