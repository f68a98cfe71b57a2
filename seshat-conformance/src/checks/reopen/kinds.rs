//! Every kind of entry and every shape of contents over a restart: blank entries and memberships
//! by themselves, what is empty, binary and large, and what only replies show.

use crate::check::{Check, check};
use crate::checks::machine::shaped;
use crate::checks::snapshot::identity::apply;
use crate::failure::Failure;
use crate::history::{self, Kind};
use crate::lab::Lab;
use crate::model::Step;
use crate::outcome::Verdict;
use crate::story;
use crate::subject::{Origin, Subject, verify_data};

pub(super) fn checks() -> Vec<Check> {
    vec![
        // storage/helper.rs:74 (get_log_state), :278 (last_membership_in_log).
        check!(
            "reopen/append-every-kind", Must, [12, 51, 63], needs: [Log, LogSurvivesRestart],
            promise: "Blank entries and memberships that end a log are there after a restart, as commands are.",
            consequence: "A node that starts again has lost what it has acknowledged to a new leader.",
            relies: [START_LOG],
            since: 2,
            run: append_every_kind,
        ),
        // storage/helper.rs:78 (applied_state): entries are applied again from there on.
        check!(
            "reopen/apply-every-kind", Must, [19, 21, 23, 25, 26, 51], needs: [Machine, LogSurvivesRestart],
            promise: "After a restart the applied id is as late as declared, though no command was applied last.",
            consequence: "Entries are applied twice, or a node starts behind what it has purged.",
            relies: [START_APPLIED],
            since: 2,
            run: apply_every_kind,
        ),
        // storage/helper.rs:128 (get_current_snapshot), :97-104: what is purged isn't applied again.
        check!(
            "reopen/same-data", Must, [26, 30, 51], needs: [Machine, LogSurvivesRestart, MachineSurvivesRestart],
            promise: "A snapshot that brought nothing but blank entries or memberships is there after a restart.",
            consequence: "A node starts behind what it has purged, and can't go on.",
            relies: [START_APPLIED, START_SNAPSHOT],
            since: 2,
            run: same_data,
        ),
        // storage/helper.rs:78 (applied_state): what it says was applied isn't applied again.
        check!(
            "reopen/shapes", Must, [25, 26, 51], needs: [Machine, LogSurvivesRestart, MachineSurvivesRestart, Digest],
            promise: "Empty, binary and large contents are there after a restart.",
            consequence: "A node that starts again diverges.",
            relies: [START_APPLIED],
            since: 2,
            limit: 20,
            run: shapes,
        ),
        // core/sm/worker.rs:147 (apply): the reply is the client's answer, whoever leads.
        check!(
            "reopen/same-replies", Must, [22, 25, 26], needs: [Machine, LogSurvivesRestart, MachineSurvivesRestart, ShowReply],
            promise: "A node that was started again answers what follows as the others do.",
            consequence: "Replicas diverge in what no digest shows: counters, sessions, expiries.",
            relies: [APPLY],
            since: 2,
            run: same_replies,
        ),
    ]
}

async fn append_every_kind(lab: &Lab) -> Verdict {
    for payloads in story::without_commands() {
        for had in [1, 6] {
            let mut subject = Subject::with(lab, story::log_of(had)).await?;
            subject.perform(story::leader(5, 1)).await?;
            let items = story::carrying(5, 1, had, &payloads);
            subject.run([Step::Append(items), Step::Restart, Step::Restart]).await?;
            subject.verify().await?;
        }
    }
    Ok(())
}

async fn apply_every_kind(lab: &Lab) -> Verdict {
    for payloads in story::without_commands() {
        let mut subject = Subject::with(lab, story::applied_of(6, 6)).await?;
        apply(&mut subject, &payloads).await?;
        subject.run([Step::Restart, Step::Restart]).await?;
        subject.run(history::steps(&subject.model, Kind::ApplyAll.choice())).await?;
        subject.run([Step::Build, Step::Restart]).await?;
        subject.verify().await?;
    }
    Ok(())
}

async fn same_data(lab: &Lab) -> Verdict {
    for payloads in story::without_commands() {
        for installed in [false, true] {
            let mut subject = Subject::with(lab, story::applied_of(6, 6)).await?;
            subject.perform(Step::Build).await?;
            if installed {
                let items = story::carrying(9, 2, 6, &payloads);
                subject.perform(Step::Install(items)).await?;
            } else {
                apply(&mut subject, &payloads).await?;
                subject.perform(Step::Build).await?;
            }
            let upto = subject.model.applied_id();
            subject.run(upto.map(Step::Purge)).await?;
            subject.run([Step::Restart, Step::Restart]).await?;
            subject.verify().await?;
        }
    }
    Ok(())
}

async fn shapes(lab: &Lab) -> Verdict {
    let payloads = shaped(lab);
    for purged in [false, true] {
        let mut subject = Subject::with(lab, story::applied_of(6, 6)).await?;
        apply(&mut subject, &payloads).await?;
        let built = subject.build().await?;
        subject.follow(&Step::Build)?;
        // What no snapshot carries isn't lost by a restart.
        verify_data(lab, &subject.model, built).await.map_err(Failure::beforehand)?;
        let upto = subject.model.applied_id().filter(|_| purged);
        subject.run(upto.map(Step::Purge)).await?;
        subject.run([Step::Restart, Step::Restart]).await?;
        subject.verify().await?;
    }
    Ok(())
}

/// The other node has applied it all and was never stopped.
async fn same_replies(lab: &Lab) -> Verdict {
    const COUNT: u64 = 50;
    let mut subject = Subject::with(lab, story::applied_of(COUNT, 20)).await?;
    subject.run([Step::Build, Step::Restart]).await?;
    let mut other = Origin::new(lab).await?;
    for index in 0..COUNT {
        let items = subject.model.log.range(index, index + 1);
        let applying = other.machine.apply(lab.entries(&items)?);
        let expected = lab.call("apply (on another node)", applying).await?;
        if index < subject.model.applied as u64 {
            continue;
        }
        if index >= subject.model.committed_count() as u64 {
            subject.perform(Step::Commit(index)).await?;
        }
        let step = Step::Apply(1);
        lab.record.step(step.to_string());
        let got = lab.call("apply", subject.machine.apply(lab.entries(&items)?)).await?;
        subject.follow(&step)?;
        let what =
            format!("the reply at {index} differs from that of a node which was never stopped");
        lab.equal(&what, &got.texts(), &expected.texts())?;
    }
    Ok(())
}
