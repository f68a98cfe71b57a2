//! Family `callback`: returned is not flushed; each append's callback is called once, with the
//! truth.

use crate::check::{Check, check};
use crate::driver::Flushed;
use crate::failure::Failure;
use crate::lab::Lab;
use crate::model::{Item, Step};
use crate::outcome::Verdict;
use crate::story;
use crate::subject::Subject;

pub(crate) fn checks() -> Vec<Check> {
    vec![
        check!(
            "callback/called", Must, [10, 50], needs: [Log, Callback],
            promise: "The callback of every append is called, with success if the append succeeded.",
            consequence: "openraft waits for it and for nothing else: the node stops for ever.",
            relies: [APPEND],
            run: called,
        ),
        check!(
            "callback/readable", Should, [3, 11], needs: [Log, Callback],
            promise: "Entries can be read when append returns, called back or not, also by readers made before.",
            consequence: "A leader replicates nothing, or commits what it can't read and stops.",
            reason: "`append_to_log` waits for the callback before anybody is told of the entries.",
            was: Must until 1,
            run: readable,
        ),
        check!(
            "callback/outstanding", Should, [10, 13, 50], needs: [Log, Callback],
            promise: "Several appends may await their callbacks; each is called once, with success.",
            consequence: "A callback that is lost in a group flush stops the node for ever.",
            reason: "`append_to_log` waits for each callback before the next write.",
            was: Must until 1,
            run: outstanding,
        ),
        check!(
            "callback/every-size", Must, [10, 50], needs: [Log, Callback],
            promise: "The callback is called whatever the size of the batch or the entry.",
            consequence: "One unlucky batch stops the node for ever.",
            relies: [APPEND],
            run: every_size,
        ),
        check!(
            "callback/abandoned", Should, [10, 13], needs: [Log, Callback],
            promise: "A callback that nobody waits for any more does no harm.",
            consequence: "A node that is shut down while it writes breaks its store.",
            reason: "openraft waits for every callback for as long as it lives.",
            run: abandoned,
        ),
    ]
}

/// Appends and returns as soon as `append` does. The oracle has followed.
pub(crate) async fn append(
    subject: &mut Subject<'_>,
    items: Vec<Item>,
) -> Result<Flushed, Failure> {
    let step = Step::Append(items.clone());
    subject.lab.record.step(format!("{step} (returned, not yet flushed)"));
    let flushed = subject.append_unawaited(&items).await.map_err(Failure::beforehand)?;
    subject.follow(&step)?;
    Ok(flushed)
}

async fn called(lab: &Lab) -> Verdict {
    let mut subject = Subject::with(lab, [story::leader(1, 1)]).await?;
    for from in [0, 1, 2, 7, 8] {
        let to = subject.model.log.next_index().max(from) + 1 + from % 3;
        let next = subject.model.log.next_index();
        let flushed = append(&mut subject, story::entries(1, 1, next, to)).await?;
        lab.flushed(flushed).await?;
    }
    // After each of the other writes, too.
    subject.run([Step::Truncate(5), story::leader(2, 1)]).await?;
    let flushed = append(&mut subject, story::entries(2, 1, 5, 9)).await?;
    lab.flushed(flushed).await?;
    subject.run([Step::Commit(6), Step::Apply(7), Step::Build]).await?;
    subject.perform(Step::Purge(story::id(2, 1, 6))).await?;
    let flushed = append(&mut subject, story::entries(2, 1, 9, 10)).await?;
    lab.flushed(flushed).await?;
    subject.verify_log().await
}

async fn readable(lab: &Lab) -> Verdict {
    let mut subject = Subject::with(lab, [story::leader(1, 1)]).await?;
    for (from, to) in [(0, 1), (1, 4), (4, 70), (70, 71), (71, 1_200)] {
        let flushed = append(&mut subject, story::entries(1, 1, from, to)).await?;
        // The callback may have been called or not: nobody has asked. Whatever comes between gives
        // it time, so the read comes first.
        let items = subject.model.log.range(from, to);
        let read = subject.reader.read_limited(from, to);
        let got = lab.call("limited_get_log_entries by an old reader", read).await?;
        let expected: Vec<Item> = items.into_iter().take(got.len().max(1)).collect();
        lab.same("a limited read before the flush", &got, &expected)?;
        subject.verify_log().await?;
        lab.flushed(flushed).await?;
    }
    Ok(())
}

async fn outstanding(lab: &Lab) -> Verdict {
    let mut subject = Subject::with(lab, [story::leader(1, 1)]).await?;
    let mut waiting = Vec::new();
    for (from, to) in [(0, 1), (1, 2), (2, 5), (5, 6), (6, 40), (40, 41), (41, 42), (42, 50)] {
        waiting.push(append(&mut subject, story::entries(1, 1, from, to)).await?);
    }
    subject.verify_log().await?;
    for flushed in waiting {
        lab.flushed(flushed).await?;
    }
    subject.verify_log().await
}

async fn every_size(lab: &Lab) -> Verdict {
    use crate::model::Payload;
    use crate::words::{Command, Shape};

    let mut subject = Subject::with(lab, [story::leader(1, 1)]).await?;
    for count in [1, 2, 10, 64, 65, 128, 129, 500, 1_001, 4_097] {
        let next = subject.model.log.next_index();
        let flushed = append(&mut subject, story::entries(1, 1, next, next + count)).await?;
        lab.flushed(flushed).await?;
    }
    for bytes in [0, 1 << 10, 1 << 16, (1 << 20) + 1] {
        let command = Command { n: bytes as u64, shape: Shape::Large(bytes) };
        if lab.driver.has(&command) {
            let id = story::id(1, 1, subject.model.log.next_index());
            let item = story::item(id, Payload::Command(command));
            let flushed = append(&mut subject, vec![item]).await?;
            lab.flushed(flushed).await?;
        }
    }
    subject.verify_log().await
}

async fn abandoned(lab: &Lab) -> Verdict {
    let mut subject = Subject::with(lab, [story::leader(1, 1)]).await?;
    for (from, to) in [(0, 1), (1, 9)] {
        drop(append(&mut subject, story::entries(1, 1, from, to)).await?);
    }
    subject.perform(Step::Append(story::entries(1, 1, 9, 12))).await?;
    subject.verify_log().await
}
