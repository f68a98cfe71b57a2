//! Snapshots over restarts: their ids, one that is shorter than the one before, one whose transfer
//! or build had begun.

use crate::check::{Check, check};
use crate::checks::snapshot::bytes_of;
use crate::checks::snapshot::identity::{Ids, apply};
use crate::checks::snapshot::overtaken::{Overtaken, most, overtake, overtaken};
use crate::failure::Failure;
use crate::history::{self, Kind};
use crate::lab::Lab;
use crate::model::{Item, Payload, Step};
use crate::outcome::Verdict;
use crate::story;
use crate::subject::Subject;
use crate::subject::restart::Closed;

pub(super) fn checks() -> Vec<Check> {
    vec![
        // network/snapshot_transport.rs:310: a chunk under the same id goes into the same stream.
        check!(
            "reopen/snapshot-ids", Must, [36], needs: [Machine, LogSurvivesRestart],
            promise: "A snapshot that is built after a restart has another id than those of other states before it.",
            consequence: "What a leader sends after a restart is joined to what it had begun to send before.",
            relies: [RECEIVE],
            since: 2,
            run: snapshot_ids,
        ),
        // storage/helper.rs:78 (applied_state), :128 (get_current_snapshot).
        check!(
            "reopen/shorter-snapshot", Must, [26, 29, 30, 51], needs: [Machine, LogSurvivesRestart, MachineSurvivesRestart],
            promise: "A snapshot that is shorter than the one before it is there after a restart, as it was made.",
            consequence: "A node can't start again, or starts with the end of an older state.",
            relies: [START_SNAPSHOT],
            since: 2,
            run: shorter_snapshot,
        ),
        // network/snapshot_transport.rs:326 (begin_receiving_snapshot).
        check!(
            "reopen/receive", Must, [28, 29, 51], needs: [Machine, LogSurvivesRestart, MachineSurvivesRestart, SnapshotBytes],
            promise: "Receiving begins with a blank handle, though the node was stopped amid a longer transfer.",
            consequence: "A follower's state is the end of an older snapshot behind a newer one.",
            relies: [RECEIVE],
            since: 2,
            run: receive,
        ),
        // core/sm/worker.rs:105 (install_snapshot): an error stops the node; it starts again.
        check!(
            "reopen/refused-install", Must, [26, 29, 51, 55], needs: [Machine, LogSurvivesRestart, MachineSurvivesRestart, SnapshotBytes],
            promise: "After an install was refused, a restart finds the old state and the old snapshot.",
            consequence: "A transfer that broke off costs a replica when it starts again.",
            relies: [INSTALLED],
            since: 2,
            run: refused_install,
        ),
        // core/sm/worker.rs:184-192: the build is a task of its own, and the worker goes on.
        check!(
            "reopen/build-overtaken", Must, [26, 30, 31, 51, 61], needs: [Machine, LogSurvivesRestart, MachineSurvivesRestart],
            promise: "After a restart the installed snapshot is there, though an older build ended after it.",
            consequence: "A node starts with a state from before the entries that it has purged.",
            relies: [BUILD],
            since: 2,
            limit: 20,
            run: build_overtaken,
        ),
    ]
}

async fn snapshot_ids(lab: &Lab) -> Verdict {
    let mut ids = Ids::default();
    let mut subject = Subject::with(lab, story::applied_of(6, 6)).await?;
    lab.record.step(Step::Build.to_string());
    ids.note(lab, subject.build().await?.meta)?;
    subject.follow(&Step::Build)?;
    for restarted in [true, false, true, true] {
        if restarted {
            subject.perform(Step::Restart).await?;
        }
        // What was applied may have been forgotten.
        subject.run(history::steps(&subject.model, Kind::ApplyAll.choice())).await?;
        apply(&mut subject, &[Payload::Blank]).await?;
        lab.record.step(Step::Build.to_string());
        ids.note(lab, subject.build().await?.meta)?;
        subject.follow(&Step::Build)?;
    }
    Ok(())
}

async fn shorter_snapshot(lab: &Lab) -> Verdict {
    let halves = story::long_then_short(|command| lab.driver.has(command));
    // Received, and built.
    let mut subject = Subject::fresh(lab).await?;
    for items in halves.clone() {
        let upto = items.last().map(|item| item.id);
        subject.perform(Step::Install(items)).await?;
        subject.run(upto.map(Step::Purge)).await?;
        subject.run([Step::Restart]).await?;
        subject.verify().await?;
    }
    let mut subject = Subject::with(lab, [story::leader(9, 2)]).await?;
    for items in halves {
        let (count, upto) = (items.len(), items.last().map(|item| item.id));
        let last = upto.map_or(0, |id| id.index);
        subject.run([Step::Append(items), Step::Commit(last), Step::Apply(count)]).await?;
        subject.perform(Step::Build).await?;
        subject.run(upto.map(Step::Purge)).await?;
        subject.perform(Step::Restart).await?;
        subject.verify().await?;
    }
    Ok(())
}

async fn receive(lab: &Lab) -> Verdict {
    let [long, _] = story::long_then_short(|command| lab.driver.has(command));
    let given_up = bytes_of(lab, &long).await?.1;
    for part in [given_up.len() / 2, given_up.len()] {
        for killed in [false, true] {
            let mut subject = Subject::fresh(lab).await?;
            lab.record.step(format!("receive {part} bytes of a snapshot, then stop"));
            let begun = subject.receive_bytes(given_up.get(..part).unwrap_or(&given_up)).await?;
            drop(begun);
            if killed {
                subject.vanish()
            } else {
                subject.close().await?
            }
            subject.open_again().await?;
            let first: Vec<Item> = long.iter().take(3).cloned().collect();
            subject.perform(Step::Install(first)).await?;
            subject.verify_applied().await?;
            let last = subject.model.applied_id();
            subject.run(last.map(Step::Purge)).await?;
            subject.perform(Step::Restart).await?;
            subject.verify().await?;
        }
    }
    Ok(())
}

async fn build_overtaken(lab: &Lab) -> Verdict {
    // What is wrong before a restart isn't the restart's.
    overtaken(lab).await.map_err(Failure::beforehand)?;
    for polls in 1..=most(lab) {
        let (mut subject, whether) = overtake(lab, polls).await?;
        let upto = subject.model.applied_id();
        subject.run(upto.map(Step::Purge)).await?;
        subject.perform(Step::Restart).await?;
        subject.verify().await?;
        if whether == Overtaken::No || lab.enough() {
            break;
        }
    }
    Ok(())
}

/// Whether it is refused, by an error or a panic, is for `snapshot/refuse` to say.
async fn refused_install(lab: &Lab) -> Verdict {
    for part in [0, 1, 2_usize] {
        let mut subject = Subject::with(lab, story::applied_of(12, 8)).await?;
        subject.perform(Step::Build).await?;
        let news = story::entries(9, 2, 8, 40);
        let truth: Vec<Item> = subject.model.truth.iter().cloned().chain(news).collect();
        let (meta, bytes) = bytes_of(lab, &truth).await?;
        let part = bytes.len() * part / 3;
        let data = subject.receive_bytes(bytes.get(..part).unwrap_or(&bytes)).await?;
        lab.record.step(format!("install the first {part} of {} bytes of a snapshot", bytes.len()));
        let Some(mut machine) = subject.machine.take() else { return Ok(()) };
        // In a task, which a panic doesn't outlive.
        let installing = tokio::spawn(async move { machine.install(&meta, data).await });
        if matches!(lab.answer("install_snapshot", installing).await?, Ok(Ok(()))) {
            lab.inconclusive("a snapshot that is cut short is accepted");
            return Ok(());
        }
        lab.record.forgive_panics();
        subject.vanish();
        lab.record.step(Step::Restart.to_string());
        subject.open_again().await?;
        subject.verify_reopened(Closed::Orderly).await?;
        subject.start().await?;
        subject.verify().await?;
    }
    Ok(())
}
