//! Building: one moment, all of the state, an id of its own, and current afterwards.

use super::{current, expect_current, verify_data};
use crate::check::{Check, check};
use crate::checks::machine;
use crate::driver::seen::Meta;
use crate::driver::store::Snapshot;
use crate::failure::Failure;
use crate::lab::Lab;
use crate::model::{Item, Members, Model, Payload, Step};
use crate::outcome::Verdict;
use crate::story;
use crate::subject::{Fields, Subject, log_id};
use crate::words::BoxError;

pub(crate) fn checks() -> Vec<Check> {
    vec![
        check!(
            "snapshot/build/meta", Must, [33, 34, 35, 44], needs: [Machine],
            promise: "A snapshot says exactly which entry was applied last, and which membership.",
            consequence: "A follower that is caught up by it applies entries twice, or never.",
            relies: [BUILT, INSTALL],
            run: build_meta,
        ),
        check!(
            "snapshot/build/data", Must, [27, 34, 44], needs: [Machine],
            promise: "A snapshot holds all of the state.",
            consequence: "A follower that is caught up by it diverges.",
            relies: [CURRENT],
            run: build_data,
        ),
        check!(
            "snapshot/build/empty", Must, [44, 65], needs: [Machine],
            promise: "A snapshot can be built of a state machine that has applied little or nothing.",
            consequence: "A node whose snapshot was lost can't start again.",
            relies: [TRIGGER, START_SNAPSHOT],
            run: build_empty,
        ),
        check!(
            "snapshot/build/current", Must, [30, 32, 33], needs: [Machine],
            promise: "The snapshot built last is the current one, data included.",
            consequence: "The leader sends followers an older state than it has purged to.",
            relies: [BUILT, CURRENT],
            run: build_current,
        ),
        check!(
            "snapshot/build/ids", Must, [36], needs: [Machine],
            promise: "Snapshots of different states have different ids.",
            consequence: "Chunks of two snapshots are joined into one when the transfer is resumed.",
            relies: [RECEIVE],
            run: build_ids,
        ),
        check!(
            "snapshot/build/view", Must, [27, 34, 44, 61], needs: [Machine],
            promise: "A snapshot's meta and data are of one moment, though entries are applied while it is built.",
            consequence: "A follower that is caught up by it applies entries twice, or never.",
            relies: [BUILD, BUILT],
            run: build_view,
        ),
        check!(
            "snapshot/build/late", Must, [30, 31, 32], needs: [Machine],
            promise: "A build that ends after a newer snapshot was installed doesn't replace it.",
            consequence: "A node goes back to a state from before the entries that it has purged.",
            relies: [BUILD, START_SNAPSHOT],
            run: build_late,
        ),
        check!(
            "snapshot/build/abandoned", Should, [27, 61], needs: [Machine],
            promise: "A builder that is dropped before or while it builds leaves no trace.",
            consequence: "A leader that steps down while it builds can't apply or build any more.",
            reason: "openraft lets a builder that it has made build to the end, or stops as a whole.",
            was: Must until 1,
            run: build_abandoned,
        ),
        check!(
            "snapshot/handle/own-cursor", Must, [3, 32], needs: [Machine, SnapshotBytes],
            promise: "Each handle on the current snapshot has its own position, at the beginning or anywhere.",
            consequence: "Two followers that are caught up at once get half a snapshot each.",
            relies: [CURRENT, SEND_CHUNKS],
            run: own_cursor,
        ),
        check!(
            "snapshot/handle/stays", Must, [32], needs: [Machine, SnapshotBytes],
            promise: "A handle keeps giving its own snapshot, whatever is applied, built or installed meanwhile.",
            consequence: "A follower that is being caught up gets a mixture of two states.",
            relies: [SEND_CHUNKS],
            run: handle_stays,
        ),
        check!(
            "snapshot/shapes", Must, [44], needs: [Machine],
            promise: "Empty, binary and large contents survive a snapshot.",
            consequence: "A follower that is caught up by it diverges.",
            relies: [CURRENT],
            run: shapes,
        ),
    ]
}

async fn build_meta(lab: &Lab) -> Verdict {
    for applied in [1, 2, 4, 5, 9, 12] {
        let mut subject = Subject::with_machine(lab, story::applied_of(12, applied)).await?;
        let snapshot = subject.build().await?;
        verify_meta(lab, &subject.model, &snapshot.meta)?;
    }
    // A joint configuration with learners, and a membership behind the last one applied.
    for members in crate::checks::log::memberships() {
        let mut items = story::entries(1, 1, 0, 2);
        let payload = Payload::Members(members);
        items.push(story::item(story::id(1, 1, 2), payload));
        items.extend(story::commands(1, 1, 3, 6));
        let steps = [story::leader(1, 1), Step::Append(items), Step::Commit(5), Step::Apply(4)];
        let mut subject = Subject::with_machine(lab, steps).await?;
        let snapshot = subject.build().await?;
        verify_data(lab, &subject.model, snapshot).await?;
    }
    Ok(())
}

/// A meta is that of all that was applied. Which id it has is the store's own affair.
pub(super) fn verify_meta(lab: &Lab, model: &Model, meta: &Meta) -> Verdict {
    let last = log_id(lab, model.applied_id());
    let members = lab.driver.membership(model.membership_at(model.applied));
    let right = Meta { last, membership: members, id: meta.id.clone() };
    lab.fields("a snapshot's meta is not of what was applied", Fields::of_meta(meta, &right))
}

async fn build_data(lab: &Lab) -> Verdict {
    for applied in [1, 3, 8, 40, lab.budget.pick(300, 2_000, 20_000)] {
        let mut subject =
            Subject::with_machine(lab, story::applied_of(applied + 3, applied)).await?;
        let snapshot = subject.build().await?;
        verify_data(lab, &subject.model, snapshot).await?;
        // Building changes nothing.
        subject.verify_applied().await?;
    }
    Ok(())
}

async fn build_empty(lab: &Lab) -> Verdict {
    for applied in [0, 1, 4] {
        let mut subject = Subject::with_machine(lab, story::applied_of(6, applied)).await?;
        subject.perform(Step::Build).await?;
        subject.verify_applied().await?;
        subject.verify_current_snapshot().await?;
        let snapshot = expect_current(&mut subject).await?;
        if applied > 0 {
            verify_data(lab, &subject.model, snapshot).await?;
        }
    }
    Ok(())
}

async fn build_current(lab: &Lab) -> Verdict {
    let mut subject = Subject::with_machine(lab, story::applied_of(30, 3)).await?;
    lab.assert(current(&mut subject).await?.is_none(), || {
        Failure::broken("there is a snapshot before any was made", "None", "a snapshot")
    })?;
    subject.perform(Step::Commit(29)).await?;
    for count in [1, 1, 6, 2] {
        subject.run([Step::Apply(count), Step::Build]).await?;
        subject.verify_current_snapshot().await?;
        let snapshot = expect_current(&mut subject).await?;
        verify_data(lab, &subject.model, snapshot).await?;
        // Applying more doesn't change the current snapshot.
        subject.perform(Step::Apply(2)).await?;
        subject.verify_current_snapshot().await?;
        let snapshot = expect_current(&mut subject).await?;
        verify_data(lab, &subject.model, snapshot).await?;
    }
    // Building again without a change is still current.
    subject.run([Step::Build, Step::Build]).await?;
    subject.verify_current_snapshot().await
}

pub(super) async fn build_ids(lab: &Lab) -> Verdict {
    let mut subject = Subject::with_machine(lab, story::applied_of(40, 1)).await?;
    subject.perform(Step::Commit(39)).await?;
    let mut ids = std::collections::BTreeSet::new();
    for count in [1, 1, 2, 5, 1, 10] {
        subject.perform(Step::Apply(count)).await?;
        let id = subject.build().await?.meta.id;
        lab.assert(ids.insert(id.clone()), || {
            let what = "two snapshots of different states have the same id";
            Failure::broken(what, "an id of its own", id)
        })?;
    }
    Ok(())
}

/// Snapshots while entries are applied: before the build, and beside it.
///
/// How much is applied goes round and round: the log is as long for any number of rounds.
async fn build_view(lab: &Lab) -> Verdict {
    for round in 0..lab.budget.pick(8, 25, 200_usize) {
        if lab.enough() {
            break;
        }
        let mut subject = Subject::with_machine(lab, changing(200)).await?;
        subject.run([Step::Commit(199), Step::Apply(20)]).await?;
        let snapshot = if round % 2 == 0 {
            // Most of it between the making of the builder and the build.
            let (now, building) = build_later(&mut subject).await?;
            subject.run([Step::Apply(1), Step::Apply(30), Step::Apply(1 + round % 100)]).await?;
            drop(now);
            joined(lab, building).await?
        } else {
            let making = subject.machine.builder();
            let mut builder = lab.call("get_snapshot_builder", making).await?;
            lab.record.step("get_snapshot_builder, build_snapshot, beside which:");
            let building = tokio::spawn(async move { builder.build().await });
            for _ in 0..40 {
                subject.perform(Step::Apply(1)).await?;
                tokio::task::yield_now().await;
            }
            joined(lab, building).await?
        };
        verify_data(lab, &subject.model, snapshot).await?;
        subject.verify_applied().await?;
        // And the next one is whole as well.
        let snapshot = subject.build().await?;
        verify_data(lab, &subject.model, snapshot).await?;
    }
    Ok(())
}

/// A log in which the membership changes with every fourth entry.
fn changing(count: u64) -> Vec<Step> {
    let members = |item: &mut Item| {
        let voters = [1, 2, 3 + item.id.index];
        item.payload = Payload::Members(Members::new(&voters, &[]));
    };
    let mut items = story::entries(1, 1, 0, count);
    items.iter_mut().filter(|item| item.id.index % 4 == 1).for_each(members);
    vec![story::leader(1, 1), Step::Append(items)]
}

/// Says that it is time to build, if only by being dropped.
type Now = tokio::sync::oneshot::Sender<()>;
type Building = tokio::task::JoinHandle<Result<Snapshot, BoxError>>;

/// Makes a builder now and lets it build when `now` is said, as openraft does on a busy machine. A
/// builder that holds a lock instead of a view is not left idle for ever: it is what `now` may
/// wait for.
async fn build_later(subject: &mut Subject<'_>) -> Result<(Now, Building), Failure> {
    let lab = subject.lab;
    let making = subject.machine.builder();
    let mut builder = lab.call("get_snapshot_builder", making).await?;
    lab.record.step("get_snapshot_builder; build_snapshot later");
    let (now, said) = tokio::sync::oneshot::channel();
    let patience = lab.patience() / 4;
    let building = tokio::spawn(async move {
        // Said, or never to be: both are answered by a build.
        drop(tokio::time::timeout(patience, said).await);
        builder.build().await
    });
    Ok((now, building))
}

/// The current snapshot, after a build that may have ended after an install: the installed one,
/// or one that isn't older.
pub(crate) async fn newest(subject: &mut Subject<'_>) -> Result<Snapshot, Failure> {
    let snapshot = expect_current(subject).await?;
    if let Some(installed) = subject.meta.clone() {
        subject.lab.assert(!is_behind(&snapshot.meta, &installed), || {
            let what = "a build that ended late replaced a newer snapshot";
            Failure::broken(what, format!("{installed:?}"), format!("{:?}", snapshot.meta))
        })?;
    }
    Ok(snapshot)
}

fn is_behind(one: &Meta, other: &Meta) -> bool {
    match (&one.last, &other.last) {
        (Some(one), Some(other)) => one.is_before(other),
        (one, other) => one.is_none() && other.is_some(),
    }
}

async fn joined(lab: &Lab, building: Building) -> Result<Snapshot, Failure> {
    match lab.call("build_snapshot", building).await? {
        Ok(snapshot) => Ok(snapshot),
        Err(error) => Err(Failure::error("build_snapshot", error)),
    }
}

async fn build_late(lab: &Lab) -> Verdict {
    let mut subject = Subject::with_machine(lab, story::applied_of(12, 6)).await?;
    let (now, building) = build_later(&mut subject).await?;
    let items: Vec<Item> = story::entries(7, 2, 6, 30);
    subject.run([Step::Truncate(6), Step::Install(items)]).await?;
    drop(now);
    subject.verify_applied().await?;
    // The build may fail: what it would give is of no use any more.
    let late = lab.wait("build_snapshot", building).await;
    lab.assert(late.is_ok(), || {
        Failure::broken("a build beside an install never ends", "an end", "nothing")
    })?;
    subject.verify_applied().await?;
    let snapshot = newest(&mut subject).await?;
    verify_data(lab, &subject.model, snapshot).await
}

async fn build_abandoned(lab: &Lab) -> Verdict {
    let mut subject = Subject::with_machine(lab, story::applied_of(40, 5)).await?;
    subject.perform(Step::Commit(39)).await?;
    for round in 0..6_u32 {
        let making = subject.machine.builder();
        let mut builder = lab.call("get_snapshot_builder", making).await?;
        lab.record.step("get_snapshot_builder");
        if round % 2 == 1 {
            lab.record.step("build_snapshot, polled once and dropped");
            let mut building = builder.build();
            // Whether it was ready at once or not: the next build must work.
            let _ = std::future::poll_fn(|cx| std::task::Poll::Ready(building.as_mut().poll(cx)))
                .await
                .is_ready();
        }
        drop(builder);
        subject.perform(Step::Apply(2)).await?;
        subject.verify_applied().await?;
        subject.perform(Step::Build).await?;
        subject.verify_current_snapshot().await?;
    }
    Ok(())
}

async fn own_cursor(lab: &Lab) -> Verdict {
    let mut subject = Subject::with_machine(lab, story::applied_of(30, 20)).await?;
    let mut built = subject.build().await?;
    let mut one = expect_current(&mut subject).await?;
    let mut two = expect_current(&mut subject).await?;
    let first = lab.snapshot_bytes(&mut *one.data).await?;
    let second = lab.snapshot_bytes(&mut *two.data).await?;
    let builders = lab.snapshot_bytes(&mut *built.data).await?;
    let again = lab.snapshot_bytes(&mut *one.data).await?;
    for other in [&second, &builders, &again] {
        lab.assert(*other == first, || {
            let size =
                |bytes: &Option<Vec<u8>>| format!("{} bytes", bytes.as_ref().map_or(0, Vec::len));
            let what = "two handles on one snapshot give different bytes";
            Failure::broken(what, size(&first), size(other))
        })?;
    }
    let call = lab.driver.by_turns(&mut *one.data, &mut *two.data);
    let by_turns = lab.call("reading two handles by turns", call).await?;
    let expected = first.clone().unwrap_or_default();
    lab.assert(by_turns.is_none_or(|both| both.iter().all(|bytes| *bytes == expected)), || {
        let what = "two handles on one snapshot, read by turns, give other bytes";
        Failure::broken(what, "the same bytes by each", "others: they share a position")
    })?;
    // One that was read to its end can be installed: what is installed seeks by itself.
    verify_data(lab, &subject.model, one).await
}

async fn handle_stays(lab: &Lab) -> Verdict {
    let mut subject = Subject::with_machine(lab, story::applied_of(30, 10)).await?;
    subject.perform(Step::Commit(15)).await?;
    let mut built = subject.build().await?;
    subject.follow(&Step::Build)?;
    let mut held = expect_current(&mut subject).await?;
    let before = lab.snapshot_bytes(&mut *held.data).await?;
    subject.run([Step::Apply(5), Step::Build, Step::Apply(1)]).await?;
    subject.perform(Step::Install(story::entries(9, 2, 16, 40))).await?;
    for handle in [&mut held, &mut built] {
        let after = lab.snapshot_bytes(&mut *handle.data).await?;
        lab.assert(after == before, || {
            let size =
                |bytes: &Option<Vec<u8>>| format!("{} bytes", bytes.as_ref().map_or(0, Vec::len));
            let what = "a snapshot's handle gives other bytes after later snapshots were made";
            Failure::broken(what, size(&before), size(&after))
        })?;
    }
    verify_data(lab, &subject.model, held).await
}

async fn shapes(lab: &Lab) -> Verdict {
    let mut items = story::entries(1, 1, 0, 1);
    let shaped = (1..).zip(machine::shaped(lab));
    items.extend(shaped.map(|(n, payload)| story::item(story::id(1, 1, n), payload)));
    let count = items.len();
    let last = count as u64 - 1;
    let steps = [story::leader(1, 1), Step::Append(items), Step::Commit(last)];
    let mut subject = Subject::with_machine(lab, steps).await?;
    for _ in 0..count {
        subject.run([Step::Apply(1), Step::Build]).await?;
        let snapshot = expect_current(&mut subject).await?;
        verify_data(lab, &subject.model, snapshot).await?;
    }
    Ok(())
}
