//! Every load of the benchmark, at a fraction of its size.

use std::time::Duration;

use rstest::rstest;

use crate::link::{LINKS, Link};
use crate::load::{LOADS, Load, Outcome, Times, run};

/// Small loads, and all the time that a busy machine takes.
const TIMES: Times =
    Times { load: 0.02, bound: Duration::from_secs(40), alive: Duration::from_secs(20) };

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_is_done_over_a_link_that_carries_it(
    #[values("sb-64mbit", "100mbit-10ms")] link: &str,
    #[values("idle", "burst", "steady", "value", "log", "snapshot")] name: &str,
) {
    let link = Link::named(link);
    let (_, load) = *LOADS.iter().find(|(known, _)| *known == name).unwrap();
    let outcome = run(&link, load, TIMES).await;
    assert!(outcome.done > 0.0, "{outcome:?}");
    assert_eq!(outcome.bytes > 0.0, load != Load::Idle, "{outcome:?}");
    let carries = link.rate().unwrap().get() as f64 * outcome.seconds;
    assert!(outcome.bytes <= carries, "more than the link carries: {outcome:?}");
    assert!(outcome.max_ms >= outcome.p50_ms && outcome.p50_ms > 0.0, "{outcome:?}");
    let read = Outcome::from_line(&outcome.to_line()).unwrap();
    assert_eq!(format!("{read:?}"), format!("{outcome:?}"));
}

#[test]
fn a_link_has_a_name_of_its_own() {
    for link in &LINKS {
        assert_eq!(LINKS.iter().filter(|other| other.name == link.name).count(), 1);
    }
}
