//! Each rule, by the builder.

use std::ops::RangeInclusive;
use std::time::Duration;

use rstest::rstest;
use seshat_core::config::{
    BatchConfig, Field, GrpcConfig, MAX_DURATION, NodeConfig, Rule, SnapshotConfig, TlsConfig,
    Violation,
};
use seshat_core::operation::Limits;

use super::*;

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
    assert_eq!(config.max_format(), None);
    assert_eq!(config.data_dir(), None);
    assert_eq!(config.metrics_address(), None);
    assert_eq!(
        *config.batch(),
        BatchConfig { max_operations: 1024, max_bytes: 1_048_576, queue_bytes: 67_108_864 }
    );
    assert_eq!(
        *config.snapshot(),
        SnapshotConfig {
            min_log_bytes: 67_108_864,
            growth_percent: 400,
            log_bytes_to_keep: 16_777_216,
            max_held_log_bytes: 1_073_741_824,
        }
    );
    assert_eq!(*config.limits(), Limits::default());
    assert_eq!(*config.grpc(), GrpcConfig::default());
    assert!(!config.joining());
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
#[case("", "data_dir: \"\": not empty")]
#[case("data/node1", "")]
#[case("/var/lib/seshat", "")]
fn data_dir(#[case] dir: &str, #[case] expected: &str) {
    assert_eq!(said(valid().data_dir(dir)), expected);
}

#[rstest]
#[case("127.0.0.1:9379", "")]
#[case("[::]:9379", "")]
#[case("seshat-1:9379", "")]
#[case("127.0.0.1", "metrics_address: \"127.0.0.1\": a port in 1..=65535")]
#[case("seshat-1:0", "metrics_address: \"seshat-1:0\": a port in 1..=65535")]
#[case(
    "http://n:9379",
    "metrics_address: \"http://n:9379\": a host name or an IP address (IPv6 in brackets if a port follows)"
)]
fn metrics_address(#[case] address: &str, #[case] expected: &str) {
    assert_eq!(said(valid().metrics_address(address)), expected);
}

#[rstest]
#[case(0, "max_format: 0: at least 1")]
#[case(1, "")]
#[case(u32::MAX, "")]
fn max_format(#[case] format: u32, #[case] expected: &str) {
    assert_eq!(said(valid().max_format(format)), expected);
}

#[rstest]
#[case::smallest(1, 1, 1, "")]
#[case::no_operations(0, 1, 1, "batch.max_operations: 0: at least 1")]
#[case::no_bytes(1, 0, 0, "batch.max_bytes: 0: at least 1")]
#[case::queue_below(1, 2, 1, "batch.queue_bytes: 1: at least batch.max_bytes (2)")]
#[case::queue_equal(1, 2, 2, "")]
#[case::largest(usize::MAX, 1 << 29, u32::MAX as usize, "")]
#[case::many_small_operations(
    usize::MAX, u32::MAX as usize, u32::MAX as usize,
    "batch.max_bytes: 4294967295: allows an entry of 31004295209 bytes as encoded, at most 4293918719 fit into a message"
)]
#[case::few_large_operations(1, 4_000_000_000, u32::MAX as usize, "")]
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
    #[case] to_keep: u64,
    #[case] expected: &str,
) {
    let (log_bytes_to_keep, max_held_log_bytes) = (to_keep, to_keep);
    let snapshot =
        SnapshotConfig { min_log_bytes, growth_percent, log_bytes_to_keep, max_held_log_bytes };
    assert_eq!(said(valid().snapshot(snapshot)), expected);
}

#[rstest]
#[case::smallest(1, 0, 1, "")]
#[case::largest(1 << 31, 1 << 30, 1, "")]
#[case::long_value(
    1, u32::MAX as usize, 1,
    "limits.max_value_bytes: 4294967295: allows an entry of 4294967367 bytes as encoded, at most 4293918719 fit into a message"
)]
#[case::many_keys(
    1 << 16, 1, 1 << 16,
    "limits.max_del_keys: 65536: allows an entry of 4295229501 bytes as encoded, at most 4293918719 fit into a message"
)]
#[case::beyond_counting(
    usize::MAX,
    usize::MAX,
    usize::MAX,
    "limits.max_value_bytes: 18446744073709551615: allows an entry of more bytes than can be counted, at most 4293918719 fit into a message\n\
     limits.max_del_keys: 18446744073709551615: allows an entry of more bytes than can be counted, at most 4293918719 fit into a message"
)]
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

#[rstest]
#[case::smallest(1, 1, 1, 1, "")]
#[case::largest(usize::MAX, u32::MAX, 1 << 20, u64::MAX, "")]
#[case::no_connections(0, 1, 1, 1, "grpc.max_connections: 0: at least 1")]
#[case::no_calls(1, 0, 1, 1, "grpc.max_calls: 0: at least 1")]
#[case::no_chunk(1, 1, 0, 1, "grpc.snapshot_chunk_bytes: 0: at least 1")]
#[case::large_chunk(
    1, 1, (1 << 20) + 1, 1, "grpc.snapshot_chunk_bytes: 1048577: at most 1048576"
)]
#[case::no_snapshot(1, 1, 1, 0, "grpc.max_snapshot_bytes: 0: at least 1")]
fn grpc(
    #[case] max_connections: usize,
    #[case] max_calls: u32,
    #[case] snapshot_chunk_bytes: usize,
    #[case] max_snapshot_bytes: u64,
    #[case] expected: &str,
) {
    let grpc = GrpcConfig {
        max_connections,
        max_calls,
        snapshot_chunk_bytes,
        max_snapshot_bytes,
        ..GrpcConfig::default()
    };
    assert_eq!(said(valid().grpc(grpc)), expected);
}

#[rstest]
#[case::smallest(128, 1, 1, 1, "")]
#[case::largest(usize::MAX, u64::MAX, usize::MAX, u64::MAX, "")]
#[case::few_peer_calls(127, 1, 1, 1, "grpc.max_peer_calls: 127: at least 128")]
#[case::no_peer_bytes(128, 0, 1, 1, "grpc.max_peer_bytes: 0: at least 1")]
#[case::no_client_calls(128, 1, 0, 1, "grpc.max_client_calls: 0: at least 1")]
#[case::no_client_bytes(128, 1, 1, 0, "grpc.max_client_bytes: 0: at least 1")]
fn totals(
    #[case] max_peer_calls: usize,
    #[case] max_peer_bytes: u64,
    #[case] max_client_calls: usize,
    #[case] max_client_bytes: u64,
    #[case] expected: &str,
) {
    let grpc = GrpcConfig {
        max_peer_calls,
        max_peer_bytes,
        max_client_calls,
        max_client_bytes,
        ..GrpcConfig::default()
    };
    assert_eq!(said(valid().grpc(grpc)), expected);
}

#[test]
fn one_message_always_has_room() {
    let grpc = GrpcConfig { max_peer_bytes: 1, max_client_bytes: 1, ..GrpcConfig::default() };
    let config = valid().grpc(grpc).build().unwrap();
    let message = config.max_message_bytes() as u64;
    assert_eq!((config.max_peer_bytes(), config.max_client_bytes()), (message, message));
    let config = valid().build().unwrap();
    assert_eq!((config.max_peer_bytes(), config.max_client_bytes()), (256 << 20, 256 << 20));
}

/// Whatever is configured counts, with the factor that the documentation states.
#[test]
fn the_most_memory_is_the_sum_that_is_documented() {
    let most = |grpc: GrpcConfig| valid().grpc(grpc).build().unwrap().max_memory_bytes();
    let base = GrpcConfig::default();
    let more = |grpc: GrpcConfig| most(grpc) - most(GrpcConfig::default());
    let kib = 1 << 10;
    for (grpc, bytes) in [
        (
            GrpcConfig { max_connections: 257, ..base.clone() },
            2 * ((8 << 20) + 128 * 8 * kib) + 136 * kib + ((5 + 4 + 4 + 2) << 20) + 2 * 64 * kib,
        ),
        (GrpcConfig { max_calls: 129, ..base.clone() }, 2 * 256 * 8 * kib),
        (GrpcConfig { max_peer_calls: 1025, ..base.clone() }, 136 * kib),
        (GrpcConfig { max_client_calls: 1025, ..base.clone() }, 136 * kib + (4 << 20)),
        (GrpcConfig { max_peer_bytes: (256 << 20) + 1, ..base.clone() }, 25),
        (GrpcConfig { max_client_bytes: (256 << 20) + 1, ..base.clone() }, 25),
        (GrpcConfig { max_snapshot_bytes: (16 << 30) + 1, ..base.clone() }, 2),
    ] {
        assert_eq!(more(grpc.clone()), bytes, "{grpc:?}");
    }
    let gib = (most(base) - (32 << 30)) as f64 / f64::from(1 << 30);
    assert!((25.0..28.0).contains(&gib), "{gib} GiB");
    let endless = GrpcConfig { max_connections: usize::MAX, ..GrpcConfig::default() };
    assert_eq!(most(endless), u64::MAX);
}

#[test]
fn a_connection_takes_time() {
    let grpc = GrpcConfig { connect_timeout: Duration::ZERO, ..GrpcConfig::default() };
    assert_eq!(said(valid().grpc(grpc)), "grpc.connect_timeout_ms: 0: at least 1");
}

/// A node that joins need not be among those it asks, nor need they be an odd number.
#[rstest]
#[case::asks_two(4, 1..=2, "")]
#[case::asks_itself_as_well(2, 1..=2, "")]
#[case::asks_nobody(
    4,
    RangeInclusive::new(1, 0),
    "members: []: at least 1 member to ask if joining is set"
)]
fn joining(#[case] id: u64, #[case] asked: RangeInclusive<u64>, #[case] expected: &str) {
    assert_eq!(said(node_of(id, asked).joining()), expected);
}

#[test]
fn a_single_node_joins_nobody() {
    let both = node_of(1, 1..=1).single_node().joining();
    assert_eq!(said(both), "single_node: true: not together with joining");
}

#[rstest]
#[case::default("seshat", true)]
#[case::domain("seshat.prod-1.example", true)]
#[case::number_within("1.example", true)]
#[case::longest_label(&"x".repeat(63), true)]
#[case::label_too_long(&"x".repeat(64), false)]
#[case::longest(&format!("{}.x", [const { "x" }; 113].join(".")), true)]
#[case::too_long(&format!("{}.xx", [const { "x" }; 113].join(".")), false)]
#[case::upper_case("Seshat", false)]
#[case::space("the cluster", false)]
#[case::underscore("the_cluster", false)]
#[case::empty_label("seshat..example", false)]
#[case::dot_at_the_end("seshat.", false)]
#[case::wildcard("*.example", false)]
#[case::hyphen_first("-seshat", false)]
#[case::hyphen_last("seshat-", false)]
#[case::number("10.0.0.1", false)]
fn cluster_name_with_tls(#[case] name: &str, #[case] fits: bool) {
    let tls = TlsConfig { ca: "ca".into(), cert: "cert".into(), key: "key".into(), mutual: true };
    let grpc = GrpcConfig { tls: Some(tls), ..GrpcConfig::default() };
    let expected = format!(
        "cluster_name: {name:?}: labels of a-z, 0-9 and hyphens with dots between them, at most 227 \
         bytes, the last no number, as certificates (grpc.tls) name nodes by it"
    );
    let expected = if fits { String::new() } else { expected };
    assert_eq!(said(valid().cluster_name(name).grpc(grpc)), expected);
    assert_eq!(said(valid().cluster_name(name)), "", "it is just a name without");
}
