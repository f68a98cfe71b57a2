//! Family `concurrency`: what openraft does at the same time must not get in each other's way.
//!
//! Readers run beside the one writer, the state machine beside the log, a builder beside apply
//! and install; all on several threads, and with a deadline.

mod readers;

use std::task::Poll;
use std::time::Duration;

use crate::check::{Check, check};
use crate::checks::snapshot::{newest, verify_data};
use crate::driver::store::{Builder, Snapshot};
use crate::failure::{Failure, Kind};
use crate::lab::Lab;
use crate::model::{Step, StepError};
use crate::outcome::Verdict;
use crate::poll::poll_times;
use crate::story;
use crate::subject::{Origin, Subject};
use crate::words::BoxError;

pub(crate) fn checks() -> Vec<Check> {
    let mut checks = readers::checks();
    checks.extend([
        check!(
            "concurrency/log-beside-machine", Must, [2, 45, 58, 61], needs: [],
            promise: "The log store and the state machine are used by two tasks at once.",
            consequence: "A busy node deadlocks.",
            relies: [WORKER],
            limit: 20,
            run: log_beside_machine,
        ),
        check!(
            "concurrency/build-beside-apply-and-install", Must, [27, 45, 61], needs: [Machine],
            promise: "A snapshot is built while entries are applied and another snapshot is installed.",
            consequence: "A node deadlocks, or its snapshot is of no moment that ever was.",
            relies: [BUILD],
            limit: 20,
            run: build_beside_apply_and_install,
        ),
        check!(
            "concurrency/several-builders", May, [27, 45, 61], needs: [Machine],
            promise: "Several snapshots are built at once, while entries are applied.",
            consequence: "None: openraft has no two built at once.",
            reason: "`trigger_snapshot` does nothing while a build is under way.",
            since: 2,
            limit: 20,
            run: several_builders,
        ),
        check!(
            "concurrency/held-builder", May, [27, 45, 61], needs: [Machine],
            promise: "A builder that is made and not yet run doesn't stop entries from being applied.",
            consequence: "A node stands still while a snapshot waits for its turn.",
            reason: "`build_snapshot` of the worker lets a builder build at once.",
            run: held_builder,
        ),
        check!(
            "concurrency/dropped-call", Should, [1, 14, 45], needs: [Log, LogSurvivesRestart],
            promise: "A call that is given up half-way has been made whole, in part from the front, or not at all.",
            consequence: "A node that is shut down while it writes leaves a log with a hole.",
            reason: "openraft waits for every call for as long as it lives.",
            run: dropped_call,
        ),
        check!(
            "concurrency/two-handles", May, [2, 51], needs: [Log, LogSurvivesRestart],
            promise: "A second store on the directory of one that is open is refused, or harmless.",
            consequence: "A node that is started twice by mistake destroys its log.",
            reason: "A node opens no store, but is given one.",
            run: two_handles,
        ),
        check!(
            "concurrency/reopen-at-once", Should, [51], needs: [LogSurvivesRestart],
            promise: "A store that was closed can be opened again at once, many times.",
            consequence: "A node can't be started again until somebody removes a lock.",
            reason: "A node opens no store, but is given one.",
            was: Must until 1,
            limit: 30,
            run: reopen_at_once,
        ),
    ]);
    checks
}

/// A task's panic is the store's, or the check's own failure.
async fn join<T>(lab: &Lab, name: &str, task: tokio::task::JoinHandle<T>) -> Result<T, Failure> {
    match tokio::time::timeout(lab.patience() * 4, task).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            Err(Failure::new(Kind::Panic, format!("{name} panicked"), "", error.to_string()))
        }
        Err(_) => {
            let what = format!("{name} did not end: a deadlock");
            Err(Failure::new(Kind::Hang, what, "an end", "nothing"))
        }
    }
}

async fn log_beside_machine(lab: &Lab) -> Verdict {
    let rounds = lab.budget.pick(60, 300, 1_500);
    let total = rounds * 3;
    let committed = story::entries(1, 1, 0, total);
    let entries = lab.entries(&committed)?;
    let steps = [story::leader(1, 1), Step::Append(committed), Step::Commit(total - 1)];
    let mut subject = Subject::with(lab, steps).await?;
    // The halves of one store part: the log is written here, the state machine there.
    lab.record.step("append in one task; apply, build and read back in another");
    let mut machine = subject.machine.take().ok_or_else(closed)?;
    let applying = tokio::spawn(async move {
        let mut entries = entries.into_iter();
        for round in 0..rounds {
            let batch: Vec<_> = entries.by_ref().take(3).collect();
            machine.apply(batch).await?;
            machine.applied().await?;
            if round % 16 == 5 {
                machine.builder().await?.build().await?;
            }
        }
        Ok::<_, BoxError>(machine)
    });
    for round in 0..rounds {
        let (from, term) = (subject.model.log.next_index(), 1 + round / 8);
        subject.perform(story::leader(term, 1)).await?;
        subject.perform(Step::Append(story::entries(term, 1, from, from + 3))).await?;
        subject.verify_log_state(&subject.model.log.clone()).await?;
    }
    let applied = join(lab, "applying beside appending", applying).await?;
    let machine = applied.map_err(|error| Failure::error("applying beside appending", error))?;
    subject.machine.put(machine);
    subject.model.truth = subject.model.log.range(0, total);
    subject.model.applied = subject.model.truth.len();
    subject.verify_log().await?;
    subject.verify_applied().await
}

fn closed() -> Failure {
    Failure::new(Kind::Kit, "the store is closed", "", "")
}

async fn build_beside_apply_and_install(lab: &Lab) -> Verdict {
    for round in 0..lab.budget.pick(14_u32, 28, 280) {
        if lab.enough() {
            break;
        }
        let mut subject = Subject::with(lab, story::applied_of(60, 20)).await?;
        subject.perform(Step::Commit(39)).await?;
        // One after the other: openraft has no two built at once.
        for count in [1, 5, 14] {
            let building = start_build(&mut subject).await?;
            subject.perform(Step::Apply(count)).await?;
            let built = join(lab, "a build beside apply", building).await?;
            verify_built(lab, &subject, built).await?;
        }
        subject.perform(Step::Truncate(40)).await?;
        let amid = install_amid(&mut subject, 70 + u64::from(round), round % 14).await?;
        verify_built(lab, &subject, amid).await?;
        subject.verify_applied().await?;
        let snapshot = newest(&mut subject).await?;
        verify_data(lab, &subject.model, snapshot).await?;
    }
    Ok(())
}

async fn several_builders(lab: &Lab) -> Verdict {
    let mut subject = Subject::with(lab, story::applied_of(60, 20)).await?;
    subject.perform(Step::Commit(39)).await?;
    let mut building = Vec::new();
    for count in [1, 5, 14] {
        building.push(start_build(&mut subject).await?);
        subject.perform(Step::Apply(count)).await?;
    }
    for task in building {
        let built = join(lab, "a build beside others", task).await?;
        verify_built(lab, &subject, built).await?;
    }
    subject.verify_applied().await
}

type Built = Result<Snapshot, BoxError>;

/// It may have failed: what it was to give is of no use any more. What it gives is of one moment.
async fn verify_built(lab: &Lab, subject: &Subject<'_>, built: Built) -> Verdict {
    match built {
        Ok(built) => verify_data(lab, &subject.model, built).await,
        Err(_) => Ok(()),
    }
}

/// Makes a builder, which builds in a task of its own.
async fn start_build(subject: &mut Subject<'_>) -> Result<tokio::task::JoinHandle<Built>, Failure> {
    let mut builder = make_builder(subject).await?;
    Ok(tokio::spawn(async move { builder.build().await }))
}

async fn make_builder(subject: &mut Subject<'_>) -> Result<Box<dyn Builder>, Failure> {
    let lab = subject.lab;
    let making = subject.machine.builder();
    let builder = lab.call("get_snapshot_builder", making).await?;
    lab.record.step("get_snapshot_builder, build_snapshot, beside which:");
    Ok(builder)
}

/// Installs a snapshot of `upto` entries. When the install was polled so many times, a builder
/// that was made before builds to its end, unless it has to wait for the install.
async fn install_amid(subject: &mut Subject<'_>, upto: u64, polls: u32) -> Result<Built, Failure> {
    let lab = subject.lab;
    let step = Step::Install(story::entries(9, 2, 40, upto));
    let mut after = subject.model.clone();
    let kit = |error: StepError| Failure::new(Kind::Kit, error.to_string(), "", "");
    after.perform(&step).map_err(kit)?;
    let mut origin = Origin::new(lab).await?;
    origin.apply(&after.truth).await?;
    let snapshot = origin.snapshot().await?;
    let Snapshot { meta, data } = subject.arrive(snapshot).await?;
    let mut builder = make_builder(subject).await?;
    lab.record.step(format!("{step} (polled {polls} times before the build)"));
    let mut installing = subject.machine.install(&meta, data);
    let installed = poll_times(installing.as_mut(), polls).await;
    // A builder that is done is dropped, and with it what it may hold.
    let mut build = Box::pin(async move { builder.build().await });
    let early = tokio::time::timeout(Duration::from_millis(50), &mut build).await;
    let installed = match installed {
        Some(outcome) => outcome,
        None => lab.answer("install_snapshot", installing.as_mut()).await?,
    };
    drop(installing);
    installed.map_err(|error| Failure::error("install_snapshot", error))?;
    let built = match early {
        Ok(built) => built,
        Err(_) => lab.answer("build_snapshot", build.as_mut()).await?,
    };
    drop(build);
    subject.follow(&step)?;
    subject.meta = Some(meta);
    Ok(built)
}

async fn held_builder(lab: &Lab) -> Verdict {
    let mut subject = Subject::with(lab, story::applied_of(60, 5)).await?;
    subject.perform(Step::Commit(59)).await?;
    let making = subject.machine.builder();
    let mut builder = lab.call("get_snapshot_builder", making).await?;
    lab.record.step("get_snapshot_builder; it is held while:");
    for _ in 0..20 {
        subject.perform(Step::Apply(2)).await?;
    }
    subject.verify_applied().await?;
    let snapshot = lab.call("build_snapshot", builder.build()).await?;
    verify_data(lab, &subject.model, snapshot).await
}

/// Polls an append once and drops it. Then the log is what it was, or longer by a prefix.
async fn dropped_call(lab: &Lab) -> Verdict {
    for count in [1, 8, 300] {
        let mut subject = Subject::with(lab, story::log_of(6)).await?;
        subject.perform(story::leader(5, 1)).await?;
        let items = story::entries(5, 1, 6, 6 + count);
        let entries = subject.entries(&items)?;
        lab.record.step(format!("append {count} entries, polled once and dropped"));
        {
            let mut append = subject.log.append(entries);
            let polled =
                std::future::poll_fn(|cx| Poll::Ready(append.as_mut().poll(cx).is_ready())).await;
            lab.record.step(if polled { "(it was done)" } else { "(it was not done)" });
        }
        // Whatever goes on by itself has an end.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let state = lab.call("get_log_state", subject.log.state()).await?;
        let last = state.last.map_or(0, |id| id.index + 1);
        let kept = items.iter().take(last.saturating_sub(6) as usize).cloned();
        subject.model.log.items.extend(kept);
        subject.verify_log().await?;
        let next = subject.model.log.next_index();
        subject.perform(Step::Append(story::entries(5, 1, next, next + 3))).await?;
        subject.perform(Step::Restart).await?;
    }
    Ok(())
}

/// Whatever the second one does by being opened and closed, what the first one wrote stands.
async fn two_handles(lab: &Lab) -> Verdict {
    let mut subject = Subject::with(lab, story::log_of(9)).await?;
    lab.record.step("open the directory a second time");
    let second = lab.wait("open", lab.driver.open(&subject.dir)).await;
    subject.verify_log().await?;
    let written = subject.perform(Step::Append(story::entries(4, 3, 9, 12))).await;
    if let Ok(Ok((log, machine))) = second {
        lab.call("close", lab.driver.close(&subject.dir, log, machine)).await?;
    }
    match written {
        // The older handle is fenced off: what it had written must still be there.
        Err(fenced) if fenced.kind == Kind::Error => {}
        Err(failure) => return Err(failure),
        Ok(()) => subject.verify_log().await?,
    }
    subject.perform(Step::Restart).await
}

async fn reopen_at_once(lab: &Lab) -> Verdict {
    let mut subject = Subject::with(lab, story::log_of(9)).await?;
    for _ in 0..lab.budget.pick(15, 50, 500) {
        if lab.enough() {
            break;
        }
        subject.reopen().await?;
        subject.verify_log_state(&subject.model.log.clone()).await?;
    }
    subject.verify_log().await
}
