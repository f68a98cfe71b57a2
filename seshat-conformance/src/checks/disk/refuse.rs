//! A disk that refuses writes: the store says so, and what it had stands.

use std::time::Duration;

use crate::check::{Check, check};
use crate::checks::snapshot::bytes_of;
use crate::failure::{Failure, Kind};
use crate::lab::Lab;
use crate::model::{LogModel, Step};
use crate::outcome::Verdict;
use crate::power::Disk;
use crate::story;
use crate::subject::Subject;
use crate::subject::restart::Closed;
use crate::words::Keeps;

pub(crate) fn checks() -> Vec<Check> {
    vec![
        check!(
            "disk/refuse/append", Must, [12, 50, 51], needs: [Log, RefuseWrites, LogSurvivesRestart],
            promise: "An append that can't be written fails, or calls back with an error, in time.",
            consequence: "Entries are acknowledged that no disk has, or the node waits for ever.",
            relies: [APPEND],
            run: append,
        ),
        check!(
            "disk/refuse/vote", Must, [7, 51], needs: [Log, RefuseWrites, LogSurvivesRestart],
            promise: "A vote that can't be written is an error, and the vote before it stands.",
            consequence: "A node votes twice in a term: two leaders, and committed entries are lost.",
            relies: [SAVE_VOTE],
            run: vote,
        ),
        check!(
            "disk/refuse/truncate", Must, [16, 47, 51], needs: [Log, RefuseWrites, LogSurvivesRestart],
            promise: "A truncation that can't be written is an error, and the log is as before or after it.",
            consequence: "Entries of a deposed leader come back behind those of the new one.",
            relies: [TRUNCATE, START_LOG],
            run: truncate,
        ),
        check!(
            "disk/refuse/purge", Must, [18, 51], needs: [Log, RefuseWrites, LogSurvivesRestart, MachineSurvivesRestart],
            promise: "A purge that can't be written is an error or done later, and leaves no hole.",
            consequence: "The log begins above its marker: the node can't start again.",
            relies: [START_LOG, START_LOG_IDS],
            run: purge,
        ),
        check!(
            "disk/refuse/apply", Must, [21, 25, 51], needs: [Machine, RefuseWrites, AppliedSurvivesRestart],
            promise: "A persistent state machine that can't write what it applies says so, and hasn't applied it.",
            consequence: "One replica silently misses commands.",
            relies: [APPLY, START_APPLIED],
            run: apply,
        ),
        check!(
            "disk/refuse/build", Must, [26, 51], needs: [Machine, RefuseWrites, SnapshotSurvivesRestart],
            promise: "A snapshot that can't be written is an error, and the one before it stands.",
            consequence: "The log is purged for a snapshot that is nowhere.",
            relies: [BUILT],
            run: build,
        ),
        check!(
            "disk/refuse/install", Must, [29, 30, 51, 55], needs: [Machine, RefuseWrites, MachineSurvivesRestart],
            promise: "A snapshot that can't be installed is an error, and the old state stands.",
            consequence: "A follower is left with half a state, or none.",
            relies: [INSTALLED, START_APPLIED],
            run: install,
        ),
        check!(
            "disk/refuse/then-accept", Must, [51], needs: [RefuseWrites, LogSurvivesRestart],
            promise: "After the disk accepts writes again and the node has started again, the store works.",
            consequence: "A disk that was full for a moment costs a replica.",
            relies: [START_LOG],
            run: then_accept,
        ),
    ]
}

/// How a call on a disk that refuses writes ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Well,
    /// Likewise, and of the disk it asked nothing.
    Idly,
    Badly,
}

/// Makes a call while the disk refuses writes. It must end, one way or the other.
async fn refused<T, E: std::fmt::Display>(
    lab: &Lab,
    disk: &Disk,
    name: &str,
    call: impl Future<Output = Result<T, E>>,
) -> Result<Ended, Failure> {
    disk.refuse(true)?;
    lab.record.step(format!("{name} (the disk refuses writes)"));
    let outcome = lab.wait(name, call).await;
    let asked = disk.refused_any()?;
    disk.refuse(false)?;
    match outcome {
        Ok(Ok(_)) if !asked => Ok(Ended::Idly),
        Ok(Ok(_)) => Ok(Ended::Well),
        Ok(Err(_)) => Ok(Ended::Badly),
        Err(_) => {
            let what = format!("{name} did not end while the disk refused writes");
            Err(Failure::new(Kind::Hang, what, "an error", "nothing"))
        }
    }
}

fn must_report(lab: &Lab, name: &str, ended: Ended) -> Verdict {
    lab.assert(ended == Ended::Badly, || {
        let what = match ended {
            Ended::Idly => format!("{name} reported success, and wrote nothing to the disk"),
            _ => format!("{name} reported success though the disk refused to write"),
        };
        Failure::broken(what, "an error", "success")
    })
}

/// openraft stops when storage fails. What the store shows when it is opened again is one of
/// these logs.
async fn restart(subject: &mut Subject<'_>, logs: Vec<LogModel>) -> Verdict {
    subject.lab.record.step("restart");
    // Closing may fail: what it would write was refused.
    if subject.close().await.is_err() {
        subject.lab.record.step("(closing failed)");
    }
    let after = |failure: Failure| {
        let what = format!("after a disk that refused to write, and a restart: {}", failure.what);
        Failure { what, ..failure }
    };
    subject.open_again().await.map_err(after)?;
    subject.model.survivors = logs;
    subject.verify_reopened(Closed::Powerless).await.map_err(after)?;
    subject.start().await
}

async fn append(lab: &Lab) -> Verdict {
    for (had, count) in [(0, 1), (6, 1), (6, 8)] {
        let mut subject = Subject::with(lab, story::log_of(had)).await?;
        subject.perform(story::leader(5, 1)).await?;
        let items = story::entries(5, 1, had, had + count);
        let (disk, entries) = (subject.disk.clone(), subject.entries(&items)?);
        let call = subject.log.append(entries);
        let ended = refused(lab, &disk, "append", call).await?;
        must_report(lab, "append", ended)?;
        let may_be = subject.model.log.prefixes(&items);
        restart(&mut subject, may_be).await?;
    }
    Ok(())
}

async fn vote(lab: &Lab) -> Verdict {
    let mut subject = Subject::with(lab, story::log_of(6)).await?;
    for (term, node) in [(5, 1), (6, 2)] {
        let ballot = crate::model::Ballot { term, node, committed: false };
        let vote = lab.driver.vote(Some(ballot));
        let disk = subject.disk.clone();
        let ended = refused(lab, &disk, "save_vote", subject.log.save_vote(vote)).await?;
        must_report(lab, "save_vote", ended)?;
        let old = subject.model.log.clone();
        let new = LogModel { vote: Some(ballot), ..old.clone() };
        restart(&mut subject, vec![new, old]).await?;
    }
    Ok(())
}

async fn truncate(lab: &Lab) -> Verdict {
    for from in [1, 3, 7] {
        let mut subject = Subject::with(lab, story::log_of(9)).await?;
        let Some(id) = subject.model.log.get(from).map(|item| item.id) else { continue };
        let id = lab.driver.id(id);
        let disk = subject.disk.clone();
        let ended = refused(lab, &disk, "truncate", subject.log.truncate(id)).await?;
        removed(&mut subject, &Step::Truncate(from), ended).await?;
    }
    Ok(())
}

/// After a removal that the disk refused to write. If the store said that all is well, it may be
/// on the disk later: an acknowledged write behind it must bring it there.
async fn removed(subject: &mut Subject<'_>, step: &Step, ended: Ended) -> Verdict {
    let old = subject.model.log.clone();
    subject.follow(step)?;
    if ended != Ended::Badly {
        subject.perform(story::leader(9, 1)).await?;
        let new = subject.model.log.clone();
        return restart(subject, vec![new]).await;
    }
    let new = subject.model.log.clone();
    restart(subject, vec![old, new]).await
}

async fn purge(lab: &Lab) -> Verdict {
    for upto in [2, 5] {
        let mut subject = Subject::with(lab, story::applied_of(9, 6)).await?;
        subject.perform(Step::Build).await?;
        let id = story::id_of(9, upto);
        let target = lab.driver.id(id);
        let disk = subject.disk.clone();
        let ended = refused(lab, &disk, "purge", subject.log.purge(target)).await?;
        removed(&mut subject, &Step::Purge(id), ended).await?;
    }
    Ok(())
}

async fn apply(lab: &Lab) -> Verdict {
    let mut subject = Subject::with(lab, story::applied_of(12, 4)).await?;
    subject.perform(Step::Commit(11)).await?;
    let entries = subject.entries(&subject.model.log.range(4, 9))?;
    let disk = subject.disk.clone();
    let ended = refused(lab, &disk, "apply", subject.machine.apply(entries)).await?;
    must_report(lab, "apply", ended)?;
    lab.record.step("restart");
    if subject.close().await.is_err() {
        lab.record.step("(closing failed)");
    }
    subject.open_again().await?;
    // Whether all, some or none of it is there: state and applied id are of one moment.
    subject.learn_applied(subject.model.log.range(4, 9)).await?;
    subject.verify_reopened(Closed::Powerless).await?;
    subject.verify_contents(subject.model.applied).await?;
    subject.start().await
}

async fn build(lab: &Lab) -> Verdict {
    let mut subject = Subject::with(lab, story::applied_of(12, 4)).await?;
    subject.run([Step::Build, Step::Commit(11), Step::Apply(4)]).await?;
    let making = subject.machine.builder();
    let mut builder = lab.call("get_snapshot_builder", making).await?;
    let disk = subject.disk.clone();
    let ended = refused(lab, &disk, "build_snapshot", builder.build()).await?;
    must_report(lab, "build_snapshot", ended)?;
    drop(builder);
    // openraft has stopped.
    subject.perform(Step::Restart).await?;
    subject.verify().await
}

async fn install(lab: &Lab) -> Verdict {
    let mut subject = Subject::with(lab, story::applied_of(12, 4)).await?;
    subject.perform(Step::Build).await?;
    let items = story::entries(9, 2, 4, 30);
    let truth: Vec<_> = subject.model.truth.iter().cloned().chain(items.clone()).collect();
    let (meta, bytes) = bytes_of(lab, &truth).await?;
    let data = subject.receive_bytes(&bytes).await?;
    let disk = subject.disk.clone();
    let call = subject.machine.install(&meta, data);
    let ended = refused(lab, &disk, "install_snapshot", call).await?;
    must_report(lab, "install_snapshot", ended)?;
    lab.record.step("restart");
    if subject.close().await.is_err() {
        lab.record.step("(closing failed)");
    }
    subject.open_again().await?;
    // All of the old or all of the new.
    subject.learn_install(&meta, truth).await?;
    subject.verify_reopened(Closed::Orderly).await?;
    subject.start().await
}

async fn then_accept(lab: &Lab) -> Verdict {
    if lab.driver.capabilities().machine_keeps == Keeps::Nothing {
        lab.inconclusive("declared: nothing of the state machine survives a restart");
        return Ok(());
    }
    let mut subject = Subject::with(lab, story::log_of(6)).await?;
    for round in 0..3 {
        let next = subject.model.log.next_index();
        let items = story::entries(4, 3, next, next + 2);
        let (disk, entries) = (subject.disk.clone(), subject.entries(&items)?);
        refused(lab, &disk, "append", subject.log.append(entries)).await?;
        let may_be = subject.model.log.prefixes(&items);
        restart(&mut subject, may_be).await?;
        let next = subject.model.log.next_index();
        subject.perform(Step::Append(story::entries(4, 3, next, next + 3 + round))).await?;
        subject.perform(Step::Restart).await?;
        subject.verify().await?;
    }
    // Nothing that was refused turns up late.
    tokio::time::sleep(Duration::from_millis(10)).await;
    subject.verify().await
}
