//! Each alert's bounds, by samples that are made up: as much as is still well, and the least that isn't; and what is no
//! fault at all.

use crate::rules::history::{Course, History, Labels, STEP};
use crate::rules::{all, named};
use crate::scrape::Scrape;

/// Longer than every window.
const WELL: usize = 300;

/// A metric in each scrape, by their numbers.
fn put(history: &mut History, name: &str, labels: &[(&str, &str)], value: impl Fn(usize) -> f64) {
    let labels: Labels = labels.iter().map(|(name, is)| ((*name).into(), (*is).into())).collect();
    history.put(name, labels, (0..2 * WELL).map(|at| Some(value(at))).collect());
}

/// As many, one each minute, of a counter that had some before.
fn events(count: usize) -> impl Fn(usize) -> f64 {
    move |at| 7.0 + at.saturating_sub(WELL).div_ceil(4).min(count) as f64
}

#[rstest::rstest]
#[case("SeshatLeaderChanges", "seshat_raft_leader_changes_total", ("group", "0"), 3)]
#[case("SeshatProposalsUnknown", "seshat_raft_proposals_total", ("outcome", "unknown"), 5)]
#[case("SeshatReadsUnconfirmed", "seshat_raft_read_index_failed_total", ("group", "0"), 5)]
#[case("SeshatSnapshotsFail", "seshat_raft_snapshot_sends_total", ("outcome", "failed"), 3)]
#[case("SeshatRestarts", "seshat_raft_start_time_seconds", ("group", "0"), 2)]
fn as_many_events_are_well_and_one_more_is_not(
    #[case] alert: &str,
    #[case] counter: &str,
    #[case] label: (&str, &str),
    #[case] well: usize,
) {
    for (count, fires) in [(well, false), (well + 1, true)] {
        let mut history = History::default();
        put(&mut history, counter, &[label, ("peer", "2")], events(count));
        assert_eq!(named(alert).evaluate(&history).is_some(), fires, "{alert} of {count}");
    }
    if label.0 == "outcome" {
        let mut history = History::default();
        put(&mut history, counter, &[("outcome", "applied"), ("peer", "2")], events(100));
        assert_eq!(named(alert).evaluate(&history), None, "{alert} of what is done");
    }
}

#[rstest::rstest]
#[case::late("SeshatHeartbeatsLate", "seshat_raft_heartbeat_late_total", 0.0, 0.2)]
#[case::fails("SeshatPeerFails", "seshat_raft_peer_send_failures_total", 1.4, 1.6)]
fn a_pace_that_is_well_and_one_that_is_not(
    #[case] alert: &str,
    #[case] counter: &str,
    #[case] well: f64,
    #[case] ill: f64,
) {
    for (each_scrape, fires) in [(well, false), (ill, true)] {
        let mut history = History::default();
        put(&mut history, counter, &[("peer", "2")], |at| (at as f64 * each_scrape).floor());
        assert_eq!(named(alert).evaluate(&history).is_some(), fires, "{alert} at {each_scrape}");
    }
}

/// Of samples in the bucket between those two bounds.
#[rstest::rstest]
#[case("SeshatSlowCommits", "seshat_raft_commit_duration_seconds_bucket", ["0.5", "1", "2.5"])]
#[case("SeshatSlowProposals", "seshat_raft_propose_wait_seconds_bucket", ["0.5", "1", "2.5"])]
#[case("SeshatSlowSync", "seshat_raft_wal_fsync_duration_seconds_bucket", ["0.25", "0.5", "1"])]
#[case("SeshatVerySlowSync", "seshat_raft_wal_fsync_duration_seconds_bucket", ["0.5", "1", "2.5"])]
#[case("SeshatPeerSlow", "seshat_raft_peer_rtt_seconds_bucket", ["0.1", "0.15", "0.25"])]
fn a_bucket_that_is_well_and_one_that_is_not(
    #[case] alert: &str,
    #[case] buckets: &str,
    #[case] bounds: [&str; 3],
) {
    // In how many of a hundred samples, each second.
    for (slow, fires) in [(0.0, false), (0.5, false), (2.0, true)] {
        let mut history = History::default();
        for (le, share) in
            [(bounds[0], 90.0), (bounds[1], 100.0 - slow), (bounds[2], 100.0), ("inf", 100.0)]
        {
            put(&mut history, buckets, &[("le", le), ("peer", "2")], |at| at as f64 * STEP * share);
        }
        assert_eq!(named(alert).evaluate(&history).is_some(), fires, "{alert} of {slow} %");
    }
}

#[rstest::rstest]
#[case("SeshatNoLeader", "seshat_raft_has_leader", 1.0, 0.0)]
#[case("SeshatProposalsPending", "seshat_raft_proposals_pending", 1000.0, 1001.0)]
#[case("SeshatPeerSilent", "seshat_raft_peer_last_contact_seconds", 0.9, 1.1)]
#[case("SeshatPeerLags", "seshat_raft_peer_lag_entries", 1000.0, 1001.0)]
#[case("SeshatPeerLagsInTime", "seshat_raft_peer_lag_seconds", 0.9, 1.1)]
#[case("SeshatDiskLow", "seshat_raft_disk_free_bytes", 1_073_741_824.0, 1_073_741_823.0)]
#[case("SeshatDiskFull", "seshat_raft_disk_full", 0.0, 1.0)]
#[case("SeshatPoisoned", "seshat_raft_poisoned", 0.0, 1.0)]
#[case("SeshatChecksumFailures", "seshat_raft_checksum_failures_total", 0.0, 1.0)]
fn a_level_that_is_well_and_one_that_is_not(
    #[case] alert: &str,
    #[case] name: &str,
    #[case] well: f64,
    #[case] ill: f64,
) {
    for (is, fires) in [(well, false), (ill, true)] {
        let mut history = History::default();
        put(&mut history, name, &[("peer", "2"), ("of", "log")], |_| is);
        assert_eq!(named(alert).evaluate(&history).is_some(), fires, "{alert} at {is}");
    }
}

/// Between levels of one partition, and of no two.
#[rstest::rstest]
#[case::well(5000.0, "0", false)]
#[case::ill(5001.0, "0", true)]
#[case::of_another(5001.0, "1", false)]
fn what_is_behind(#[case] committed: f64, #[case] group: &str, #[case] fires: bool) {
    let mut history = History::default();
    put(&mut history, "seshat_raft_committed_index", &[("group", "0")], |_| 10.0 + committed);
    put(&mut history, "seshat_raft_applied_index", &[("group", group)], |_| 10.0);
    assert_eq!(named("SeshatApplyBehind").evaluate(&history).is_some(), fires);
}

/// A follower that was sent a snapshot, and nothing since, has no log, and lacks none.
#[rstest::rstest]
#[case::nothing_is_written(0.0, 0.0, false)]
#[case::the_log_reaches_back(20.1, 5.0, false)]
#[case::it_does_not(19.9, 5.0, true)]
fn how_far_the_log_reaches(#[case] oldest: f64, #[case] entries: f64, #[case] fires: bool) {
    let mut history = History::default();
    for (name, is) in [
        ("seshat_raft_snapshot_restore_seconds", 20.0),
        ("seshat_raft_wal_oldest_age_seconds", oldest),
        ("seshat_raft_log_entries", entries),
    ] {
        put(&mut history, name, &[("group", "0")], |_| is);
    }
    assert_eq!(named("SeshatLogTooShort").evaluate(&history).is_some(), fires);
}

/// A node that is restarted counts from 0 again, and answers nothing meanwhile.
#[test]
fn one_restart_is_no_fault() {
    let metrics = seshat_core::metrics::ALL;
    for rule in all() {
        let mut history = History::default();
        for selector in rule.selectors() {
            let is = |at: usize| match (selector.name.as_str(), at) {
                (_, WELL) if selector.name != "up" => None,
                ("up", WELL) => Some(0.0),
                ("up" | "seshat_raft_has_leader", _) => Some(1.0),
                ("seshat_raft_disk_free_bytes", _) => Some(1e12),
                ("seshat_raft_start_time_seconds", at) if at > WELL => Some(2e9),
                ("seshat_raft_start_time_seconds", _) => Some(1e9),
                (name, at)
                    if at < WELL && name.contains("_total") && !name.contains("checksum") =>
                {
                    Some(1000.0)
                }
                _ => Some(0.0),
            };
            let name = selector.name.trim_end_matches("_bucket");
            let known = metrics.iter().find(|metric| metric.name == name);
            let mut labels = selector.labels.clone();
            for label in known.iter().flat_map(|metric| metric.labels) {
                labels.entry((*label).to_owned()).or_insert_with(|| "2".to_owned());
            }
            if selector.name.ends_with("_bucket") {
                labels.insert("le".to_owned(), "inf".to_owned());
            }
            history.put(&selector.name, labels, (0..2 * WELL).map(is).collect());
        }
        assert_eq!(rule.evaluate(&history), None, "{}", rule.alert);
    }
}

/// Some count what has been, or are certain as soon as they are true. No other is about what is over in a moment.
#[test]
fn which_alerts_wait_for_nothing_and_how_long_the_others() {
    let at_once: Vec<String> =
        all().into_iter().filter(|rule| rule.held == 0.0).map(|rule| rule.alert).collect();
    let expected = [
        "SeshatRestarts",
        "SeshatLeaderChanges",
        "SeshatProposalsUnknown",
        "SeshatReadsUnconfirmed",
        "SeshatSnapshotsFail",
        "SeshatDiskFull",
        "SeshatPoisoned",
        "SeshatChecksumFailures",
    ];
    assert_eq!(at_once, expected);
    assert!(all().iter().all(|rule| rule.held <= 900.0));
}

/// For how long it has to be true, to the scrape.
#[test]
fn an_alert_waits_as_long_as_it_says() {
    let (up, down) = (Scrape::up(true), Scrape::up(false));
    let lasting = |ill| {
        let mut history = History::default();
        history.add("up", [&up, &down], None, Course { well: 2, ill, again: 2 });
        named("SeshatDown").evaluate(&history)
    };
    // A minute is four scrapes behind the first.
    assert_eq!(lasting(4), None);
    assert_eq!(lasting(5).map(|fired| (fired.first, fired.last)), Some((6, 6)));
}
