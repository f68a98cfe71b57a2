//! A snapshot that is shorter than the one before it: nothing of that one is left behind its end.

use super::install::{bytes_of, install};
use super::{expect_current, verify_data};
use crate::check::{Check, check};
use crate::lab::Lab;
use crate::model::Item;
use crate::outcome::Verdict;
use crate::story;
use crate::subject::Subject;

pub(crate) fn checks() -> Vec<Check> {
    vec![
        // network/snapshot_transport.rs:326 (begin_receiving_snapshot): each stream has a handle
        // of its own; core/sm/worker.rs:105: and what it received is the state.
        check!(
            "snapshot/receive/shorter", Must, [28, 29, 30], needs: [Machine, SnapshotBytes],
            promise: "A snapshot that is shorter than the one received before it is installed as it is.",
            consequence: "A follower's state is the end of an older snapshot behind a newer one.",
            relies: [RECEIVE],
            since: 2,
            run: shorter,
        ),
    ]
}

async fn shorter(lab: &Lab) -> Verdict {
    let [long, short] = story::long_then_short(|command| lab.driver.has(command));
    let all: Vec<Item> = long.iter().chain(&short).cloned().collect();
    let (first, second) = (bytes_of(lab, &long).await?.1, bytes_of(lab, &all).await?.1);
    if first.len() <= second.len() {
        lab.inconclusive("no command makes the application's snapshots shorter");
        return Ok(());
    }
    let mut subject = Subject::fresh(lab).await?;
    for items in [long, short] {
        install(&mut subject, items).await?;
        let snapshot = expect_current(&mut subject).await?;
        verify_data(lab, &subject.model, snapshot).await?;
    }
    Ok(())
}
