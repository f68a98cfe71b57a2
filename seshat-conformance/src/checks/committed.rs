//! Family `committed`: optional, but what is read was saved, and saved last.

use crate::check::{Check, check};
use crate::lab::Lab;
use crate::model::Step;
use crate::outcome::Verdict;
use crate::story;
use crate::subject::restart::Closed;
use crate::subject::{Subject, log_id};

pub(crate) fn checks() -> Vec<Check> {
    vec![
        check!(
            "committed/last-saved", Should, [9], needs: [Log],
            promise: "The committed id read is the one saved last, or always None.",
            consequence: "A node that starts again applies too little, or what isn't committed.",
            reason: "An id that was saved before is as good as none, which is allowed.",
            was: Must until 1,
            run: last_saved,
        ),
        check!(
            "committed/ids", Must, [9], needs: [Log],
            promise: "Terms, leaders and indexes of any size come back exactly as committed id.",
            consequence: "A node that starts again applies what isn't committed, or can't start.",
            relies: [START_COMMITTED],
            run: ids,
        ),
        check!(
            "committed/beside-the-log", Should, [9], needs: [Log],
            promise: "Nothing that is done to log and vote changes the committed id.",
            consequence: "A node that starts again falls back behind what it has answered.",
            reason: "An id that was saved before is as good as none, which is allowed.",
            was: Must until 1,
            run: beside_the_log,
        ),
        check!(
            "committed/reopen", Should, [9, 53], needs: [Log, LogSurvivesRestart],
            promise: "A store that gives the committed id gives it after a restart as well.",
            consequence: "A node that starts again falls back behind what it has answered.",
            reason: "An id that was saved before is as good as none, which is allowed.",
            was: Must until 1,
            run: reopen,
        ),
    ]
}

async fn last_saved(lab: &Lab) -> Verdict {
    const COUNT: u64 = 15;
    let mut subject = Subject::with(lab, story::log_of(COUNT)).await?;
    for index in [0, 1, 4, 5, 9, 10, 14] {
        subject.perform(Step::Commit(index)).await?;
        subject.verify_committed().await?;
    }
    subject.verify_log().await?;
    subject.verify_vote().await
}

async fn ids(lab: &Lab) -> Verdict {
    let mut subject = Subject::with(lab, story::leaders()).await?;
    for index in 0..subject.model.log.next_index() {
        subject.perform(Step::Commit(index)).await?;
        subject.verify_saved().await?;
    }
    for boundary in story::BOUNDARIES {
        let mut subject = Subject::with(lab, [story::leader(3, 2)]).await?;
        subject.skip_to(story::id(2, 1, boundary - 3)).await?;
        let items = story::commands(3, 2, boundary - 2, boundary + 3);
        subject.perform(Step::Append(items)).await?;
        for index in boundary - 2..boundary + 3 {
            subject.perform(Step::Commit(index)).await?;
            subject.verify_saved().await?;
        }
    }
    Ok(())
}

async fn beside_the_log(lab: &Lab) -> Verdict {
    let mut subject = Subject::with(lab, story::log_of(12)).await?;
    let steps = [
        Step::Commit(7),
        story::leader(5, 1),
        Step::Truncate(10),
        Step::Append(story::entries(5, 1, 10, 14)),
        Step::Apply(6),
        Step::Build,
        Step::Purge(story::id_of(12, 3)),
        Step::Apply(2),
        Step::Build,
        Step::Truncate(8),
        Step::Purge(story::id_of(12, 7)),
        story::leader(6, 2),
        Step::Append(story::entries(6, 2, 8, 9)),
    ];
    for step in steps {
        subject.perform(step).await?;
        subject.verify_committed().await?;
    }
    Ok(())
}

async fn reopen(lab: &Lab) -> Verdict {
    let mut subject = Subject::with(lab, story::log_of(12)).await?;
    for index in [0, 3, 4, 11] {
        subject.perform(Step::Commit(index)).await?;
        subject.verify_committed().await?;
        let kept = subject.committed_kept();
        let saved = log_id(lab, subject.model.committed.last().copied());
        subject.reopen().await?;
        subject.verify_reopened(Closed::Orderly).await?;
        if kept == Some(true) {
            let got = lab.call("read_committed", subject.log.committed()).await?;
            lab.equal("read_committed after a restart is not the last id saved", &got, &saved)?;
        }
    }
    if subject.committed_kept() == Some(false) {
        lab.inconclusive("the store keeps no committed id, which it need not");
    }
    Ok(())
}
