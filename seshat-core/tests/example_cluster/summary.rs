//! What the report makes of a run's numbers.

use std::time::Duration;

use rstest::rstest;

use super::json::Json;
use super::report::{Kill, Latency, Leadership, NodeState, Report};

#[rstest]
#[case(&[], None)]
#[case(&[7], Some([7, 7, 7, 7, 7]))]
#[case(&[2, 1], Some([1, 2, 2, 2, 2]))]
#[case(&(1..=100).rev().collect::<Vec<u64>>(), Some([50, 90, 99, 100, 100]))]
#[case(&(1..=10_000).rev().collect::<Vec<u64>>(), Some([5000, 9000, 9900, 9990, 10_000]))]
fn percentiles_are_latencies_that_occurred(
    #[case] millis: &[u64],
    #[case] expected: Option<[u64; 5]>,
) {
    let mut latencies: Vec<Duration> = millis.iter().copied().map(Duration::from_millis).collect();
    let expected = expected.map(|expected| {
        let [p50, p90, p99, p99_9, max] = expected.map(Duration::from_millis);
        Latency { p50, p90, p99, p99_9, max }
    });
    assert_eq!(Latency::of(&mut latencies), expected);
}

fn node(id: u64, digest: u128) -> NodeState {
    NodeState { id, role: "follower", last_applied: 9, keys: 1, bytes: 2, digest }
}

fn a_report(nodes: Vec<NodeState>) -> Report {
    let gap = Some(Duration::from_millis(1234));
    Report {
        commands: 10,
        window: 2,
        elapsed: Duration::from_secs(2),
        caught_up: Duration::from_millis(5),
        latency: None,
        leadership: Leadership {
            before: 1,
            after: 2,
            kill: Some(Kill { leader: 1, acknowledged: 5, gap }),
        },
        proposed_again: 2,
        nodes,
        expected: 7,
    }
}

#[test]
fn different_digests_are_reported() {
    let differ = a_report(vec![node(1, 7), node(2, 8), node(3, 7)]);
    assert!(differ.to_text().contains("\nDIGESTS DIFFER\nSTATE DIFFERS from the commands"));
    let json = Json::parse(&differ.to_json());
    assert_eq!((json.get("digests_agree"), json.get("state_matches")), ("false", "false"));

    let all_wrong = a_report(vec![node(1, 8), node(2, 8)]);
    assert!(all_wrong.digests_agree() && !all_wrong.state_matches());
}

#[test]
fn a_report_is_in_seconds_or_milliseconds_or_for_programs_in_microseconds() {
    let report = a_report(vec![node(1, 7)]);
    let text = report.to_text();
    assert!(text.contains("\nelapsed         2.000 s\n"), "{text}");
    assert!(text.contains("\nthroughput      5 commands/s\n"), "{text}");
    assert!(text.contains("\ngap in service  1.234 s\n"), "{text}");
    assert!(text.contains("\nall caught up   5.000 ms after the last command\n"), "{text}");
    assert!(text.contains("  00000000000000000000000000000007\n"), "{text}");

    let json = Json::parse(&report.to_json());
    assert_eq!(json.get("elapsed_us"), "2000000");
    assert_eq!(json.get("commands_per_second"), "5.0");
    assert_eq!(json.get("latency_us"), "null");
    assert_eq!(json.get("kill.gap_us"), "1234000");
}
