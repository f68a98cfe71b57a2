//! Bytes that changed on the disk: refused, or repaired; never skipped, shortened or served.

use crate::check::{Check, check};
use crate::checks::snapshot::{current, verify_data};
use crate::failure::{Failure, Kind};
use crate::lab::Lab;
use crate::model::{LogModel, Step};
use crate::outcome::Verdict;
use crate::story;
use crate::subject::damage::{Damaged, Target};
use crate::subject::{Subject, log_id};

pub(crate) fn checks() -> Vec<Check> {
    vec![
        check!(
            "disk/damage/record", Must, [1, 51], needs: [Log, DamageRecord, LogSurvivesRestart],
            promise: "A changed byte in the middle of the log is an error, not the end of the log.",
            consequence: "Acknowledged entries are forgotten and overwritten by a new leader.",
            relies: [START_LOG, APPLY_READ],
            run: record,
        ),
        check!(
            "disk/damage/last-record", Must, [1, 51], needs: [Log, DamageLastRecord, LogSurvivesRestart],
            promise: "A changed byte in the newest record is an error, or costs that record and no other.",
            consequence: "Acknowledged entries are lost, or a damaged one is applied.",
            relies: [START_LOG, APPLY_READ],
            run: last_record,
        ),
        check!(
            "disk/damage/snapshot", Must, [26, 32, 51], needs: [Machine, DamageSnapshot, LogSurvivesRestart, MachineSurvivesRestart],
            promise: "A changed byte in the snapshot is an error or no snapshot, never another state.",
            consequence: "A flipped bit becomes the state of a replica, and of all it catches up.",
            relies: [START_SNAPSHOT, CURRENT],
            run: snapshot,
        ),
        // replication/mod.rs:397-413: nothing is waited for, and asked for again for ever.
        check!(
            "disk/damage/limited-read", Must, [42, 43, 51], needs: [Log, DamageRecord, LogSurvivesRestart],
            promise: "A limited read that meets a changed byte is an error or ends before it, and is never empty.",
            consequence: "Replication to a follower spins for ever, and nobody learns why.",
            relies: [REPLICATE],
            since: 2,
            run: limited_read,
        ),
    ]
}

/// Opens the store again and reads all of its log; an error anywhere is as good.
async fn read_back(subject: &mut Subject<'_>, allowed: &[LogModel], what: &str) -> Verdict {
    let lab = subject.lab;
    lab.record.step("open");
    let opened = lab.answer("open", lab.driver.open(&subject.dir)).await;
    lab.record.case();
    let (mut log, machine) = match opened {
        Err(hung) => return Err(hung),
        Ok(Err(_)) => return Ok(()),
        Ok(Ok(opened)) => opened,
    };
    let seen = async {
        let state = log.state().await.ok()?;
        let vote = log.vote().await.ok()?;
        let first = state.purged.as_ref().map_or(0, |id| id.index + 1);
        let end = state.last.as_ref().map_or(0, |id| id.index + 1);
        let entries = match first < end {
            true => log.read(first..end).await.ok()?,
            false => Vec::new(),
        };
        Some((state, vote, entries))
    };
    let seen = lab.answer("reading a damaged log", seen).await?;
    let Some((state, vote, entries)) = seen else { return Ok(()) };
    let fits = |model: &&LogModel| {
        state.last == log_id(lab, model.last())
            && state.purged == log_id(lab, model.purged)
            && vote == model.vote.map(|b| lab.driver.vote(Some(b)))
    };
    let found = allowed.iter().find(fits);
    lab.assert(found.is_some(), || {
        let expected =
            allowed.iter().map(|m| m.last().map_or("none".to_owned(), |id| id.to_string()));
        let expected: Vec<String> = expected.collect();
        let ids: Vec<_> = entries.iter().map(|e| e.id().to_string()).collect();
        let got = format!("last {:?}, vote {vote:?}, entries {}", state.last, ids.join(" "));
        let whole = allowed.first().and_then(LogModel::last).map_or(0, |id| id.index);
        let shorter = state.last.as_ref().is_none_or(|last| last.index < whole);
        let log = if shorter { "a shorter log that looks whole" } else { "another log" };
        let failed = format!("{what}: the store opens with {log}");
        Failure::broken(failed, format!("an error, or last {}", expected.join(" or ")), got)
    })?;
    let items = found.map(|model| model.items.as_slice()).unwrap_or_default();
    lab.same(&format!("{what}: reading the whole log"), &entries, items)?;
    drop((log, machine));
    Ok(())
}

/// The log, or that without its newest record.
fn but_the_last(log: &LogModel) -> [LogModel; 2] {
    let mut shorter = log.clone();
    shorter.items.pop();
    [log.clone(), shorter]
}

/// The entry at an index is damaged: it is not the end of the log.
async fn is_no_end(subject: &mut Subject<'_>, index: u64) -> Verdict {
    let look = async |damaged: &mut Damaged<'_>| {
        let log = but_the_last(&damaged.subject.model.log);
        // Where any byte may have been struck, it may have been the last one's.
        let allowed = if damaged.vague { &log[..] } else { &log[..1] };
        let what = format!("entry {index} is damaged{}", damaged.bit);
        read_back(&mut damaged.subject, allowed, &what).await
    };
    subject.damage(Target::Entry(index), look).await
}

async fn append_one_by_one(subject: &mut Subject<'_>, count: u64) -> Verdict {
    let next = subject.model.log.next_index();
    for item in story::entries(1, 1, next, next + count) {
        subject.perform(Step::Append(vec![item])).await?;
    }
    Ok(())
}

async fn record(lab: &Lab) -> Verdict {
    for index in [0, 1, 4, 7, 10] {
        let mut subject = Subject::with(lab, [story::leader(1, 1)]).await?;
        append_one_by_one(&mut subject, 12).await?;
        is_no_end(&mut subject, index).await?;
    }
    // One batch, and a log whose beginning is purged.
    for (index, behind) in [(5, 12), (8, 14)] {
        let mut subject = Subject::with(lab, story::purged_of(12, 3)).await?;
        if subject.has_hook(Target::Entry(index)) {
            is_no_end(&mut subject, index).await?;
            continue;
        }
        // What is written as one may be read as one, so that it is the end: another comes behind it.
        subject.perform(Step::Append(story::entries(4, 3, 12, 15))).await?;
        subject.perform(Step::Append(story::entries(4, 3, 15, 16))).await?;
        is_no_end(&mut subject, behind).await?;
    }
    Ok(())
}

async fn last_record(lab: &Lab) -> Verdict {
    for count in [1, 2, 9] {
        let mut subject = Subject::with(lab, [story::leader(1, 1)]).await?;
        append_one_by_one(&mut subject, count).await?;
        let look = async |damaged: &mut Damaged<'_>| {
            let allowed = but_the_last(&damaged.subject.model.log);
            let what = format!("the last record is damaged{}", damaged.bit);
            read_back(&mut damaged.subject, &allowed, &what).await
        };
        subject.damage(Target::LastEntry, look).await?;
    }
    Ok(())
}

async fn snapshot(lab: &Lab) -> Verdict {
    for purged in [false, true] {
        let mut subject = Subject::with(lab, story::applied_of(12, 8)).await?;
        subject.perform(Step::Build).await?;
        if purged {
            subject.perform(Step::Purge(story::id_of(12, 7))).await?;
        }
        let look = async |damaged: &mut Damaged<'_>| opens_right(damaged, "a snapshot").await;
        subject.damage(Target::Snapshot, look).await?;
    }
    Ok(())
}

/// With something of it damaged, a store doesn't open, or its state is one that was, and not older
/// than the log begins; and a snapshot that it gives is a good one.
pub(super) async fn opens_right(damaged: &mut Damaged<'_>, what: &str) -> Verdict {
    let Damaged { subject, bit, .. } = damaged;
    let lab = subject.lab;
    lab.record.step("open");
    lab.record.case();
    if subject.open_once().await.is_err() {
        return Ok(());
    }
    let Ok(state) = subject.machine.applied().await else { return Ok(()) };
    let applied = subject.model.applied;
    let found = (0..=applied).find(|n| log_id(lab, subject.model.covered_id(*n)) == state.0);
    lab.assert(found.is_some_and(|n| n as u64 >= subject.model.log.first_index()), || {
        let failed = format!(
            "with {what} damaged{bit} the store opens, and its state is older than its log"
        );
        Failure::broken(failed, "an error, or the state that was", format!("{:?}", state.0))
    })?;
    subject.model.applied = found.unwrap_or_default();
    let of = |failure: Failure| {
        let what = format!("with {what} damaged{bit} the store opens: {}", failure.what);
        Failure { what, ..failure }
    };
    subject.verify_contents(subject.model.applied).await.map_err(of)?;
    let Ok(Some(given)) = current(subject).await else { return Ok(()) };
    let installed = verify_data(lab, &subject.model, given).await;
    if let Err(failure) = installed.map_err(of) {
        let refused = failure.kind == Kind::Error;
        lab.assert(refused, || failure)?;
    }
    Ok(())
}

/// What a replication task reads: from a damaged entry on, and up to it.
async fn limited_read(lab: &Lab) -> Verdict {
    for index in [0, 1, 5, 10] {
        let mut subject = Subject::with(lab, [story::leader(1, 1)]).await?;
        append_one_by_one(&mut subject, 12).await?;
        let look = async |damaged: &mut Damaged<'_>| reads_on(damaged, index).await;
        subject.damage(Target::Entry(index), look).await?;
    }
    Ok(())
}

async fn reads_on(damaged: &mut Damaged<'_>, index: u64) -> Verdict {
    let Damaged { subject, bit, .. } = damaged;
    let lab = subject.lab;
    lab.record.step("open");
    lab.record.case();
    let opened = lab.answer("open", lab.driver.open(&subject.dir)).await?;
    let Ok((mut log, _machine)) = opened else { return Ok(()) };
    for from in [index, index.saturating_sub(2)] {
        let doing = format!("limited_get_log_entries({from}, 12)");
        let Ok(got) = lab.answer(&doing, log.read_limited(from, 12)).await? else { continue };
        lab.assert(!got.is_empty(), || {
            let what = format!("{doing} gives nothing where entry {index} is damaged{bit}");
            Failure::broken(what, "an error, or entries", "no entries")
        })?;
        let whole = subject.model.log.range(from, from + got.len() as u64);
        lab.same(&format!("{doing} where entry {index} is damaged{bit}"), &got, &whole)?;
    }
    Ok(())
}
