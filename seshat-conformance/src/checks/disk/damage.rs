//! Bytes that changed on the disk: refused, or repaired; never skipped, shortened or served.

use crate::check::{Check, check};
use crate::checks::snapshot::{current, verify_data};
use crate::failure::{Failure, Kind};
use crate::lab::Lab;
use crate::model::{LogModel, Step};
use crate::outcome::Verdict;
use crate::story;
use crate::subject::{Subject, log_id};
use crate::words::Hook;

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

pub(super) fn strike<A>(dir: &std::path::Path, hook: Option<Hook<A>>, told: A) -> Verdict {
    let Some(hook) = hook else {
        return Err(Failure::new(Kind::Kit, "the hook is missing", "", ""));
    };
    hook.call(dir, told).map_err(|error| Failure::error("hook", error))
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
        let failed = format!("{what}: the store opens with another log");
        Failure::broken(failed, format!("an error, or last {}", expected.join(" or ")), got)
    })?;
    let items = found.map(|model| model.items.as_slice()).unwrap_or_default();
    lab.same(&format!("{what}: reading the whole log"), &entries, items)?;
    drop((log, machine));
    Ok(())
}

async fn record(lab: &Lab) -> Verdict {
    for index in [0, 1, 4, 7, 10] {
        let mut subject = Subject::with(lab, [story::leader(1, 1)]).await?;
        for item in story::entries(1, 1, 0, 12) {
            subject.perform(Step::Append(vec![item])).await?;
        }
        lab.record.step("close");
        subject.close().await?;
        lab.record.step(format!("damage the record of the entry at {index}"));
        strike(&subject.dir, lab.driver.hooks().damage_record, index)?;
        let whole = [subject.model.log.clone()];
        read_back(&mut subject, &whole, &format!("entry {index} is damaged")).await?;
    }
    // One batch, and a log whose beginning is purged.
    for index in [5, 8] {
        let mut subject = Subject::with(lab, story::purged_of(12, 3)).await?;
        lab.record.step("close");
        subject.close().await?;
        lab.record.step(format!("damage the record of the entry at {index}"));
        strike(&subject.dir, lab.driver.hooks().damage_record, index)?;
        let whole = [subject.model.log.clone()];
        read_back(&mut subject, &whole, &format!("entry {index} is damaged")).await?;
    }
    Ok(())
}

async fn last_record(lab: &Lab) -> Verdict {
    for count in [1, 2, 9] {
        let mut subject = Subject::with(lab, [story::leader(1, 1)]).await?;
        let mut before = subject.model.log.clone();
        for item in story::entries(1, 1, 0, count) {
            before = subject.model.log.clone();
            subject.perform(Step::Append(vec![item])).await?;
        }
        lab.record.step("close");
        subject.close().await?;
        lab.record.step("damage the last record");
        strike(&subject.dir, lab.driver.hooks().damage_last_record, ())?;
        let allowed = [subject.model.log.clone(), before];
        read_back(&mut subject, &allowed, "the last record is damaged").await?;
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
        lab.record.step("close");
        subject.close().await?;
        lab.record.step("damage the snapshot");
        if let Err(failure) = strike(&subject.dir, lab.driver.hooks().damage_snapshot, ()) {
            // A store whose snapshots don't survive has none to damage.
            lab.inconclusive(failure.got);
            return Ok(());
        }
        opens_right(&mut subject, "a snapshot").await?;
    }
    Ok(())
}

/// With something of it damaged, a store doesn't open, or its state is one that was, and not older
/// than the log begins; and a snapshot that it gives is a good one.
pub(super) async fn opens_right(subject: &mut Subject<'_>, damaged: &str) -> Verdict {
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
        let what =
            format!("with {damaged} damaged the store opens, and its state is older than its log");
        Failure::broken(what, "an error, or the state that was", format!("{:?}", state.0))
    })?;
    subject.model.applied = found.unwrap_or_default();
    subject.verify_contents(subject.model.applied).await?;
    let Ok(Some(given)) = current(subject).await else { return Ok(()) };
    let installed = verify_data(lab, &subject.model, given).await;
    if let Err(failure) = installed {
        let refused = failure.kind == Kind::Error;
        lab.assert(refused, || failure)?;
    }
    Ok(())
}

/// What a replication task reads: from a damaged entry on, and up to it.
async fn limited_read(lab: &Lab) -> Verdict {
    for index in [0, 1, 5, 10] {
        let mut subject = Subject::with(lab, [story::leader(1, 1)]).await?;
        for item in story::entries(1, 1, 0, 12) {
            subject.perform(Step::Append(vec![item])).await?;
        }
        lab.record.step("close");
        subject.close().await?;
        lab.record.step(format!("damage the record of the entry at {index}"));
        strike(&subject.dir, lab.driver.hooks().damage_record, index)?;
        lab.record.step("open");
        lab.record.case();
        let opened = lab.answer("open", lab.driver.open(&subject.dir)).await?;
        let Ok((mut log, _machine)) = opened else { continue };
        for from in [index, index.saturating_sub(2)] {
            let doing = format!("limited_get_log_entries({from}, 12)");
            let Ok(got) = lab.answer(&doing, log.read_limited(from, 12)).await? else { continue };
            lab.assert(!got.is_empty(), || {
                let what = format!("{doing} gives nothing where entry {index} is damaged");
                Failure::broken(what, "an error, or entries", "no entries")
            })?;
            let whole = subject.model.log.range(from, from + got.len() as u64);
            lab.same(&format!("{doing} where entry {index} is damaged"), &got, &whole)?;
        }
    }
    Ok(())
}
